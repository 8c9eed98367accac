// `parley sim compare`: the same arrivals under several award policies, beside what plain rules of
// a centre would have made of them.
import { writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { POLICIES } from "../../contracts/spec.ts";
import { complaint } from "../complaint.ts";
import { above, whole } from "../flag-numbers.ts";
import { FlowError } from "../flow/wfformat.ts";
import { isGraphFile, readGraph } from "../graph/workload.ts";
import { onInterrupt } from "../interrupt.ts";
import { ProgressLine } from "../live/progress.ts";
import { checkWritable } from "../outputs.ts";
import { DEFAULTS, flagsOf } from "../virtual/flags.ts";
import { WorkloadError } from "../workload/task.ts";
import { plot } from "./plot.ts";
import { type Comparison, compareGraph, compareTasks, type Row } from "./rows.ts";

const EXAMPLES = `
Examples:
  $ parley sim compare --agents 100 --tasks 5000
  $ parley sim compare --policies fastest,balanced --workload trace.csv --agents 100 --svg out.svg
  $ parley sim compare --workload montage.json.gz --agents 100    # a recorded workflow
  $ parley sim compare --workload mk01.json                       # a job shop with its machines
  $ parley sim compare --workload steps.csv --agents 16           # recorded runs of agents

Workloads: recorded requests (CSV), recorded workflows (WfFormat 1.5), recorded runs of agents (CSV:
task_id, trial, step, capability, chars), flexible job shops (JSON of ScheduleOpt/benchmarks); .gz
too; or the generator. Rules are computed, with nothing to pay for messages; rows of the mesh are
played on a virtual clock.
`;

export function registerCompare(sim: Command): void {
  sim
    .command("compare")
    .description("the same arrivals under several policies, and under rules of a centre")
    .option("--policies <list>", "some of the policies, by commas", policies, [...POLICIES])
    .option("--workload <file>", "CSV, WfFormat or job shop, or: generated", "generated")
    .option("--agents <n>", "how many agents (a job shop has its own)", whole(1, 100_000), 100)
    .option(
      "--tasks <n>",
      "so many requests; more than a CSV has play it again",
      whole(1, 1_000_000),
    )
    .option("--utilisation <x>", "work offered over capacity", above(0, 100), DEFAULTS.utilisation)
    .option("--time-scale <x>", "gaps and service times times x", above(0, 1_000), 1)
    .option("--seed <text>", "draws what is left to chance", DEFAULTS.seed)
    .option("--svg <file>", "write a plot")
    .option("--json", "print one JSON object on standard output")
    .addHelpText("after", EXAMPLES)
    .action(async (raw: Record<string, unknown>, self: Command) => {
      const json = self.optsWithGlobals<{ json?: boolean }>().json === true;
      process.exitCode = await compare(raw, json);
    });
}

export function policies(text: string): string[] {
  const names = text.split(",");
  const odd = names.find((name) => !(POLICIES as readonly string[]).includes(name));
  if (odd === undefined) return names;
  throw new InvalidArgumentError(`"${odd}" is none of ${POLICIES.join(", ")}.`);
}

async function compare(raw: Record<string, unknown>, json: boolean): Promise<number> {
  const progress = new ProgressLine();
  const interrupt = onInterrupt();
  const { workload, svg, agents, seed } = raw as Record<string, string> & { agents: never };
  const names = raw.policies as string[];
  try {
    const graph = workload !== undefined && isGraphFile(workload);
    if (graph) refuseTaskFlags(raw);
    const read = graph ? readGraph(workload) : undefined;
    checkWritable("--svg", svg);
    const comparison = read
      ? await compareGraph(read, names, agents, seed as string, interrupt.stopped)
      : await compareTasks(
          flagsOf({ ...raw, policy: "balanced", faults: {}, signing: "off" }),
          names,
          (line) => progress.say(line),
          interrupt.stopped,
        );
    // First what the time was spent on: the disk may be full by now.
    process.stdout.write(json ? `${JSON.stringify(comparison)}\n` : table(comparison));
    if (svg !== undefined) await writePlot(svg, comparison);
    return interrupt.stopped() ? interrupt.exit : 0;
  } catch (error) {
    progress.say(complaint(error, json));
    return error instanceof WorkloadError || error instanceof FlowError ? 2 : 1;
  } finally {
    interrupt.release();
  }
}

async function writePlot(file: string, comparison: Comparison): Promise<void> {
  try {
    await writeFile(file, plot(comparison));
  } catch (cause) {
    const todo = `cannot be written (${(cause as Error).message}); name another file`;
    throw new WorkloadError("option", `--svg ${file}`, todo, { cause });
  }
}

/** A graph is played whole, at once, at its own pace. */
function refuseTaskFlags({ tasks, utilisation, timeScale }: Record<string, unknown>): void {
  const odd = [
    tasks === undefined ? "" : "--tasks",
    utilisation === DEFAULTS.utilisation ? "" : "--utilisation",
    timeScale === DEFAULTS.timeScale ? "" : "--time-scale",
  ].find((flag) => flag !== "");
  if (odd === undefined) return;
  throw new WorkloadError("option", odd, "is for requests; leave it out with a workflow or shop");
}

export function table(c: Comparison): string {
  const bound = c.boundMs === undefined ? "" : `, bound ${(c.boundMs / 1_000).toFixed(1)} s`;
  // What was not completed makes the other figures look better than they are.
  const short = c.rows.some(({ completed }) => completed !== undefined && completed < c.tasks);
  const heads = [
    "",
    ...(short ? ["completed"] : []),
    "makespan s",
    ...(c.kind === "tasks" ? ["slowdown", "99 %"] : ["× bound"]),
    "Gini",
    ...(c.kind === "tasks" ? ["cost"] : []),
    "messages",
  ];
  const lines = c.rows.map((row) => cells(row, c.kind === "tasks", short));
  const widths = heads.map((head, i) =>
    Math.max(head.length, ...lines.map((l) => l[i]?.length ?? 0)),
  );
  const pad = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)));
  const text = [heads, ...lines].map((row) => `  ${pad(row).join("  ")}`.trimEnd());
  return (
    `${c.workload}: ${c.tasks} tasks, ${c.agents} agents${bound}, seed ${c.seed}\n` +
    `${text.join("\n")}\n` +
    "Rows with messages are the mesh; the others are rules, computed.\n" +
    (c.missing === undefined ? "" : `Stopped early: not played were ${c.missing.join(", ")}.\n`)
  );
}

function cells(row: Row, tasks: boolean, short: boolean): string[] {
  const fixed = (value: number | undefined, digits: number) =>
    value === undefined || Number.isNaN(value) ? "" : value.toFixed(digits);
  return [
    row.name,
    ...(short ? [fixed(row.completed, 0)] : []),
    fixed(row.makespanMs / 1_000, 1),
    ...(tasks
      ? [fixed(row.slowdownMean, 3), fixed(row.slowdownP99, 2)]
      : [fixed(row.overBound, 3)]),
    fixed(row.giniOfBusyTime, 3),
    ...(tasks ? [fixed(row.cost, 3)] : []),
    fixed(row.messagesPerDecision, 1),
  ];
}
