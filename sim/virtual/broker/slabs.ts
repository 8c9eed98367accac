// Where stored bytes lie: packed, one behind the other. A small Buffer is a slice of a pool that it
// shares with whatever was made around the same time: kept, it keeps all of that. As texts they
// take as much memory, and 7 % more of the run's time (measured, 10,000 agents).

/** Small, since one record of a long task keeps all of its slab. */
const SLAB_BYTES = 16 * 1024;
/** Larger ones get memory of their own, which costs more time than a place in a slab. */
const SMALL_BYTES_MAX = 4 * 1024;

export class Slabs {
  #slab = Buffer.alloc(0);
  #used = 0;
  readonly #own = new WeakSet<ArrayBufferLike>();

  /** A copy of the bytes; the bytes themselves when they are one already. */
  pack(data: Uint8Array): Uint8Array {
    if (this.#own.has(data.buffer)) return data;
    if (data.length > SMALL_BYTES_MAX) {
      const alone = Buffer.allocUnsafeSlow(data.length);
      alone.set(data);
      this.#own.add(alone.buffer);
      return alone;
    }
    if (this.#used + data.length > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#own.add(this.#slab.buffer);
      this.#used = 0;
    }
    this.#slab.set(data, this.#used);
    const packed = this.#slab.subarray(this.#used, this.#used + data.length);
    this.#used += data.length;
    return packed;
  }
}
