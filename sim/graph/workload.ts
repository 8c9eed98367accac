// Workloads whose tasks come after one another: recorded workflows (WfFormat), recorded runs of
// agents, and job shops, whose machines differ in what they can do and in how long it takes them.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { cycles, ranks } from "../../mesh/core/workflow/graph.ts";
import { readFlow } from "../flow/wfformat.ts";
import { WorkloadError } from "../workload/task.ts";
import { isAgentRuns, readAgentRuns } from "./agent-runs.ts";

export interface GraphTask {
  /** Indices of the tasks that it comes after. */
  parents: readonly number[];
  /** On an ordinary agent, ms; of a job shop its mean over the able machines. */
  ms: number;
  /** Longest way from its beginning to the end of everything, ms. */
  rank: number;
  /** Machines that can do it, and how long each takes, ms; absent: any agent can. */
  on?: ReadonlyMap<number, number>;
}

export interface GraphWorkload {
  name: string;
  kind: "workflow" | "shop";
  tasks: readonly GraphTask[];
  /** Of a shop: how many machines there are. */
  machines?: number;
}

const OPERATIONS_MAX = 1_000_000;

const ShopSchema = z.object({
  instance: z.string().default("shop"),
  operations: z
    .array(
      z.object({
        operation: z
          .int()
          .min(0)
          .max(OPERATIONS_MAX - 1),
        machine: z.int().min(0).max(10_000),
        duration: z.number().positive(),
      }),
    )
    .min(1)
    .max(OPERATIONS_MAX),
  precedences: z.array(z.object({ before: z.int().min(0), after: z.int().min(0) })),
});

/** One time unit of a job shop, ms: what a message costs is small beside it. */
const UNIT_MS = 1_000;
const BYTES_MAX = 256 * 1024 * 1024;

const JSON_FILE = /\.json(\.gz)?$/i;

/** Is this a graph? The trace of a queue is a table, and so are recorded runs of agents. */
export function isGraphFile(file: string): boolean {
  return JSON_FILE.test(file) || isAgentRuns(file);
}

/** @throws WorkloadError, FlowError */
export function readGraph(file: string): GraphWorkload {
  if (!JSON_FILE.test(file)) {
    return { name: basename(file), kind: "workflow", tasks: ranked(readAgentRuns(file)) };
  }
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new WorkloadError("unreadable", file, `cannot be read (${why}); check the path`);
  }
  const value = parse(bytes, file) as { operations?: unknown } | null;
  if (value !== null && typeof value === "object" && value.operations !== undefined) {
    return shopOf(value, file);
  }
  return workflowOf(bytes, file);
}

function parse(bytes: Uint8Array, file: string): unknown {
  try {
    const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
    const plain = packed ? gunzipSync(bytes, { maxOutputLength: BYTES_MAX }) : bytes;
    // Decoded without the mark that some editors put before a text.
    return JSON.parse(new TextDecoder().decode(plain));
  } catch (error) {
    const todo = `is no JSON, packed or not (${(error as Error).message})`;
    throw new WorkloadError("unreadable", file, todo);
  }
}

function workflowOf(bytes: Uint8Array, file: string): GraphWorkload {
  const flow = readFlow(bytes, file);
  const tasks = flow.tasks.map((t) => ({ parents: t.parents, ms: Math.max(1, t.ms) }));
  return { name: basename(file), kind: "workflow", tasks: ranked(tasks) };
}

function shopOf(value: unknown, file: string): GraphWorkload {
  const parsed = ShopSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const todo = `is no job shop: ${issue?.path.join(".")}: ${issue?.message}`;
    throw new WorkloadError("row", file, todo);
  }
  const { operations, precedences } = parsed.data;
  const count = Math.max(...operations.map((o) => o.operation)) + 1;
  const on = Array.from({ length: count }, () => new Map<number, number>());
  for (const { operation, machine, duration } of operations) {
    if (on[operation]?.has(machine)) {
      const todo = `operation ${operation} has two durations on machine ${machine}; leave one`;
      throw new WorkloadError("row", file, todo);
    }
    on[operation]?.set(machine, duration * UNIT_MS);
  }
  const parents = Array.from({ length: count }, (): number[] => []);
  for (const { before, after } of precedences) {
    if (before >= count || after >= count) {
      throw new WorkloadError("row", file, `operation ${Math.max(before, after)} is not described`);
    }
    parents[after]?.push(before);
  }
  const tasks = on.map((able, i) => {
    if (able.size === 0) throw new WorkloadError("row", file, `no machine can do operation ${i}`);
    const ms = [...able.values()].reduce((a, b) => a + b, 0) / able.size;
    return { parents: parents[i] ?? [], ms, on: able };
  });
  const circle = cycles(graphOfParents(tasks))[0];
  if (circle !== undefined) {
    throw new WorkloadError("row", file, `operations ${circle.join(" → ")} wait for each other`);
  }
  const machines = Math.max(...operations.map((o) => o.machine)) + 1;
  return { name: basename(file), kind: "shop", tasks: ranked(tasks), machines };
}

function ranked(tasks: readonly Omit<GraphTask, "rank">[]): GraphTask[] {
  const rank = ranks(graphOfParents(tasks), (i) => tasks[i]?.ms ?? 0);
  return tasks.map((t, i) => ({ ...t, rank: rank[i] ?? 0 }));
}

export function graphOfParents(tasks: readonly Pick<GraphTask, "parents">[]) {
  const after = tasks.map((): number[] => []);
  tasks.forEach((t, i) => {
    for (const p of t.parents) after[p]?.push(i);
  });
  return { before: tasks.map((t) => [...t.parents]), after, index: new Map<string, number>() };
}
