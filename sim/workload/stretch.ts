// Fits a workload to a pool: all gaps stretched by one factor, so order and burstiness stay, and
// then everything made faster or slower by the time scale.
import { SERVICE_MS_MAX, WorkloadError, type WorkloadTask } from "./task.ts";

/** Work offered over the work that the pool can do. Origin: the data page's reference tables. */
export const UTILISATION_DEFAULT = 0.85;

const DAY_MS = 24 * 3_600_000;

export interface StretchOptions {
  /** Work that the pool does per unit of time: the sum of slots x speed (`capacityOf`). */
  readonly capacity: number;
  /** Total service / (capacity x span of arrivals). Default 0.85; above 1 is an overload. */
  readonly utilisation?: number;
  /** Below 1 is faster: gaps and service times are multiplied by it. Default 1. */
  readonly timeScale?: number;
}

export interface Stretched {
  readonly tasks: WorkloadTask[];
  /** What the gaps were multiplied by for the utilisation alone; 1 when nothing could stretch. */
  readonly factor: number;
}

/**
 * Returns new tasks, the first at 0. A workload whose tasks all arrive at one moment has no gap
 * to stretch: it stays a batch, whatever utilisation is asked, and `factor` is 1.
 */
export function stretch(tasks: readonly WorkloadTask[], options: StretchOptions): Stretched {
  const { capacity, utilisation = UTILISATION_DEFAULT, timeScale = 1 } = options;
  checkAboveZero("capacity", capacity, "a pool needs at least one slot");
  checkAboveZero("utilisation", utilisation, "0.85 is usual");
  checkAboveZero("time scale", timeScale, "0.01 is a hundred times faster");
  const first = tasks[0];
  if (first === undefined) throw new WorkloadError("empty", "workload", "it has no tasks");
  const long = tasks.find(({ serviceMs }) => serviceMs * timeScale > SERVICE_MS_MAX);
  if (long !== undefined) {
    const days = ((long.serviceMs * timeScale) / DAY_MS).toFixed(1);
    const todo = `takes ${days} days; the longest may take ${SERVICE_MS_MAX / DAY_MS}`;
    throw new WorkloadError(
      "row",
      long.id,
      `${todo}: leave it out, or give a smaller --time-scale`,
    );
  }
  const span = (tasks.at(-1) as WorkloadTask).arriveMs - first.arriveMs;
  const work = tasks.reduce((total, task) => total + task.serviceMs, 0);
  const factor = span > 0 ? work / (capacity * utilisation * span) : 1;
  const moved = tasks.map((task) => ({
    ...task,
    arriveMs: (task.arriveMs - first.arriveMs) * factor * timeScale,
    serviceMs: task.serviceMs * timeScale,
  }));
  return { tasks: moved, factor };
}

/**
 * First arrival to the end of the last task, ms: as if none ever waited, or as long as the pool has
 * work at least, whichever is later. An overload, or a batch, takes as long as its work.
 */
export function lengthOf(tasks: readonly WorkloadTask[], capacity: number): number {
  let [end, busyUntil] = [0, 0];
  for (const { arriveMs, serviceMs } of tasks) {
    end = Math.max(end, arriveMs + serviceMs);
    busyUntil = Math.max(busyUntil, arriveMs) + serviceMs / capacity;
  }
  return Math.max(end, busyUntil);
}

function checkAboveZero(what: string, value: number, hint: string): void {
  if (Number.isFinite(value) && value > 0) return;
  throw new WorkloadError("option", `${what} ${value}`, `give a finite number above 0; ${hint}`);
}
