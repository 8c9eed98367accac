// The yardstick: the same arrivals on the same pool, handed out by four plain rules with nothing
// to pay for messages. Computed, never run, so it says how good an allocation could have been.
//
// Every slot is a server of its own with its agent's speed and its own first-come queue; a rule
// picks the server at the moment of arrival, among those whose agent has the capability.
//   random  one drawn server
//   p2c     of two different drawn servers the one with fewer tasks; the first drawn when equal
//   jsq     of all servers the one with the fewest tasks; a drawn one among equals
//   bid10   the server free earliest among ten draws, which may repeat
//   least   of all servers the one free earliest, which is one central queue
// None looks at speed, cost or claims: with agents that differ, a good policy can beat `least`.
import { createPrng, type Prng } from "../mesh/core/prng.ts";
import { coefficientOfVariation, gini, mean, percentile, slowdown } from "./metrics.ts";
import type { SimPool } from "./pool.ts";
import { WorkloadError, type WorkloadTask } from "./workload/task.ts";

export const BASELINE_RULES = ["random", "p2c", "bid10", "least"] as const;
export type BaselineRule = (typeof BASELINE_RULES)[number];
/** Looks at every server for every task: only where somebody asks for it. */
export type Rule = BaselineRule | "jsq";

export interface BaselineFigures {
  /** Of each agent's busy time per slot. */
  readonly giniOfBusyTime: number;
  /** Of each agent's busy time per slot. */
  readonly coefficientOfVariation: number;
  /** (finish - arrival) / service, service as executed on the contractor's speed. */
  readonly slowdown: { readonly mean: number; readonly p99: number };
  readonly meanWaitMs: number;
  /** First arrival to last finish. */
  readonly makespanMs: number;
}

export type Baseline = Readonly<Record<BaselineRule, BaselineFigures>>;

export interface BaselineOptions {
  readonly seed: string | number;
  /** Runs of each rule with chance in it, averaged. Default 3, as in the data page's tables; 0:
   * nothing is computed. */
  readonly runs?: number;
}

const RUNS_DEFAULT = 3;
const BIDS_DRAWN = 10;

/** All four rules. Throws WorkloadError when a task's capability is nobody's. */
export function computeBaseline(
  tasks: readonly WorkloadTask[],
  pool: SimPool,
  options: BaselineOptions,
): Baseline {
  const runs = options.runs ?? RUNS_DEFAULT;
  const seeds = createPrng(options.seed).fork("baseline");
  const figures = (rule: BaselineRule): BaselineFigures => {
    // The central queue has no chance in it: once is enough.
    const times = rule === "least" ? 1 : Math.max(runs, 1);
    if (runs === 0) return NOTHING;
    const all = Array.from({ length: times }, (_, run) =>
      runRule(rule, tasks, pool, seeds.fork(rule).fork(run)),
    );
    return average(all);
  };
  return {
    random: figures("random"),
    p2c: figures("p2c"),
    bid10: figures("bid10"),
    least: figures("least"),
  };
}

/** Not computed. */
const NOTHING: BaselineFigures = {
  giniOfBusyTime: 0,
  coefficientOfVariation: 0,
  slowdown: { mean: 0, p99: 0 },
  meanWaitMs: 0,
  makespanMs: 0,
};

/** One run of one rule. Tasks are taken in order of arrival, ties in the order given. */
export function runRule(
  rule: Rule,
  tasks: readonly WorkloadTask[],
  pool: SimPool,
  prng: Prng,
): BaselineFigures {
  const servers = serversOf(pool);
  const queues = new Queues(servers.agent.length);
  const busyMs = new Float64Array(pool.agents.length);
  const slowdowns: number[] = [];
  const waits: number[] = [];
  const ordered = tasks.toSorted((a, b) => a.arriveMs - b.arriveMs);
  let lastFinish = 0;
  for (const task of ordered) {
    const able = servers.byCapability.get(task.capability);
    if (able === undefined) {
      const todo = `no agent of the pool has capability "${task.capability}"`;
      throw new WorkloadError("option", `task ${task.id}`, `${todo}; draw the pool with it`);
    }
    const server = choose(rule, able, queues, task.arriveMs, prng);
    const agent = servers.agent[server] as number;
    const service = task.serviceMs / (pool.agents[agent]?.speed as number);
    const start = queues.add(server, task.arriveMs, service);
    busyMs[agent] = (busyMs[agent] as number) + service;
    waits.push(start - task.arriveMs);
    slowdowns.push(slowdown(task.arriveMs, start + service, service));
    lastFinish = Math.max(lastFinish, start + service);
  }
  const perSlot = pool.agents.map((agent, at) => (busyMs[at] as number) / agent.slots);
  return {
    giniOfBusyTime: gini(perSlot),
    coefficientOfVariation: coefficientOfVariation(perSlot),
    slowdown: { mean: mean(slowdowns), p99: percentile(slowdowns, 0.99) },
    meanWaitMs: mean(waits),
    makespanMs: Math.max(lastFinish - (ordered[0]?.arriveMs ?? 0), 0),
  };
}

class Queues {
  /** When each server will have done all that it was given; -Infinity before its first task. */
  readonly freeAt: Float64Array;
  readonly #finishes: number[][];
  /** How many of a server's finishes are known to be past. */
  readonly #done: Int32Array;

  constructor(servers: number) {
    this.freeAt = new Float64Array(servers).fill(Number.NEGATIVE_INFINITY);
    this.#finishes = Array.from({ length: servers }, () => []);
    this.#done = new Int32Array(servers);
  }

  /** Puts a task behind the others of the server and returns when it starts. */
  add(server: number, nowMs: number, durationMs: number): number {
    const start = Math.max(nowMs, this.freeAt[server] as number);
    this.freeAt[server] = start + durationMs;
    this.#finishes[server]?.push(start + durationMs);
    return start;
  }

  /** Tasks waiting or running on the server. `nowMs` never decreases. */
  tasksAt(server: number, nowMs: number): number {
    const finishes = this.#finishes[server] as number[];
    let done = this.#done[server] as number;
    while (done < finishes.length && (finishes[done] as number) <= nowMs) done += 1;
    this.#done[server] = done;
    return finishes.length - done;
  }
}

interface Servers {
  /** Index of the agent that each server belongs to. */
  readonly agent: readonly number[];
  readonly byCapability: ReadonlyMap<string, readonly number[]>;
}

function serversOf(pool: SimPool): Servers {
  const agent: number[] = [];
  const byCapability = new Map<string, number[]>();
  for (const [at, { slots, capabilities }] of pool.agents.entries()) {
    for (let slot = 0; slot < slots; slot++) {
      const server = agent.push(at) - 1;
      for (const capability of capabilities) {
        const list = byCapability.get(capability);
        if (list === undefined) byCapability.set(capability, [server]);
        else list.push(server);
      }
    }
  }
  return { agent, byCapability };
}

function choose(
  rule: Rule,
  able: readonly number[],
  queues: Queues,
  nowMs: number,
  prng: Prng,
): number {
  const draw = (): number => able[prng.int(able.length)] as number;
  if (rule === "random") return draw();
  if (rule === "least") return earliest(able, queues.freeAt);
  if (rule === "jsq") return shortest(able, queues, nowMs, draw());
  if (rule === "bid10") return earliest(Array.from({ length: BIDS_DRAWN }, draw), queues.freeAt);
  if (able.length === 1) return able[0] as number;
  const at = prng.int(able.length);
  const other = prng.int(able.length - 1);
  const first = able[at] as number;
  const second = able[other < at ? other : other + 1] as number;
  return queues.tasksAt(second, nowMs) < queues.tasksAt(first, nowMs) ? second : first;
}

/** The one with the fewest tasks; `drawn` when it is among them. */
function shortest(servers: readonly number[], queues: Queues, nowMs: number, drawn: number) {
  let best = drawn;
  let least = queues.tasksAt(drawn, nowMs);
  for (const server of servers) {
    if (least === 0) return best;
    const tasks = queues.tasksAt(server, nowMs);
    if (tasks < least) [best, least] = [server, tasks];
  }
  return best;
}

/** The first of those with the smallest value. */
function earliest(servers: readonly number[], freeAt: Float64Array): number {
  let best = servers[0] as number;
  for (const server of servers) {
    if ((freeAt[server] as number) < (freeAt[best] as number)) best = server;
  }
  return best;
}

function average(all: readonly BaselineFigures[]): BaselineFigures {
  const over = (figure: (one: BaselineFigures) => number): number => mean(all.map(figure));
  return {
    giniOfBusyTime: over((one) => one.giniOfBusyTime),
    coefficientOfVariation: over((one) => one.coefficientOfVariation),
    slowdown: {
      mean: over((one) => one.slowdown.mean),
      p99: over((one) => one.slowdown.p99),
    },
    meanWaitMs: over((one) => one.meanWaitMs),
    makespanMs: over((one) => one.makespanMs),
  };
}
