// The invariants of workflows (S8, S9), over the traces of a workflow and of its steps. The judge
// has its own reading of definitions and ids, apart from the mesh's. What it cannot know it does
// not judge: maps and loops, definitions by reference, and workflows that were changed on the way.
import { hash } from "node:crypto";
import { taskPath } from "../contracts/index.ts";
import type { Case, Rule } from "./case.ts";
import type { DumpLine } from "./dump-file.ts";

/** A step: the tasks that may stand for it (one, and more after failed attempts), and what it
 * comes after. */
export interface DumpStep {
  id: string;
  tasks: string[];
  after: string[];
}

/** Tries of a step over failed attempts of the workflow that are looked for. */
const TRIES = 4;
/** Longer definitions are judged by the scenario that plays them. */
const STEPS_MAX = 500;

/** The steps of a workflow's spec; undefined when it is none that can be judged. */
export function stepsIn(body: Record<string, unknown>): DumpStep[] | undefined {
  const { owner, task, capability, input } = body as {
    owner: string;
    task: string;
    capability?: string;
    input?: { definition?: { steps?: unknown } };
  };
  const steps = input?.definition?.steps;
  if (capability !== "workflow" || !Array.isArray(steps) || steps.length > STEPS_MAX) return;
  return (steps as Record<string, unknown>[]).flatMap((step) => {
    const { id, after, each, repeat, ...rest } = step;
    if (typeof id !== "string" || each !== undefined || repeat !== undefined) return [];
    const said = Array.isArray(after) ? after.map(String) : [];
    const places = Array.from({ length: TRIES }, (_, n) => (n === 0 ? `=${id}` : `=${id}:${n}`));
    const tasks = places.map((place) => taskPath(owner, idAt(`${owner}.${task}/${place}`)));
    return { id, tasks, after: [...new Set([...said, ...stepsNamed(rest)])] };
  });
}

function idAt(text: string): string {
  return hash("sha256", text, "base64url").slice(0, 32);
}

/** Steps whose values the input or the condition takes. */
function stepsNamed({ input, when }: Record<string, unknown>): string[] {
  const text = JSON.stringify([input ?? null, when ?? null]);
  return [...text.matchAll(/"\$":"steps\.([A-Za-z0-9_-]+)/g)].map((m) => m[1] as string);
}

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
