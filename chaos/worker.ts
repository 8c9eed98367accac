// A process for the nemesis to kill: agents (on one connection, or each on its own) or an
// initiator, with a history.
// Started by harness/workers.ts; ends when its parent does, by whatever death.
import { basename } from "node:path";
import { conduct } from "../agent-sdk/conduct.ts";
import { openHistory } from "../check/history-file.ts";
import { defaultLog, type OpenPeer, openPeer, type Run } from "../mesh/index.ts";
import { credsAuth } from "../mesh/nats/identity/authenticator.ts";
import type { Creds } from "../mesh/nats/identity/creds.ts";
import { keyFromSeed } from "../mesh/nats/identity/keys.ts";
import { jwtTrust } from "../mesh/nats/trust.ts";
import type { Log, Trust } from "../mesh/ports/index.ts";
import type { ChaosInput, WorkerOrder, WorkerPlan, WorkerReport } from "./harness/orders.ts";

const open: OpenPeer[] = [];
/** By principal, while its connection is up. */
const upSince = new Map<string, number>();
const TURN_MS = 10;
/** Longest since the last tally, ms: see WorkerReport. */
const longest = { lagMs: 0, heldMs: 0 };
/** Connections opened at a time. */
const OPENING = 16;
/** Workflows that one process runs at a time. */
const WORKFLOWS = 50;
let trust: Trust;
let log: Log;
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

/** A connection under this principal, with its agents. */
async function enter(plan: WorkerPlan, name: string, creds: Creds, agents: string[]) {
  const peer = await openPeer({
    servers: plan.servers,
    name: `parley chaos ${name}`,
    principal: name,
    agent: "main",
    role: plan.role,
    authenticator: credsAuth(creds),
    signer: keyFromSeed(creds.seed),
    jwt: creds.jwt,
    trust,
    log,
    seed: `${plan.seed}/${name}`,
    ...(history === undefined ? {} : { history }),
  });
  for (const agent of agents) {
    peer.peer.host({
      name: agent,
      slots: plan.slots,
      services: plan.capabilities.map((capability) => ({
        capability: { name: capability, version: "1.0.0", slots: plan.slots },
        run: work,
      })),
    });
  }
  if (plan.conducts === true) hostWorkflows(peer, name);
  await peer.transport.flush();
  open.push(peer);
  follow(name, peer);
}

function hostWorkflows({ peer }: OpenPeer, name: string): void {
  const capability = { name: "workflow", version: "1.0.0", slots: WORKFLOWS };
  const own = { peer, contractor: `${name}.main`, clock: peer.deps.clock, log };
  const run = (r: Run) => conduct(own, r);
  peer.host({ name: "main", slots: WORKFLOWS, services: [{ capability, run }] });
}

/** Notes when the connection is of use again: the server answers behind its subscriptions. */
function follow(name: string, { transport }: OpenPeer): void {
  const note = () => void upSince.set(name, Number(process.hrtime.bigint()));
  note();
  transport.onState((state) => {
    upSince.delete(name);
    if (state === "up") transport.flush().then(note, () => undefined);
  });
}

/** Notes how late a timer is, and how much this thread has worked since it fired last. */
function watchLoop(): void {
  let at = performance.now();
  let worked = workedMs();
  setInterval(() => {
    const [now, work] = [performance.now(), workedMs()];
    longest.lagMs = Math.max(longest.lagMs, now - at - TURN_MS);
    longest.heldMs = Math.max(longest.heldMs, work - worked);
    [at, worked] = [now, work];
  }, TURN_MS).unref();
}

function workedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

async function join(plan: WorkerPlan): Promise<void> {
  history = openHistory(plan.history, basename(plan.history, ".ndjson"));
  trust = jwtTrust(plan.trust, () => Date.now());
  log = defaultLog(process.env.PARLEY_LOG ?? "error");
  if (plan.own === undefined) {
    const agents = Array.from({ length: plan.agents }, (_, i) => `a${i}`);
    await enter(plan, plan.name, plan.creds, agents);
  } else {
    const left = [...plan.own];
    const lane = async () => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        await enter(plan, next.name, next.creds, ["main"]);
      }
    };
    await Promise.all(Array.from({ length: OPENING }, lane));
  }
  watchLoop();
}

/** Blocks this process, as a careless handler does. */
function stall(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

function tally(): WorkerReport {
  const peers = open.map((o) => o.peer);
  const counters: Record<string, number> = {};
  for (const peer of peers) {
    for (const [name, n] of Object.entries(peer.counters.snapshot())) {
      counters[name] = (counters[name] ?? 0) + n;
    }
  }
  const { lagMs, heldMs } = longest;
  Object.assign(longest, { lagMs: 0, heldMs: 0 });
  const sum = (of: (peer: (typeof peers)[number]) => number) =>
    peers.reduce((n, p) => n + of(p), 0);
  return {
    is: "tally",
    running: sum((p) => p.contractors.running),
    open: sum((p) => p.initiators.open),
    known: [...(peers[0]?.registry.capabilities().values() ?? [])].reduce((a, b) => a + b, 0),
    counters,
    upSince: [...upSince.values()],
    lagMs,
    heldMs,
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
      await Promise.all(open.map((o) => o.close(2_000)));
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
