// `npm run chaos -- --scenario NAME|mix --minutes M --seed N [--json]`: breaks a mesh on purpose.
// Exit: 0 valid with all bars met (or not run, which is said), 1 not, 64 bad arguments.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { failed, runScenario } from "./run.ts";
import type { ChaosReport } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/index.ts";

const USAGE = `npm run chaos -- --scenario NAME [--minutes M] [--seed N] [--agents N] [--json]

--scenario  one of those below
--minutes   how long faults go on; default 1
--seed      whole number that decides on victims and moments; default 1
--agents    agents of the mesh; default 200
--dir       keeps the history there, for: npm run check -- DIR
--json      the report as JSON on standard output
--list      the scenarios, a line each
`;

function list(): string {
  return SCENARIOS.map(
    (s) => `  ${s.name.padEnd(14)} ${s.bars.join(" ").padEnd(10)} ${s.about}\n`,
  ).join("");
}

function print(r: ChaosReport): string {
  if (r.verdict === "not run") return `${r.scenario}: not run: ${r.why}\n`;
  const lines = [
    `${r.scenario} (seed ${r.seed}): ${r.verdict}${r.why === undefined ? "" : `: ${r.why}`}`,
    `faults ${r.faults.seen} of ${r.faults.planned}; accepted ${r.accepted}, ` +
      `completed ${r.completed}, failed ${r.failed}, expired ${r.expired}, ` +
      `canceled ${r.canceled}, lost ${r.lost}, duplicated ${r.duplicated}, ` +
      `stale commits ${r.staleCommits}, wrong revocations ${r.wrongRevocations}`,
    `detected within p50 ${r.detectMs.p50} ms, p99 ${r.detectMs.p99} ms (${r.detectMs.n}); ` +
      `running elsewhere within p50 ${r.recoverMs.p50} ms, p99 ${r.recoverMs.p99} ms ` +
      `(${r.recoverMs.n})`,
    ...r.bars.map((b) => `${b.met ? "met    " : "NOT MET"} ${b.id}  ${b.text}: ${b.figure}`),
  ];
  const met = r.bars.filter((b) => b.met).length;
  return `${lines.join("\n")}\n${met} passed, ${r.bars.length - met} failed\n`;
}

function number(text: string | undefined, usual: number, name: string): number {
  const n = text === undefined ? usual : Number(text);
  if (!Number.isFinite(n) || n <= 0) throw new Error(`--${name} takes a number above 0`);
  return n;
}

async function main(args: string[]): Promise<number> {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    const { values: v } = parseArgs({
      args,
      options: {
        scenario: text,
        minutes: text,
        seed: text,
        agents: text,
        dir: text,
        json: flag,
        list: flag,
        help: flag,
      },
    });
    if (v.list === true || v.help === true) {
      process.stdout.write(v.list === true ? list() : `${USAGE}\n${list()}`);
      return 0;
    }
    const scenario = SCENARIOS.find((s) => s.name === v.scenario);
    if (scenario === undefined) throw new Error(`no scenario "${v.scenario ?? ""}"`);
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    process.once("SIGTERM", () => stop.abort());
    const dir = v.dir ?? (await mkdtemp(join(tmpdir(), "parley-chaos-")));
    try {
      const report = await runScenario(scenario, {
        seed: number(v.seed, 1, "seed"),
        minutes: number(v.minutes, 1, "minutes"),
        agents: number(v.agents, 200, "agents"),
        dir,
        signal: stop.signal,
        say: (line) => process.stderr.write(`${line}\n`),
      });
      process.stdout.write(
        v.json === true ? `${JSON.stringify(report, null, 2)}\n` : print(report),
      );
      return failed(report) ? 1 : 0;
    } finally {
      if (v.dir === undefined) await rm(dir, { recursive: true, force: true });
    }
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}\n${list()}`);
    return 64;
  }
}

const code = await main(process.argv.slice(2));
// Everything was closed; what is written must still reach its reader.
process.stdout.write("", () => process.exit(code));
