// `parley task …`: what the records say.
import type { Command } from "commander";
import { withExamples } from "../lib/examples.ts";
import { registerTaskAnswer } from "./task-answer.ts";
import { registerTaskCancel } from "./task-cancel.ts";
import { registerTaskDump } from "./task-dump.ts";
import { registerTaskGet } from "./task-get.ts";
import { registerTaskLs } from "./task-ls.ts";
import { registerTaskParked } from "./task-parked.ts";
import { registerTaskWatch } from "./task-watch.ts";
import { registerTaskWhy } from "./task-why.ts";

export function registerTask(parley: Command): void {
  const task = withExamples(
    parley.command("task").description("tasks: list, look, follow, cancel, explain"),
    "parley task ls --state running",
    "parley task get ID",
    "parley task why ID                         # why that agent got it",
  );
  registerTaskLs(task);
  registerTaskGet(task);
  registerTaskWatch(task);
  registerTaskCancel(task);
  registerTaskWhy(task);
  registerTaskParked(task);
  registerTaskAnswer(task);
  registerTaskDump(task);
}
