// The commands of `parley`, and what its exit status says.
import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { registerAgents } from "./commands/agents.ts";
import { registerCaps } from "./commands/caps.ts";
import { registerDescribe } from "./commands/describe.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerIdentity } from "./commands/identity.ts";
import { registerProvision } from "./commands/provision.ts";
import { registerSim } from "./commands/sim.ts";
import { registerSubmit } from "./commands/submit.ts";
import { registerTask } from "./commands/task.ts";
import { registerTrigger } from "./commands/trigger.ts";
import { registerUp } from "./commands/up.ts";
import { registerWorkflow } from "./commands/workflow.ts";
import { asCliError, type CliError, EXIT, errorLines, Interrupted, usage } from "./lib/errors.ts";
import { withExamples } from "./lib/examples.ts";
import { harmless } from "./lib/output.ts";
import { duration, token } from "./lib/parse.ts";

const EXAMPLES = [
  "parley up                                 # a mesh on this machine, until Ctrl-C",
  `parley call echo '{"text":"hello"}'       # ask the agents, wait for the answer`,
  `parley submit echo '{"text":"hello"}'     # leave a task with the mesh`,
  "parley task ls                            # what became of it",
];

async function program(args: string[]): Promise<Command> {
  const parley = new Command("parley")
    .description("A peer-to-peer mesh of agents on NATS: tasks are put out to tender.")
    .version(version(), "-V, --version")
    .helpCommand("help [command]", "how to use a command")
    .exitOverride()
    .enablePositionalOptions()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      outputError: (text, write) =>
        write(errorText(usage(text.replace(/^error: /, "").trimEnd()), args, parley)),
    });
  for (const option of globalOptions()) parley.addOption(option);
  withExamples(parley, ...EXAMPLES);
  registerUp(parley);
  registerProvision(parley);
  registerIdentity(parley);
  registerAgents(parley);
  registerCaps(parley);
  registerSubmit(parley);
  registerTask(parley);
  registerWorkflow(parley);
  registerTrigger(parley);
  registerDescribe(parley);
  registerDoctor(parley);
  for (const command of parley.commands) takeGlobals(command);
  // The simulator has options of its own, some of the same names; it is large, and only read
  // where it is asked for or listed.
  const named = parley.commands.some((command) => command.name() === args[0]);
  if (!named) await registerSim(parley);
  return parley;
}

function globalOptions(): Option[] {
  return [
    new Option("-s, --server <url>", "NATS server, several with commas ($NATS_URL)"),
    new Option("--creds <file>", "credentials file ($NATS_CREDS)"),
    new Option("--nkey <file>", "NKey seed file, for static users ($NATS_NKEY)"),
    new Option("--context <name>", "context of the nats program ($NATS_CONTEXT)"),
    new Option("--home <dir>", "folder of the mesh's identity ($PARLEY_HOME, else ./.parley)"),
    new Option("--name <principal>", "who you are, where nothing else tells").argParser(
      token("name"),
    ),
    new Option("--timeout <length>", "longest wait, such as 5s or 2m ($NATS_TIMEOUT)").argParser(
      duration,
    ),
    new Option("--json", "one JSON document on standard output"),
    new Option("-q, --quiet", "no remarks on standard error"),
  ];
}

/** The program's options are understood after a command too. */
function takeGlobals(command: Command): void {
  for (const option of globalOptions()) command.addOption(option.hideHelp());
  for (const child of command.commands) takeGlobals(child);
}

function version(): string {
  for (const up of ["..", "../.."]) {
    try {
      const file = new URL(`${up}/package.json`, import.meta.url);
      return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
    } catch {
      // One level further up in the built package.
    }
  }
  return "unknown";
}

/** The status of the program. */
async function main(args: string[]): Promise<number> {
  let parley: Command | undefined;
  try {
    parley = await program(args);
    if (args.length === 0) {
      parley.outputHelp({ error: true });
      return EXIT.usage;
    }
    await parley.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    return report(error, args, parley);
  }
}

function report(error: unknown, args: string[], parley: Command | undefined): number {
  if (error instanceof Interrupted) return error.exit;
  if (error instanceof CommanderError && !(error instanceof InvalidArgumentError)) {
    // Commander has said it already; asking for help or the version is no error.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  const shown = asCliError(error);
  process.stderr.write(errorText(shown, args, parley));
  if (process.env.PARLEY_TRACE) process.stderr.write(`${(error as Error).stack}\n`);
  return shown.exit;
}

function errorText(error: CliError, args: readonly string[], parley: Command | undefined): string {
  const { code, message } = error;
  const next = error.next ?? (code === "E_USAGE" ? helpOn(args, parley) : undefined);
  if (!args.includes("--json"))
    return `${harmless(errorLines({ code, message, next }).join("\n"))}\n`;
  return `${JSON.stringify({ error: { code, message, next } })}\n`;
}

/** The help of the command that was meant. */
function helpOn(args: readonly string[], parley: Command | undefined): string {
  let path = "parley";
  let command = parley;
  for (const arg of args) {
    const child = command?.commands.find((one) => one.name() === arg);
    if (child === undefined) continue;
    command = child;
    path += ` ${arg}`;
  }
  return `${path} --help`;
}

/** Runs one command and ends the process with its status. */
export async function run(args: string[]): Promise<never> {
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.ok);
    process.stderr.write(`parley: ${error.message}\n`);
    process.exit(EXIT.failed);
  });
  // What nobody reads changes nothing of what was done.
  process.stderr.on("error", () => undefined);
  const status = await main(args);
  // Everything was closed by the command; what is written must still reach its reader.
  await new Promise((resolve) => process.stdout.write("", resolve));
  await new Promise((resolve) => process.stderr.write("", resolve));
  process.exit(status);
}
