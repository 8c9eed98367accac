// What a process did and saw, for a judge: invocations with their fate, and observations.
// A peer without one records nothing. Format and verdicts: docs/guarantees.md.

/** `inv` begins an operation; `ok`, `fail` and `info` (fate unknown) end it; `obs` stands alone. */
export type HistoryPhase = "inv" | "ok" | "fail" | "info" | "obs";

export interface HistoryEvent {
  k: HistoryPhase;
  /**
   * With a fate: a record's kind (`spec`, `contract`, `failure`, `cancel`, `outcome`).
   * Observed: `cfp`, `bid`, `award`, `start`, `stop`, `suspect`, `lost`, `adopt`, `fenced`.
   */
  op: string;
  /** `<owner>.<task>` */
  task?: string;
  /** Epoch; absent before the first. */
  e?: number;
  /** The agent that acts. */
  who?: string;
  /** The other agent concerned: whom an award is for, who is suspected. */
  to?: string;
  /** Revision: of the fence when begun, of the record when stored. */
  rev?: number;
  /** Digest of the record's body, base64url of SHA-256. */
  d?: string;
  /** Pairs an `inv` with its end: the write's id; for bids and awards the call's id. */
  id?: string;
  note?: string;
}

export interface History {
  note(event: HistoryEvent): void;
}
