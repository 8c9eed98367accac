// How an agent's contracts end when it stops: by themselves, or handed back (P10.13).
import { type Failure, failure as failureOf, ParleyError } from "../../contracts/index.ts";
import type { Clock } from "../ports/index.ts";
import { LEAVE_MS } from "./attempt-limit.ts";
import type { Running } from "./running.ts";

interface Hooks {
  /** Called once nothing runs any more. */
  whenIdle(wake: () => void): void;
  /** The attempt is over: somebody else may go on. */
  settle(run: Running, failure: Failure): void;
}

/** Resolved when nothing runs any more, or soon after `graceMs`: by then handlers have been told to
 * stop, and the contracts of those that go on all the same have been handed back. */
export function drained(
  clock: Pick<Clock, "after">,
  running: ReadonlyMap<string, Running>,
  graceMs: number,
  hooks: Hooks,
): Promise<void> {
  if (running.size === 0) return Promise.resolve();
  return new Promise((resolve) => {
    let timer = clock.after(graceMs, () => {
      for (const run of running.values()) run.abort.abort(new ParleyError("E_DRAINING"));
      timer = clock.after(LEAVE_MS, () => {
        for (const run of running.values()) void handBack(run, hooks);
        timer = clock.after(LEAVE_MS, resolve);
      });
    });
    hooks.whenIdle(() => {
      timer.cancel();
      resolve();
    });
  });
}

async function handBack(run: Running, { settle }: Hooks): Promise<void> {
  const claimed = run.rev > 0 || run.award.terms.live;
  // Its result is on its way: nobody else is to do it again.
  if (!claimed || run.over || run.delivering || run.abandoned) return;
  run.abandoned = true;
  await run.journal?.settled(true);
  settle(run, failureOf("E_DRAINING"));
}
