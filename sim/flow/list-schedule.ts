// What a centre with full knowledge would do, computed and not run: whenever a worker is idle it
// takes the ready task with the longest way to the end (list scheduling: Graham 1969; upward rank:
// Topcuoglu et al. 2002). And what nobody can beat: critical path, and work over workers.
import { Heap } from "../../mesh/core/heap.ts";
import { type Graph, ranks } from "../../mesh/core/workflow/graph.ts";

export interface ListSchedule {
  makespanMs: number;
  /** The larger of critical path and work over workers. */
  boundMs: number;
}

export function listSchedule(
  g: Graph,
  durationMs: readonly number[],
  workers: number,
): ListSchedule {
  const rank = ranks(g, (i) => durationMs[i] ?? 0);
  const waits = g.before.map((list) => list.length);
  const ready = new Heap<number>();
  const running = new Heap<number>();
  waits.forEach((n, i) => {
    if (n === 0) ready.push(-(rank[i] ?? 0), i);
  });
  let now = 0;
  let free = workers;
  for (;;) {
    while (free > 0 && ready.size > 0) {
      const i = ready.pop() as number;
      running.push(now + (durationMs[i] ?? 0), i);
      free--;
    }
    const at = running.peekKey();
    if (at === undefined) break;
    now = at;
    while (running.peekKey() === at) {
      const done = running.pop() as number;
      free++;
      for (const next of g.after[done] ?? []) {
        waits[next] = (waits[next] ?? 0) - 1;
        if (waits[next] === 0) ready.push(-(rank[next] ?? 0), next);
      }
    }
  }
  const work = durationMs.reduce((sum, ms) => sum + ms, 0);
  // Not spread into one call: a campaign may have a million steps.
  const longest = rank.reduce((most, ms) => Math.max(most, ms), 0);
  return { makespanMs: now, boundMs: Math.max(longest, work / workers) };
}
