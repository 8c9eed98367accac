// The keys of every object that is open while a guard walks a document. Both guards use it.

/** Objects up to this many keys are compared pairwise; larger ones get a Set. */
const PAIRWISE_KEYS_MAX = 32;

export type KeyVerdict = "fresh" | "duplicate" | "forbidden";

/** Keys that reach a prototype when a decoded object is merged into another. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set([
  "__proto__",
  "constructor",
  "prototype",
]);

const FORBIDDEN_BYTES = [...FORBIDDEN_KEYS].map((key) => new TextEncoder().encode(key));
const FORBIDDEN_LENGTH_MIN = Math.min(...FORBIDDEN_BYTES.map((key) => key.length));

// ignoreBOM keeps a leading U+FEFF: without it the keys "\uFEFFa" and "a" would look the same.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const NO_BYTES = new Uint8Array(0);

/**
 * Finds duplicate and forbidden keys without making a string of each. Small objects hold their
 * keys as byte ranges and compare a four-byte signature first; an object that outgrows that, or
 * holds a key written with escapes, moves to a Set. Cost per key is bounded either way: V8 seeds
 * the hash of strings, except of those that read as array indices, hence the prefix in `inSet`.
 */
export class KeyLedger {
  private bytes: Uint8Array = NO_BYTES;
  private frame = -1;
  private counts = new Int32Array(0);
  private starts = new Int32Array(0);
  private ends = new Int32Array(0);
  private signatures = new Int32Array(0);
  private readonly sets: (Set<string> | undefined)[] = [];

  /** Call before each document. `depthMax` bounds how many objects can be open at once. */
  begin(bytes: Uint8Array, depthMax: number): void {
    this.bytes = bytes;
    this.frame = -1;
    if (this.counts.length >= depthMax) return;
    this.counts = new Int32Array(depthMax);
    this.starts = new Int32Array(depthMax * PAIRWISE_KEYS_MAX);
    this.ends = new Int32Array(depthMax * PAIRWISE_KEYS_MAX);
    this.signatures = new Int32Array(depthMax * PAIRWISE_KEYS_MAX);
  }

  /** Call after each document, refused or not: lets go of the bytes and the sets. */
  finish(): void {
    this.bytes = NO_BYTES;
    this.sets.length = 0;
  }

  open(): void {
    this.frame++;
    this.counts[this.frame] = 0;
    if (this.sets.length > 0) this.sets[this.frame] = undefined;
  }

  close(): void {
    this.frame--;
  }

  /** A key that stands in the document as it is: bytes[start, end), valid UTF-8, no escapes. */
  add(start: number, end: number): KeyVerdict {
    if (end - start >= FORBIDDEN_LENGTH_MIN && this.isForbidden(start, end)) return "forbidden";
    const { frame } = this;
    if (this.sets.length > 0 && this.sets[frame] !== undefined) {
      return this.inSet(this.text(start, end));
    }
    const count = this.counts[frame] as number;
    const first = frame * PAIRWISE_KEYS_MAX;
    const signature = this.signature(start, end);
    for (let slot = first; slot < first + count; slot++) {
      if (this.signatures[slot] === signature && this.isAt(slot, start, end)) return "duplicate";
    }
    if (count === PAIRWISE_KEYS_MAX) {
      this.moveToSet();
      return this.inSet(this.text(start, end));
    }
    this.starts[first + count] = start;
    this.ends[first + count] = end;
    this.signatures[first + count] = signature;
    this.counts[frame] = count + 1;
    return "fresh";
  }

  /** A key that was written with escapes, after unescaping. */
  addText(key: string): KeyVerdict {
    if (FORBIDDEN_KEYS.has(key)) return "forbidden";
    if (this.sets[this.frame] === undefined) this.moveToSet();
    return this.inSet(key);
  }

  private inSet(key: string): KeyVerdict {
    const set = this.sets[this.frame] as Set<string>;
    const before = set.size;
    set.add(`"${key}`);
    return set.size === before ? "duplicate" : "fresh";
  }

  private moveToSet(): void {
    const set = new Set<string>();
    const first = this.frame * PAIRWISE_KEYS_MAX;
    const count = this.counts[this.frame] as number;
    for (let slot = first; slot < first + count; slot++) {
      set.add(`"${this.text(this.starts[slot] as number, this.ends[slot] as number)}`);
    }
    this.sets[this.frame] = set;
  }

  private text(start: number, end: number): string {
    return utf8.decode(this.bytes.subarray(start, end));
  }

  /** Length, first, middle and last byte: enough to tell most keys of one object apart. */
  private signature(start: number, end: number): number {
    if (start === end) return 0;
    const { bytes } = this;
    const middle = bytes[(start + end) >> 1] as number;
    const ends = ((bytes[start] as number) << 8) | ((bytes[end - 1] as number) << 24);
    return ((end - start) & 0xff) | ends | (middle << 16);
  }

  private isAt(slot: number, start: number, end: number): boolean {
    const from = this.starts[slot] as number;
    if ((this.ends[slot] as number) - from !== end - start) return false;
    return sameBytes(this.bytes, from, this.bytes, start, end - start);
  }

  private isForbidden(start: number, end: number): boolean {
    const length = end - start;
    for (const key of FORBIDDEN_BYTES) {
      if (key.length === length && sameBytes(key, 0, this.bytes, start, length)) return true;
    }
    return false;
  }
}

function sameBytes(
  left: Uint8Array,
  leftStart: number,
  right: Uint8Array,
  rightStart: number,
  length: number,
): boolean {
  for (let i = 0; i < length; i++) {
    if (left[leftStart + i] !== right[rightStart + i]) return false;
  }
  return true;
}
