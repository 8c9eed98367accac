// The invariants of workflows (S8, S9), over the traces of a workflow and of its steps.
import type { Case, Rule } from "./case.ts";
import type { DumpLine } from "./dump-file.ts";
import type { DumpStep } from "./flow-steps.ts";

function stepsOf(c: Case): DumpStep[] {
  const spec = c.trace.records.find((r) => r.kind === "spec" && r.flaw === undefined);
  const changed = c.trace.records.some((r) => r.changed === true);
  return changed ? [] : (spec?.steps ?? []);
}

function recordsOf(c: Case, step: DumpStep, kind: string): DumpLine[] {
  return step.tasks.flatMap((task) =>
    (c.run.traces.get(task)?.records ?? []).filter((r) => r.kind === kind && r.flaw === undefined),
  );
}

const completed = (r: DumpLine) => r.state === "completed";

/** S8: a step is recorded as done at most once, however often it was begun. */
export function s8(c: Case): void {
  for (const step of stepsOf(c)) {
    const ends = recordsOf(c, step, "outcome").filter(completed);
    if (ends.length > 0) c.judged("S8");
    if (ends.length > 1) c.found("S8", `step "${step.id}" is recorded ${ends.length} times`);
  }
}

/** S9: a step is begun only after all that it comes after stands in the store as done. */
export function s9(c: Case): void {
  const steps = stepsOf(c);
  const byId = new Map(steps.map((step) => [step.id, step]));
  for (const step of steps) {
    const contracts = recordsOf(c, step, "contract").map((r) => r.rev);
    if (contracts.length === 0) continue;
    const first = Math.min(...contracts);
    for (const id of step.after) {
      const before = byId.get(id);
      // Nothing of it was ever stored: it was skipped, or given.
      if (before === undefined || recordsOf(c, before, "spec").length === 0) continue;
      c.judged("S9");
      const done = recordsOf(c, before, "outcome").filter(completed);
      if (done.some((r) => r.rev < first)) continue;
      c.found("S9", `step "${step.id}" was begun at ${first}, before "${id}" was done`);
    }
  }
}

export const FLOW_RULES: readonly Rule[] = [s8, s9];
