// What a workload is, whatever it was read from or drawn from.

/** One task of a workload. Times in ms; `arriveMs` counts from the first arrival, which is at 0. */
export interface WorkloadTask {
  /** One subject token, unique in the workload. */
  readonly id: string;
  readonly arriveMs: number;
  /** Length on an agent of speed 1, above 0. */
  readonly serviceMs: number;
  readonly capability: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/**
 * The service model, ms per token on an agent of speed 1: a model, not a measurement (the source
 * has no durations). Origin: the data page's 0.0002 s per input and 0.03 s per output token.
 */
export const MS_PER_INPUT_TOKEN = 0.2;
export const MS_PER_OUTPUT_TOKEN = 30;

/** The capability of every task of the trace and of the generator unless told otherwise. */
export const CAPABILITY_DEFAULT = "llm-chat";

/** The longest task, ms on an agent of speed 1: on the slowest ones it must end before a deadline,
 * which is 30 days away at most. */
export const SERVICE_MS_MAX = 7 * 24 * 3_600_000;

export function serviceMsOf(inputTokens: number, outputTokens: number): number {
  return inputTokens * MS_PER_INPUT_TOKEN + outputTokens * MS_PER_OUTPUT_TOKEN;
}

export type WorkloadErrorCode = "unreadable" | "header" | "row" | "order" | "empty" | "option";

/** A workload that cannot be used. `place` is `file:line`, or what was asked; the text has it. */
export class WorkloadError extends Error {
  readonly code: WorkloadErrorCode;
  readonly place: string;

  constructor(code: WorkloadErrorCode, place: string, text: string, options?: ErrorOptions) {
    super(`${place}: ${text}`, options);
    this.name = "WorkloadError";
    this.code = code;
    this.place = place;
  }
}

/**
 * Exactly `count` tasks: the first ones, or, when there are fewer, the whole workload played again
 * after its end. Gaps stay; between the last arrival and the next first one lies a mean gap.
 */
export function takeTasks(tasks: readonly WorkloadTask[], count: number): WorkloadTask[] {
  if (!Number.isInteger(count) || count < 1) {
    throw new WorkloadError("option", `tasks ${count}`, "give a whole number of at least 1");
  }
  const last = tasks.at(-1);
  if (last === undefined) throw new WorkloadError("empty", "workload", "it has no task to repeat");
  const meanGapMs = tasks.length > 1 ? last.arriveMs / (tasks.length - 1) : last.serviceMs;
  const roundMs = last.arriveMs + meanGapMs;
  return Array.from({ length: count }, (_, index) => {
    const round = Math.floor(index / tasks.length);
    const task = tasks[index % tasks.length] as WorkloadTask;
    if (round === 0) return task;
    const id = `${task.id}-r${round + 1}`;
    return { ...task, id, arriveMs: task.arriveMs + round * roundMs };
  });
}
