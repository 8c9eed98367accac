// Waits of people may be longer than the platform's timers.
import { TIMER_MS_MAX } from "../../contracts/limits.ts";

/** Aborted after so many ms; keeps nobody's process alive. */
export function lateSignal(ms: number): AbortSignal {
  const late = new AbortController();
  const wait = (left: number): void => {
    const now = Math.min(left, TIMER_MS_MAX);
    setTimeout(() => (left > now ? wait(left - now) : late.abort()), now).unref();
  };
  wait(Math.max(0, ms));
  return late.signal;
}
