// `parley sim`: a thousand agents tender for recorded or generated tasks on a real server.
import { realpathSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { Command, CommanderError } from "commander";
import { ParleyError } from "../../contracts/index.ts";
import { ServerNotFoundError, ServerStartError } from "../../mesh/nats/server/index.ts";
import { complaint } from "../complaint.ts";
import { checkWritable } from "../outputs.ts";
import { formatReport, isClean, writeSchedule } from "../report.ts";
import { WorkloadError } from "../workload/task.ts";
import { makePlan } from "./plan.ts";
import { ProgressLine } from "./progress.ts";
import { LiveRun, type RunResult } from "./run.ts";
import { addFlags, type Settings, settingsOf } from "./settings.ts";

const EXAMPLES = `
Examples:
  $ parley sim
  $ parley sim --agents 200 --tasks 1000 --connections own
  $ parley sim --workload trace.csv --tasks 5000 --time-scale 0.5 --json > report.json

Exit status: 0 when no task was lost or done twice, 1 when one was, 2 wrong usage, 3 no server,
130 on Ctrl-C (with the report so far).
`;

const EXIT = { ok: 0, failed: 1, usage: 2, connection: 3, interrupted: 130, terminated: 143 };

/** Adds `sim` to a program. Its action sets `process.exitCode` and throws nothing. */
export function simCommand(program: Command): Command {
  const command = program.command("sim");
  command.description("play recorded or generated tasks on a mesh of simulated agents");
  addFlags(command).addHelpText("after", EXAMPLES);
  return command.action(async (flags: Record<string, unknown>) => {
    // `parley --json sim` means the same as `parley sim --json`.
    const { json, server, home } = program.opts<Record<string, unknown>>();
    process.exitCode = await simulate(settingsOf({ json, server, home, ...flags }));
  });
}

/** Plays one run and prints its report; gives the exit status. */
export async function simulate(settings: Settings): Promise<number> {
  const progress = new ProgressLine();
  const stop = new AbortController();
  let stoppedBy = EXIT.interrupted;
  const on = (code: number) => (): void => {
    // Asked twice: the hosts and the server notice that we are gone.
    if (stop.signal.aborted) process.exit(code);
    stoppedBy = code;
    stop.abort();
  };
  const [int, term] = [on(EXIT.interrupted), on(EXIT.terminated)];
  process.on("SIGINT", int).on("SIGTERM", term);
  let run: LiveRun | undefined;
  try {
    checkWritable("--schedule", settings.schedule);
    const plan = makePlan(settings);
    run = new LiveRun(settings, plan, progress, stop.signal);
    const result = await run.play();
    await run.close();
    if (result === undefined) progress.say("stopped before the first task");
    else await print(settings, result);
    if (stop.signal.aborted) return stoppedBy;
    return result !== undefined && isClean(result.report) ? EXIT.ok : EXIT.failed;
  } catch (error) {
    await run?.close().catch(() => undefined);
    if (stop.signal.aborted) return stoppedBy;
    progress.say(complaint(error, settings.json));
    return statusOf(error);
  } finally {
    process.off("SIGINT", int).off("SIGTERM", term);
  }
}

async function print(settings: Settings, { report, verdict }: RunResult): Promise<void> {
  const { schedule, json } = settings;
  if (schedule !== undefined) {
    const first = Math.min(...verdict.tasks.map((task) => task.submitMs));
    await writeFile(schedule, writeSchedule(verdict.executions, first));
  }
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `\n${formatReport(report)}`);
}

function statusOf(error: unknown): number {
  if (error instanceof WorkloadError) return EXIT.usage;
  const lost = error instanceof ParleyError && error.code === "E_CONNECTION";
  const none = error instanceof ServerNotFoundError || error instanceof ServerStartError;
  return lost || none ? EXIT.connection : EXIT.failed;
}

/** Run by itself: `node sim/live/main.ts [flags]`. */
async function main(): Promise<void> {
  const program = new Command("parley").exitOverride();
  simCommand(program).exitOverride();
  try {
    await program.parseAsync(["sim", ...process.argv.slice(2)], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

const [, started] = process.argv;
if (started !== undefined && realpathSync(started) === import.meta.filename) {
  await main();
  // Everything was closed; what is written must still reach its reader.
  process.stdout.write("", () => process.exit());
}
