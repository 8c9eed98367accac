// One measured run of one side: a server, host processes, a client in this process.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type LocalMesh, startLocalMesh } from "../mesh/local.ts";
import { dumpRecords } from "../mesh/nats/dump.ts";
import { floorClient } from "./floor.ts";
import { productClient } from "./product.ts";
import {
  type HostOrder,
  type HostReport,
  type Outcome,
  pour,
  pump,
  quantile,
  type Shape,
} from "./shape.ts";

export type SideName = "product" | "floor";

export async function runSide(name: SideName, shape: Shape): Promise<Outcome> {
  const mesh = await startLocalMesh();
  const hosts: ChildProcess[] = [];
  try {
    const access = async (who: string) => ({
      shape,
      url: mesh.server.url,
      trust: mesh.home.trust,
      ...(await mesh.mint(who, "agent", ["echo"])),
    });
    for (let i = 0; i < shape.hosts; i++) {
      const child = fork(new URL("./host.ts", import.meta.url), { stdio: "inherit" });
      hosts.push(child);
      const { jwt, seed, ...rest } = await access(`host-${i}`);
      child.send({ ...rest, jwt, seed, side: name, host: i } satisfies HostOrder);
    }
    await Promise.all(hosts.map((h) => report(h, (r) => r.ready)));
    const client = await (name === "floor" ? floorClient : productClient)(await access("client"));
    await pump(shape.warmUp, shape.inFlight, () => client.one());
    const from = Date.now();
    const before = await usage(hosts, client.counts(), mesh.server.pid);
    const began = performance.now();
    const latencies = (await load(shape, () => client.one())).sort((a, b) => a - b);
    const seconds = (performance.now() - began) / 1_000;
    const after = await usage(hosts, client.counts(), mesh.server.pid);
    const decisionMs = shape.mode === "durable" ? await decisions(mesh, from) : undefined;
    await client.close();
    const per = (key: keyof Usage) => (after[key] - before[key]) / shape.tasks;
    return {
      tasks: shape.tasks,
      seconds,
      tasksPerSecond: shape.tasks / seconds,
      latencyMs: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) },
      ...(decisionMs === undefined ? {} : { decisionMs }),
      messagesPerTask: per("sent"),
      bidsPerTask: per("bids"),
      clientCpuMs: per("clientCpuMs"),
      serverCpuMs: per("serverCpuMs"),
    };
  } finally {
    for (const h of hosts) h.send("stop");
    await Promise.all(hosts.map((h) => h.exitCode ?? once(h, "exit")));
    await mesh.stop();
  }
}

function load(shape: Shape, one: () => Promise<void>): Promise<number[]> {
  return shape.perSecond > 0
    ? pour(shape.tasks, shape.perSecond, one)
    : pump(shape.tasks, shape.inFlight, one);
}

/** How long each task stored since `from` took to be claimed. */
async function decisions(mesh: LocalMesh, from: number): Promise<{ p50: number; p99: number }> {
  const { transport, close } = await mesh.open("observer", "observer");
  const specs = new Map<string, number>();
  const took: number[] = [];
  for await (const { key, storedAt } of dumpRecords(transport, { principal: "observer" })) {
    if (key.kind === "spec" && storedAt >= from) specs.set(key.task, storedAt);
    const since = specs.get(key.task);
    if (key.kind === "contract" && since !== undefined) took.push(storedAt - since);
  }
  await close();
  took.sort((a, b) => a - b);
  return { p50: quantile(took, 0.5), p99: quantile(took, 0.99) };
}

interface Usage {
  sent: number;
  bids: number;
  clientCpuMs: number;
  serverCpuMs: number;
}

async function usage(
  hosts: ChildProcess[],
  client: { sent: number; bids: number },
  serverPid: number,
): Promise<Usage> {
  const { user, system } = process.cpuUsage();
  const total: Usage = {
    ...client,
    clientCpuMs: (user + system) / 1_000,
    serverCpuMs: serverCpuMs(serverPid),
  };
  for (const h of hosts) {
    const answer = report(h, (r) => r.counts);
    h.send("counts");
    const counts = await answer;
    total.sent += counts.sent;
    total.bids += counts.bids;
    total.clientCpuMs += counts.cpuMs;
  }
  return total;
}

/** The first report of a host that has what is wanted. */
function report<T>(h: ChildProcess, pick: (r: HostReport) => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const listen = (r: HostReport) => {
      const found = pick(r);
      if (found === undefined) return;
      h.off("message", listen);
      h.off("exit", gone);
      resolve(found);
    };
    const gone = () => reject(new Error("a host process of the bench ended early"));
    h.on("message", listen);
    h.once("exit", gone);
  });
}

/** CPU time of the server so far, ms; 0 where /proc does not tell. */
function serverCpuMs(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return 0;
  }
}
