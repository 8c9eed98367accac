// `parley sim replay`: the awards of a recorded run, chosen again under other policies.
import type { Command } from "commander";
import { POLICIES } from "../../contracts/spec.ts";
import { policies } from "../compare/command.ts";
import { complaint } from "../complaint.ts";
import { WorkloadError } from "../workload/task.ts";
import { type MarketFigures, type Replay, readMarket, replay } from "./market.ts";

const EXAMPLES = `
Examples:
  $ parley task dump day.ndjson --since 24h && parley sim replay day.ndjson --policy cheapest
  $ npm run chaos -- --scenario mix --dir run && parley sim replay run --json

Every award keeps the bids that its initiator saw. They are judged again; who was free, and what was
asked of whom, stays as it was.
`;

export function registerReplay(sim: Command): void {
  sim
    .command("replay <history>")
    .description("what other policies would have made of the bids of a recorded run")
    .option("--policy <list>", "some of the policies, by commas", policies, [...POLICIES])
    .option("--json", "print one JSON object on standard output")
    .addHelpText("after", EXAMPLES)
    .action(async (history: string, raw: { policy: string[] }, self: Command) => {
      const json = self.optsWithGlobals<{ json?: boolean }>().json === true;
      try {
        const result = replay(await readMarket(history), raw.policy);
        process.stdout.write(json ? `${JSON.stringify(result)}\n` : text(result));
      } catch (error) {
        if (!(error instanceof WorkloadError)) throw error;
        process.stderr.write(`${complaint(error, json)}\n`);
        process.exitCode = 2;
      }
    });
}

function text(r: Replay): string {
  const row = (cells: readonly string[]) =>
    `  ${(cells[0] ?? "").padEnd(10)}${cells
      .slice(1)
      .map((c) => c.padStart(12))
      .join("")}`;
  const line = (f: MarketFigures) =>
    row([
      f.policy,
      f.policy === "recorded" ? "" : `${f.changed}`,
      f.cost.toFixed(3),
      `${f.finishMs.toFixed(1)} ms`,
      f.giniOfWork.toFixed(3),
    ]);
  return [
    `${r.choices} awards with a choice among ${r.agents} agents; ${r.forced} without one`,
    row(["", "changed", "price", "finish", "Gini"]),
    line(r.recorded),
    ...r.replayed.map(line),
    "",
  ].join("\n");
}
