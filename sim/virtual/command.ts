// `parley sim virtual`: the same mesh on a virtual clock, network and store. One seed, one history.
import { createWriteStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { type Command, CommanderError } from "commander";
import { complaint } from "../complaint.ts";
import { onInterrupt } from "../interrupt.ts";
import { ProgressLine } from "../live/progress.ts";
import { checkWritable } from "../outputs.ts";
import { formatReport, isClean, type Report, writeSchedule } from "../report.ts";
import { WorkloadError } from "../workload/task.ts";
import {
  addVirtualFlags,
  checksByDefault,
  commandOf,
  faultsText,
  flagsOf,
  optionsOf,
  type VirtualFlags,
} from "./flags.ts";
import { calmCollector, needsRoom, withRoom } from "./heap.ts";
import { runVirtual } from "./run.ts";
import type { Progress, VirtualRun } from "./run-types.ts";

const EXAMPLES = `
Examples:
  $ parley sim virtual --agents 1000 --tasks 20000
  $ parley sim virtual --faults mix --seed 17 --trace history.ndjson
  $ parley sim virtual --agents 100000 --tasks 1000000 --utilisation 0.1 --time-scale 0.2
  $ parley sim virtual --faults crash=10,loss=0.01 --json > report.json

First safety: faults all the time, and after every event the rules S1 to S16. Then liveness: no
faults any more, and every task must come to its end.

Exit status: 0 when no task was lost or done twice and every rule held, 1 when not, 2 wrong usage,
130 on Ctrl-C, 143 on SIGTERM, both with the report so far.
`;

/** So many tasks are worth a second thread, unless the history is wanted: it ends where a rule
 * broke. */
const BESIDE_MIN = 1_000;

/** Agents times tasks: the central rule looks at each agent for each task. */
const BASELINE_MAX = 2e9;

interface Outputs {
  json: boolean;
  schedule?: string;
  /** A file, or true: standard error. */
  trace?: string | true;
  check: boolean;
}

/** What `--json` prints: the report of a live simulation, and what only a virtual run has. */
export interface VirtualReport extends Report {
  virtual: {
    worldSeconds: number;
    realSeconds: number;
    timesRealTime: number;
    events: number;
    faults: Readonly<Record<string, number>>;
    livenessMs: number | null;
    livenessLimitMs: number;
    pending: string[];
    /** What submitters were told wrongly, or not at all. */
    told: string[];
    historyHash?: string;
    invariants?: {
      verdict: string;
      judged: Readonly<Record<string, number>>;
      violations: { rule: string; task: string; what: string; witness: string[] }[];
    };
    reproduce: string;
  };
}

export function registerVirtual(sim: Command): void {
  const command = sim.command("virtual");
  command.description("the same mesh without a server: virtual clock, network and store");
  addVirtualFlags(command)
    .option("--schedule <file>", "write task,worker,start,end of every execution (CSV, ms)")
    .option("--trace [file]", "every line of the history, to a file or standard error (NDJSON)")
    .option("--check", "judge every event (the default up to 10,000 agents)")
    .option("--no-check", "do not judge")
    .option("--json", "print one JSON object on standard output")
    .addHelpText("after", EXAMPLES)
    .action(async (raw: Record<string, unknown>, self: Command) => {
      // `parley --json sim virtual` and `parley sim --json virtual` mean the same.
      const json = self.optsWithGlobals<{ json?: boolean }>().json === true;
      const flags = flagsOf(raw);
      if (needsRoom(flags.agents)) {
        process.exitCode = await withRoom();
        return;
      }
      calmCollector();
      process.exitCode = await play(flags, outputs(raw, json, flags));
    });
}

function outputs(raw: Record<string, unknown>, json: boolean, flags: VirtualFlags): Outputs {
  const { schedule, trace, check } = raw as Partial<Outputs>;
  return {
    json,
    check: check ?? checksByDefault(flags),
    ...(schedule === undefined ? {} : { schedule }),
    ...(trace === undefined ? {} : { trace }),
  };
}

async function play(flags: VirtualFlags, o: Outputs): Promise<number> {
  const progress = new ProgressLine();
  const interrupt = onInterrupt();
  const again = commandOf(flags, o.check);
  try {
    checkWritable("--schedule", o.schedule);
    const trace = traceTo(o.trace);
    const options = optionsOf(flags);
    const large = options.agents * options.tasks > BASELINE_MAX;
    const run = await runVirtual({
      ...options,
      ...(large ? { baselineRuns: 0 } : {}),
      check: o.check && trace === undefined && options.tasks >= BESIDE_MIN ? "beside" : o.check,
      stop: () => interrupt.stopped() || trace?.failed() === true,
      ...(trace === undefined ? {} : { history: trace.line }),
      // Beside the history, a line of progress would be taken for one of it.
      ...(o.trace === true ? {} : { progress: (p) => progress.say(howFar(p)) }),
    });
    await trace?.end();
    if (o.schedule !== undefined) await writeFile(o.schedule, writeSchedule(run.executions));
    print(run, { again, faults: faultsText(flags.faults), json: o.json });
    if (interrupt.stopped()) return interrupt.exit;
    return isSound(run) ? 0 : 1;
  } catch (error) {
    if (error instanceof CommanderError) throw error;
    const isInput = error instanceof WorkloadError;
    progress.say(complaint(error, o.json, isInput ? undefined : `again: ${again}`));
    return isInput ? 2 : 1;
  } finally {
    interrupt.release();
  }
}

function howFar({ worldMs, submitted, of, ended, events }: Progress): string {
  const world = `${(worldMs / 1_000).toFixed(0)} s of the world`;
  return `${world}: ${submitted} of ${of} submitted, ${ended} ended, ${events} events`;
}

/** Nothing lost, nothing twice, every rule held, every task at its end. */
export function isSound(run: VirtualRun): boolean {
  const broken = run.verdict?.report.verdict === "invalid";
  const { wrong, late } = run.told;
  return isClean(run.report) && !broken && run.pending.length + wrong.length + late.length === 0;
}

function traceTo(to: string | true | undefined) {
  if (to === undefined) return undefined;
  if (to !== true) checkWritable("--trace", to);
  const file = to === true ? process.stderr : createWriteStream(to);
  let fault: Error | undefined;
  file.on("error", (error) => {
    fault ??= error;
  });
  return {
    line: (text: string) => void file.write(`${text}\n`),
    failed: () => fault !== undefined,
    end: async () => {
      if (to !== true && fault === undefined) {
        await new Promise<void>((done) => file.once("error", () => done()).end(done));
      }
      if (fault !== undefined) throw new Error(`--trace ${to}: ${fault.message}`);
    },
  };
}

export function virtualReport(run: VirtualRun, reproduce: string): VirtualReport {
  const { verdict, liveness } = run;
  return {
    ...run.report,
    virtual: {
      worldSeconds: run.worldMs / 1_000,
      realSeconds: run.realMs / 1_000,
      timesRealTime: run.timesRealTime,
      events: run.events,
      faults: run.faults,
      livenessMs: Number.isFinite(liveness.ms) ? liveness.ms : null,
      livenessLimitMs: liveness.limitMs,
      pending: run.pending,
      told: [...run.told.wrong, ...run.told.late],
      ...(run.historyHash === undefined ? {} : { historyHash: run.historyHash }),
      ...(verdict === undefined
        ? {}
        : {
            invariants: {
              verdict: verdict.report.verdict,
              judged: verdict.report.judged,
              violations: verdict.report.violations,
            },
          }),
      reproduce,
    },
  };
}

interface Said {
  again: string;
  /** What was asked for. */
  faults: string;
  json: boolean;
}

function print(run: VirtualRun, { again, faults, json }: Said): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(virtualReport(run, again))}\n`);
    return;
  }
  const lines = [...virtualLines(run, faults), "", `again: ${again}`];
  process.stdout.write(`\n${formatReport(run.report)}\n${lines.join("\n")}\n`);
}

function virtualLines(run: VirtualRun, asked: string): string[] {
  const deeds = Object.entries(run.faults).map(([name, n]) => `${n} ${name}`);
  // Those of messages, tasks and clocks are not counted one by one.
  const faults = asked === "" || asked === "none" ? "no faults" : asked;
  return [
    `${seconds(run.worldMs)} of the world in ${seconds(run.realMs)}: ` +
      `${run.timesRealTime.toFixed(0)} times real time, ${run.events} events`,
    `safety    ${[faults, ...deeds].join(", ")}; ${judged(run)}`,
    `liveness  ${liveness(run)}`,
    ...run.pending.map((line) => `  ${line}`),
    ...[...run.told.wrong, ...run.told.late].map((line) => `told      ${line}`),
    ...(run.verdict?.report.violations ?? []).flatMap((v) => [
      `${v.rule} broken: ${v.task}: ${v.what}`,
      ...v.witness.map((line) => `  ${line}`),
    ]),
    ...(run.historyHash === undefined ? [] : [`history   sha256 ${run.historyHash}`]),
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function liveness({ report, pending, liveness: { ms, limitMs } }: VirtualRun): string {
  if (report.interrupted === true) return "not judged: stopped early";
  if (ms <= limitMs) return `every task at its end ${seconds(ms)} after the last fault`;
  return `${pending.length} tasks open ${seconds(limitMs)} after the last fault:`;
}

function judged({ verdict }: VirtualRun): string {
  if (verdict === undefined) return "not judged (--check)";
  const { report, first } = verdict;
  const rules = Object.keys(report.judged).length;
  if (first !== undefined) return `${first.rule} broke at event ${first.event}, ${first.atMs} ms`;
  const why = report.why === undefined ? "" : `: ${report.why}`;
  return `${rules} rules held, ${report.verdict}${why}`;
}
