export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic, ms. Decides about timers. */
  now(): number;
  /** Wall clock, ms since the epoch. Stamps messages; never decides who owns a contract. */
  wall(): number;
  after(ms: number, run: () => void): Timer;
}

export interface Random {
  /** In [0, 1). */
  next(): number;
  /** A token of 128 unpredictable bits. */
  id(): string;
}
