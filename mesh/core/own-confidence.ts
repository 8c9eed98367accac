// How likely an agent says that it ends a task well: the smoothed share of its last tasks of a
// capability that did. Who fails says so itself; an initiator without a history need not find out.

/** A newcomer's claim, and the most that is claimed. */
const MOST = 0.99;
/** Weight of the newest task. Guess: five failures in a row make a third of it. */
const NEWEST = 0.2;

export class OwnConfidence {
  #share = MOST;

  ended(well: boolean): void {
    this.#share += ((well ? 1 : 0) - this.#share) * NEWEST;
  }

  /** 0 to 1. */
  get value(): number {
    return Math.min(MOST, this.#share);
  }
}
