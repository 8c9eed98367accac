// Slots of one agent: how many tasks it takes at a time, and how busy it has been.
//
// Invariants
//   L1  0 <= used <= total.
//   L2  load is the decayed share of slot time in use, in [0, 1].

/** Load remembers about this long, ms: long enough to even out work, short enough to forget. */
const MEMORY_MS = 10 * 60_000;

export class Slots {
  #total: number;
  #used = 0;
  #busyMs = 0;
  #spanMs = 0;
  #at: number;

  constructor(total: number, now: number) {
    this.#total = total;
    this.#at = now;
  }

  get total(): number {
    return this.#total;
  }

  /** An agent that offers more takes more; never below what is in use (L1). */
  resize(total: number, now: number): void {
    this.#advance(now);
    this.#total = Math.max(total, this.#used);
  }

  get used(): number {
    return this.#used;
  }

  get free(): number {
    return this.total - this.#used;
  }

  take(now: number): boolean {
    if (this.#used >= this.total) return false;
    this.#advance(now);
    this.#used++;
    return true;
  }

  release(now: number): void {
    if (this.#used === 0) return;
    this.#advance(now);
    this.#used--;
  }

  load(now: number): number {
    this.#advance(now);
    return this.#spanMs <= 0 ? 0 : Math.min(1, this.#busyMs / this.#spanMs);
  }

  #advance(now: number): void {
    const passed = now - this.#at;
    if (passed <= 0) return;
    this.#at = now;
    const keep = Math.exp(-passed / MEMORY_MS);
    this.#busyMs = this.#busyMs * keep + this.#used * passed;
    this.#spanMs = this.#spanMs * keep + this.total * passed;
  }
}

/** Usual duration of a capability on this agent: smoothed over the last dozen tasks. */
export class UsualDuration {
  #perUnitMs: number | undefined;

  /** @param size the task's hinted size, or 1 when it names none */
  learn(actualMs: number, size: number): void {
    const unit = actualMs / Math.max(1e-9, size);
    this.#perUnitMs =
      this.#perUnitMs === undefined ? unit : this.#perUnitMs + (unit - this.#perUnitMs) / 6;
  }

  estimateMs(size: number): number | undefined {
    return this.#perUnitMs === undefined ? undefined : this.#perUnitMs * size;
  }
}
