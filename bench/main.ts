// npm run bench -- durable|live|latency|scale|workflow [--json] [--tasks N] [--rounds N]
// npm run bench -- protocol [--json] [--keep]      what a decision costs, played, not timed
//
// Each figure comes with the floor of the same kind, measured in turn in the same run. The ratio
// is what counts: an absolute time says more about the machine than about the product.
import { parseArgs } from "node:util";
import { benchFlows } from "./flow.ts";
import { keepProtocol, lastProtocol, measureProtocol, protocolTable } from "./protocol.ts";
import { runSide, type SideName } from "./run.ts";
import type { Outcome, Shape } from "./shape.ts";

const BASE: Shape = {
  mode: "durable",
  agents: 1_000,
  tasks: 6_000,
  inFlight: 128,
  signing: true,
  bids: 2,
  perSecond: 0,
  hosts: 2,
  warmUp: 2_000,
};

interface Comparison {
  name: string;
  product: Outcome[];
  floor: Outcome[];
  /** Median of the rounds' own ratios, product to floor. */
  throughputRatio: number;
  latencyRatio: number;
  cpuRatio: number;
}

const USAGE =
  "npm run bench -- durable|live|latency|scale|workflow [--json] [--tasks N] [--rounds N]\n" +
  "       npm run bench -- protocol [--json] [--keep]";

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

async function compare(
  name: string,
  shape: Shape,
  rounds: number,
  say: (line: string) => void,
): Promise<Comparison> {
  const runs: Record<SideName, Outcome[]> = { product: [], floor: [] };
  for (let i = 0; i < rounds; i++) {
    const order: SideName[] = i % 2 === 0 ? ["floor", "product"] : ["product", "floor"];
    for (const side of order) {
      const o = await runSide(side, shape);
      runs[side].push(o);
      say(`${name.padEnd(24)} ${side.padEnd(8)} ${line(o)}`);
    }
  }
  const ratios = (of: (o: Outcome) => number) =>
    median(runs.product.map((p, i) => of(p) / of(runs.floor[i] as Outcome)));
  return {
    name,
    ...runs,
    throughputRatio: ratios((o) => o.tasksPerSecond),
    latencyRatio: ratios((o) => o.latencyMs.p50),
    cpuRatio: ratios((o) => o.clientCpuMs + o.serverCpuMs),
  };
}

function line(o: Outcome): string {
  return (
    `${o.tasksPerSecond.toFixed(0).padStart(6)} tasks/s   p50 ${o.latencyMs.p50.toFixed(2)} ms` +
    `   p99 ${o.latencyMs.p99.toFixed(2)} ms   CPU ${o.clientCpuMs.toFixed(3)} + server ` +
    `${o.serverCpuMs.toFixed(3)} ms   ${o.messagesPerTask.toFixed(1)} messages   ` +
    `${o.bidsPerTask.toFixed(1)} bids`
  );
}

function flags() {
  return parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      tasks: { type: "string" },
      rounds: { type: "string", default: "3" },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
}

async function main(): Promise<number> {
  let given: ReturnType<typeof flags>;
  try {
    given = flags();
  } catch (error) {
    console.error(`${(error as Error).message}\nUsage: ${USAGE}`);
    return 2;
  }
  const { values, positionals } = given;
  const [what = ""] = positionals;
  if (what === "workflow" && !values.help) {
    const results = await benchFlows((text) => console.error(text));
    if (values.json) console.log(JSON.stringify({ bench: what, results }, undefined, 2));
    return 0;
  }
  if (what === "protocol" && !values.help) {
    const rows = await measureProtocol();
    if (values.json) console.log(JSON.stringify({ bench: what, rows, last: lastProtocol() }));
    else console.log(protocolTable(rows, lastProtocol()));
    if (values.keep) keepProtocol(rows);
    return 0;
  }
  const plans = plan(what);
  if (values.help || plans === undefined) {
    console.error(`Usage: ${USAGE}`);
    return values.help ? 0 : 2;
  }
  const rounds = Number(values.rounds);
  const tasks = values.tasks === undefined ? undefined : Number(values.tasks);
  if (!(rounds >= 1) || (tasks !== undefined && !(tasks >= 1))) {
    console.error(`--rounds and --tasks want a number from 1. Usage: ${USAGE}`);
    return 2;
  }
  const say = (text: string) => console.error(text);
  const results: Comparison[] = [];
  for (const { name, shape } of plans) {
    results.push(await compare(name, { ...shape, ...(tasks ? { tasks } : {}) }, rounds, say));
  }
  if (values.json) console.log(JSON.stringify({ bench: what, results }, undefined, 2));
  else for (const r of results) console.log(verdict(what, r));
  if (what === "scale" && !values.json) console.log(flatness(results));
  return 0;
}

function plan(what: string): { name: string; shape: Shape }[] | undefined {
  switch (what) {
    case "durable":
      return [
        { name: "durable, signed", shape: BASE },
        { name: "durable, unsigned", shape: { ...BASE, signing: false } },
      ];
    case "live":
      return [
        { name: "live, signed", shape: { ...BASE, mode: "live" } },
        { name: "live, unsigned", shape: { ...BASE, mode: "live", signing: false } },
      ];
    case "latency":
      return [
        {
          name: "167 tasks a second",
          shape: { ...BASE, perSecond: 167, bids: 4, tasks: 3_340, warmUp: 4_000 },
        },
        { name: "one at a time", shape: { ...BASE, inFlight: 1, tasks: 1_000, warmUp: 2_000 } },
        {
          name: "one at a time, unsigned",
          shape: { ...BASE, inFlight: 1, tasks: 1_000, warmUp: 2_000, signing: false },
        },
      ];
    case "scale":
      return [20, 100, 1_000, 5_000].map((agents) => ({
        name: `${agents} agents`,
        shape: { ...BASE, agents, bids: 4, inFlight: 8, tasks: 3_000, warmUp: 1_000 },
      }));
    default:
      return undefined;
  }
}

function verdict(what: string, r: Comparison): string {
  const last = r.product.at(-1) as Outcome;
  const cost = `CPU ${r.cpuRatio.toFixed(2)} x the floor's`;
  if (what === "latency") {
    const p50 = median(r.product.map((o) => o.latencyMs.p50));
    const decision = median(r.product.map((o) => o.decisionMs?.p99 ?? 0));
    const best = `decision p99 ${decision.toFixed(2)} ms; p50 ${p50.toFixed(2)} ms`;
    return `${r.name}: ${best}, ${r.latencyRatio.toFixed(2)} x the floor; ${cost}`;
  }
  if (what === "scale") {
    return (
      `${r.name}: ${last.messagesPerTask.toFixed(1)} messages, ` +
      `${(last.clientCpuMs + last.serverCpuMs).toFixed(3)} ms CPU a decision; ${cost}`
    );
  }
  return `${r.name}: ${r.throughputRatio.toFixed(2)} of the floor; ${cost}`;
}

function flatness(results: Comparison[]): string {
  const of = (get: (o: Outcome) => number) => {
    const values = results.map((r) => median(r.product.map(get)));
    return Math.max(...values) / Math.min(...values);
  };
  return (
    `from 20 to 5,000 agents: messages differ by ${of((o) => o.messagesPerTask).toFixed(2)}` +
    ` x, CPU by ${of((o) => o.clientCpuMs + o.serverCpuMs).toFixed(2)} x at the most`
  );
}

process.exitCode = await main();
