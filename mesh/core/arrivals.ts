// Who came last, of those that still count. Those that no longer do are forgotten by and by.

/** More than this, and than twice of those that may count, are not kept. */
const SPARE = 64;

export class Arrivals<E> {
  readonly #counts: (one: E) => boolean;
  #all: E[] = [];

  /** @param counts once it says no of one, it never says yes of it again */
  constructor(counts: (one: E) => boolean) {
    this.#counts = counts;
  }

  /** @param most of those that came may count by now */
  add(one: E, most: number): void {
    this.#all.push(one);
    if (this.#all.length > 2 * most + SPARE) this.#all = this.#all.filter(this.#counts);
  }

  /** So many of them at most, the newest first. */
  newest(count: number): E[] {
    while (this.#all.length > 0 && !this.#counts(this.#all.at(-1) as E)) this.#all.pop();
    return this.#all.slice(-count).reverse().filter(this.#counts);
  }
}
