// The flags of `parley sim`, checked: what a run is made from.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Command, Option } from "commander";
import { POLICIES } from "../../contracts/spec.ts";
import type { Profile } from "../../mesh/local.ts";
import { above, whole } from "../flag-numbers.ts";
import type { PoolProfile } from "../pool.ts";
import type { Connections } from "../report-types.ts";
import { UTILISATION_DEFAULT } from "../workload/stretch.ts";

export interface Settings {
  readonly agents: number;
  /** Absent: the whole of a file that was named, else TASKS_DEFAULT. */
  readonly tasks?: number;
  /** A file of recorded requests; absent: the generator. */
  readonly workload?: string;
  /** Absent: such that the run is short and this machine can follow. */
  readonly timeScale?: number;
  readonly utilisation: number;
  readonly pool: PoolProfile;
  readonly policy: string;
  readonly seed: string;
  readonly connections: Connections;
  readonly hosts: number;
  readonly profile: Profile;
  readonly signing: boolean;
  readonly json: boolean;
  readonly schedule?: string;
  /** An address of a mesh that runs already; absent: a private one. */
  readonly server?: string;
  /** Identity folder; absent: a temporary one, or with `server` the usual place. */
  readonly home?: string;
}

export const TASKS_DEFAULT = 4_000;
const AGENTS_MAX = 10_000;
const TASKS_MAX = 1_000_000;
const HOSTS_MAX = 64;

/** The recorded requests, where the data lies beside the repository. */
const TRACE = new URL(
  "../../../shared/data/azure-llm/AzureLLMInferenceTrace_conv.csv",
  import.meta.url,
);

export function defaultTrace(): string | undefined {
  const file = fileURLToPath(TRACE);
  return existsSync(file) ? file : undefined;
}

type Flags = Partial<Record<string, unknown>> & {
  agents: number;
  utilisation: number;
  policy: string;
  seed: string;
  connections: Connections;
  hosts: number;
  profile: Profile;
  signing: "on" | "off";
};

/** Adds the flags of the simulation to a command. */
export function addFlags(command: Command): Command {
  const choice = (flags: string, text: string, choices: readonly string[], first?: string) => {
    const option = new Option(flags, text).choices(choices);
    return first === undefined ? option : option.default(first);
  };
  return command
    .option("--agents <n>", "how many agents", whole(1, AGENTS_MAX), 1_000)
    .option(
      "--tasks <n>",
      `how many tasks (default: all of a --workload file, else ${TASKS_DEFAULT})`,
      whole(1, TASKS_MAX),
    )
    .addOption(
      new Option("--workload <file>", "recorded requests (Azure LLM trace, CSV)").conflicts(
        "generated",
      ),
    )
    .option("--generated", "tasks from the generator, even where the recorded requests are there")
    .option(
      "--time-scale <x>",
      "real time times x: 0.5 is twice as fast (default: a run of about 40 s, longer where " +
        "more tasks would come than decisions are judged at)",
      above(0, 1_000),
    )
    .option(
      "--utilisation <x>",
      "work offered over what the agents can do",
      above(0, 100),
      UTILISATION_DEFAULT,
    )
    .addOption(
      choice(
        "--pool <kind>",
        "agents all alike, or differing in speed, slots, cost and honesty (default: mixed; " +
          "uniform with --workload, whose reference tables are for agents all alike)",
        ["uniform", "mixed"],
      ),
    )
    .addOption(choice("--policy <name>", "how bids are judged", POLICIES, "balanced"))
    .option("--seed <text>", "draws the agents and the generated tasks", "1")
    .addOption(
      choice(
        "--connections <kind>",
        "shared: one connection a host process; own: every agent its own connection and " +
          "credentials",
        ["shared", "own"],
        "shared",
      ),
    )
    .option("--hosts <n>", "processes that host the agents", whole(1, HOSTS_MAX), 3)
    .addOption(
      choice(
        "--profile <name>",
        "durable-1: every acknowledged write is on the disk",
        ["dev", "durable-1"],
        "dev",
      ),
    )
    .addOption(
      choice("--signing <on|off>", "sign and check awards and records", ["on", "off"], "on"),
    )
    .option("--schedule <file>", "write task,worker,start,end of every execution (CSV, ms)")
    .option("--server <url>", "join this mesh instead of starting a private one")
    .option("--home <dir>", "identity folder (see parley init)")
    .option("--json", "print one JSON object on standard output");
}

export function settingsOf(flags: Record<string, unknown>): Settings {
  const f = flags as Flags;
  const named = f.workload as string | undefined;
  const workload = named ?? (f.generated === true ? undefined : defaultTrace());
  const optional = <K extends string, T>(name: K, value: T | undefined) =>
    (value === undefined ? {} : { [name]: value }) as { [P in K]?: T };
  return {
    agents: f.agents,
    utilisation: f.utilisation,
    policy: f.policy,
    seed: f.seed,
    connections: f.connections,
    hosts: Math.min(f.hosts, f.agents),
    profile: f.profile,
    signing: f.signing === "on",
    json: f.json === true,
    pool: (f.pool as PoolProfile | undefined) ?? (named === undefined ? "mixed" : "uniform"),
    ...optional("tasks", (f.tasks as number) ?? (named === undefined ? TASKS_DEFAULT : undefined)),
    ...optional("workload", workload),
    ...optional("timeScale", f.timeScale as number | undefined),
    ...optional("schedule", f.schedule as string | undefined),
    ...optional("server", f.server as string | undefined),
    ...optional("home", f.home as string | undefined),
  };
}
