// `parley workflow ls|get|history|cancel|change|retry|show`: workflows that were submitted.
import type { Command } from "commander";
import { withExamples } from "../lib/examples.ts";
import { numberFrom, token } from "../lib/parse.ts";

/** They bring the agent-sdk along: not at the start of every command. */
const acts = () => import("./workflow-acts.ts");

export function registerWorkflowTasks(flow: Command): void {
  const one = (name: string, text: string) =>
    flow
      .command(name)
      .description(text)
      .option("--owner <principal>", "whose, where two owners chose the same id", token("owner"));
  withExamples(
    flow
      .command("ls")
      .description("the newest workflows first")
      .option("--limit <n>", "how many at most", numberFrom(1, 100_000), 50)
      .action(async (_o: object, command: Command) => (await acts()).ls(command)),
    "parley workflow ls",
  );
  withExamples(
    one("get <id>", "its steps: state, contractor, times").action(
      async (id: string, _o: object, command: Command) => (await acts()).get(command, id),
    ),
    "parley workflow get ID",
    "parley workflow get ID --json | jq '.steps[] | select(.state == \"failed\")'",
  );
  withExamples(
    one("history <id>", "what happened, in its order").action(
      async (id: string, _o: object, command: Command) => (await acts()).history(command, id),
    ),
    "parley workflow history ID",
  );
  withExamples(
    one("show <id>", "the graph and who did what when, as SVG; the critical path is marked")
      .option("--output <file>", "where to (default: standard output)")
      .action(async (id: string, _o: object, command: Command) => (await acts()).show(command, id)),
    "parley workflow show ID --output flow.svg",
  );
  withExamples(
    one("cancel <id>", "begin nothing more, undo what was done, and wait for the end")
      .option("--reason <text>", "why", "canceled by an operator")
      .action(async (id: string, _o: object, command: Command) =>
        (await acts()).cancel(command, id),
      ),
    "parley workflow cancel ID --reason 'the customer left'",
  );
  withExamples(
    one("change <id> <file>", "add, drop or replace steps that have not begun").action(
      async (id: string, file: string, _o: object, command: Command) =>
        (await acts()).change(command, id, file),
    ),
    `echo '{"drop":["pack"]}' > change.json; parley workflow change ID change.json`,
  );
  withExamples(
    one("retry <id>", "once more what did not complete, with the outputs of what did").action(
      async (id: string, _o: object, command: Command) => (await acts()).retry(command, id),
    ),
    "parley workflow retry ID",
  );
}
