// How early may an agent ask for its next task? As early as an award takes to come, where its tasks
// end when they were said to end.

/** Runs that must have ended before any end is foretold. Guess. */
const RUNS_MIN = 4;
/** Bounds of how early work is asked for, and the first guess, ms. Guesses. */
const LEAD_MS_MIN = 4;
const LEAD_MS_MAX = 50;
const ASK_MS_FIRST = 4;
/** Weight of the newest of what is smoothed. */
const NEWEST = 1 / 4;

export class Foresight {
  #askMs = ASK_MS_FIRST;
  #errorMs = 0;
  #runs = 0;

  /** From asking for work to the award, ms. */
  asked(tookMs: number): void {
    this.#askMs += (tookMs - this.#askMs) * NEWEST;
  }

  /** What a task was said to take, and what it took, ms. */
  ran(foretoldMs: number, workedMs: number): void {
    const error = Math.abs(workedMs - foretoldMs);
    this.#errorMs = this.#runs === 0 ? error : this.#errorMs + (error - this.#errorMs) * NEWEST;
    this.#runs++;
  }

  /** How long before its slot is free an agent asks for work, ms; undefined: not before. */
  get leadMs(): number | undefined {
    const lead = Math.min(LEAD_MS_MAX, Math.max(LEAD_MS_MIN, 2 * this.#askMs));
    return this.#runs >= RUNS_MIN && this.#errorMs <= lead / 2 ? lead : undefined;
  }
}
