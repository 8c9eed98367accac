// Help starts with lines that can be copied.
import type { Command } from "commander";

export function withExamples(command: Command, ...lines: string[]): Command {
  return command.addHelpText("before", `Examples:\n${lines.map((l) => `  ${l}\n`).join("")}`);
}
