// `parley task ls`: the newest tasks first.
import { type Command, Option } from "commander";
import { TERMINAL_STATES } from "../../contracts/records.ts";
import type { TaskFile } from "../../mesh/inspector.ts";
import { usage } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { timeText } from "../lib/output.ts";
import { list, numberFrom, token } from "../lib/parse.ts";
import { session, withInspector } from "../lib/session.ts";
import { summary, tookText, warnOf } from "../lib/task-file.ts";

/** States that can be told from the records; "waiting" is known to its initiator alone. */
const STATES = [
  "submitted",
  "negotiating",
  "running",
  "input_required",
  ...TERMINAL_STATES,
] as const;

interface Options {
  state?: string[];
  cap?: string;
  owner?: string;
  limit: number;
  needsInput?: boolean;
}

export function registerTaskLs(task: Command): void {
  withExamples(
    task
      .command("ls")
      .description("the newest tasks first")
      .addOption(new Option("--state <states>", `some of ${STATES.join(", ")}`).argParser(list))
      .option("--cap <capability>", "only of this capability", token("capability"))
      .option("--owner <principal>", "only of this owner", token("owner"))
      .option("--needs-input", "only those that wait for an answer")
      .option("--limit <n>", "how many at most", numberFrom(1, 100_000), 50)
      .action((_options: Options, command: Command) => ls(command)),
    "parley task ls",
    "parley task ls --state failed,expired --limit 10",
    "parley task ls --needs-input",
    "parley task ls --cap echo --json | jq -r '.[].task'",
  );
}

async function ls(command: Command): Promise<void> {
  const s = session<Options>(command);
  const { state, cap, owner, limit, needsInput } = s.options;
  const unknown = state?.find((name) => !(STATES as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw usage(`there is no state "${unknown}"`, `one of: ${STATES.join(", ")}`);
  }
  const wanted = (file: TaskFile) =>
    (state === undefined || state.includes(file.view.state)) &&
    (needsInput !== true || file.view.questions.length > 0) &&
    (cap === undefined || file.view.spec?.capability === cap) &&
    (owner === undefined || file.owner === owner);
  await withInspector(s, "read", async (mesh) => {
    const found: TaskFile[] = [];
    for await (const file of mesh.list()) {
      s.signal.throwIfAborted();
      if (wanted(file) && found.push(file) >= limit) break;
    }
    if (s.out.json) s.out.document(found.map(summary));
    else if (found.length === 0) s.out.note("no tasks");
    else s.out.table(HEADS, found.map(row));
    for (const file of found) warnOf(s.out, file);
    if (found.length >= limit) s.out.note(`the newest ${limit}; more with --limit`);
  });
}

const HEADS = ["TASK", "STATE", "CAPABILITY", "OWNER", "CONTRACTOR", "EPOCH", "TOOK", "SUBMITTED"];

function row(file: TaskFile): string[] {
  const { view } = file;
  return [
    file.task,
    view.state,
    view.spec?.capability ?? "?",
    file.owner,
    view.contract?.contractor ?? "-",
    String(view.epoch),
    tookText(file),
    timeText(view.submittedAt) ?? "-",
  ];
}
