// `parley task answer`: answers a question that a handler asked. Its contractor writes the answer
// into the task's journal; only then is it given.
import { isDeepStrictEqual } from "node:util";
import type { Command } from "commander";
import { entriesOf, type Inspector, type TaskFile } from "../../mesh/inspector.ts";
import { CliError, usage } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { readInput } from "../lib/input.ts";
import { orInterrupted } from "../lib/interrupt.ts";
import { token } from "../lib/parse.ts";
import { session, withInspector } from "../lib/session.ts";
import { findTask } from "../lib/task-file.ts";

interface Options {
  owner?: string;
  question?: string;
}

/** How long the contractor may take to write the answer down, ms, unless --timeout says more. */
const WAIT_MS = 10_000;
/** A message may be lost: it is said again, ms. */
const AGAIN_MS = 100;

export function registerTaskAnswer(task: Command): void {
  withExamples(
    task
      .command("answer <id> <answer>")
      .description("answer a question that a task asks. Answer: JSON, or - for a pipe")
      .option("--question <key>", "which, where it asks several")
      .option("--owner <principal>", "whose, where two owners chose the same id", token("owner"))
      .action((id: string, text: string, _o: Options, command: Command) =>
        answer(command, id, text),
      ),
    `parley task answer ID '{"approved":true}'`,
    `parley task answer ID '"yes"' --question 3`,
  );
}

async function answer(command: Command, id: string, text: string): Promise<void> {
  const s = session<Options>(command);
  const value = await readInput(text);
  await withInspector(s, "admin", async (mesh) => {
    const file = await findTask(mesh, token("task")(id), s.options.owner);
    const key = chosen(file, s.options.question);
    await orInterrupted(give(mesh, file, key, value, s.options.timeout ?? WAIT_MS));
    if (s.out.json) s.out.document({ task: id, owner: file.owner, question: key, answered: true });
    else s.out.text("answered");
  });
}

function chosen(file: TaskFile, wanted: string | undefined): string {
  const { questions, state } = file.view;
  const keys = questions.map((q) => q.key);
  if (wanted !== undefined && !keys.includes(wanted)) {
    throw usage(`task ${file.task} asks nothing under "${wanted}"`, `it asks: ${keys.join(", ")}`);
  }
  const [first, ...others] = keys;
  if (first === undefined) {
    throw new CliError("E_TERMINAL", `task ${file.task} asks nothing: it is ${state}`, {
      next: "parley task ls --needs-input",
    });
  }
  if (wanted === undefined && others.length > 0) {
    throw usage(`it asks ${keys.length} questions`, `name one: --question ${keys.join(" | ")}`);
  }
  return wanted ?? first;
}

/** Several people may answer; the one that was written down counts. @throws CliError E_TAKEN */
async function counts(
  mesh: Inspector,
  { task, records, view }: TaskFile,
  key: string,
  value: unknown,
): Promise<boolean> {
  const kept = entriesOf(records).find((entry) => entry.key === `${key}!`);
  // Closed in another way: whether the task is over, the caller sees.
  if (kept === undefined || view.spec === undefined) return false;
  const said =
    kept.ref === undefined ? kept.value : await mesh.input({ ...view.spec, inputRef: kept.ref });
  if (isDeepStrictEqual(said, value)) return true;
  throw new CliError("E_TAKEN", `task ${task} was given another answer: ${JSON.stringify(said)}`, {
    next: `parley task get ${task}`,
  });
}

/** Says it until the journal shows it. */
async function give(
  mesh: Inspector,
  file: TaskFile,
  key: string,
  value: unknown,
  waitMs: number,
): Promise<void> {
  const end = Date.now() + waitMs;
  for (;;) {
    const now = (await mesh.tasks(file.task)).find((f) => f.owner === file.owner);
    const open = now?.view.questions.some((q) => q.key === key) === true;
    if (now !== undefined && !open && (await counts(mesh, now, key, value))) return;
    if (now === undefined || now.view.outcome !== undefined) {
      throw new CliError("E_TERMINAL", `task ${file.task} is over`);
    }
    if (Date.now() > end) {
      throw new CliError("E_TIMEOUT", `nobody took the answer to task ${file.task}`, {
        next: "again in a moment: its contractor may have changed",
      });
    }
    await mesh.answer(now, key, value);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
