// The longest that one attempt may take, where its agent says so.
import { type Failure, failure as failureOf, ParleyError } from "../../contracts/index.ts";
import type { Deps } from "./dependencies.ts";
import type { Running } from "./running.ts";

/** A handler that is told to stop has this long to do so, ms. Guess. */
export const LEAVE_MS = 500;

/**
 * Tells a handler to stop after `limitMs`. If it goes on all the same the attempt has failed
 * without it (`fail`), and its slot stays taken, since it still works.
 * @returns what to call when the handler has ended
 */
export function watchLimit(
  { clock, log }: Pick<Deps, "clock" | "log">,
  run: Running,
  limitMs: number | undefined,
  fail: (late: Failure) => void,
): () => void {
  const ended = () => {
    run.delivering = true;
  };
  if (limitMs === undefined) return ended;
  const late = failureOf("E_HANDLER", `the handler took longer than its limit of ${limitMs} ms`);
  const abandon = () => {
    if (run.over) return;
    const { task, capability } = run.award.terms;
    const advice = "it should stop when its signal is aborted; its slot is taken until it ends";
    log.warn({ task, capability }, `${late.message} and goes on: ${advice}`);
    run.abandoned = true;
    fail(late);
  };
  let timer = clock.after(limitMs, () => {
    if (run.over) return;
    run.late = late;
    timer = clock.after(LEAVE_MS, abandon);
    run.abort.abort(new ParleyError("E_HANDLER", late.message));
  });
  return () => {
    ended();
    timer.cancel();
  };
}
