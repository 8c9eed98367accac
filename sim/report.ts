// From the rows that a live run collected to its report. Pure: rows in, one object out.
import { computeBaseline } from "./baseline.ts";
import {
  coefficientOfVariation,
  gini,
  mean,
  percentile,
  slowdown,
  sum,
  utilisation,
} from "./metrics.ts";
import type { SimAgent, SimPool } from "./pool.ts";
import {
  type ExecutionRow,
  type Report,
  type ReportOptions,
  type RunCounters,
  type TaskCounts,
  type TaskRow,
  TERMINAL_STATES,
} from "./report-types.ts";
import type { WorkloadTask } from "./workload/task.ts";

export { formatReport } from "./report-text.ts";
export type * from "./report-types.ts";
export { writeSchedule } from "./schedule.ts";

/** Exit status 0 is for this alone: nothing was lost and nothing was done twice. */
export function isClean(report: Report): boolean {
  return report.tasks.lost === 0 && report.tasks.duplicated === 0;
}

/**
 * Builds the report. Workers that are not of the pool (somebody's own agent joined the run) count
 * as agents of one slot and speed 1. Throws RangeError on times that are not finite numbers.
 */
export function buildReport(
  executions: readonly ExecutionRow[],
  tasks: readonly TaskRow[],
  counters: RunCounters,
  pool: SimPool,
  options: ReportOptions,
): Report {
  const { interrupted } = options;
  const counts = countTasks(executions, tasks, interrupted === true);
  const seconds = spanMs(executions, tasks) / 1_000;
  const load = loadOf(executions, pool);
  const completed = tasks.filter((task) => task.state === "completed");
  const decisions = lengths(tasks, (task) => [task.specMs, task.contractMs]);
  const endToEnd = lengths(completed, (task) => [task.submitMs, task.outcomeMs]);
  const planned = new Map(options.planned.map((task) => [task.id, task]));
  const slowdowns = slowdownsOf(completed, planned, load.agents);
  const lags = submitLags(tasks, planned);
  const perDecision = (count: number): number =>
    decisions.length === 0 ? 0 : count / decisions.length;
  return rounded({
    agents: pool.agents.length,
    pool: pool.profile,
    profile: options.profile,
    workload: options.workload,
    timeScale: options.timeScale,
    connections: options.connections,
    policy: options.policy,
    seed: options.seed,
    seconds,
    tasks: counts,
    tasksPerSecond: seconds === 0 ? 0 : counts.completed / seconds,
    decisionMs: { mean: mean(decisions), ...percentiles(decisions) },
    endToEndMs: percentiles(endToEnd),
    submitLagMs: percentiles(lags),
    ...(interrupted === true ? { interrupted } : {}),
    messagesPerDecision: perDecision(counters.messages),
    ...(counters.server === undefined
      ? {}
      : {
          serverMessagesPerDecision: {
            in: perDecision(counters.server.in),
            out: perDecision(counters.server.out),
          },
        }),
    bidsPerDecision: perDecision(counters.bids),
    refusals: { ...counters.refusals },
    giniOfBusyTime: gini(load.busyPerSlotMs),
    coefficientOfVariation: coefficientOfVariation(load.busyPerSlotMs),
    utilisation: utilisation(load.busyMs, load.slots, seconds * 1_000),
    slowdown: { mean: mean(slowdowns), p99: percentile(slowdowns, 0.99) },
    baseline: computeBaseline(asSubmitted(tasks, planned), pool, {
      seed: options.seed,
      ...(options.baselineRuns === undefined ? {} : { runs: options.baselineRuns }),
    }),
  });
}

function countTasks(
  executions: readonly ExecutionRow[],
  tasks: readonly TaskRow[],
  interrupted: boolean,
): TaskCounts {
  const inState = (state: string): number => tasks.filter((task) => task.state === state).length;
  const ended = sum(TERMINAL_STATES.map(inState));
  const finished = executions.filter((row) => row.completed !== false).map((row) => row.task);
  const twice = new Set([...repeated(finished), ...repeated(tasks.map((task) => task.id))]);
  for (const { id, outcomes = 1 } of tasks) if (outcomes > 1) twice.add(id);
  return {
    submitted: tasks.length,
    completed: inState("completed"),
    failed: inState("failed"),
    expired: inState("expired"),
    canceled: inState("canceled"),
    rejected: inState("rejected"),
    lost: interrupted ? 0 : tasks.length - ended,
    duplicated: twice.size,
  };
}

function repeated(names: readonly string[]): Set<string> {
  const once = new Set<string>();
  const again = new Set<string>();
  for (const name of names) (once.has(name) ? again : once).add(name);
  return again;
}

function spanMs(executions: readonly ExecutionRow[], tasks: readonly TaskRow[]): number {
  if (tasks.length === 0) return 0;
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const task of tasks) {
    first = Math.min(first, task.submitMs);
    last = Math.max(last, task.outcomeMs ?? task.contractMs ?? task.specMs ?? task.submitMs);
  }
  for (const row of executions) last = Math.max(last, row.endMs);
  return Math.max(last - first, 0);
}

interface Load {
  /** Everybody who counts, by name: the pool, and whoever else executed something. */
  readonly agents: ReadonlyMap<string, Pick<SimAgent, "slots" | "speed">>;
  readonly busyPerSlotMs: readonly number[];
  readonly busyMs: number;
  readonly slots: number;
}

function loadOf(executions: readonly ExecutionRow[], pool: SimPool): Load {
  const agents = new Map<string, Pick<SimAgent, "slots" | "speed">>();
  const busy = new Map<string, number>();
  for (const agent of pool.agents) {
    agents.set(agent.name, agent);
    busy.set(agent.name, 0);
  }
  for (const row of executions) {
    const name = nameOf(row.worker, agents);
    if (!agents.has(name)) agents.set(name, { slots: 1, speed: 1 });
    busy.set(name, (busy.get(name) ?? 0) + Math.max(row.endMs - row.startMs, 0));
  }
  const everybody = [...agents];
  return {
    agents,
    busyPerSlotMs: everybody.map(([name, { slots }]) => (busy.get(name) ?? 0) / slots),
    busyMs: sum([...busy.values()]),
    slots: sum(everybody.map(([, { slots }]) => slots)),
  };
}

/** The pool's name for a worker; the text as it came for one who is not of the pool. */
function nameOf(worker: string, agents: ReadonlyMap<string, unknown>): string {
  if (agents.has(worker)) return worker;
  const tail = worker.slice(worker.lastIndexOf(".") + 1);
  return agents.has(tail) ? tail : worker;
}

function slowdownsOf(
  completed: readonly TaskRow[],
  planned: ReadonlyMap<string, WorkloadTask>,
  agents: Load["agents"],
): number[] {
  const all: number[] = [];
  for (const task of completed) {
    const plan = planned.get(task.id);
    if (plan === undefined || task.outcomeMs === undefined) continue;
    const speed = agents.get(nameOf(task.contractor ?? "", agents))?.speed ?? 1;
    // The planned service, not the measured one: a handler that overslept must not look better.
    all.push(slowdown(task.submitMs, task.outcomeMs, plan.serviceMs / speed));
  }
  return all;
}

/** Late submission hides waiting; the most punctual task stands for the start of the clock. */
function submitLags(
  tasks: readonly TaskRow[],
  planned: ReadonlyMap<string, WorkloadTask>,
): number[] {
  const offsets = tasks.flatMap((task) => {
    const plan = planned.get(task.id);
    return plan === undefined ? [] : [task.submitMs - plan.arriveMs];
  });
  const least = offsets.reduce((low, offset) => Math.min(low, offset), Number.POSITIVE_INFINITY);
  return offsets.map((offset) => offset - least);
}

function asSubmitted(
  tasks: readonly TaskRow[],
  planned: ReadonlyMap<string, WorkloadTask>,
): WorkloadTask[] {
  return tasks.flatMap((task) => {
    const plan = planned.get(task.id);
    return plan === undefined ? [] : [{ ...plan, arriveMs: task.submitMs }];
  });
}

function lengths(
  tasks: readonly TaskRow[],
  ends: (task: TaskRow) => [from: number | undefined, to: number | undefined],
): number[] {
  return tasks.flatMap((task) => {
    const [from, to] = ends(task);
    return from === undefined || to === undefined ? [] : [to - from];
  });
}

function percentiles(values: readonly number[]): { p50: number; p99: number } {
  return { p50: percentile(values, 0.5), p99: percentile(values, 0.99) };
}

const SETTINGS = new Set(["timeScale", "seed"]);

/** Figures to four decimals; what the user set stays as it was set. */
function rounded<T>(value: T): T {
  if (typeof value === "number") return (Math.round(value * 1e4) / 1e4) as T;
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => {
    return [key, SETTINGS.has(key) ? inner : rounded(inner)];
  });
  return Object.fromEntries(entries) as T;
}
