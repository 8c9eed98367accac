// A process for the nemesis to kill: agents or an initiator on one connection, with a history.
// Started by harness/workers.ts; ends when its parent does, by whatever death.
import { basename } from "node:path";
import { openHistory } from "../check/history-file.ts";
import { defaultLog, type OpenPeer, openPeer, type Run } from "../mesh/index.ts";
import { credsAuth } from "../mesh/nats/identity/authenticator.ts";
import { keyFromSeed } from "../mesh/nats/identity/keys.ts";
import { jwtTrust } from "../mesh/nats/trust.ts";
import type { ChaosInput, WorkerOrder, WorkerPlan, WorkerReport } from "./harness/orders.ts";

let open: OpenPeer | undefined;
let history: ReturnType<typeof openHistory> | undefined;
let stalls: NodeJS.Timeout | undefined;

async function work(run: Run): Promise<{ output: unknown }> {
  const { ms, as, until } = run.input as ChaosInput;
  if (as !== undefined && (until === undefined || Date.now() < until)) {
    if (as === "crash") process.kill(process.pid, "SIGKILL");
    if (as === "hang") await new Promise((_, reject) => onAbort(run.signal, reject));
    throw new Error("this capability is broken");
  }
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    onAbort(run.signal, (reason) => {
      clearTimeout(timer);
      reject(reason);
    });
  });
  return { output: { epoch: run.epoch } };
}

function onAbort(signal: AbortSignal, then: (reason: unknown) => void): void {
  if (signal.aborted) return then(signal.reason);
  signal.addEventListener("abort", () => then(signal.reason), { once: true });
}

async function join(plan: WorkerPlan): Promise<void> {
  history = openHistory(plan.history, basename(plan.history, ".ndjson"));
  open = await openPeer({
    servers: plan.servers,
    name: `parley chaos ${plan.name}`,
    principal: plan.name,
    agent: "main",
    role: plan.role,
    authenticator: credsAuth(plan.creds),
    signer: keyFromSeed(plan.creds.seed),
    jwt: plan.creds.jwt,
    trust: jwtTrust(plan.trust, () => Date.now()),
    log: defaultLog(process.env.PARLEY_LOG ?? "error"),
    seed: plan.seed,
    history,
  });
  for (let i = 0; i < plan.agents; i++) {
    open.peer.host({
      name: `a${i}`,
      slots: plan.slots,
      services: plan.capabilities.map((name) => ({
        capability: { name, version: "1.0.0", slots: plan.slots },
        run: work,
      })),
    });
  }
  await open.transport.flush();
}

/** Blocks this process, as a careless handler does. */
function stall(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

function tally(): WorkerReport {
  const peer = open?.peer;
  return {
    is: "tally",
    running: peer?.contractors.running ?? 0,
    open: peer?.initiators.open ?? 0,
    known: [...(peer?.registry.capabilities().values() ?? [])].reduce((a, b) => a + b, 0),
    counters: peer?.counters.snapshot() ?? {},
  };
}

async function obey(order: WorkerOrder): Promise<void> {
  switch (order.do) {
    case "open":
      await join(order.plan);
      return send({ is: "open" });
    case "stall":
      clearInterval(stalls);
      if (order.everyMs > 0) stalls = setInterval(() => stall(order.ms), order.everyMs);
      return;
    case "tally":
      return send(tally());
    case "close":
      await open?.close(2_000);
      // Without this word the file's end may be missing.
      history?.note({ k: "obs", op: "closed" });
      history?.close();
      send({ is: "closed" });
      process.disconnect();
  }
}

function send(report: WorkerReport): void {
  if (process.connected) process.send?.(report);
}

process.on("message", (order: WorkerOrder) => {
  obey(order).catch((error: unknown) => {
    send({ is: "failed", reason: error instanceof Error ? error.message : String(error) });
  });
});
process.on("disconnect", () => process.exit());
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);
