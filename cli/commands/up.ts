// `parley up`: a mesh on this machine, in the foreground, until Ctrl-C.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect as connectSocket, createServer } from "node:net";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { LocalMesh, Profile } from "../../mesh/local.ts";
import { defaultHomeDir, homeFiles, readTrust } from "../../mesh/nats/identity/home.ts";
import { CliError, EXIT, Interrupted, usage } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { interruption, orInterrupted } from "../lib/interrupt.ts";
import { type Output, paint } from "../lib/output.ts";
import { numberFrom } from "../lib/parse.ts";
import { provisionOn } from "../lib/provision.ts";
import { type Session, session, withInspector } from "../lib/session.ts";
import { STANDING, standingCreds } from "../lib/standing.ts";
import { type Place, type Steward, startSteward } from "../lib/steward.ts";
import { homeOf } from "../lib/target.ts";
import { readUp, removeUp, type UpFile, writeUp } from "../lib/up-file.ts";

interface Options {
  profile: Profile;
  port: number;
  store?: string;
  monitor?: boolean;
}

export function registerUp(parley: Command): void {
  withExamples(
    parley
      .command("up")
      .description(
        "start a mesh on this machine: server, streams, doors; until Ctrl-C. " +
          "With --server: the same on a server of yours",
      )
      .addOption(
        new Option(
          "--profile <name>",
          "dev: default fsync; durable-1: every acknowledged write is on the disk; " +
            "durable-3: on those of two of three servers",
        )
          .choices(["dev", "durable-1", "durable-3"])
          .default("dev"),
      )
      .option(
        "--port <n>",
        "port for clients, 0 for a free one; three servers take the next two as well",
        numberFrom(0, 65_535),
        4222,
      )
      .option(
        "--store <dir>",
        "where the server keeps its data (default: <home>/store; of durable-3: <home>/cluster)",
      )
      .option("--monitor", "open the server's monitoring port too")
      .action((_options: Options, command: Command) => up(command)),
    "parley up",
    "parley up --profile durable-1 --store ./data",
    "parley up --profile durable-3      # three servers, for trying out: kill one",
    "parley up --port 0 --json        # any free port, told on standard output",
    "parley up --server nats://10.0.0.7:4222   # streams, doors, janitor; starts no server",
  );
}

async function up(command: Command): Promise<void> {
  const s = session<Options>(command);
  const home = homeOf(s.options);
  const { port, profile } = s.options;
  interruption();
  const running = await readUp(home);
  // Its process may be another's by now: in a container they have the same numbers every time.
  if (running !== undefined && running.pid !== process.pid && (await answers(running.url))) {
    throw new CliError(
      "E_RUNNING",
      `the mesh in ${home} is up already: ${running.url}, process ${running.pid}`,
      { next: `kill ${running.pid}    (ends it), or use it as it is: parley${at(home)} agents` },
    );
  }
  if (s.options.server !== undefined) {
    for (const name of ["port", "profile", "store", "monitor"]) {
      if (command.getOptionValueSource(name) !== "cli") continue;
      throw usage(`--${name} is for a server that parley up starts; --server names one of yours`);
    }
    return upOn(s, home);
  }
  const three = profile === "durable-3";
  for (let i = 0; port !== 0 && i < (three ? 3 : 1); i++) await checkPort(port + i);
  const { startLocalMesh } = await import("../../mesh/local.ts");
  const store = s.options.store ?? join(home, three ? "cluster" : "store");
  if (s.options.store === undefined) tellOfOtherStore(s.out, home, three);
  const starting = startLocalMesh({
    home,
    profile,
    storeDir: store,
    supervise: true,
    say: (line) => s.out.note(line),
    ...(port === 0 ? {} : { port }),
    ...(s.options.monitor === true ? { monitor: true } : {}),
  });
  // Given up half way, its server goes when this process does.
  const mesh = await orInterrupted(starting);
  try {
    const place = { home: mesh.home, servers: mesh.urls };
    await stand(
      s,
      place,
      () => toldOf(mesh, home, store),
      () => ended(mesh),
    );
  } finally {
    await mesh.stop();
  }
}

/** On servers that others started and look after. */
async function upOn(s: Session<Options>, home: string): Promise<void> {
  const say = (line: string) => s.out.note(line);
  const { servers, tls } = await withInspector(s, "admin", async (mesh, target) => {
    await provisionOn(mesh, target, { audit: true }, say);
    return target;
  });
  const place = { home: { dir: home, trust: await readTrust(home) }, servers };
  await stand(s, tls === undefined ? place : { ...place, tls }, ({ version }) => ({
    url: servers.join(","),
    home,
    pid: process.pid,
    version,
    startedAt: new Date().toISOString(),
  }));
}

/** Makes the standing identities, runs the steward, and tells of it all, until Ctrl-C. */
async function stand(
  s: Session<Options>,
  place: Place,
  toldOf: (steward: Steward) => UpFile,
  over: (steward: Steward) => Promise<never> = refused,
): Promise<void> {
  const { dir } = place.home;
  let steward: Steward | undefined;
  try {
    for (const who of [STANDING.admin, STANDING.submit, STANDING.read]) {
      await standingCreds(dir, who);
    }
    steward = await startSteward(s.out, place);
    const told = toldOf(steward);
    await writeUp(told);
    tell(s.out, told);
    await orInterrupted(over(steward));
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    s.out.note("stopping");
    // Asked to stop by whoever supervises us: that is an orderly end.
    if (error.exit !== EXIT.interrupted) process.exitCode = EXIT.ok;
    else throw error;
  } finally {
    await removeUp(dir);
    await steward?.stop();
  }
}

/** A server that is away is waited for; one that refuses us is not. */
async function refused({ closed }: Steward): Promise<never> {
  const reason = await closed;
  throw new CliError(
    "E_CONNECTION",
    `the server takes the steward no more${reason instanceof Error ? `: ${reason.message}` : ""}`,
    { exit: EXIT.failed, next: "parley doctor    (are the credentials still good?)" },
  );
}

function toldOf(mesh: LocalMesh, home: string, store: string): UpFile {
  const { server, cluster } = mesh;
  return {
    url: mesh.urls.join(","),
    home,
    pid: process.pid,
    serverPid: server.pid,
    profile: mesh.profile,
    store,
    version: server.version,
    startedAt: new Date().toISOString(),
    ...(cluster === undefined
      ? {}
      : { servers: cluster.servers.map(({ url, pid }) => ({ url, pid })) }),
    ...(server.monitorUrl === undefined ? {} : { monitorUrl: server.monitorUrl }),
  };
}

/** `nats://user:word@host:4222`, of which only the host must be there. */
const ADDRESS = /^(?:[a-z]+:\/\/)?(?:[^@]*@)?\[?([^\][/]*?)\]?(?::(\d+))?\/?$/i;
/** How long a server may take to be connected to, ms. */
const PROBE_MS = 2_000;
/** Of the log of a server that ended. */
const LOG_LINES = 5;

/** Rejects when there is no server left. Of three one may end: it is started again. */
async function ended({ server, cluster }: LocalMesh): Promise<never> {
  const next = "parley up";
  if (cluster !== undefined) {
    return cluster.broken.catch((error: Error) => {
      throw new CliError("E_CONNECTION", error.message, { exit: EXIT.failed, next });
    });
  }
  const exit = await server.exited;
  // Its folder goes with it.
  const log = await readFile(server.logFile, "utf8").catch(() => "");
  const tail = log.trim().split("\n").slice(-LOG_LINES);
  throw new CliError(
    "E_CONNECTION",
    [`nats-server ended by itself (${exit.code ?? exit.signal}); it said last:`, ...tail].join(
      "\n  ",
    ),
    {
      exit: EXIT.failed,
      next: `parley up --port ${server.port}    (where its agents look for it)`,
    },
  );
}

/** One server and three cannot read each other's stores. */
function tellOfOtherStore(out: Output, home: string, three: boolean): void {
  const other = join(home, three ? "store" : "cluster");
  if (!existsSync(other) || existsSync(join(home, three ? "cluster" : "store"))) return;
  out.note(
    `this profile has a store of its own: tasks in ${other} stay there ` +
      "(to move them: nats account backup, nats account restore)",
  );
}

/** Is any of the servers there? */
async function answers(urls: string): Promise<boolean> {
  const tried = urls.split(",").map(
    (url) =>
      new Promise<boolean>((resolve) => {
        const [, host = "", port = "4222"] = ADDRESS.exec(url.trim()) ?? [];
        const socket = connectSocket({ host, port: Number(port), timeout: PROBE_MS });
        const tell = (there: boolean) => () => {
          socket.destroy();
          resolve(there);
        };
        socket.on("connect", tell(true)).on("error", tell(false)).on("timeout", tell(false));
      }),
  );
  return (await Promise.all(tried)).includes(true);
}

/** Fails before anything is started, with a hint; the server itself would only say "in use". */
async function checkPort(port: number): Promise<void> {
  const fault = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    const probe = createServer();
    probe.once("error", resolve);
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () =>
      probe.close(() => resolve(undefined)),
    );
  });
  if (fault === undefined) return;
  throw new CliError(
    "E_PORT",
    fault.code === "EADDRINUSE"
      ? `port ${port} is taken by another program, perhaps a nats-server of yours`
      : `port ${port} cannot be opened (${fault.code})`,
    {
      next:
        `parley up --port ${port + 1}    (or --port 0 for a free one), or use that server: ` +
        `parley up --server nats://127.0.0.1:${port}`,
      cause: fault,
    },
  );
}

/** The flag that names the folder, where it is not the one that is looked for. */
function at(home: string): string {
  return resolve(defaultHomeDir()) === home ? "" : ` --home ${home}`;
}

function tell(out: Output, told: UpFile): void {
  const files = homeFiles(told.home);
  const creds = (name: string) => files.credsOf(name);
  if (out.json) {
    return out.document({
      ...told,
      creds: Object.fromEntries(
        [STANDING.admin, STANDING.submit, STANDING.read].map(({ name }) => [name, creds(name)]),
      ),
    });
  }
  const flags = (name: string) =>
    `--server ${told.url} --creds ${creds(name)} --inbox-prefix _INBOX.${name}`;
  const { admin, submit, read } = STANDING;
  out.text(
    `${paint("bold", "the mesh is up")}: ${told.url} (nats-server ${told.version}` +
      (told.store === undefined ? "" : `, profile ${told.profile}, data in ${told.store}`) +
      ")",
  );
  out.text(`
with parley, in this folder:
  parley${at(told.home)} agents
  parley${at(told.home)} submit CAPABILITY '{"text":"hello"}' --wait

credentials, for agents and for the nats program:
${[admin, submit, read].map((w) => `  ${creds(w.name)}    ${w.use}`).join("\n")}
  parley${at(told.home)} identity add alice --role agent --cap CAPABILITY

with the nats program:
  nats ${flags(admin.name)} req mesh.call.CAPABILITY '{}'
  nats context add parley ${flags(admin.name)} --select
  nats sub 'mesh.rec.>'

Ctrl-C stops it.`);
}
