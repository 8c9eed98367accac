// The steps of a workflow as the judge reads them, apart from the mesh's own reading. What it
// cannot know is not judged: maps and loops, definitions by reference, changes on the way.
import { hash } from "node:crypto";
import { taskPath } from "../contracts/index.ts";

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
