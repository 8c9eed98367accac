// A binary min-heap. Ties are broken by insertion order, so equal keys leave as they came.

interface Entry<T> {
  key: number;
  seq: number;
  value: T;
}

export class Heap<T> {
  #entries: Entry<T>[] = [];
  #seq = 0;

  get size(): number {
    return this.#entries.length;
  }

  push(key: number, value: T): void {
    const entries = this.#entries;
    entries.push({ key, seq: this.#seq++, value });
    let i = entries.length - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(entries[i]!, entries[up]!)) break;
      swap(entries, i, up);
      i = up;
    }
  }

  peekKey(): number | undefined {
    return this.#entries[0]?.key;
  }

  peek(): T | undefined {
    return this.#entries[0]?.value;
  }

  pop(): T | undefined {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (top === undefined || last === undefined) return undefined;
    if (entries.length === 0) return top.value;
    entries[0] = last;
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      if (left >= entries.length) break;
      const right = left + 1;
      const child =
        right < entries.length && before(entries[right]!, entries[left]!) ? right : left;
      if (!before(entries[child]!, entries[i]!)) break;
      swap(entries, i, child);
      i = child;
    }
    return top.value;
  }

  clear(): void {
    this.#entries.length = 0;
  }
}

function before<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.key < b.key || (a.key === b.key && a.seq < b.seq);
}

function swap<T>(entries: Entry<T>[], i: number, j: number): void {
  const held = entries[i]!;
  entries[i] = entries[j]!;
  entries[j] = held;
}
