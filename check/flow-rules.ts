// The invariants of workflows (S8, S9), over the traces of a workflow and of its steps.
import type { Case, Rule } from "./case.ts";
import type { DumpLine } from "./dump-file.ts";
import { type DumpStep, type Piece, piecesOf } from "./flow-steps.ts";

function stepsOf(c: Case): DumpStep[] {
  const { records } = c.trace;
  if (records.some((r) => r.changed === true)) return [];
  return records.find((r) => r.steps !== undefined && r.flaw === undefined)?.steps ?? [];
}

function doneOf(c: Case, step: DumpStep): Piece[] {
  return [...piecesOf(c.trace.task, step, (task) => c.run.traces.has(task))];
}

function recordsOf(c: Case, { tasks }: Piece, kind: string): DumpLine[] {
  return tasks.flatMap((task) =>
    (c.run.traces.get(task)?.records ?? []).filter((r) => r.kind === kind && r.flaw === undefined),
  );
}

const completed = (r: DumpLine) => r.state === "completed";

/** S8: a step is recorded as done at most once, however often it was begun. */
export function s8(c: Case): void {
  for (const piece of stepsOf(c).flatMap((step) => doneOf(c, step))) {
    const ends = recordsOf(c, piece, "outcome").filter(completed);
    if (ends.length > 0) c.judged("S8");
    if (ends.length > 1) c.found("S8", `step "${piece.name}" is recorded ${ends.length} times`);
  }
}

/** S9: a step is begun only after all that it comes after stands in the store as done. */
export function s9(c: Case): void {
  const steps = stepsOf(c);
  const pieces = new Map(steps.map((step) => [step.id, doneOf(c, step)]));
  for (const step of steps) {
    const own = pieces.get(step.id) ?? [];
    const first = begunAt(c, own);
    // Of what was skipped, or given, nothing was ever stored.
    for (const id of step.after)
      for (const piece of pieces.get(id) ?? []) inOrder(c, piece, step.id, first);
    if (step.rounds === undefined) continue;
    own.forEach((round, n) => {
      const next = own[n + 1];
      if (next !== undefined) inOrder(c, round, next.name, begunAt(c, [next]));
    });
  }
}

/** The revision of the first contract. */
function begunAt(c: Case, pieces: readonly Piece[]): number {
  const revisions = pieces.flatMap((piece) => recordsOf(c, piece, "contract").map((r) => r.rev));
  return revisions.reduce((least, rev) => Math.min(least, rev), Number.POSITIVE_INFINITY);
}

function inOrder(c: Case, before: Piece, name: string, begun: number): void {
  if (begun === Number.POSITIVE_INFINITY || recordsOf(c, before, "spec").length === 0) return;
  c.judged("S9");
  const done = recordsOf(c, before, "outcome").filter(completed);
  if (done.some((r) => r.rev < begun)) return;
  c.found("S9", `step "${name}" was begun at ${begun}, before "${before.name}" was done`);
}

export const FLOW_RULES: readonly Rule[] = [s8, s9];
