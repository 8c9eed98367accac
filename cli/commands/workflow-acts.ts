// What `parley workflow ls|get|history|cancel|change|retry|show` do; loaded when one is called.
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import {
  CHANGE_KEY,
  type FailureRecord,
  STOP_KEY,
  WORKFLOW,
  type WorkflowChange,
  WorkflowChangeSchema,
} from "../../contracts/index.ts";
import type { Inspector, TaskFile } from "../../mesh/inspector.ts";
import { CliError, usage } from "../lib/errors.ts";
import {
  changesOf,
  type FlowFile,
  findFlow,
  readFlow,
  rowsOf,
  stepOfKey,
} from "../lib/flow-file.ts";
import { flowPicture } from "../lib/flow-picture.ts";
import { readJsonFile } from "../lib/input.ts";
import { orInterrupted } from "../lib/interrupt.ts";
import { lengthText, timeText } from "../lib/output.ts";
import { token } from "../lib/parse.ts";
import {
  checkSubmits,
  type Session,
  session,
  withInspector,
  withSubmitter,
} from "../lib/session.ts";
import { findTask, summary, tookText } from "../lib/task-file.ts";

interface Options {
  owner?: string;
  limit: number;
  reason: string;
  output?: string;
}

/** How long a workflow's contractor may take to answer, ms, unless --timeout says more. */
const WAIT_MS = 30_000;
const AGAIN_MS = 100;

export async function ls(command: Command): Promise<void> {
  const s = session<Options>(command);
  await withInspector(s, "read", async (mesh) => {
    const found: { file: TaskFile; name: string }[] = [];
    for await (const file of mesh.list()) {
      s.signal.throwIfAborted();
      const { spec } = file.view;
      if (spec?.capability !== WORKFLOW || spec.parent !== undefined) continue;
      const input = spec.input as { definition?: { name?: string }; use?: string } | undefined;
      const name = input?.definition?.name ?? input?.use ?? "?";
      if (found.push({ file, name }) >= s.options.limit) break;
    }
    if (s.out.json) {
      return s.out.document(found.map(({ file, name }) => ({ ...summary(file), name })));
    }
    if (found.length === 0) return s.out.note("no workflows");
    s.out.table(
      ["WORKFLOW", "NAME", "STATE", "OWNER", "CONTRACTOR", "TOOK", "SUBMITTED"],
      found.map(({ file, name }) => [
        file.task,
        name,
        file.view.state,
        file.owner,
        file.view.contract?.contractor ?? "-",
        tookText(file),
        timeText(file.view.submittedAt) ?? "-",
      ]),
    );
  });
}

function withFlow(
  command: Command,
  id: string,
  use: (flow: FlowFile, s: Session<Options>) => void | Promise<void>,
): Promise<void> {
  const s = session<Options>(command);
  return withInspector(s, "read", async (mesh) => {
    await use(await readFlow(mesh, token("task")(id), s.options.owner), s);
  });
}

export function get(command: Command, id: string): Promise<void> {
  return withFlow(command, id, (flow, { out }) => {
    const { name, version } = flow.definition;
    const rows = rowsOf(flow);
    if (out.json) {
      const steps = rows.map((row) => ({
        ...row,
        startedAt: timeText(row.startedAt),
        endedAt: timeText(row.endedAt),
      }));
      return out.document({ ...summary(flow.file), name, version, changes: flow.changes, steps });
    }
    out.text(`${name} ${version}: ${flow.file.view.state}`);
    out.table(
      ["STEP", "STATE", "CAPABILITY", "CONTRACTOR", "TASKS", "TOOK"],
      rows.map((row) => [
        row.id,
        row.state,
        row.capability,
        row.contractor ?? "-",
        String(row.tasks),
        row.startedAt === undefined ? "-" : lengthText((row.endedAt ?? Date.now()) - row.startedAt),
      ]),
    );
    const { failure } = flow.file.view.outcome ?? {};
    if (failure !== undefined) out.text(`${failure.code}: ${failure.message}`);
  });
}

interface Happening {
  at: number;
  step: string;
  what: string;
}

function fate({ leaving }: Partial<FailureRecord>): string {
  return leaving === true ? "handed back" : "attempt failed";
}

/** Of the workflow itself, and of each of its tasks. */
function happenings(flow: FlowFile): Happening[] {
  const of = (step: string, file: TaskFile): Happening[] =>
    file.records.flatMap((r) => {
      if (r.flaw !== undefined) return [];
      const at = r.storedAt;
      const body = r.body as Partial<FailureRecord> & { state?: string };
      switch (r.kind) {
        case "spec":
          return { at, step, what: "submitted" };
        case "contract":
          return { at, step, what: `taken by ${r.from} (epoch ${body.epoch})` };
        case "failure":
          return {
            at,
            step,
            what: `${fate(body)}: ${body.failure?.message ?? ""}`,
          };
        case "cancel":
          return { at, step, what: "cancel" };
        case "outcome":
          return { at, step, what: body.failure?.message ?? body.state ?? "ended" };
        default:
          return [];
      }
    });
  return [...of("", flow.file), ...flow.tasks.flatMap(({ key, file }) => of(key, file))].sort(
    (a, b) => a.at - b.at,
  );
}

export function history(command: Command, id: string): Promise<void> {
  return withFlow(command, id, (flow, { out }) => {
    const all = happenings(flow);
    if (out.json) return out.document(all.map((h) => ({ ...h, at: timeText(h.at) })));
    const begun = all[0]?.at ?? 0;
    out.table(
      ["AFTER", "STEP", "WHAT"],
      all.map((h) => [lengthText(h.at - begun), h.step === "" ? "(workflow)" : h.step, h.what]),
    );
  });
}

export function show(command: Command, id: string): Promise<void> {
  return withFlow(command, id, async (flow, { out, options }) => {
    const svg = flowPicture(flow.definition, rowsOf(flow), flow.file.view.submittedAt);
    if (options.output === undefined) return out.json ? out.document({ svg }) : out.text(svg);
    await writeFile(options.output, svg);
    if (out.json) out.document({ file: options.output });
    out.note(`written to ${options.output}`);
  });
}

/** Says a word to whoever runs the workflow until something shows that it was heard. */
async function tell(
  mesh: Inspector,
  flow: TaskFile,
  key: string,
  value: unknown,
  heard: (now: TaskFile) => boolean,
  waitMs: number,
): Promise<TaskFile> {
  const end = Date.now() + waitMs;
  for (;;) {
    const now = await findTask(mesh, flow.task, flow.owner);
    if (heard(now) || now.view.outcome !== undefined) return now;
    if (Date.now() > end) {
      throw new CliError("E_TIMEOUT", `nobody has taken that word to workflow ${flow.task}`, {
        next: "again in a moment: its contractor may have changed",
      });
    }
    await mesh.answer(now, `=${key}`, value);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

export async function cancel(command: Command, id: string): Promise<void> {
  const s = session<Options>(command);
  await withInspector(s, "admin", async (mesh) => {
    const file = await findFlow(mesh, token("task")(id), s.options.owner);
    if (file.view.outcome !== undefined) throw over(file);
    await undo(mesh, s, file);
  });
}

/** Tells whoever runs the workflow to undo what it has done, and waits for its end. */
export async function undo(
  mesh: Inspector,
  s: Session<Pick<Options, "reason">>,
  file: TaskFile,
): Promise<void> {
  const { timeout = WAIT_MS, reason } = s.options;
  const ended = await orInterrupted(tell(mesh, file, STOP_KEY, reason, () => false, timeout));
  const { state, failure } = ended.view.outcome ?? {};
  if (s.out.json) s.out.document({ task: file.task, owner: file.owner, state, failure });
  else s.out.text(`${state}: ${failure?.message ?? ""}`);
  if (failure?.code !== "E_CANCELED") throw over(ended);
}

function over(file: TaskFile): CliError {
  return new CliError("E_TERMINAL", `workflow ${file.task} is over: ${file.view.state}`, {
    next: `parley workflow get ${file.task}`,
  });
}

export async function change(command: Command, id: string, path: string): Promise<void> {
  const s = session<Options>(command);
  const parsed = WorkflowChangeSchema.safeParse(await readJsonFile(path));
  if (!parsed.success) {
    const lines = parsed.error.issues.map(
      (i) => `${i.path.join(".") || "the change"}: ${i.message}`,
    );
    throw usage(lines.join("\n"), "a change has add, drop or replace: docs/workflows.md");
  }
  if (Object.values(parsed.data).every((wishes) => wishes === undefined || wishes.length === 0)) {
    throw usage("this changes nothing", "a change has add, drop or replace: docs/workflows.md");
  }
  const wish = { id: randomUUID(), change: parsed.data satisfies WorkflowChange };
  await withInspector(s, "admin", async (mesh) => {
    const file = await findFlow(mesh, token("task")(id), s.options.owner);
    if (file.view.outcome !== undefined) throw over(file);
    const kept = (now: TaskFile) => changesOf(now.records).find((c) => c.id === wish.id);
    const { timeout = WAIT_MS } = s.options;
    const heard = (now: TaskFile) => kept(now) !== undefined;
    const now = await orInterrupted(tell(mesh, file, CHANGE_KEY, wish, heard, timeout));
    const answer = kept(now);
    if (answer === undefined) throw over(now);
    if (answer.refused !== undefined) throw usage(answer.refused.join("\n"));
    if (s.out.json) s.out.document({ task: id, owner: file.owner, changed: true });
    else s.out.text("changed");
  });
}

/** What completed and cannot have been undone is given to the next run. */
export async function retry(command: Command, id: string): Promise<void> {
  const s = session<Options>(command);
  const { flow, given } = await withInspector(s, "read", async (mesh) => {
    const flow = await readFlow(mesh, token("task")(id), s.options.owner);
    return { flow, given: { ...flow.given, ...(await outputsOf(mesh, flow)) } };
  });
  const { outcome, spec } = flow.file.view;
  if (outcome === undefined || outcome.state === "completed") {
    throw usage(`workflow ${id} is ${flow.file.view.state}: there is nothing to try again`);
  }
  const { definition, params } = flow;
  const input = { definition, params, given };
  const timeoutMs = s.options.timeout ?? (spec === undefined ? 60_000 : spec.deadline - spec.at);
  await withSubmitter(s, async (peer, _opened, target) => {
    checkSubmits(target);
    const again = { redriveOf: flow.file.task, timeoutMs };
    const { task, owner } = await peer.submitters.submit(WORKFLOW, input, again);
    const kept = Object.keys(given);
    if (s.out.json) return s.out.document({ task, owner, redriveOf: flow.file.task, given: kept });
    s.out.text(task);
    s.out.note(`${kept.length} of ${definition.steps.length} steps are not done again`);
  });
}

async function outputsOf(mesh: Inspector, flow: FlowFile): Promise<Record<string, unknown>> {
  const plain = flow.definition.steps.filter(
    (step) => !step.compensate && !step.each && !step.repeat,
  );
  const ids = new Set(plain.map((step) => step.id));
  const outputs: Record<string, unknown> = {};
  for (const { key, file } of flow.tasks) {
    const { outcome } = file.view;
    if (key !== stepOfKey(key) || !ids.has(key) || outcome?.state !== "completed") continue;
    outputs[key] = (await mesh.output(outcome)) ?? null;
  }
  return outputs;
}
