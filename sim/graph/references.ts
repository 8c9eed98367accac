// What plain rules make of a graph, computed and never run: a task goes to a machine at the moment
// it becomes ready, and waits there. Nothing is paid for messages.
import { Heap } from "../../mesh/core/heap.ts";
import { createPrng, type Prng } from "../../mesh/core/prng.ts";
import { listSchedule } from "../flow/list-schedule.ts";
import { gini } from "../metrics.ts";
import { type GraphTask, type GraphWorkload, graphOfParents } from "./workload.ts";

export const GRAPH_RULES = ["random", "p2c", "bid10", "best-bid", "best-bid+rank"] as const;
export type GraphRule = (typeof GRAPH_RULES)[number];

export interface GraphFigures {
  makespanMs: number;
  giniOfBusyTime: number;
}

/** How long a task takes on a machine, ms; Infinity: it cannot. */
export function durationOn(task: GraphTask, machine: number): number {
  return task.on === undefined ? task.ms : (task.on.get(machine) ?? Number.POSITIVE_INFINITY);
}

export function runGraphRule(
  w: GraphWorkload,
  machines: number,
  rule: GraphRule,
  prng: Prng,
): GraphFigures {
  const { after } = graphOfParents(w.tasks);
  const waits = w.tasks.map((t) => t.parents.length);
  const freeAt = new Float64Array(machines);
  const busy = new Float64Array(machines);
  const ends = new Heap<number>();
  let ready = w.tasks.flatMap((_, i) => (waits[i] === 0 ? [i] : []));
  let now = 0;
  let last = 0;
  for (;;) {
    if (rule === "best-bid+rank") {
      ready.sort((a, b) => (w.tasks[b]?.rank ?? 0) - (w.tasks[a]?.rank ?? 0));
    }
    for (const i of ready) {
      const task = w.tasks[i] as GraphTask;
      const machine = choose(rule, task, machines, freeAt, now, prng);
      const ms = durationOn(task, machine);
      const end = Math.max(now, freeAt[machine] as number) + ms;
      freeAt[machine] = end;
      busy[machine] = (busy[machine] as number) + ms;
      ends.push(end, i);
      last = Math.max(last, end);
    }
    const at = ends.peekKey();
    if (at === undefined) return { makespanMs: last, giniOfBusyTime: gini([...busy]) };
    now = at;
    ready = [];
    while (ends.peekKey() === at) {
      for (const next of after[ends.pop() as number] ?? []) {
        waits[next] = (waits[next] ?? 0) - 1;
        if (waits[next] === 0) ready.push(next);
      }
    }
  }
}

function choose(
  rule: GraphRule,
  task: GraphTask,
  machines: number,
  freeAt: Float64Array,
  now: number,
  prng: Prng,
): number {
  const able = task.on === undefined ? undefined : [...task.on.keys()];
  const count = able?.length ?? machines;
  const nth = (i: number): number => able?.[i] ?? i;
  const finish = (m: number) => Math.max(now, freeAt[m] as number) + durationOn(task, m);
  const draws = { random: 1, p2c: 2, bid10: 10 } as Partial<Record<GraphRule, number>>;
  const few = draws[rule] ?? count;
  let best = -1;
  for (let i = 0; i < few; i++) {
    const machine = nth(few === count && draws[rule] === undefined ? i : prng.int(count));
    if (best < 0 || finish(machine) < finish(best)) best = machine;
  }
  return best;
}

export interface References {
  /** Nobody beats it, ms. */
  boundMs: number;
  /** A centre that knows everything in advance; of workflows only. */
  listMs?: number;
  rules: Record<GraphRule, GraphFigures>;
}

/** Rules with chance in them are averaged over `runs`. */
export function references(
  w: GraphWorkload,
  machines: number,
  seed: string | number,
  runs = 5,
): References {
  const seeds = createPrng(seed).fork("graph-references");
  const rules = Object.fromEntries(
    GRAPH_RULES.map((rule) => {
      const times = rule.startsWith("best") ? 1 : runs;
      const all = Array.from({ length: times }, (_, i) =>
        runGraphRule(w, machines, rule, seeds.fork(rule).fork(i)),
      );
      const mean = (of: (f: GraphFigures) => number) =>
        all.reduce((sum, f) => sum + of(f), 0) / times;
      return [
        rule,
        {
          makespanMs: mean((f) => f.makespanMs),
          giniOfBusyTime: mean((f) => f.giniOfBusyTime),
        },
      ];
    }),
  ) as Record<GraphRule, GraphFigures>;
  if (w.kind === "workflow") {
    const durations = w.tasks.map((t) => t.ms);
    const list = listSchedule(graphOfParents(w.tasks), durations, machines);
    return { boundMs: list.boundMs, listMs: list.makespanMs, rules };
  }
  return { boundMs: shopBound(w, machines), rules };
}

/** Every operation on its fastest machine: the longest job, or all of them over the machines. */
function shopBound(w: GraphWorkload, machines: number): number {
  const least = w.tasks.map((t) => Math.min(...(t.on?.values() ?? [t.ms])));
  return listSchedule(graphOfParents(w.tasks), least, machines).boundMs;
}
