// `parley task parked` and `parley task redrive`: tasks whose every attempt failed for reasons
// that may pass stay readable until somebody has looked at them, and can be done again.
import { hash } from "node:crypto";
import type { Command } from "commander";
import { ParleyError } from "../../contracts/failure.ts";
import { RETAIN_MS_PARKED } from "../../contracts/limits.ts";
import { CARRIED, type Spec } from "../../contracts/spec.ts";
import type { Peer, TaskOptions } from "../../mesh/index.ts";
import type { Inspector, TaskFile } from "../../mesh/inspector.ts";
import { CliError, usage } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { timeText } from "../lib/output.ts";
import { numberFrom, token } from "../lib/parse.ts";
import {
  checkSubmits,
  type Session,
  session,
  withInspector,
  withSubmitter,
} from "../lib/session.ts";
import { findTask, summary, warnOf } from "../lib/task-file.ts";

interface Options {
  owner?: string;
  cap?: string;
  all?: boolean;
  again?: boolean;
  limit: number;
}

export function registerTaskParked(task: Command): void {
  withExamples(
    task
      .command("parked")
      .description("tasks that failed in every attempt and wait for a person, newest first")
      .option("--cap <capability>", "only of this capability", token("capability"))
      .option("--owner <principal>", "only of this owner", token("owner"))
      .option("--limit <n>", "how many at most", numberFrom(1, 100_000), 50)
      .action((_options: Options, command: Command) => parked(command)),
    "parley task parked",
    "parley task parked --cap summarize --json | jq -r '.[].task'",
  );
  withExamples(
    task
      .command("redrive [ids...]")
      .description("do parked tasks again, as new tasks of yours; prints their ids")
      .option("--all", "every parked task that --cap and --owner leave, but for those begun again")
      .option("--again", "also what was begun again already")
      .option("--cap <capability>", "with --all: only of this capability", token("capability"))
      .option("--owner <principal>", "only of this owner", token("owner"))
      .option("--limit <n>", "with --all: how many at most", numberFrom(1, 100_000), 1_000)
      .action((ids: string[], _options: Options, command: Command) => redrive(command, ids)),
    "parley task redrive ID",
    "parley task redrive --all --cap summarize",
  );
}

async function find(mesh: Inspector, s: Session<Options>): Promise<TaskFile[]> {
  const { cap, owner, limit } = s.options;
  const found: TaskFile[] = [];
  for await (const file of mesh.list()) {
    s.signal.throwIfAborted();
    if (file.view.outcome?.parked !== true) continue;
    if (cap !== undefined && file.view.spec?.capability !== cap) continue;
    if (owner !== undefined && file.owner !== owner) continue;
    if (found.push(file) >= limit) break;
  }
  return found;
}

async function parked(command: Command): Promise<void> {
  const s = session<Options>(command);
  await withInspector(s, "read", async (mesh) => {
    const found = await find(mesh, s);
    const again = await Promise.all(found.map((file) => begunAgain(mesh, file)));
    const shown = (file: TaskFile, i: number) => ({ ...summary(file), again: again[i]?.task });
    if (s.out.json) s.out.document(found.map(shown));
    else if (found.length === 0) s.out.note("no task is parked");
    else
      s.out.table(
        HEADS,
        found.map((file, i) => row(file, again[i])),
      );
    for (const file of found) warnOf(s.out, file);
    if (found.length > 0) s.out.note("do one again: parley task redrive ID");
  });
}

const HEADS = ["TASK", "CAPABILITY", "OWNER", "ATTEMPTS", "ENDED", "AGAIN", "WHY"];

function row(file: TaskFile, again: TaskFile | undefined): string[] {
  const { view } = file;
  const why = view.outcome?.failure;
  return [
    file.task,
    view.spec?.capability ?? "?",
    file.owner,
    String(view.epoch - view.left),
    timeText(view.endedAt) ?? "-",
    again === undefined ? "-" : `${again.task}: ${again.view.state}`,
    why === undefined ? "-" : `${why.code}: ${why.message.split("\n")[0]?.slice(0, 80)}`,
  ];
}

async function redrive(command: Command, ids: readonly string[]): Promise<void> {
  const s = session<Options>(command);
  if ((ids.length === 0) === (s.options.all !== true)) {
    throw usage("name the tasks, or say --all", "parley task redrive ID    (see: task parked)");
  }
  await withInspector(s, "read", async (mesh) => {
    const specs = ids.length === 0 ? await allOf(mesh, s) : await namedOf(mesh, s, ids);
    if (specs.length === 0) {
      s.out.note("no task is parked that was not begun again");
      return s.out.json ? s.out.document([]) : undefined;
    }
    await withSubmitter(s, ({ submitters }, _opened, target) => {
      checkSubmits(target);
      return again(s, mesh, submitters, specs);
    });
  });
}

async function allOf(mesh: Inspector, s: Session<Options>): Promise<Spec[]> {
  const specs: Spec[] = [];
  for (const file of await find(mesh, s)) {
    const done = s.options.again !== true && (await begunAgain(mesh, file)) !== undefined;
    if (!done) specs.push(specOf(file));
  }
  return specs;
}

async function namedOf(
  mesh: Inspector,
  s: Session<Options>,
  ids: readonly string[],
): Promise<Spec[]> {
  const specs: Spec[] = [];
  for (const id of new Set(ids)) {
    const file = await findTask(mesh, token("task")(id), s.options.owner);
    const spec = specOf(file);
    const before = s.options.again === true ? undefined : await begunAgain(mesh, file);
    if (before !== undefined) {
      const isParked = before.view.outcome?.parked === true;
      throw new CliError("E_TAKEN", `task ${id} was begun again: ${before.task}`, {
        next: `parley task ${isParked ? "redrive" : "get"} ${before.task}    (or say --again)`,
      });
    }
    specs.push(spec);
  }
  return specs;
}

/** The task that was made of a parked one. It stays readable for as long as that one. */
async function begunAgain(mesh: Inspector, file: TaskFile): Promise<TaskFile | undefined> {
  const made = await mesh.tasks(againId(file.owner, file.task));
  return made.find(({ view }) => view.spec?.redriveOf === file.task);
}

/** The same whoever makes it: two who do it at a time make one task. */
function againId(owner: string, task: string): string {
  return `r-${hash("sha256", `${owner}.${task}`, "base64url").slice(0, 30)}`;
}

/** One after the other: an input that is gone costs the other tasks nothing. */
async function again(
  s: Session<Options>,
  mesh: Inspector,
  submitters: Peer["submitters"],
  specs: readonly Spec[],
): Promise<void> {
  const made: { task: string; redriveOf: string }[] = [];
  const gone: string[] = [];
  try {
    for (const spec of specs) {
      s.signal.throwIfAborted();
      const input = await inputOf(mesh, spec);
      if (input === undefined) {
        gone.push(spec.task);
        continue;
      }
      const { task } = await submitters.submit(
        spec.capability,
        input.value,
        repeated(spec, s.options.again === true, Date.now()),
      );
      made.push({ task, redriveOf: spec.task });
      if (!s.out.json) s.out.text(task);
    }
  } finally {
    if (s.out.json) s.out.document(made);
  }
  if (gone.length === 0) return;
  throw new CliError("E_ARTEFACT", `the input is not kept any more: ${gone.join(", ")}`, {
    next: "give it again: parley submit CAPABILITY - < input.json",
  });
}

/**
 * A large input is read, and sealed anew for as long as the new task may take; undefined when it
 * is gone.
 */
async function inputOf(mesh: Inspector, spec: Spec): Promise<{ value: unknown } | undefined> {
  try {
    return { value: await mesh.input(spec) };
  } catch (error) {
    if (error instanceof ParleyError && error.code === "E_ARTEFACT") return undefined;
    throw error;
  }
}

/** @throws CliError E_TERMINAL when the task is not parked */
function specOf(file: TaskFile): Spec {
  const { spec, outcome, state } = file.view;
  if (spec !== undefined && outcome?.parked === true) return spec;
  throw new CliError("E_TERMINAL", `task ${file.task} is not parked: it is ${state}`, {
    next: "parley task parked",
  });
}

/** The same task with as much time as it had; its parent's contract is over. */
function repeated(spec: Spec, isFurther: boolean, now: number): TaskOptions {
  const options: TaskOptions = {
    redriveOf: spec.task,
    deadline: now + spec.deadline - spec.at,
    ...(isFurther ? {} : { task: againId(spec.owner, spec.task) }),
  };
  for (const name of [...CARRIED, "priority", "retry"] as const) {
    if (spec[name] !== undefined) Object.assign(options, { [name]: spec[name] });
  }
  options.retainMs = Math.max(spec.retainMs ?? 0, RETAIN_MS_PARKED);
  return options;
}
