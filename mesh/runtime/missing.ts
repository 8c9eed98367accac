// Agents that were asked for in vain. Whoever reads what is stored leaves them alone for a moment:
// each of them would make every read wait, and names of agents that do not exist cost nothing.
import type { Clock } from "../ports/index.ts";

/** One question may be lost, and two; so many in a row, each soon after the one before, are not. */
const TIMES = 3;
/** Both that "soon" and for how long it is remembered, ms. Guess: what is found out wrongly, of one
 * whose link was away, must not last. */
const SOON_MS = 5_000;
/** The oldest are forgotten beyond. */
const MISSING_MAX = 10_000;

export class Missing {
  readonly #clock: Clock;
  #asked = new Map<string, { times: number; until: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(address: string): boolean {
    const asked = this.#asked.get(address);
    return asked !== undefined && asked.times >= TIMES && this.#clock.now() < asked.until;
  }

  /** Nobody answered for as long as one waits. */
  add(address: string): void {
    const now = this.#clock.now();
    const before = this.#asked.get(address);
    const times = before !== undefined && now < before.until ? before.times + 1 : 1;
    this.#asked.delete(address);
    if (this.#asked.size >= MISSING_MAX) {
      this.#asked.delete(this.#asked.keys().next().value as string);
    }
    this.#asked.set(address, { times, until: now + SOON_MS });
  }

  delete(address: string): void {
    this.#asked.delete(address);
  }

  /** The link was away: what was found out may be its doing. */
  clear(): void {
    this.#asked.clear();
  }
}
