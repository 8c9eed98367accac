// A binary min-heap. Ties are broken by a number, by default that of insertion, so equal keys leave
// as they came. Keys lie in arrays of their own: comparing two of them touches no object, and an
// entry takes 24 bytes.

export class Heap<T> {
  #keys: number[] = [];
  #seqs: number[] = [];
  #values: T[] = [];
  #seq = 0;

  get size(): number {
    return this.#values.length;
  }

  /** @param seq of equal keys the lower one leaves first */
  push(key: number, value: T, seq = this.#seq++): void {
    const keys = this.#keys;
    let i = keys.length;
    this.#put(i, key, seq, value);
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (keys[up]! < key || (keys[up]! === key && this.#seqs[up]! <= seq)) break;
      this.#move(up, i);
      i = up;
    }
    this.#put(i, key, seq, value);
  }

  peekKey(): number | undefined {
    return this.#keys[0];
  }

  peek(): T | undefined {
    return this.#values[0];
  }

  pop(): T | undefined {
    const top = this.#values[0];
    const key = this.#keys.pop();
    const seq = this.#seqs.pop();
    const value = this.#values.pop();
    if (key === undefined || seq === undefined || this.#keys.length === 0) return top;
    this.#sink(key, seq, value as T);
    return top;
  }

  /** Puts an entry where it belongs below the root's place, which is free. */
  #sink(key: number, seq: number, value: T): void {
    const size = this.#keys.length;
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      if (left >= size) break;
      const right = left + 1;
      const child = right < size && this.#before(right, left) ? right : left;
      const least = this.#keys[child]!;
      if (key < least || (key === least && seq < this.#seqs[child]!)) break;
      this.#move(child, i);
      i = child;
    }
    this.#put(i, key, seq, value);
  }

  #before(a: number, b: number): boolean {
    const x = this.#keys[a]!;
    const y = this.#keys[b]!;
    return x < y || (x === y && this.#seqs[a]! < this.#seqs[b]!);
  }

  #put(i: number, key: number, seq: number, value: T): void {
    this.#keys[i] = key;
    this.#seqs[i] = seq;
    this.#values[i] = value;
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#keys[from]!, this.#seqs[from]!, this.#values[from] as T);
  }

  clear(): void {
    this.#keys.length = 0;
    this.#seqs.length = 0;
    this.#values.length = 0;
  }
}
