// How long a mesh without faults may need for the tasks that are left: the limit of a run's second
// mode, in which everything must come to its end.
import { ATTEMPTS_DEFAULT, BREAKER_TRIAL_MS_MAX, RECALL_MS_MAX } from "../../contracts/index.ts";
import { capacityOf, type SimPool } from "../pool.ts";
import type { WorkloadTask } from "../workload/task.ts";
import type { Arrivals } from "./arrivals.ts";

/** Once all faults are over: detection, a pause between attempts, a negotiation, ms. */
const CONVERGE_MS = 30_000;
/** And so many times the longest task, for one that must begin again on a slow agent. */
const CONVERGE_TASKS = 4;
/** Between two tasks behind an open breaker, ms: its pause, and until one calls again after it. */
const TRIAL_MS = BREAKER_TRIAL_MS_MAX + 1.25 * RECALL_MS_MAX;

/** Milliseconds of the world. */
export function workLeftMs(
  tasks: readonly WorkloadTask[],
  arrivals: Arrivals,
  pool: SimPool,
): number {
  const open = new Set(arrivals.openTasks().map((task) => task.id));
  let [left, longest, trials] = [0, 0, 0];
  for (const task of tasks) {
    longest = Math.max(longest, task.serviceMs);
    if (!open.has(task.id)) continue;
    left += task.serviceMs;
    // Behind an open breaker only one of them is tried at a time.
    if (arrivals.isPoison(task)) trials += ATTEMPTS_DEFAULT;
  }
  return CONVERGE_MS + CONVERGE_TASKS * longest + (2 * left) / capacityOf(pool) + trials * TRIAL_MS;
}
