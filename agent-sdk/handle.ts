// A submitted task as its submitter holds it. The task itself belongs to the mesh: losing the
// handle, or the process, ends nothing.
import { type Outcome, ParleyError, STOP_KEY, WORKFLOW } from "../contracts/index.ts";
import type { TaskEvent, Tracker } from "../mesh/index.ts";
import type { Log } from "../mesh/ports/index.ts";
import type { Capability, OutputOf } from "./capability.ts";
import { validate } from "./standard-schema.ts";

export interface TaskHandle<Output = unknown> {
  readonly task: string;
  /** The principal on whose behalf the whole tree of tasks runs. */
  readonly owner: string;
  /**
   * The validated output. Any other end is thrown as a ParleyError with the failure's code.
   * `signal` ends the waiting only; see `cancel`.
   */
  result(signal?: AbortSignal): Promise<Output>;
  /** The output as it was given, unchecked; undefined unless the task completed. */
  output(): Promise<unknown>;
  /** The terminal record, whatever its state; `signal` ends the waiting only. */
  outcome(signal?: AbortSignal): Promise<Outcome>;
  /** States, failed attempts, progress and partial output, up to the end. */
  events(): AsyncGenerator<TaskEvent, void, undefined>;
  /**
   * Stops the task wherever it is; resolves at its end, also when it ended otherwise. A workflow
   * undoes what it has done, and then ends with E_CANCELED; `now` ends it like any task, and what
   * is to be undone is left to the contractor, if that lives.
   */
  cancel(reason?: string, options?: { now?: boolean }): Promise<void>;
}

/** A handle that can tell whether its task has ended. */
export interface EndingHandle<Output = unknown> extends TaskHandle<Output> {
  ended(): Promise<Outcome | undefined>;
}

/** @param watch makes sure that the records of own tasks arrive; undefined for live calls */
export function handleOf<C extends Capability>(
  capability: C,
  tracker: Tracker,
  watch?: () => void,
): TaskHandle<OutputOf<C>> {
  return {
    task: tracker.task,
    owner: tracker.owner,
    async result(signal) {
      const output = await tracker.result(signal);
      return validate(capability.output, output, "E_OUTPUT", `the result of ${capability.name}`);
    },
    async output() {
      const { state } = await tracker.outcome();
      return state === "completed" ? tracker.result() : undefined;
    },
    outcome: (signal) => tracker.outcome(signal),
    async *events() {
      watch?.();
      yield* tracker.events(watch !== undefined);
    },
    cancel: (reason, { now = false } = {}) =>
      now ? tracker.cancel(reason) : cancel(capability, tracker, reason),
  };
}

/** That of a sub-task, which its handler may have to make anew once it has ended. */
export function endingHandleOf<C extends Capability>(
  capability: C,
  tracker: Tracker,
  watch?: () => void,
): EndingHandle<OutputOf<C>> {
  return { ...handleOf(capability, tracker, watch), ended: () => tracker.ended() };
}

/** A workflow is told to undo what it has done, for as long as it takes; what nobody has begun, and
 * any other task, is ended at once. */
async function cancel(
  { name }: Pick<Capability, "name">,
  tracker: Tracker,
  reason = "canceled by the submitter",
): Promise<void> {
  if (name === WORKFLOW && (await tracker.insist(STOP_KEY, reason))) return;
  await tracker.cancel(reason);
}

/** Callers may give anything as their reason. */
function textOf(reason: unknown): string {
  try {
    return reason instanceof Error ? String(reason.message) : String(reason);
  } catch {
    return "aborted, for a reason that has no text";
  }
}

/** Reasons for which a contract ends and its task goes on with somebody else. */
const HANDED_OVER = ["E_FENCED", "E_LOST", "E_DRAINING"];

/**
 * Cancels the task when the signal is aborted, until its end.
 * @param inherited it is a durable sub-task: whoever takes its parent over goes on with it
 */
export function cancelOn(
  signal: AbortSignal | undefined,
  capability: Pick<Capability, "name">,
  tracker: Tracker,
  log: Log,
  inherited = false,
): void {
  if (signal === undefined) return;
  const abort = () => {
    const { reason } = signal;
    if (inherited && reason instanceof ParleyError && HANDED_OVER.includes(reason.code)) return;
    const why = textOf(reason);
    cancel(capability, tracker, why).catch((error: unknown) =>
      log.warn(
        { task: tracker.task, error: String(error) },
        "the task could not be canceled; it ends by itself or at its deadline",
      ),
    );
  };
  if (signal.aborted) return abort();
  signal.addEventListener("abort", abort, { once: true });
  tracker.onEnd(() => signal.removeEventListener("abort", abort));
}
