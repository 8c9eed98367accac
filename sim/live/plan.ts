// What is to be played: the agents, and the tasks with the moments at which they are due.
import { basename } from "node:path";
import { capacityOf, drawPool, type SimPool } from "../pool.ts";
import { readAzureCsv } from "../workload/azure-csv.ts";
import { generate } from "../workload/generate.ts";
import { lengthOf, type Stretched, stretch } from "../workload/stretch.ts";
import type { WorkloadTask } from "../workload/task.ts";
import { type Settings, TASKS_DEFAULT } from "./settings.ts";

export interface Plan {
  readonly pool: SimPool;
  readonly tasks: readonly WorkloadTask[];
  readonly timeScale: number;
  /** A person's name for the workload. */
  readonly workload: string;
  /** As `lengthOf` has it. */
  readonly lengthMs: number;
  /** Deadline of each task from its submission, ms. */
  readonly timeoutMs: number;
}

/** Longest span of arrivals, and longest run, that the usual time scale leads to, s. */
const SPAN_SECONDS = 24;
const LENGTH_SECONDS = 38;
/**
 * Pace that the usual time scale does not exceed but for rounding, tasks a second, though the run
 * take longer. Origin: the rate at which the time of decisions is judged (issue 2); with a
 * connection for each agent what two cores, of which others use half, still follow.
 */
const PACE_MAX = { shared: 167, own: 120 };
/** Least deadline, ms: above two losses of a contractor and their detection. */
const TIMEOUT_MS_MIN = 60_000;

/** Throws WorkloadError for a workload that cannot be used. */
export function makePlan(settings: Settings): Plan {
  const { agents, seed, pool: profile, workload: file, utilisation } = settings;
  const pool = drawPool({ profile, agents, seed });
  const drawn = draw(settings);
  const capacity = capacityOf(pool);
  const real = stretch(drawn, { capacity, utilisation });
  const timeScale =
    settings.timeScale ?? usualScale(real, capacity, PACE_MAX[settings.connections]);
  const { tasks } = stretch(drawn, { capacity, utilisation, timeScale });
  const lengthMs = lengthOf(tasks, capacity);
  return {
    pool,
    tasks,
    timeScale,
    workload: file === undefined ? "generated" : basename(file),
    lengthMs,
    timeoutMs: Math.max(TIMEOUT_MS_MIN, 2 * lengthMs),
  };
}

function draw({ workload, tasks, seed }: Settings): WorkloadTask[] {
  if (workload === undefined) return generate({ count: tasks ?? TASKS_DEFAULT, seed });
  return readAzureCsv(workload, tasks === undefined ? {} : { limit: tasks });
}

/** Never slower than real time, and two digits, so that it can be typed again. */
function usualScale({ tasks }: Stretched, capacity: number, paceMax: number): number {
  const lastMs = tasks.at(-1)?.arriveMs ?? 0;
  const short = Math.min(
    (SPAN_SECONDS * 1_000) / lastMs,
    (LENGTH_SECONDS * 1_000) / lengthOf(tasks, capacity),
  );
  // What comes all at once comes at once on every scale.
  const calm = lastMs === 0 ? 0 : ((tasks.length / paceMax) * 1_000) / lastMs;
  return Number(Math.min(1, Math.max(short, calm)).toPrecision(2));
}

/** The agents of each host, dealt out in turn so that hosts are alike. */
export function shares<T>(all: readonly T[], hosts: number): T[][] {
  return Array.from({ length: hosts }, (_, host) => all.filter((_, at) => at % hosts === host));
}
