// The same arrivals under each policy of the mesh, played in a simulated world, and under plain
// rules of a centre, computed: one row each.
import { createPrng } from "../../mesh/core/prng.ts";
import { runRule } from "../baseline.ts";
import { playGraph } from "../graph/play.ts";
import { references } from "../graph/references.ts";
import type { GraphWorkload } from "../graph/workload.ts";
import { capacityOf, drawPool } from "../pool.ts";
import { optionsOf, type VirtualFlags } from "../virtual/flags.ts";
import { runVirtual } from "../virtual/run.ts";
import { generate } from "../workload/generate.ts";
import { stretch } from "../workload/stretch.ts";

export interface Row {
  name: string;
  /** `mesh`: negotiated and paid for in messages; `rule`: computed. */
  kind: "mesh" | "rule";
  makespanMs: number;
  /** Of graphs: makespan over the bound that nobody beats. */
  overBound?: number;
  /** Of independent tasks: time to the outcome over bare working time. */
  slowdownMean?: number;
  slowdownP99?: number;
  giniOfBusyTime: number;
  /** Mean cost of a completed task. */
  cost?: number;
  messagesPerDecision?: number;
  completed?: number;
}

export interface Comparison {
  workload: string;
  kind: "tasks" | "workflow" | "shop";
  agents: number;
  tasks: number;
  seed: string;
  boundMs?: number;
  rows: Row[];
  /** Ended early: these policies were not played to their end. */
  missing?: string[];
}

export async function compareGraph(
  w: GraphWorkload,
  policies: readonly string[],
  agents: number,
  seed: string,
  stopped: () => boolean = () => false,
): Promise<Comparison> {
  const machines = w.machines ?? agents;
  const { boundMs, listMs, rules } = references(w, machines, seed);
  const rows: Row[] = [];
  for (const policy of policies) {
    const run = await playGraph(w, { agents, policy, seed, stop: stopped });
    if (stopped()) break;
    rows.push({
      name: policy,
      kind: "mesh",
      makespanMs: run.makespanMs,
      overBound: run.makespanMs / boundMs,
      giniOfBusyTime: run.giniOfBusyTime,
      messagesPerDecision: run.messagesPerDecision,
      completed: run.completed,
    });
  }
  for (const [name, { makespanMs, giniOfBusyTime }] of Object.entries(rules)) {
    rows.push({
      name,
      kind: "rule",
      makespanMs,
      overBound: makespanMs / boundMs,
      giniOfBusyTime,
    });
  }
  if (listMs !== undefined) {
    const overBound = listMs / boundMs;
    const name = "list, all known";
    rows.push({ name, kind: "rule", makespanMs: listMs, overBound, giniOfBusyTime: Number.NaN });
  }
  const { name, kind, tasks } = w;
  const about = { workload: name, kind, agents: machines, tasks: tasks.length, seed, boundMs };
  return { ...about, rows, ...missing(policies, rows) };
}

function missing(policies: readonly string[], rows: readonly Row[]): Pick<Comparison, "missing"> {
  const left = policies.filter((policy) => !rows.some(({ name }) => name === policy));
  return left.length === 0 ? {} : { missing: left };
}

const RULES = ["random", "p2c", "jsq", "bid10", "least"] as const;
/** Runs of each rule with chance in it. */
const RUNS = 3;

export async function compareTasks(
  flags: VirtualFlags,
  policies: readonly string[],
  say: (line: string) => void,
  stopped: () => boolean = () => false,
): Promise<Comparison> {
  const rows: Row[] = [];
  const options = optionsOf(flags);
  for (const policy of policies) {
    const run = await runVirtual({ ...options, policy, baselineRuns: 0, stop: stopped });
    if (stopped()) break;
    const { report } = run;
    say(
      `${policy}: ${report.tasks.completed} tasks, ${run.timesRealTime.toFixed(0)} times real time`,
    );
    rows.push({
      name: policy,
      kind: "mesh",
      makespanMs: report.seconds * 1_000,
      slowdownMean: report.slowdown.mean,
      slowdownP99: report.slowdown.p99,
      giniOfBusyTime: report.giniOfBusyTime,
      cost: run.costMean,
      messagesPerDecision: report.messagesPerDecision,
      completed: report.tasks.completed,
    });
  }
  const pool = drawPool({ profile: flags.pool, agents: flags.agents, seed: flags.seed });
  const drawn = options.workload?.tasks ?? generate({ count: options.tasks, seed: flags.seed });
  const { utilisation, timeScale } = flags;
  const { tasks } = stretch(drawn, { capacity: capacityOf(pool), utilisation, timeScale });
  const seeds = createPrng(flags.seed).fork("compare");
  for (const rule of RULES) {
    const all = Array.from({ length: rule === "least" ? 1 : RUNS }, (_, i) =>
      runRule(rule, tasks, pool, seeds.fork(rule).fork(i)),
    );
    const mean = (of: (f: (typeof all)[number]) => number) =>
      all.reduce((sum, f) => sum + of(f), 0) / all.length;
    rows.push({
      name: rule,
      kind: "rule",
      makespanMs: mean((f) => f.makespanMs),
      slowdownMean: mean((f) => f.slowdown.mean),
      slowdownP99: mean((f) => f.slowdown.p99),
      giniOfBusyTime: mean((f) => f.giniOfBusyTime),
    });
  }
  const workload = options.workload?.name ?? "generated";
  const { agents, seed } = flags;
  const about = { workload, kind: "tasks" as const, agents, tasks: tasks.length, seed };
  return { ...about, rows, ...missing(policies, rows) };
}
