// A workflow as the store shows it: its definition with all changes, and the tasks of its steps.
import { subTaskId } from "../../agent-sdk/durable-run.ts";
import { readWorkflow } from "../../agent-sdk/read-workflow.ts";
import {
  changeKey,
  type KeptChange,
  type Spec,
  type Step,
  WORKFLOW,
  type Workflow,
} from "../../contracts/index.ts";
import { changed } from "../../mesh/core/workflow/change.ts";
import {
  entriesOf,
  type Inspector,
  type ProvenRecord,
  type TaskFile,
} from "../../mesh/inspector.ts";
import { CliError } from "./errors.ts";
import { findTask } from "./task-file.ts";

/** Tries of one step over failed attempts of the workflow's contractor that are looked for. */
const TRIES_MAX = 16;

export interface FlowTask {
  /** `step`, `step.2` of a map, `step:1` of a loop, `step~undo`, `~exit`; "?": not known. */
  key: string;
  file: TaskFile;
}

export interface FlowFile {
  file: TaskFile;
  definition: Workflow;
  params: Record<string, unknown>;
  /** Outputs that it was given with its input. */
  given: Record<string, unknown>;
  changes: KeptChange[];
  /** In the order of their submission. */
  tasks: FlowTask[];
}

export interface StepRow {
  id: string;
  capability: string;
  state: string;
  contractor: string | undefined;
  startedAt: number | undefined;
  endedAt: number | undefined;
  tasks: number;
}

/** The workflow's own task. @throws CliError E_NOT_FOUND, E_USAGE when it is no workflow */
export async function findFlow(
  mesh: Inspector,
  id: string,
  owner: string | undefined,
): Promise<TaskFile & { spec: Spec }> {
  const file = await findTask(mesh, id, owner);
  const { spec } = file.view;
  if (spec?.capability === WORKFLOW) return { ...file, spec };
  throw new CliError("E_USAGE", `task ${id} is no workflow: it asks for ${spec?.capability}`, {
    next: `parley task get ${id}`,
  });
}

/** With its definition and the tasks of its steps. @throws CliError as `findFlow` */
export async function readFlow(
  mesh: Inspector,
  id: string,
  owner: string | undefined,
): Promise<FlowFile> {
  const { spec, ...file } = await findFlow(mesh, id, owner);
  const input = (await mesh.input(spec)) as Record<string, Record<string, unknown> | undefined>;
  const changes = changesOf(file.records);
  const { params = {}, given = {} } = input;
  const found = input.definition ?? (await usedDefinition(mesh, file));
  const definition = changes
    .filter(({ refused }) => refused === undefined)
    .reduce((now, { change }) => changed(now, change), readWorkflow(found));
  return { file, definition, params, given, changes, tasks: await tasksOf(mesh, file, definition) };
}

/** A stored definition as its contractor found it. */
async function usedDefinition(mesh: Inspector, { task, records, view }: TaskFile) {
  const entry = entriesOf(records).find((e) => e.key === "=definition");
  if (entry === undefined || view.spec === undefined) {
    const why = view.outcome?.failure;
    throw new CliError(
      "E_NOT_FOUND",
      why === undefined
        ? `workflow ${task} has not begun: no definition is known yet`
        : `workflow ${task} has no definition: ${why.message}`,
      { next: "parley workflow stored" },
    );
  }
  if (entry.failure !== undefined) {
    throw new CliError(
      "E_NOT_FOUND",
      `workflow ${task} has no definition: ${entry.failure.message}`,
      { next: "parley workflow stored" },
    );
  }
  return entry.ref === undefined ? entry.value : mesh.input({ ...view.spec, inputRef: entry.ref });
}

export function changesOf(records: readonly ProvenRecord[]): KeptChange[] {
  const kept = new Map(entriesOf(records).map((entry) => [entry.key, entry.value]));
  const changes: KeptChange[] = [];
  for (let n = 0; kept.has(`=${changeKey(n)}`); n++) {
    changes.push(kept.get(`=${changeKey(n)}`) as KeptChange);
  }
  return changes;
}

/** Its sub-tasks are younger than it is: the list ends where it stands itself. */
async function tasksOf(mesh: Inspector, flow: TaskFile, w: Workflow): Promise<FlowTask[]> {
  const files: TaskFile[] = [];
  for await (const file of mesh.list()) {
    if (file.owner !== flow.owner) continue;
    if (file.task === flow.task) break;
    if (file.view.spec?.parent?.task === flow.task) files.push(file);
  }
  const wanted = new Set(files.map((file) => file.task));
  const names = new Map<string, string>();
  for (const key of keysOf(w.steps, files.length)) {
    if (names.size === wanted.size) break;
    for (let again = 0; again < TRIES_MAX; again++) {
      const id = subTaskId(flow.owner, flow.task, `=${key}`, again);
      if (!wanted.has(id)) break;
      names.set(id, key);
    }
  }
  return files.reverse().map((file) => ({ key: names.get(file.task) ?? "?", file }));
}

function* keysOf(steps: readonly Step[], most: number): Generator<string> {
  for (const step of steps) {
    yield step.id;
    if (step.compensate !== undefined) yield `${step.id}~undo`;
  }
  yield "~exit";
  for (const { id, each, repeat } of steps) {
    for (let n = 0; each !== undefined && n <= most; n++) yield `${id}.${n}`;
    for (let n = 1; repeat !== undefined && n < repeat.rounds; n++) yield `${id}:${n}`;
  }
}

export function stepOfKey(key: string): string {
  return key.split(/[.:~]/, 1)[0] ?? key;
}

/** One row a step, in the order of the definition, then what undid and ended it. */
export function rowsOf(flow: FlowFile): StepRow[] {
  const dropped = new Set(flow.changes.flatMap((c) => (c.refused ? [] : (c.change.drop ?? []))));
  const groups = new Map<string, TaskFile[]>();
  for (const { key, file } of flow.tasks) {
    const name = key.includes("~") || key === "?" ? key : stepOfKey(key);
    groups.set(name, [...(groups.get(name) ?? []), file]);
  }
  const rows = flow.definition.steps.map((step): StepRow => {
    const files = groups.get(step.id) ?? [];
    groups.delete(step.id);
    const idle = dropped.has(step.id)
      ? "dropped"
      : step.id in flow.given
        ? "given"
        : flow.file.view.outcome === undefined
          ? "pending"
          : flow.file.view.state === "completed"
            ? "skipped"
            : "never begun";
    return rowOf(step.id, step.capability, files, idle);
  });
  for (const [key, files] of groups) {
    rows.push(rowOf(key, files[0]?.view.spec?.capability ?? "?", files, "pending"));
  }
  return rows;
}

function rowOf(id: string, capability: string, files: TaskFile[], idle: string): StepRow {
  const states = files.map((file) => file.view.state);
  const open = files.some((file) => file.view.outcome === undefined);
  const odd = states.find((state) => state !== "completed");
  const state = files.length === 0 ? idle : open ? "running" : (odd ?? "completed");
  const starts = files.flatMap((f) => f.view.contractAt ?? []);
  const ends = files.flatMap((f) => f.view.endedAt ?? []);
  const contractors = new Set(files.flatMap((f) => f.view.contract?.contractor ?? []));
  return {
    id,
    capability,
    state,
    contractor: contractors.size > 1 ? `${contractors.size} agents` : [...contractors][0],
    startedAt: starts.length > 0 ? Math.min(...starts) : undefined,
    endedAt: open || ends.length === 0 ? undefined : Math.max(...ends),
    tasks: files.length,
  };
}
