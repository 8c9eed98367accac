// How many answers to a call are worth waiting for, learned per capability and rung.
//
// Agents at capacity leave their queue groups, so the number of groups with a member changes by
// the second and no card tells it. The estimate follows what calls really get: a call that closed
// by time lowers it, an answer that came late raises it. It is never above what the cards allow.

interface Estimate {
  answers: number;
  /** Smoothed time from call to last answer, ms; undefined while no call was answered. */
  roundTripMs: number | undefined;
}

/** Fewer answers than this leave no choice: wait for so many, while the cards allow. */
const LEAST = 2;

export class Answers {
  #estimates = new Map<string, Estimate>();
  readonly #most: number;

  /** @param most estimates remembered, since names are anybody's; the oldest is forgotten */
  constructor(most = 50_000) {
    this.#most = most;
  }

  get size(): number {
    return this.#estimates.size;
  }

  /** Answers to expect, 2 to `most` (groups with members, or agents that are known). */
  expected(capability: string, rung: string, most: number): number {
    const e = this.#estimates.get(`${capability} ${rung}`);
    return Math.max(1, Math.min(LEAST, most), Math.min(most, e?.answers ?? most));
  }

  /** Usual time to the last answer, ms; undefined before the first call. */
  roundTripMs(capability: string, rung: string): number | undefined {
    return this.#estimates.get(`${capability} ${rung}`)?.roundTripMs;
  }

  /** A call closed because its expected answers were in. */
  met(capability: string, rung: string, answers: number, tookMs: number): void {
    this.#note(capability, rung, answers, tookMs);
  }

  /** A call closed by time with fewer answers than expected. */
  missed(capability: string, rung: string, answers: number, lastAnswerMs: number): void {
    // A call that nobody answered tells nothing of how long an answer takes.
    // Messages get lost: one poor call lowers the estimate by one answer, not to its own.
    const before = this.#estimates.get(`${capability} ${rung}`)?.answers ?? answers;
    const now = Math.max(1, answers, before - 1);
    this.#note(capability, rung, now, answers > 0 ? lastAnswerMs : undefined);
  }

  /** An answer came after its call had closed: the next call waits for one more. */
  late(capability: string, rung: string, most: number): void {
    const e = this.#estimates.get(`${capability} ${rung}`);
    if (e !== undefined) e.answers = Math.min(most, e.answers + 1);
  }

  #note(capability: string, rung: string, answers: number, tookMs: number | undefined): void {
    const key = `${capability} ${rung}`;
    const e = this.#estimates.get(key);
    if (e === undefined) {
      const [oldest] = this.#estimates.size >= this.#most ? this.#estimates.keys() : [];
      if (oldest !== undefined) this.#estimates.delete(oldest);
      this.#estimates.set(key, { answers, roundTripMs: tookMs });
    } else {
      e.answers = answers;
      if (tookMs === undefined) return;
      e.roundTripMs =
        e.roundTripMs === undefined ? tookMs : e.roundTripMs + (tookMs - e.roundTripMs) / 8;
    }
  }
}
