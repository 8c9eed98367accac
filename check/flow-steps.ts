// The steps of a workflow as the judge reads them, apart from the mesh's own reading. What it
// cannot know is not judged: definitions by reference, changes on the way.
import { hash } from "node:crypto";
import { taskPath } from "../contracts/index.ts";

/** A step, and what it comes after. */
export interface DumpStep {
  id: string;
  after: string[];
  /** Once for each element of a list. */
  each?: true;
  /** Again and again, so often at most. */
  rounds?: number;
}

/** What a step does at one place: its only task, an element of a map, a round of a loop. */
export interface Piece {
  name: string;
  /** Paths of the tasks that may stand for it: one, and more after failed attempts. */
  tasks: string[];
}

/** Tries of a step over failed attempts of the workflow that are looked for. */
const TRIES = 4;
/** Longer definitions are judged by the scenario that plays them. */
const STEPS_MAX = 500;

/** The steps of a workflow's spec; undefined when it is none that can be judged. */
export function stepsIn(body: Record<string, unknown>): DumpStep[] | undefined {
  const { capability, input } = body as { capability?: string; input?: { definition?: unknown } };
  return capability === "workflow" ? stepsOf(input?.definition) : undefined;
}

/** The same of a definition; undefined when it is none. */
export function stepsOf(definition: unknown): DumpStep[] | undefined {
  const { steps } = (definition ?? {}) as { steps?: unknown };
  if (!Array.isArray(steps) || steps.length > STEPS_MAX) return undefined;
  return (steps as Record<string, unknown>[]).flatMap((step) => {
    const { id, after, each, repeat } = step;
    if (typeof id !== "string") return [];
    const said = Array.isArray(after) ? after.map(String) : [];
    const found: DumpStep = { id, after: [...new Set([...said, ...stepsNamed(step)])] };
    if (each !== undefined) found.each = true;
    if (repeat !== undefined) found.rounds = Number((repeat as { rounds?: unknown }).rounds);
    return [found];
  });
}

/**
 * All that a step did, in its order.
 * @param flow path of the workflow's task
 * @param known is there anything of this task?
 */
export function* piecesOf(
  flow: string,
  { id, each, rounds = 1 }: DumpStep,
  known: (task: string) => boolean,
): Generator<Piece> {
  const most = each === true ? Number.POSITIVE_INFINITY : rounds;
  for (let n = 0; n < most; n++) {
    const name = each === true ? `${id}.${n}` : n === 0 ? id : `${id}:${n}`;
    const piece = pieceAt(flow, name);
    if (!piece.tasks.some(known)) return;
    yield piece;
  }
}

function pieceAt(flow: string, name: string): Piece {
  const [owner = ""] = flow.split(".", 1);
  const places = Array.from({ length: TRIES }, (_, n) => (n === 0 ? `=${name}` : `=${name}\n${n}`));
  return { name, tasks: places.map((place) => taskPath(owner, idAt(`${flow}/${place}`))) };
}

function idAt(text: string): string {
  return hash("sha256", text, "base64url").slice(0, 32);
}

/** Steps whose values the input, the condition or the list takes. */
function stepsNamed({ input, when, each }: Record<string, unknown>): string[] {
  const text = JSON.stringify([input ?? null, when ?? null, each ?? null]);
  return [...text.matchAll(/"\$":"steps\.([A-Za-z0-9_-]+)/g)].map((m) => m[1] as string);
}
