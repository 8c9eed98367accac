// Messages by their sequence. Sequences are dense and rising, so pages of a table hold them: a hash
// table of millions costs a miss of the processor's caches for every look, and a pause whenever
// it grows.

const BITS = 10;
const PAGE = 2 ** BITS;

interface Page<T> {
  items: (T | undefined)[];
  count: number;
}

export class BySeq<T> {
  #pages: (Page<T> | undefined)[] = [];
  /** Before this one there is none. */
  #first = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(seq: number): T | undefined {
    return this.#pages[Math.floor(seq / PAGE)]?.items[seq % PAGE];
  }

  /** @param seq above every one before it */
  add(seq: number, item: T): void {
    const at = Math.floor(seq / PAGE);
    while (this.#pages.length <= at) this.#pages.push(undefined);
    this.#pages[at] ??= { items: new Array(PAGE), count: 0 };
    this.#first = Math.min(this.#first, at);
    const page = this.#pages[at];
    page.items[seq % PAGE] = item;
    page.count++;
    this.#size++;
  }

  delete(seq: number): void {
    const at = Math.floor(seq / PAGE);
    const page = this.#pages[at];
    if (page?.items[seq % PAGE] === undefined) return;
    page.items[seq % PAGE] = undefined;
    page.count--;
    this.#size--;
    if (page.count > 0) return;
    this.#pages[at] = undefined;
    while (this.#first < this.#pages.length && this.#pages[this.#first] === undefined) {
      this.#first++;
    }
  }

  /** From `seq` on, in order. What is added or deleted meanwhile may be met or not. */
  *values(seq = 0): Generator<T> {
    for (let at = Math.max(this.#first, Math.floor(seq / PAGE)); at < this.#pages.length; at++) {
      const page = this.#pages[at];
      if (page === undefined) continue;
      for (let i = Math.max(0, seq - at * PAGE); i < PAGE; i++) {
        const item = page.items[i];
        if (item !== undefined) yield item;
      }
    }
  }
}
