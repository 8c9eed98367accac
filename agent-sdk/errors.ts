// What a handler may throw to say more than "it failed". Anything else that it throws is a
// failure that another attempt may mend (E_HANDLER).

/** No attempt will mend this: the task ends as failed (E_TERMINAL). */
export class TerminalError extends Error {
  readonly retry = false;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "TerminalError";
  }
}

/** Try again, and not before `afterMs`: a rate limit, a maintenance window. */
export class RetryableError extends Error {
  readonly retry = true;
  /** Shortest pause before the next attempt, ms; 0 leaves it to the task's back-off. */
  readonly afterMs: number;

  constructor(message: string, options: { afterMs?: number; cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "RetryableError";
    const { afterMs = 0 } = options;
    this.afterMs = Number.isFinite(afterMs) ? Math.max(0, afterMs) : 0;
  }
}
