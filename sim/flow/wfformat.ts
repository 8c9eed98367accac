// Recorded workflows: WfFormat 1.5 (wfcommons.org), plain or packed with gzip, as a graph of tasks
// with durations.
import { basename } from "node:path";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { STEPS_MAX, type Workflow } from "../../contracts/index.ts";
import { cycles, graphOf } from "../../mesh/core/workflow/graph.ts";

const FileSchema = z.object({
  name: z.string().nullish(),
  schemaVersion: z.string().optional(),
  workflow: z.object({
    specification: z.object({
      tasks: z
        .array(
          z.object({
            id: z.string().min(1),
            name: z.string().default(""),
            parents: z.array(z.string()).default([]),
            children: z.array(z.string()).default([]),
          }),
        )
        .min(1)
        .max(STEPS_MAX),
    }),
    execution: z.object({
      tasks: z.array(
        z.object({
          id: z.string(),
          runtimeInSeconds: z.number().min(0),
          command: z.object({ program: z.string().optional() }).optional(),
        }),
      ),
    }),
  }),
});

export interface FlowTask {
  /** Its number in the file, from 0: what a step and a schedule call it. */
  index: number;
  id: string;
  category: string;
  ms: number;
  parents: number[];
}

export interface RecordedFlow {
  name: string;
  tasks: FlowTask[];
}

/** A file that is no workflow: what is wrong with it, and where. */
export class FlowError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "FlowError";
  }
}

const BYTES_MAX = 256 * 1024 * 1024;

/** @param place the file, for what is said of it. @throws FlowError */
export function readFlow(bytes: Uint8Array, place: string): RecordedFlow {
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  let value: unknown;
  try {
    const plain = packed ? gunzipSync(bytes, { maxOutputLength: BYTES_MAX }) : bytes;
    // Decoded without the mark that some editors put before a text.
    value = JSON.parse(new TextDecoder().decode(plain));
  } catch (error) {
    throw new FlowError(`${place} is no JSON, packed or not: ${(error as Error).message}`);
  }
  const parsed = FileSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue?.path.join(".") || "the whole";
    const version = (value as { schemaVersion?: unknown } | null)?.schemaVersion;
    const other = version === undefined || version === "1.5" ? "" : `; it says to be ${version}`;
    const todo = "convert it with the tools of wfcommons.org";
    throw new FlowError(
      `${place} is no WfFormat 1.5: ${where}: ${issue?.message}${other}; ${todo}`,
    );
  }
  return flowOf(parsed.data, place);
}

function flowOf(file: z.infer<typeof FileSchema>, place: string): RecordedFlow {
  const { specification, execution } = file.workflow;
  for (const { tasks, of } of [
    { tasks: specification.tasks, of: "tasks" },
    { tasks: execution.tasks, of: "entries under workflow.execution" },
  ]) {
    const ids = new Set<string>();
    const twice = tasks.find(({ id }) => ids.size === ids.add(id).size);
    if (twice === undefined) continue;
    throw new FlowError(`${place}: two ${of} have the id ${twice.id}; leave one`);
  }
  const ran = new Map(execution.tasks.map((t) => [t.id, t]));
  const index = new Map(specification.tasks.map((t, i) => [t.id, i]));
  const numberOf = (id: string, said: string) => {
    const number = index.get(id);
    if (number !== undefined) return number;
    throw new FlowError(`${place}: ${said} ${id}, which is no task`);
  };
  // The form tells an edge at both of its ends; files made by hand tell some at one.
  const parents = specification.tasks.map((t) => {
    return new Set(t.parents.map((id) => numberOf(id, `${t.id} comes after`)));
  });
  specification.tasks.forEach((t, i) => {
    for (const id of t.children) parents[numberOf(id, `${t.id} comes before`)]?.add(i);
  });
  const tasks = specification.tasks.map((t, i): FlowTask => {
    const run = ran.get(t.id);
    if (run === undefined) {
      throw new FlowError(`${place}: task ${t.id} has no entry under workflow.execution`);
    }
    const category = categoryOf(run.command?.program, t.name || t.id);
    const ms = run.runtimeInSeconds * 1_000;
    return { index: i, id: t.id, category, ms, parents: [...(parents[i] as Set<number>)] };
  });
  const circle = cycles(graphOf(stepsOf(tasks, 1, "step")))[0];
  if (circle !== undefined) {
    const names = circle.map((i) => tasks[i]?.id).join(" → ");
    throw new FlowError(`${place}: ${names} wait for each other`);
  }
  return { name: file.name ?? basename(place), tasks };
}

/** The program's base name where that is one word; else the last part of the name, its number
 * taken off. */
export function categoryOf(program: string | undefined, name: string): string {
  const base = program?.split("/").at(-1) ?? "";
  if (/^[A-Za-z][A-Za-z0-9_.+-]*$/.test(base)) return base;
  return (name.split(".").at(-1) ?? name).replace(/_(ID)?\d+$/, "");
}

/** A category as a capability's name. */
export function capabilityOf(category: string): string {
  return category.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 64) || "step";
}

/** @param capability of every step; undefined: each category is one */
export function stepsOf(
  tasks: readonly FlowTask[],
  timeScale: number,
  capability: string | undefined,
): Workflow["steps"] {
  return tasks.map((t) => {
    const ms = scaled(t, timeScale);
    return {
      id: `s${t.index}`,
      capability: capability ?? capabilityOf(t.category),
      after: [...new Set(t.parents)].map((i) => `s${i}`),
      input: { ms },
      durationMs: ms,
    };
  });
}

/** Rounded-off durations of 0 get a floor: a scheduler needs a positive time. */
export function scaled(t: FlowTask, timeScale: number): number {
  return Math.max(1, t.ms * timeScale);
}
