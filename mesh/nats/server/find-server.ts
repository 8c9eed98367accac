// Finds a nats-server program, or fetches one. The order, and why:
//   1. named by the caller or NATS_SERVER_BIN    the user's word; wrong is an error, not a hint
//   2. PATH                                      what the operator installed
//   3. the project's cache                       what an earlier run fetched
//   4. the pinned official release               same bytes for everybody
//   5. go install                                needs only a Go toolchain and its proxy
//   6. the distribution's newer suite            needs only a package mirror
// Each step says what it did or why it was passed over.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder, readCache, writeCache } from "./cache.ts";
import { type Env, failureOf, findOnPath, runChild, type Say } from "./child.ts";
import { debianSource } from "./debian.ts";
import { goSource } from "./go-install.ts";
import { instructionsFor } from "./instructions.ts";
import { withLock } from "./lock-file.ts";
import { releaseSource } from "./release.ts";
import type { Source } from "./source.ts";
import { compareVersions, serverVersionFloor, versionIn } from "./version.ts";

export interface FindOptions {
  /** A program named by the user, such as by a flag; wins over the environment. */
  readonly binary?: string;
  /** Environment to read and to give to programs; default `process.env`. Read: NATS_SERVER_BIN,
   * PATH, PARLEY_CACHE, XDG_CACHE_HOME, PARLEY_OFFLINE, PARLEY_NATS_MIRROR, PARLEY_NATS_SHA256
   * and the usual proxy variables. */
  readonly env?: Env;
  /** Fetch nothing; also by PARLEY_OFFLINE=1. */
  readonly offline?: boolean;
  readonly say?: Say;
}

export interface FoundServer {
  readonly binary: string;
  readonly version: string;
  readonly source: "named" | "path" | "cache" | Source["name"];
}

/** No usable nats-server. The message says what was tried and what to do. */
export class ServerNotFoundError extends Error {
  readonly passedOver: readonly string[];

  constructor(message: string, passedOver: readonly string[] = []) {
    super(message);
    this.name = "ServerNotFoundError";
    this.passedOver = passedOver;
  }
}

const versionTimeoutMs = 10_000;
const sources: readonly Source[] = [releaseSource, goSource, debianSource];

/** Finds or fetches a nats-server of at least `serverVersionFloor`. Rejects with
 * `ServerNotFoundError`. */
export async function findServer(options: FindOptions = {}): Promise<FoundServer> {
  const env = options.env ?? process.env;
  const say = options.say ?? (() => {});
  const passedOver: string[] = [];
  const pass: Say = (line) => {
    passedOver.push(line);
    say(line);
  };
  const named = options.binary ?? env.NATS_SERVER_BIN;
  if (named) return useNamed(named, options.binary === undefined, env, say);
  const present = (await lookOnPath(env, say, pass)) ?? (await lookInCache(env, say, pass));
  if (present !== undefined) return present;
  if (options.offline || isSet(env.PARLEY_OFFLINE)) {
    pass("release, go, debian: passed over, offline was asked for");
    throw notFound(passedOver);
  }
  const folder = join(cacheFolder(env), "nats-server");
  await mkdir(folder, { recursive: true });
  return withLock(join(folder, ".lock"), say, async () => {
    // Whoever held the lock before us has probably put one there.
    const meanwhile = await lookInCache(env, say, () => {});
    return meanwhile ?? (await fetchFirst(folder, env, say, pass)) ?? fail(passedOver);
  });
}

function isSet(flag: string | undefined): boolean {
  return flag !== undefined && flag !== "" && flag !== "0" && flag !== "false";
}

async function useNamed(binary: string, byEnv: boolean, env: Env, say: Say): Promise<FoundServer> {
  const by = byEnv ? "NATS_SERVER_BIN names" : "named:";
  const version = await versionOf(binary, env).catch((error: Error) => {
    throw new ServerNotFoundError(
      `${by} ${binary}, which is not a nats-server that runs here (${error.message}). ` +
        "Name the program itself, or nothing.",
    );
  });
  if (compareVersions(version, serverVersionFloor) < 0) {
    throw new ServerNotFoundError(
      `${by} ${binary}, which is nats-server ${version}; Parley needs ${serverVersionFloor} or ` +
        "newer. Name a newer one, or nothing: then one is looked for.",
    );
  }
  say(`nats-server ${version}: ${binary} (${byEnv ? "NATS_SERVER_BIN" : "as named"})`);
  return { binary, version, source: "named" };
}

async function lookOnPath(env: Env, say: Say, pass: Say): Promise<FoundServer | undefined> {
  const candidates = findOnPath("nats-server", env);
  if (candidates.length === 0) pass("PATH: no nats-server");
  for (const binary of candidates) {
    try {
      const version = await versionOf(binary, env);
      if (compareVersions(version, serverVersionFloor) >= 0) {
        say(`nats-server ${version}: ${binary} (on PATH)`);
        return { binary, version, source: "path" };
      }
      pass(
        `PATH: ${binary} is nats-server ${version}, older than ${serverVersionFloor}: passed over`,
      );
    } catch (error) {
      pass(`PATH: ${binary} does not run (${(error as Error).message}): passed over`);
    }
  }
  return undefined;
}

async function lookInCache(env: Env, say: Say, pass: Say): Promise<FoundServer | undefined> {
  const cached = await readCache(env, serverVersionFloor, pass);
  if (cached === undefined) {
    pass(`cache: no usable nats-server in ${cacheFolder(env)}`);
    return undefined;
  }
  say(`nats-server ${cached.version}: ${cached.binary} (cached, SHA-256 checked)`);
  return { binary: cached.binary, version: cached.version, source: "cache" };
}

async function fetchFirst(
  folder: string,
  env: Env,
  say: Say,
  pass: Say,
): Promise<FoundServer | undefined> {
  for (const source of sources) {
    const scratch = await mkdtemp(join(folder, ".fetch-"));
    try {
      const fetched = await source.fetch({ env, say, scratch });
      const version = await versionOf(fetched.binary, env);
      if (compareVersions(version, serverVersionFloor) < 0) {
        throw new Error(`it is nats-server ${version}, older than ${serverVersionFloor}`);
      }
      const { origin } = fetched;
      const binary = await writeCache(env, fetched.binary, { version, origin });
      say(`nats-server ${version}: ${binary} (${origin})`);
      return { binary, version, source: source.name };
    } catch (error) {
      pass(`${source.name}: passed over: ${(error as Error).message}`);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
  return undefined;
}

/** The version that a program prints with `-v`; rejects when it is no nats-server. */
async function versionOf(binary: string, env: Env): Promise<string> {
  const result = await runChild(binary, ["-v"], { env, timeoutMs: versionTimeoutMs });
  const failure = failureOf(result);
  if (failure !== undefined) throw new Error(failure);
  const version = /nats-server/.test(result.stdout) ? versionIn(result.stdout) : undefined;
  if (version === undefined) throw new Error("it does not print a nats-server version");
  return version;
}

function fail(passedOver: readonly string[]): never {
  throw notFound(passedOver);
}

function notFound(passedOver: readonly string[]): ServerNotFoundError {
  const tried = passedOver.map((line) => `  ${line}`).join("\n");
  const message = `no usable nats-server was found:\n${tried}\n${instructionsFor()}`;
  return new ServerNotFoundError(message, passedOver);
}
