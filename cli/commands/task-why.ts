// `parley task why`: every award of a task, checked and computed again.
import type { Command } from "commander";
import type { Explanation, TaskFile } from "../../mesh/inspector.ts";
import { CliError } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { lengthText, numberText, type Output, paint, timeText } from "../lib/output.ts";
import { token } from "../lib/parse.ts";
import { session, withInspector } from "../lib/session.ts";
import { findTask, warnOf } from "../lib/task-file.ts";

interface Options {
  owner?: string;
}

export function registerTaskWhy(task: Command): void {
  withExamples(
    task
      .command("why <id>")
      .description("why these agents got it: bids, scores, signature, and the choice once more")
      .option("--owner <principal>", "whose, where two owners chose the same id", token("owner"))
      .action((id: string, _options: Options, command: Command) => why(command, id)),
    "parley task why ID",
    "parley task why ID --json | jq '.awards[].checks'",
  );
}

async function why(command: Command, id: string): Promise<void> {
  const s = session<Options>(command);
  await withInspector(s, "read", async (mesh) => {
    const file = await findTask(mesh, token("task")(id), s.options.owner);
    const awards = await mesh.explain(file);
    warnOf(s.out, file);
    if (s.out.json) {
      s.out.document({
        task: file.task,
        owner: file.owner,
        state: file.view.state,
        awards: awards.map(({ terms, ...rest }) => ({ ...rest, ...terms })),
      });
    } else show(s.out, file, awards);
    const wrong = awards.flatMap((award) => award.checks).filter((c) => c.verdict === "bad");
    if (wrong.length > 0) {
      throw new CliError(
        "E_CHECK",
        `${wrong.length} checks of task ${id} failed: ` +
          wrong.map((check) => check.text).join("; "),
        {
          next: "do not trust who signed this: parley identity revoke NAME",
        },
      );
    }
  });
}

function show(out: Output, file: TaskFile, awards: readonly Explanation[]): void {
  const { view } = file;
  out.text(`task ${file.task} of ${file.owner}: ${view.spec?.capability ?? "?"}, ${view.state}`);
  if (awards.length === 0) {
    const reason = view.outcome?.failure?.message;
    out.text(`no contract was made${reason === undefined ? "" : `: ${reason}`}`);
  }
  for (const award of awards) showAward(out, award);
}

function showAward(out: Output, e: Explanation): void {
  out.text("");
  out.text(paint("bold", `epoch ${e.epoch}: ${e.contractor}`));
  const { terms } = e;
  if (terms !== undefined) {
    const { policy } = terms;
    const weights = Object.entries(policy.weights ?? {})
      .map(([k, v]) => `${k}=${v}`)
      .join(",");
    out.fields([
      ["awarded by", terms.initiator],
      ["at", timeText(terms.at)],
      ["rung", terms.rung],
      ["attempt", String(terms.attempt)],
      [
        "policy",
        `${policy.name}${weights === "" ? "" : ` (${weights})`}  ` +
          paint("dim", `hash ${policy.hash.slice(0, 12)}`),
      ],
      ["draw", `${numberText(policy.seed)} among bids within ${policy.band * 100} % of the best`],
      ["bids", String(terms.bids.length)],
      ["refusals", String(terms.refusals)],
    ]);
    if (terms.bids.length > 0) {
      out.text("");
      bids(out, e);
    }
    out.text("");
  }
  for (const check of e.checks) {
    const mark = { good: "ok", bad: "BAD", unknown: "?" }[check.verdict];
    const style = { good: "green", bad: "red", unknown: "yellow" } as const;
    out.text(`  ${paint(style[check.verdict], mark.padEnd(4))}${check.name}: ${check.text}`);
  }
  if (e.others.some((o) => o.winner !== undefined)) {
    out.text("");
    out.text("  under another policy:");
    for (const { policy, winner } of e.others) {
      const same = winner === e.contractor ? "  (the same)" : "";
      out.text(`    ${policy.padEnd(9)} ${winner ?? "nobody"}${same}`);
    }
  }
}

function bids(out: Output, e: Explanation): void {
  out.table(
    [
      "BIDDER",
      "START",
      "CLAIMED",
      "BELIEVED",
      "COST",
      "CONFIDENCE",
      "BELIEVED",
      "LOAD",
      "SCORE",
      "RECOMPUTED",
    ],
    (e.terms?.bids ?? []).map((b, i) => [
      `${b.from === e.contractor ? "*" : " "} ${b.from}`,
      lengthText(b.startMs),
      // A bid of 0 ms: its agent does not know.
      b.durationMs === 0 ? "unknown" : lengthText(b.durationMs),
      lengthText(b.calibratedMs),
      numberText(b.cost),
      numberText(b.confidence),
      numberText(b.calibratedConfidence),
      numberText(b.load),
      numberText(b.score),
      e.recomputed[i] === undefined ? "-" : numberText(e.recomputed[i]),
    ]),
  );
}
