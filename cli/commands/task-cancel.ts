// `parley task cancel`: a signed, fenced record, like everything that changes a task.
import type { Command } from "commander";
import { WORKFLOW } from "../../contracts/index.ts";
import type { Inspector, TaskFile } from "../../mesh/inspector.ts";
import { CliError } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { orInterrupted } from "../lib/interrupt.ts";
import { lateSignal } from "../lib/late.ts";
import { token } from "../lib/parse.ts";
import { session, withInspector } from "../lib/session.ts";
import { findTask } from "../lib/task-file.ts";

interface Options {
  owner?: string;
  reason: string;
  now?: boolean;
}

/** How long the initiator may take to end the task, ms, unless --timeout says otherwise. */
const WAIT_MS = 10_000;

export function registerTaskCancel(task: Command): void {
  withExamples(
    task
      .command("cancel <id>")
      .description("stop a task, and wait until it has ended")
      .option("--owner <principal>", "whose, where two owners chose the same id", token("owner"))
      .option("--reason <text>", "why; the contractor sees it", "canceled by an operator")
      .option("--now", "end a workflow without waiting until it has undone what it did")
      .action((id: string, _options: Options, command: Command) => cancel(command, id)),
    "parley task cancel ID",
    "parley task cancel ID --reason 'wrong input'",
    "parley task cancel ID --now",
  );
}

async function cancel(command: Command, id: string): Promise<void> {
  const s = session<Options>(command);
  await withInspector(s, "admin", async (mesh) => {
    const file = await findTask(mesh, token("task")(id), s.options.owner);
    const { spec, contract, outcome } = file.view;
    const flow = spec?.capability === WORKFLOW && contract !== undefined && outcome === undefined;
    if (flow && s.options.now !== true) {
      return (await import("./workflow-acts.ts")).undo(mesh, s, file);
    }
    const ended = outcomeOf(mesh, file);
    try {
      const state = file.view.outcome?.state ?? (await stop(mesh, file, s.options, ended.promise));
      if (s.out.json) s.out.document({ task: file.task, owner: file.owner, state });
      else s.out.text(state);
      if (state === "canceled") return;
      throw new CliError("E_TERMINAL", `task ${id} was over already: ${state}`, {
        next: `parley task get ${id}`,
      });
    } finally {
      ended.stop();
    }
  });
}

function outcomeOf(mesh: Inspector, file: TaskFile): { promise: Promise<string>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<string>();
  const watching = mesh.watch(file.task, {
    record: (r) => {
      if (r.kind !== "outcome" || r.key.owner !== file.owner) return;
      resolve((r.body as { state: string }).state);
    },
  });
  return { promise, stop: () => watching.stop() };
}

async function stop(
  mesh: Inspector,
  file: TaskFile,
  options: { reason: string; timeout?: number },
  ended: Promise<string>,
): Promise<string> {
  const written = await orInterrupted(mesh.cancel(file, options.reason));
  if (written === "ended") {
    const now = (await mesh.tasks(file.task)).find((f) => f.owner === file.owner);
    return now?.view.state ?? "gone";
  }
  const waitMs = options.timeout ?? WAIT_MS;
  const late = lateSignal(waitMs);
  return orInterrupted(
    new Promise<string>((resolve, reject) => {
      ended.then(resolve, reject);
      late.addEventListener(
        "abort",
        () =>
          reject(
            new CliError(
              "E_TIMEOUT",
              `the cancel record is stored, but no initiator has ended task ${file.task} yet`,
              { next: `parley task watch ${file.task}` },
            ),
          ),
        { once: true },
      );
    }),
  );
}
