// Where stored bytes lie: packed, one behind the other. A small Buffer is a slice of a pool that it
// shares with whatever was made around the same time: kept, it keeps all of that. As texts they
// take as much memory, and 7 % more of the run's time (measured, 10,000 agents).

/** Small, since one record of a long task keeps all of its slab. */
const SLAB_BYTES = 16 * 1024;
/** Larger ones get memory of their own, which costs more time than a place in a slab. */
const SMALL_BYTES_MAX = 4 * 1024;
/** What is about as long is of one kind, and goes about as soon: specs, outcomes, contracts. */
const SHELVES = [512, 1_536, SMALL_BYTES_MAX];

export class Slabs {
  readonly #shelves = SHELVES.map(() => ({ slab: Buffer.alloc(0), used: 0 }));
  readonly #own = new WeakSet<ArrayBufferLike>();

  /** A copy of the bytes; the bytes themselves when they are one already. */
  pack(data: Uint8Array): Uint8Array {
    if (this.#own.has(data.buffer)) return data;
    const shelf = this.#shelves[SHELVES.findIndex((bytesMax) => data.length <= bytesMax)];
    if (shelf === undefined) {
      const alone = Buffer.allocUnsafeSlow(data.length);
      alone.set(data);
      this.#own.add(alone.buffer);
      return alone;
    }
    if (shelf.used + data.length > shelf.slab.length) {
      shelf.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#own.add(shelf.slab.buffer);
      shelf.used = 0;
    }
    const packed = shelf.slab.subarray(shelf.used, shelf.used + data.length);
    packed.set(data);
    shelf.used += data.length;
    return packed;
  }
}
