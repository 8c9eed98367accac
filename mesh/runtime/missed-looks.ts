// Looks at tasks that nobody answered, together: one of them asks again until it is answered, and
// then all do. Ten thousand open tasks must not ask ten thousand times while nobody is there.
import type { Clock } from "../ports/index.ts";

/** Until one asks again, ms: at first, doubled each time, at most. */
const AGAIN_MS = 250;
const AGAIN_MS_MAX = 2_000;

interface Looker {
  /** Asks once more; what comes of it is told to `missed` or `answered`. */
  lookSoon(): void;
}

export class MissedLooks {
  readonly #clock: Clock;
  readonly #waiting = new Set<Looker>();
  #againMs = AGAIN_MS;
  #timer: { cancel(): void } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  missed(looker: Looker): void {
    this.#waiting.add(looker);
    this.#arm();
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#waiting.size === 0) return;
    this.#timer = this.#clock.after(this.#againMs, () => {
      this.#timer = undefined;
      this.#againMs = Math.min(this.#againMs * 2, AGAIN_MS_MAX);
      const [first] = this.#waiting;
      if (first === undefined) return;
      this.#waiting.delete(first);
      first.lookSoon();
    });
  }

  /** Somebody can tell again: whoever waits asks now. */
  answered(): void {
    this.#againMs = AGAIN_MS;
    if (this.#waiting.size === 0) return;
    const all = [...this.#waiting];
    this.forget();
    for (const looker of all) looker.lookSoon();
  }

  /** It has ended, or asks at its own times: if it was the one who asked for all, the next does. */
  leave(looker: Looker): void {
    this.#waiting.delete(looker);
    this.#arm();
  }

  /** Nobody waits any more: everything is asked anew, or given up. */
  forget(): void {
    this.#waiting.clear();
    this.#againMs = AGAIN_MS;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
