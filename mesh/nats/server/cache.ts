// The project's cache folder and the nats-server binaries in it:
//   <cache>/nats-server/<version>/nats-server        the program
//   <cache>/nats-server/<version>/nats-server.json   its SHA-256 and where it came from
// A binary whose digest no longer agrees with its record is never run.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Env, Say } from "./child.ts";
import { compareVersions, versionIn } from "./version.ts";

export const serverFileName = process.platform === "win32" ? "nats-server.exe" : "nats-server";
const recordFileName = "nats-server.json";

/** The stock `nats` program that the tests drive; `.ci/run` installs the same one. */
export const natsCliVersionPinned = "0.3.2";

export interface CachedServer {
  readonly binary: string;
  readonly version: string;
  /** Where it was taken from, as told to the user at the time. */
  readonly origin: string;
}

/** `$PARLEY_CACHE`, else `$XDG_CACHE_HOME/parley`, else `~/.cache/parley`. */
export function cacheFolder(env: Env): string {
  if (env.PARLEY_CACHE) return env.PARLEY_CACHE;
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "parley");
}

/** SHA-256 of a file as lower-case hexadecimal. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

/** The newest cached server of at least `floor` whose digest is right. Each entry that had to be
 * passed over is told through `say`. */
export async function readCache(
  env: Env,
  floor: string,
  say: Say,
): Promise<CachedServer | undefined> {
  const folder = join(cacheFolder(env), "nats-server");
  const names = await readdir(folder).catch(() => []);
  const versions = names.filter((name) => versionIn(name) === name).sort(compareVersions);
  for (const version of versions.reverse()) {
    const binary = join(folder, version, serverFileName);
    if (compareVersions(version, floor) < 0) {
      say(`cache: ${binary} is nats-server ${version}, older than ${floor}: passed over`);
      continue;
    }
    const record = await readRecord(join(folder, version, recordFileName));
    const digest = await digestOf(binary).catch(() => undefined);
    if (record !== undefined && record.sha256 === digest) {
      return { binary, version, origin: record.origin };
    }
    say(`cache: ${binary} does not have its recorded SHA-256: passed over`);
  }
  return undefined;
}

async function readRecord(file: string): Promise<{ sha256: string; origin: string } | undefined> {
  try {
    const record: unknown = JSON.parse(await readFile(file, "utf8"));
    if (typeof record !== "object" || record === null) return undefined;
    const { sha256, origin } = record as { sha256?: unknown; origin?: unknown };
    return typeof sha256 === "string" && typeof origin === "string"
      ? { sha256, origin }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Puts a binary into the cache under its version, replacing what is there, in one rename, so
 * that no reader ever sees half a file. Returns the cached path. */
export async function writeCache(env: Env, from: string, entry: Omit<CachedServer, "binary">) {
  const folder = join(cacheFolder(env), "nats-server");
  const target = join(folder, entry.version);
  const draft = join(folder, `.draft-${process.pid}-${Date.now()}`);
  await mkdir(draft, { recursive: true });
  try {
    const binary = join(draft, serverFileName);
    await copyFile(from, binary);
    await chmod(binary, 0o755);
    const record = { sha256: await digestOf(binary), ...entry };
    await writeFile(join(draft, recordFileName), `${JSON.stringify(record, null, 2)}\n`);
    await rm(target, { recursive: true, force: true });
    await rename(draft, target);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return join(target, serverFileName);
}

/** Where `.ci/run` puts the stock `nats` command line program, for the tests that drive it. */
export function natsCliPath(env: Env): string {
  return join(cacheFolder(env), "natscli", natsCliVersionPinned, "nats");
}
