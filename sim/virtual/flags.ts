// The flags of `parley sim virtual`: what a virtual run is made from, and the command that says it.
import { basename } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { POLICIES } from "../../contracts/spec.ts";
import { above, whole } from "../flag-numbers.ts";
import type { PoolProfile } from "../pool.ts";
import { readAzureCsv } from "../workload/azure-csv.ts";
import { UTILISATION_DEFAULT } from "../workload/stretch.ts";
import { DEEDS, type FaultPlan, MIXES } from "./faults.ts";
import type { VirtualOptions } from "./run-types.ts";

/** A run that can be typed: everything that its history depends on. */
export interface VirtualFlags {
  agents: number;
  /** More than a file has play it again. */
  tasks?: number;
  workload?: string;
  policy: string;
  faults: FaultPlan;
  seed: string;
  pool: PoolProfile;
  utilisation: number;
  timeScale: number;
  agentsPerHost?: number;
  initiators?: number;
  signing: boolean;
}

export const TASKS_DEFAULT = 4_000;
const AGENTS_MAX = 1_000_000;
const TASKS_MAX = 10_000_000;
/** Above so many agents the judge would need more memory than the run itself. */
const CHECK_AGENTS_MAX = 10_000;

export const DEFAULTS = {
  agents: 1_000,
  policy: "balanced",
  seed: "1",
  utilisation: UTILISATION_DEFAULT,
  timeScale: 1,
} as const;

const MESSAGES = ["loss", "duplicate", "reorder", "replay"] as const;
const TASKS = ["fail", "poison", "cancel", "exclude", "hasty", "needs", "parts"] as const;
const RATE_MAX = 100_000;
/** A clock that is wrong by more than one in a hundred is broken; leases are not made for that. */
const MOST: Readonly<Record<string, number>> = { driftPpm: 10_000 };
const SHARES: readonly string[] = [...MESSAGES, ...TASKS, "insider"];

/** `mix`, or `crash=4,loss=0.01`: per minute, of all messages, parts in a million. */
export function readFaults(text: string): FaultPlan {
  if (Object.hasOwn(MIXES, text)) return MIXES[text as keyof typeof MIXES];
  const plan: Record<string, number> = {};
  for (const part of text.split(",")) {
    const [name = "", value = "", ...more] = part.split("=");
    const number = Number(value);
    const odd = more.length > 0 || value.trim() === "" || Object.hasOwn(plan, name);
    const share = SHARES.includes(name);
    const known = share || name === "driftPpm" || (DEEDS as readonly string[]).includes(name);
    if (!known || odd || !(number >= 0) || number > (share ? 1 : (MOST[name] ?? RATE_MAX))) {
      throw new InvalidArgumentError(
        `Give one of ${Object.keys(MIXES).join(", ")}, or some of ${DEEDS.join(", ")} ` +
          "(a minute), " +
          `${MESSAGES.join(", ")} (of messages, 0 to 1), ${TASKS.join(", ")} (of tasks), insider ` +
          `(of records), driftPpm (at most ${MOST.driftPpm}); each once: crash=4,loss=0.01.`,
      );
    }
    plan[name] = number;
  }
  return plan;
}

export function faultsText(plan: FaultPlan): string {
  const named = Object.entries(MIXES).find(([, mix]) => same(mix, plan));
  if (named !== undefined) return named[0];
  return Object.entries(plan)
    .filter(([, value]) => value !== undefined && value > 0)
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}

function same(a: FaultPlan, b: FaultPlan): boolean {
  const text = (plan: FaultPlan) =>
    JSON.stringify(
      Object.entries(plan)
        .filter(([, v]) => (v ?? 0) > 0)
        .sort(),
    );
  return text(a) === text(b);
}

/** The command that plays exactly this run again. @param check whether it is judged */
export function commandOf(f: VirtualFlags, check = checksByDefault(f)): string {
  const words = ["parley sim virtual"];
  const say = (flag: string, value: unknown, usual?: unknown) => {
    if (value !== undefined && value !== usual) words.push(`--${flag} ${quoted(String(value))}`);
  };
  say("agents", f.agents);
  say("tasks", f.tasks);
  say("workload", f.workload);
  say("policy", f.policy, DEFAULTS.policy);
  say("faults", faultsText(f.faults) || "none", "none");
  say("pool", f.pool, poolOf(f.workload));
  say("utilisation", f.utilisation, DEFAULTS.utilisation);
  say("time-scale", f.timeScale, DEFAULTS.timeScale);
  say("agents-per-host", f.agentsPerHost);
  say("initiators", f.initiators);
  say("signing", f.signing ? "on" : "off", "off");
  say("seed", f.seed);
  if (check !== checksByDefault(f)) words.push(check ? "--check" : "--no-check");
  return words.join(" ");
}

function quoted(text: string): string {
  if (/^[\w./:=,+-]+$/.test(text)) return text;
  return ["'", text.replaceAll("'", "'\\''"), "'"].join("");
}

/** The reference tables of recorded workloads are for agents all alike. */
function poolOf(workload: string | undefined): PoolProfile {
  return workload === undefined ? "mixed" : "uniform";
}

/** @throws WorkloadError */
export function optionsOf(f: VirtualFlags): VirtualOptions {
  const { workload, tasks, agentsPerHost, initiators, ...rest } = f;
  const limit = tasks === undefined ? {} : { limit: tasks };
  const read = workload === undefined ? undefined : readAzureCsv(workload, limit);
  return {
    ...rest,
    signing: rest.signing || (rest.faults.insider ?? 0) > 0,
    tasks: read?.length ?? tasks ?? TASKS_DEFAULT,
    ...(read === undefined ? {} : { workload: { name: basename(workload ?? ""), tasks: read } }),
    ...(agentsPerHost === undefined ? {} : { agentsPerHost }),
    ...(initiators === undefined ? {} : { initiators }),
  };
}

export function addVirtualFlags(command: Command): Command {
  addWorkloadFlags(command);
  const choice = (flags: string, text: string, choices: readonly string[]) =>
    new Option(flags, text).choices(choices);
  const kinds = `${Object.keys(MIXES).join(", ")}, or rates: crash=4,pause=2,loss=0.01`;
  return command
    .addOption(choice("--policy <name>", "how bids are judged", POLICIES).default("balanced"))
    .addOption(
      new Option("--faults <mix>", kinds).argParser(readFaults).default(MIXES.none, "none"),
    )
    .addOption(
      choice("--pool <kind>", "agents all alike or unlike (default: mixed; uniform with a file)", [
        "uniform",
        "mixed",
      ]),
    )
    .option(
      "--agents-per-host <n>",
      "agents of one connection (default: 50 or more)",
      whole(1, 100_000),
    )
    .option("--initiators <n>", "initiators (default: by the agents, at least 2)", whole(1, 1_000))
    .addOption(choice("--signing <on|off>", "sign and check everything", ["on", "off"]))
    .option("--seed <text>", "draws everything that is left to chance", DEFAULTS.seed);
}

function addWorkloadFlags(command: Command): void {
  const { agents, utilisation } = DEFAULTS;
  command
    .option("--agents <n>", "how many agents", whole(1, AGENTS_MAX), agents)
    .option(
      "--tasks <n>",
      `how many tasks (default: all of a --workload file, else ${TASKS_DEFAULT})`,
      whole(1, TASKS_MAX),
    )
    .option("--workload <file>", "recorded requests (CSV), or: generated", "generated")
    .option("--utilisation <x>", "work offered over capacity", above(0, 100), utilisation)
    .option("--time-scale <x>", "gaps and service times times x", above(0, 1_000), 1);
}

export function flagsOf(raw: Record<string, unknown>): VirtualFlags {
  const workload = raw.workload === "generated" ? undefined : (raw.workload as string | undefined);
  const optional = (name: string) => (raw[name] === undefined ? {} : { [name]: raw[name] });
  return {
    agents: raw.agents as number,
    policy: raw.policy as string,
    faults: raw.faults as FaultPlan,
    seed: raw.seed as string,
    pool: (raw.pool as PoolProfile | undefined) ?? poolOf(workload),
    utilisation: raw.utilisation as number,
    timeScale: raw.timeScale as number,
    signing: raw.signing === "on",
    ...(workload === undefined ? {} : { workload }),
    ...optional("tasks"),
    ...optional("agentsPerHost"),
    ...optional("initiators"),
  };
}

/** Whether the judge looks on unless told otherwise. */
export function checksByDefault(f: VirtualFlags): boolean {
  return f.agents <= CHECK_AGENTS_MAX;
}
