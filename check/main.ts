// `npm run check -- HISTORY… [--json]`: the verdict on recorded runs.
// Exit: 0 valid, 1 invalid, 2 vacuous, 64 bad arguments or files.
import { parseArgs } from "node:util";
import { checkHistory, type Report } from "./checker.ts";
import { readRun } from "./traces.ts";

const USAGE = `npm run check -- HISTORY… [--json]
npm run check -- --bugs [--json]

HISTORY  a directory that a chaos run kept (--dir), or its files: *.ndjson, dump.ndjson, meta.json
--json   the report as JSON
--bugs   no history: plants every bug of check/bugs, one at a time, and tells which it finds
Exit: 0 valid, 1 invalid, 2 vacuous, 64 bad arguments or unreadable files.
`;

export function print(report: Report): string {
  const lines = [`verdict: ${report.verdict}${report.why === undefined ? "" : ` (${report.why})`}`];
  lines.push(`counts: ${pairs(report.counts)}`, `judged: ${pairs(report.judged)}`);
  for (const [rule, why] of Object.entries(report.notJudged)) {
    lines.push(`not judged: ${rule} (${why})`);
  }
  for (const v of report.violations) {
    lines.push("", `${v.rule} violated in ${v.tasks} tasks; smallest: ${v.task}: ${v.what}`);
    lines.push(...v.witness.map((w) => `  ${w}`));
  }
  const failed = report.violations.length;
  const passed = Object.keys(report.judged).filter(
    (rule) => !report.violations.some((v) => v.rule === rule),
  ).length;
  return `${lines.join("\n")}\n${passed} passed, ${failed} failed\n`;
}

function pairs(counts: Record<string, number>): string {
  return Object.entries(counts)
    .map(([name, n]) => `${name} ${n}`)
    .join(", ");
}

async function main(args: string[]): Promise<number> {
  let options: { json?: boolean; bugs?: boolean; help?: boolean };
  let paths: string[];
  try {
    const parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        json: { type: "boolean" },
        bugs: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    options = parsed.values;
    paths = parsed.positionals;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 64;
  }
  if (options.bugs === true && paths.length === 0) return huntBugs(options.json === true);
  if (options.help === true || paths.length === 0) {
    process.stdout.write(USAGE);
    return options.help === true ? 0 : 64;
  }
  try {
    const report = checkHistory(await readRun(paths));
    process.stdout.write(
      options.json === true ? `${JSON.stringify(report, null, 2)}\n` : print(report),
    );
    return { valid: 0, invalid: 1, vacuous: 2 }[report.verdict];
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 64;
  }
}

/** Loaded when asked for: it starts servers. */
async function huntBugs(json: boolean): Promise<number> {
  const { huntAndTell } = await import("./bugs/table.ts");
  return (await huntAndTell({ bug: "all", atOnce: 4, json, say: console.log })) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
