// Which slots has this initiator given away that their agents' bids still offer? Of many tasks that
// are put out to tender at once, each would choose the same best bid, and all but one be refused.
import { type Address, BID_VALID_MS } from "../../contracts/index.ts";

/** One award that went out. */
export interface Spoken {
  at: number;
  /** Not answered yet, by a contract or a refusal. */
  open: boolean;
}

export class SpokenFor {
  /** Who was awarded last comes last. An answered award is kept as long as a bid from before it is
   * valid. */
  #awards = new Map<Address, Spoken[]>();

  add(to: Address, now: number): Spoken {
    this.#forget(now);
    const spoken = { at: now, open: true };
    const same = this.#awards.get(to)?.filter((s) => counts(s, now - BID_VALID_MS)) ?? [];
    this.#awards.delete(to);
    this.#awards.set(to, [...same, spoken]);
    return spoken;
  }

  /** Slots of an agent that a bid of then does not know to be gone. */
  count(from: Address, bidAt: number): number {
    let count = 0;
    for (const s of this.#awards.get(from) ?? []) if (counts(s, bidAt)) count++;
    return count;
  }

  #forget(now: number): void {
    for (const [to, awards] of this.#awards) {
      if (awards.some((s) => counts(s, now - BID_VALID_MS))) return;
      this.#awards.delete(to);
    }
  }
}

function counts(s: Spoken, since: number): boolean {
  return s.open || s.at >= since;
}
