// What a rule is given, and what it says.
import type { Fold } from "./fold.ts";
import type { Run, Trace } from "./traces.ts";

export interface Finding {
  rule: string;
  task: string;
  what: string;
}

export interface Case {
  trace: Trace;
  fold: Fold;
  run: Run;
  /** Tells of a violation. */
  found(rule: string, what: string): void;
  /** Counts a judgement that was really made. */
  judged(rule: string): void;
}

export type Rule = (c: Case) => void;
