// Recorded runs of agents that use tools (tau-bench), as chains: every step comes after the one
// before it, and any agent can do it. The source records no times, so they are put in: a step of a
// model takes what its tokens take, a tool a fixed time; what the user says takes nobody's.
import { tableText } from "../workload/azure-csv.ts";
import { cellsOf } from "../workload/csv.ts";
import { serviceMsOf, WorkloadError } from "../workload/task.ts";

export interface ChainStep {
  parents: readonly number[];
  ms: number;
}

const COLUMNS = ["task_id", "trial", "step", "capability", "chars"] as const;
/** The steps of a person, and of a model. All others are tools. */
const USER = "user";
const MODEL = "llm";
/** Rule of thumb for English. */
const CHARS_PER_TOKEN = 4;
/** A look into a database behind an API. Guess. */
const TOOL_MS = 250;

type Column = (typeof COLUMNS)[number];

/** Is this meant to be such a table, by its first line? What cannot be read is none. */
export function isAgentRuns(file: string): boolean {
  if (!/\.csv(\.gz)?$/i.test(file)) return false;
  try {
    return headsOf(tableText(file)).includes(COLUMNS[0]);
  } catch {
    return false;
  }
}

/** @throws WorkloadError for what is no such table */
export function readAgentRuns(file: string): ChainStep[] {
  const text = tableText(file);
  const heads = headsOf(text);
  const missing = COLUMNS.filter((column) => !heads.includes(column));
  if (missing.length > 0) {
    const todo = `no column ${missing.join(", ")}; the first line must name ${COLUMNS.join(", ")}`;
    throw new WorkloadError("header", `${file}:1`, todo);
  }
  const steps: ChainStep[] = [];
  const runs = new Map<string, Run>();
  text.split(/\r?\n/).forEach((line, index) => {
    if (index === 0 || line.trim() === "") return;
    const cells = cellsOf(line);
    const at = (column: Column) => cells[heads.indexOf(column)] ?? "";
    const place = `${file}:${index + 1}`;
    if (cells.length !== heads.length) {
      const todo = `${cells.length} columns where the first line has ${heads.length}; mend the row`;
      throw new WorkloadError("row", place, todo);
    }
    if (at("task_id") === "")
      throw new WorkloadError("row", place, "names no task_id; mend the row");
    const name = `${at("task_id")}.${at("trial")}`;
    const run = runs.get(name) ?? { step: -1, last: undefined, chars: 0 };
    runs.set(name, run);
    const step = count(at("step"), "step", place);
    const chars = count(at("chars"), "chars", place);
    if (step <= run.step) {
      throw new WorkloadError("order", place, "is before the row above of its run; sort by step");
    }
    run.step = step;
    const ms = msOf(at("capability").toLowerCase(), chars, run.chars, place);
    run.chars += chars;
    if (ms === undefined) return;
    steps.push({ parents: run.last === undefined ? [] : [run.last], ms });
    run.last = steps.length - 1;
  });
  if (steps.length === 0) throw new WorkloadError("empty", file, "holds no step of an agent");
  return steps;
}

interface Run {
  /** Of the row before. */
  step: number;
  /** Index of the step before that an agent did. */
  last: number | undefined;
  /** All that was said so far: what a model reads. */
  chars: number;
}

function msOf(
  capability: string,
  chars: number,
  before: number,
  place: string,
): number | undefined {
  if (capability === "") throw new WorkloadError("row", place, "names no capability");
  if (capability === USER) return undefined;
  if (capability !== MODEL) return TOOL_MS;
  const [read, said] = [before, chars].map((n) => Math.ceil(n / CHARS_PER_TOKEN));
  return Math.max(1, serviceMsOf(read ?? 0, said ?? 0));
}

function headsOf(text: string): string[] {
  const [head = ""] = text.split(/\r?\n/, 1);
  return cellsOf(head).map((cell) => cell.toLowerCase());
}

function count(cell: string, column: Column, place: string): number {
  if (/^\d{1,9}$/.test(cell)) return Number(cell);
  throw new WorkloadError("row", place, `${column} "${cell.slice(0, 40)}" must be a whole number`);
}
