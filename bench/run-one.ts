// One side of a bench, in a process of its own: `node run-one.ts <product|floor> <shape as JSON>`.
// Prints one JSON line.
import { readFileSync } from "node:fs";
import { startLocalMesh } from "../mesh/local.ts";
import { loadFloor } from "./floor.ts";
import { loadProduct } from "./product.ts";
import { quantile, type Outcome, type Shape } from "./shape.ts";

const [side, text] = process.argv.slice(2) as [string, string];
const shape = JSON.parse(text) as Shape;
const mesh = await startLocalMesh();
const loaded = await (side === "floor" ? loadFloor : loadProduct)(mesh, shape);
await loaded.run(shape.warmUp, shape.inFlight);
const before = { ...loaded.counts(), cpu: process.cpuUsage(), server: serverCpuMs() };
const began = performance.now();
const latencies = (await loaded.run(shape.tasks, shape.inFlight)).sort((a, b) => a - b);
const seconds = (performance.now() - began) / 1_000;
const after = loaded.counts();
const cpu = process.cpuUsage(before.cpu);
const outcome: Outcome = {
  tasks: shape.tasks, seconds, tasksPerSecond: shape.tasks / seconds,
  latencyMs: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) },
  messagesPerTask: (after.sent - before.sent) / shape.tasks,
  bidsPerTask: (after.bids - before.bids) / shape.tasks,
  clientCpuMs: (cpu.user + cpu.system) / 1_000 / shape.tasks,
  serverCpuMs: (serverCpuMs() - before.server) / shape.tasks,
};
console.log(JSON.stringify(outcome));
await loaded.close();
await mesh.stop();

/** CPU time of the server so far, ms; 0 where /proc does not tell. */
function serverCpuMs(): number {
  try {
    const stat = readFileSync(`/proc/${mesh.server.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return 0;
  }
}
