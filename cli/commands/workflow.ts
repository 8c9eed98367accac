// `parley workflow …`: definitions on the running mesh, recorded workflows on one of their own.
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { WORKFLOW } from "../../contracts/index.ts";
import type { Profile } from "../../mesh/local.ts";
import type { FlowReport } from "../../sim/flow/report.ts";
import { CliError, EXIT, usage } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { parseJson, readBytes, readInput } from "../lib/input.ts";
import { orInterrupted } from "../lib/interrupt.ts";
import { oneLine } from "../lib/output.ts";
import { numberFrom } from "../lib/parse.ts";
import { checkSubmits, type Session, session, withSubmitter } from "../lib/session.ts";
import { registerWorkflowPlan } from "./workflow-plan.ts";
import { registerWorkflowTasks } from "./workflow-tasks.ts";

interface RunOptions {
  params?: string;
  wait?: boolean;
  agents: number;
  timeScale?: number;
  pool: "universal" | "specialised";
  copies: number;
  schedule?: string;
  profile: Profile;
  seed: number;
  virtual?: boolean;
  crashes: number;
  atOnce?: number;
}

export function registerWorkflow(parley: Command): void {
  const flow = withExamples(
    parley
      .command("workflow")
      .description("workflows: check a definition, run one, run a recorded one"),
    "parley workflow check order.json",
    `parley workflow run order.json --params '{"id":7}' --wait`,
    "parley workflow run montage.json.gz --agents 100 --time-scale 0.01",
  );
  withExamples(
    flow
      .command("run <files...>")
      .description(
        "a definition, or a stored one's name: on the running mesh. A recorded workflow " +
          "(WfFormat 1.5, .json or .json.gz): on a mesh of its own, its steps as long as they " +
          "were, times --time-scale",
      )
      .option("--params <json>", "definition: its parameters")
      .option("--wait", "definition: wait for the end and print the output")
      .option(
        "--agents <n>",
        "recorded: agents, one step at a time each",
        numberFrom(1, 5_000),
        100,
      )
      .option(
        "--time-scale <x>",
        "recorded: what a second becomes (default: 0.01; virtual: 1)",
        numberFrom(1e-6, 1e3, false),
      )
      .addOption(
        new Option("--pool <kind>", "recorded: who can do what")
          .choices(["universal", "specialised"])
          .default("universal"),
      )
      .option("--virtual", "recorded: on a simulated mesh, in virtual time (time scale 1)")
      .option(
        "--crashes <n>",
        "recorded, virtual: hosts that die and come back, a minute",
        numberFrom(0, 10_000, false),
        0,
      )
      .option("--copies <k>", "recorded: of each file", numberFrom(1, 10_000), 1)
      .option(
        "--at-once <n>",
        "recorded, virtual: workflows under way at a time (default: all)",
        numberFrom(1, 10_000),
      )
      .option("--schedule <file>", "recorded: who did what when, as CSV: task,worker,start,end")
      .addOption(
        new Option("--profile <name>", "recorded: durability of the server")
          .choices(["dev", "durable-1"])
          .default("dev"),
      )
      .option("--seed <n>", "recorded: draws among near-equal bids", numberFrom(0, 2 ** 31), 1)
      .action((files: string[], _o: RunOptions, command: Command) => run(command, files)),
    `parley workflow run order.json --params '{"id":7}' --wait`,
    "parley workflow run montage.json.gz --agents 100 --time-scale 0.01 --schedule out.csv",
    "parley workflow run a.json.gz b.json.gz --copies 4 --agents 1000 --json",
  );
  registerWorkflowPlan(flow);
  registerWorkflowTasks(flow);
}

/** Nobody means a stored one by it, not even where there is no such file. */
const FILE = /\.(json|gz)$/i;
/** `ann.report` or `ann.report@1.2.0`: a stored definition. */
const STORED = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(@\d+\.\d+\.\d+)?$/;

async function run(command: Command, files: readonly string[]): Promise<void> {
  const s = session<RunOptions>(command);
  const [first = ""] = files;
  const stored = STORED.test(first) && !FILE.test(first) && !existsSync(first);
  if (files.length === 1 && stored) {
    return submitted(command, s, { use: first });
  }
  const bytes = await readBytes(first).catch((error: CliError) => {
    if (FILE.test(first) || existsSync(first)) throw error;
    const next =
      "a file, or a stored one as OWNER.NAME or OWNER.NAME@1.0.0: parley workflow stored";
    throw usage(error.message, next);
  });
  const packed = bytes[0] === 0x1f;
  const value = packed ? undefined : (parseJson(first, bytes) as { kind?: unknown } | null);
  if (value?.kind !== WORKFLOW) {
    if (first === "-") throw usage("standard input is no definition of a workflow");
    return recorded(s, files);
  }
  if (files.length > 1) throw usage("one definition at a time");
  const { readWorkflow } = await import("../../agent-sdk/read-workflow.ts");
  return submitted(command, s, { definition: readWorkflow(value) });
}

/** They are for recorded workflows: whoever asks for a simulation must not get the effects. */
const RECORDED = [
  "virtual",
  "agents",
  "timeScale",
  "pool",
  "crashes",
  "copies",
  "atOnce",
  "schedule",
];

async function submitted(command: Command, s: Session<RunOptions>, what: object): Promise<void> {
  for (const name of RECORDED) {
    if (command.getOptionValueSource(name) !== "cli") continue;
    const flag = command.options.find((option) => option.attributeName() === name)?.long;
    throw usage(`${flag} is for recorded workflows; a definition runs on the running mesh`);
  }
  const params = s.options.params === undefined ? {} : await readInput(s.options.params);
  if (typeof params !== "object" || params === null || Array.isArray(params)) {
    throw usage("parameters are an object", `--params '{"name":"value"}'`);
  }
  await withSubmitter(s, async (peer, _opened, target) => {
    checkSubmits(target);
    const { timeout } = s.options;
    const time = timeout === undefined ? {} : { timeoutMs: timeout };
    const tracker = await peer.submitters.submit(WORKFLOW, { ...what, params }, time);
    if (s.options.wait !== true) {
      if (s.out.json) return s.out.document({ task: tracker.task, owner: tracker.owner });
      s.out.text(tracker.task);
      return s.out.note(`follow it: parley task watch ${tracker.task}`);
    }
    const { state, failure } = await orInterrupted(tracker.outcome()).catch((error: unknown) => {
      s.out.note(`the workflow goes on; see: parley workflow get ${tracker.task}`);
      throw error;
    });
    const completed = state === "completed";
    const output = completed ? await tracker.result() : undefined;
    if (s.out.json) s.out.document({ task: tracker.task, state, output, failure });
    else if (completed) s.out.document(output ?? null);
    if (completed) return;
    throw new CliError(
      failure?.code ?? "E_HANDLER",
      `${state}: ${oneLine(failure?.message ?? "")}`,
      {
        next: `parley workflow get ${tracker.task}`,
      },
    );
  });
}

async function recorded(s: Session<RunOptions>, files: readonly string[]): Promise<void> {
  const { playFlows, scheduleCsv } = await import("../../sim/flow/report.ts");
  const { FlowError, readFlow } = await import("../../sim/flow/wfformat.ts");
  const { checkWritable } = await import("../../sim/outputs.ts");
  const { WorkloadError } = await import("../../sim/workload/task.ts");
  try {
    const flows = await Promise.all(
      files.map(async (file) => readFlow(await readFile(file), file)),
    );
    const { agents, pool, copies, profile, seed, schedule, virtual = false } = s.options;
    const { crashes, atOnce, timeScale = virtual ? 1 : 0.01 } = s.options;
    if (crashes > 0 && !virtual) throw usage("--crashes needs --virtual");
    if (atOnce !== undefined && !virtual) throw usage("--at-once needs --virtual");
    checkWritable("--schedule", schedule);
    const result = await playFlows({
      flows,
      copies,
      agents,
      timeScale,
      pool,
      profile,
      seed,
      virtual,
      crashesPerMinute: crashes,
      ...(atOnce === undefined ? {} : { atOnce }),
      say: (line) => s.out.note(line),
      signal: s.signal,
    });
    if (s.out.json) s.out.document(result.report);
    else s.out.text(text(result.report));
    if (schedule !== undefined) await writeFile(schedule, scheduleCsv(result));
    const { recorded, steps } = result.report;
    if (recorded !== undefined && recorded < steps) process.exitCode = EXIT.failed;
    if (result.report.violations > 0 || result.report.completed < result.report.workflows) {
      process.exitCode = EXIT.failed;
    }
  } catch (error) {
    if (error instanceof FlowError || error instanceof WorkloadError) throw usage(error.message);
    throw error;
  }
}

function text(r: FlowReport): string {
  return [
    `${r.workflows} workflows, ${r.steps} steps on ${r.agents} agents (${r.pool}), ` +
      `time × ${r.timeScale}`,
    `completed    ${r.completed} workflows, each step once: ${r.once}, ` +
      `order kept: ${r.violations === 0}`,
    `makespan     ${r.makespanMs} ms; × bound ${r.overBound}, × list schedule ${r.overList}`,
    `bound        ${r.boundMs} ms; list schedule with full knowledge ${r.listMs} ms`,
    `median step  ${r.medianStepMs} ms`,
    ...(r.recorded === undefined
      ? []
      : [`recorded     ${r.recorded} of ${r.steps} steps exactly once, ${r.crashes} crashes`]),
  ].join("\n");
}
