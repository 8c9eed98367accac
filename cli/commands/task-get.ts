// `parley task get`: one task, its records and its output.
import type { Command } from "commander";
import type { TaskFile } from "../../mesh/inspector.ts";
import { CliError } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { type Output, timeText } from "../lib/output.ts";
import { token } from "../lib/parse.ts";
import { session, withInspector } from "../lib/session.ts";
import { findTask, recordShown, summary, tookText, warnOf } from "../lib/task-file.ts";

interface Options {
  owner?: string;
  raw?: boolean;
}

export function registerTaskGet(task: Command): void {
  withExamples(
    task
      .command("get <id>")
      .description("one task: state, records, output")
      .option("--owner <principal>", "whose, where two owners chose the same id", token("owner"))
      .option("--raw", "nothing but the output, as JSON")
      .action((id: string, _options: Options, command: Command) => get(command, id)),
    "parley task get ID",
    "parley task get ID --raw > output.json",
    "parley task get ID --json | jq .records",
  );
}

async function get(command: Command, id: string): Promise<void> {
  const s = session<Options>(command);
  await withInspector(s, "read", async (mesh) => {
    const file = await findTask(mesh, token("task")(id), s.options.owner);
    const { outcome } = file.view;
    const output = outcome?.state === "completed" ? await mesh.output(outcome) : undefined;
    warnOf(s.out, file);
    if (s.options.raw === true) return raw(s.out, file, output);
    if (s.out.json) {
      return s.out.document({
        ...summary(file),
        spec: file.view.spec,
        ...(output === undefined ? {} : { output }),
        records: file.records.map(recordShown),
        faults: file.view.faults,
      });
    }
    show(s.out, file, output);
  });
}

function raw(out: Output, file: TaskFile, output: unknown): void {
  if (file.view.state === "completed") return out.document(output ?? null);
  throw new CliError("E_NOT_FOUND", `task ${file.task} has no output: it is ${file.view.state}`, {
    next: `parley task get ${file.task}`,
  });
}

function show(out: Output, file: TaskFile, output: unknown): void {
  const { view } = file;
  const { spec, outcome } = view;
  out.fields([
    ["task", file.task],
    ["state", view.state],
    ["capability", spec?.capability],
    ["owner", file.owner],
    ["submitter", view.submitter],
    ["contractor", view.contract?.contractor],
    ["initiator", view.contract?.initiator],
    ["epoch", String(view.epoch)],
    ["priority", spec && String(spec.priority)],
    ["submitted", timeText(view.submittedAt)],
    ["deadline", timeText(spec?.deadline)],
    ["ended", timeText(view.endedAt)],
    ["took", tookText(file)],
    ["failure", outcome?.failure && `${outcome.failure.message} (${outcome.failure.code})`],
    ...view.questions.map((q): [string, string] => [
      "asks",
      `${short(q.question)}  (key ${q.key})`,
    ]),
    ["input", spec && (spec.inputRef?.$ref ?? short(spec.input))],
    ["output", output === undefined ? undefined : short(output)],
  ]);
  out.text("");
  out.table(
    ["REV", "KIND", "N", "FROM", "TO", "AT"],
    file.records.map((r) => [
      String(r.rev),
      r.kind,
      r.key.n,
      r.from,
      r.to === "_._" ? "-" : r.to,
      timeText(r.storedAt) ?? "-",
    ]),
  );
}

/** Long values are cut for people; --json and --raw give them whole. */
function short(value: unknown): string {
  const text = JSON.stringify(value) ?? "";
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}
