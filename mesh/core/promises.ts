// Slots that an agent has bid with. A bid counts as out for a call's usual time: with more of them
// out than the open slots could honour, most awards would be refused.
//
// Invariant: who calls and never awards holds nothing up. Bids that led to no contract, so many in
// a row, count no more for that principal's calls, until one of them does.

/** Bids out at a time for each free slot, and how long a bid counts as out, ms. Guess: a call's
 * usual time; more would double-book, fewer would hide free agents from busy initiators. */
const PROMISES = 3;
const PROMISE_MS = 10;
/** Bids in a row to one principal without a contract. Guess: a good agent wins one in eight. */
const IN_VAIN_MAX = 64;
/** Principals remembered, those that were bid to last. */
const PRINCIPALS_MAX = 1_000;

export class Promises {
  /** Moments of the bids that count, oldest first. */
  #at: number[] = [];
  #inVain = new Map<string, number>();

  /** Are more bids out than so many slots could honour? */
  full(open: number, now: number): boolean {
    const most = open * PROMISES;
    if (this.#at.length < most) return false;
    return now - (this.#at.at(-most) as number) < PROMISE_MS;
  }

  /** @param slots that the agent has in all */
  made(principal: string, slots: number, now: number): void {
    const inVain = this.#inVain.get(principal) ?? 0;
    this.#inVain.delete(principal);
    this.#inVain.set(principal, inVain + 1);
    if (this.#inVain.size > PRINCIPALS_MAX) {
      for (const [longestAgo] of this.#inVain) {
        this.#inVain.delete(longestAgo);
        break;
      }
    }
    if (inVain >= IN_VAIN_MAX) return;
    if (this.#at.length >= slots * PROMISES) this.#at.shift();
    this.#at.push(now);
  }

  /** One of its calls led to a contract. */
  kept(principal: string): void {
    this.#inVain.delete(principal);
  }
}
