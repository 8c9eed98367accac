// Nonces seen lately, in bounded memory: two generations, the older dropped as time passes.
// A nonce is remembered for at least `spanMs`; when more than `most` arrive within one span the
// older generation goes early, which the caller's freshness check still bounds.

export class ReplayWindow {
  #young = new Set<string>();
  #old = new Set<string>();
  #turnedAt = 0;
  readonly #spanMs: number;
  readonly #most: number;

  constructor(spanMs: number, most: number) {
    this.#spanMs = spanMs;
    this.#most = most;
  }

  /** True when the nonce is new; it is remembered from now on. */
  admit(nonce: string, now: number): boolean {
    if (now - this.#turnedAt > this.#spanMs || this.#young.size >= this.#most) {
      this.#old = this.#young;
      this.#young = new Set();
      this.#turnedAt = now;
    }
    if (this.#young.has(nonce) || this.#old.has(nonce)) return false;
    this.#young.add(nonce);
    return true;
  }
}
