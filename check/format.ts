// The lines of a history: what a process did and saw, one JSON object a line, never rewritten.
import type { HistoryEvent, HistoryPhase } from "../mesh/ports/index.ts";

/** One line of a process's file. `t` is the machine's monotonic clock, shared by its processes. */
export interface HistoryLine extends HistoryEvent {
  /** Process: unique within a run. */
  p: string;
  /** Counter per process, from 0: a gap means a lost tail, allowed only at a file's end. */
  n: number;
  /** Nanoseconds, monotonic. */
  t: number;
  run?: string;
  /** Of the nemesis: the process that a fault hits. */
  target?: string;
}

export const PHASES: readonly HistoryPhase[] = ["inv", "ok", "fail", "info", "obs"];

/** A history that cannot be read. `line` counts from 1. */
export class HistoryError extends Error {
  readonly file: string;
  readonly line: number;

  constructor(file: string, line: number, what: string) {
    super(`${file}:${line}: ${what}`);
    this.name = "HistoryError";
    this.file = file;
    this.line = line;
  }
}

const STRINGS = ["op", "task", "who", "to", "d", "id", "note", "run", "target"] as const;

/** Why this value is no line of a history; undefined when it is one. */
export function lineFault(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "not an object";
  const v = value as Record<string, unknown>;
  if (typeof v.p !== "string" || v.p === "") return "p (process) is not a name";
  if (!Number.isSafeInteger(v.n) || (v.n as number) < 0) return "n is not a count";
  if (typeof v.t !== "number" || !Number.isFinite(v.t)) return "t is not a time";
  if (!PHASES.includes(v.k as HistoryPhase)) return `k is none of ${PHASES.join(", ")}`;
  if (typeof v.op !== "string") return "op is missing";
  for (const name of STRINGS) {
    if (v[name] !== undefined && typeof v[name] !== "string") return `${name} is not text`;
  }
  for (const name of ["e", "rev"]) {
    const n = v[name];
    if (n !== undefined && !Number.isSafeInteger(n)) return `${name} is not a whole number`;
  }
  return undefined;
}
