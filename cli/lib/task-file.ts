// Finding one task, and showing it.
import type { Inspector, ProvenRecord, TaskFile } from "../../mesh/inspector.ts";
import { CliError } from "./errors.ts";
import { lengthText, type Output, timeText } from "./output.ts";

/** @throws CliError E_NOT_FOUND, or E_USAGE when two owners have a task of that id */
export async function findTask(
  mesh: Inspector,
  task: string,
  owner: string | undefined,
): Promise<TaskFile> {
  const found = (await mesh.tasks(task)).filter((f) => owner === undefined || f.owner === owner);
  const [file, ...others] = found;
  if (file === undefined) {
    throw new CliError(
      "E_NOT_FOUND",
      `there is no task ${task}${owner === undefined ? "" : ` of ${owner}`}; a finished one ` +
        "leaves after its retention, an hour if its spec names none",
    );
  }
  if (others.length > 0) {
    throw new CliError(
      "E_USAGE",
      `${found.length} owners have a task ${task}: ${found.map((f) => f.owner).join(", ")}`,
      { next: `name one: --owner ${file.owner}` },
    );
  }
  return file;
}

/** The short form, for lists and streams. */
export function summary(file: TaskFile): object {
  const { view } = file;
  return {
    task: file.task,
    owner: file.owner,
    state: view.state,
    capability: view.spec?.capability,
    submitter: view.submitter,
    contractor: view.contract?.contractor,
    epoch: view.epoch,
    priority: view.spec?.priority,
    submittedAt: timeText(view.submittedAt),
    endedAt: timeText(view.endedAt),
    ...(view.questions.length === 0 ? {} : { questions: view.questions }),
    ...(view.outcome?.failure === undefined ? {} : { failure: view.outcome.failure }),
  };
}

export function recordShown(r: ProvenRecord): object {
  return {
    rev: r.rev,
    kind: r.kind,
    n: r.key.n,
    from: r.from,
    to: r.to,
    at: timeText(r.storedAt),
    body: r.body,
    ...(r.flaw === undefined ? {} : { flaw: r.flaw }),
  };
}

/** What does not add up is said, whatever the form of the output. */
export function warnOf(out: Output, file: TaskFile): void {
  for (const fault of file.view.faults) out.warn(`task ${file.task}: ${fault}`);
}

/** From submission to the end, or to now. */
export function tookText(file: TaskFile): string {
  const { submittedAt, endedAt } = file.view;
  return submittedAt === 0 ? "-" : lengthText(Math.max(0, (endedAt ?? Date.now()) - submittedAt));
}
