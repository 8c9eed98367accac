// How much of the time an observer was really looking. Suspicion is measured on this clock, so a
// starved or stopped observer does not take its own silence for that of others (Lifeguard's
// point: a slow prober blames its neighbours).

/** Time between two looks of an observer that is well, ms. */
export const LOOK_MS = 100;

export class Awareness {
  #aware = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #blindUntil = Number.NEGATIVE_INFINITY;

  /** A look: of the time since the last one at most two intervals count. */
  at(now: number): number {
    const since = now - Math.max(this.#lookedAt, this.#blindUntil);
    if (since > 0) {
      if (this.#lookedAt !== Number.NEGATIVE_INFINITY) this.#aware += Math.min(since, 2 * LOOK_MS);
      this.#lookedAt = now;
    }
    return this.#aware;
  }

  /** Nothing counts until then: the own link is away, or others are still coming back. */
  blind(until: number): void {
    this.#blindUntil = Math.max(this.#blindUntil, until);
  }

  isBlind(now: number): boolean {
    return now < this.#blindUntil;
  }
}
