// Token buckets by key: so many a second, and so many at once after a pause.
import type { Rate } from "../../contracts/index.ts";

interface Bucket {
  tokens: number;
  at: number;
}

/** Keys that are full again carry no information and are dropped at this number. */
const KEYS_MAX = 10_000;

export class TokenBuckets {
  readonly #perMs: number;
  readonly #burst: number;
  #buckets = new Map<string, Bucket>();

  /** @param rate without `burst`: one second's worth, at least 1 */
  constructor(rate: Rate) {
    this.#perMs = rate.perS / 1_000;
    this.#burst = Math.max(1, rate.burst ?? rate.perS);
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Ms until a token is there for this key; 0: now. */
  waitMs(key: string, now: number): number {
    const missing = 1 - this.#level(key, now);
    return missing <= 0 ? 0 : Math.ceil(missing / this.#perMs);
  }

  /** Takes a token; false: there was none. */
  take(key: string, now: number): boolean {
    const level = this.#level(key, now);
    if (level < 1) return false;
    if (!this.#buckets.has(key) && this.#buckets.size >= KEYS_MAX) this.#drop(now);
    // Last touched, last in the order.
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: level - 1, at: now });
    return true;
  }

  #level(key: string, now: number): number {
    const b = this.#buckets.get(key);
    if (b === undefined) return this.#burst;
    return Math.min(this.#burst, b.tokens + Math.max(0, now - b.at) * this.#perMs);
  }

  /** The longest untouched first: as many as are full again, or else that one, which gives him a
   * burst at most. */
  #drop(now: number): void {
    for (const key of this.#buckets.keys()) {
      const full = this.#level(key, now) >= this.#burst;
      if (!full && this.#buckets.size < KEYS_MAX) return;
      this.#buckets.delete(key);
    }
  }
}
