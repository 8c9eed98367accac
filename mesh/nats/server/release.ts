// The pinned official release, from its archive.
//
// What is pinned, honestly: the version. No SHA-256 of the archives stands in this repository,
// because nobody here could compare them with the publisher's on a second way. The archive is
// checked against the release's own SHA256SUMS, fetched beside it, so trust rests on TLS and on
// the host that serves both. Who has the digest from elsewhere sets PARLEY_NATS_SHA256 (of the
// archive for this platform); then that one decides and SHA256SUMS is not read.
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { endianness } from "node:os";
import { join } from "node:path";
import { serverFileName } from "./cache.ts";
import type { Env } from "./child.ts";
import { type DownloadLimits, download } from "./download.ts";
import type { Source } from "./source.ts";
import { fileFromTarGz } from "./untar.ts";
import { serverVersionPinned } from "./version.ts";

const officialBase = "https://github.com/nats-io/nats-server/releases/download";

/** The archive is about 7 MB (2.15); the limits leave an order of magnitude. */
const archiveLimits: DownloadLimits = {
  connectTimeoutMs: 5_000,
  silenceTimeoutMs: 15_000,
  totalTimeoutMs: 180_000,
  bytesMax: 64 * 1024 * 1024,
};
const sumsLimits: DownloadLimits = {
  ...archiveLimits,
  totalTimeoutMs: 20_000,
  bytesMax: 1024 * 1024,
};
const unpackedBytesMax = 256 * 1024 * 1024;

export const releaseSource: Source = {
  name: "release",
  fetch: async ({ env, say, scratch }) => {
    const stem = `nats-server-v${serverVersionPinned}-${platformOf()}`;
    const base = baseOf(env);
    const at = (file: string): URL => new URL(`${base}/v${serverVersionPinned}/${file}`);
    const archiveName = `${stem}.tar.gz`;
    say(`release: fetching ${at(archiveName)}`);
    const expected =
      env.PARLEY_NATS_SHA256?.trim().toLowerCase() ??
      digestFor(archiveName, (await download(at("SHA256SUMS"), env, sumsLimits)).toString("utf8"));
    const archive = await download(at(archiveName), env, archiveLimits);
    const digest = createHash("sha256").update(archive).digest("hex");
    if (digest !== expected) {
      throw new Error(`${archiveName} has SHA-256 ${digest}, expected ${expected}: refused`);
    }
    const binary = join(scratch, serverFileName);
    const program = fileFromTarGz(archive, `${stem}/${serverFileName}`, unpackedBytesMax);
    await writeFile(binary, program, { mode: 0o755 });
    return { binary, origin: `release archive ${at(archiveName)}, SHA-256 ${digest}` };
  },
};

/** The folder above the versions. A mirror over plain http vouches for nothing, so it is taken
 * only from this machine or with a digest of the user's own. */
function baseOf(env: Env): string {
  const base = (env.PARLEY_NATS_MIRROR || officialBase).replace(/\/+$/, "");
  const url = new URL(base);
  const loopback = url.hostname === "127.0.0.1" || url.hostname === "localhost";
  if (url.protocol !== "https:" && !loopback && !env.PARLEY_NATS_SHA256) {
    throw new Error("PARLEY_NATS_MIRROR is not https: set PARLEY_NATS_SHA256 too, or use https");
  }
  return base;
}

function digestFor(name: string, sums: string): string {
  for (const line of sums.split("\n")) {
    const match = /^([0-9a-fA-F]{64})[ *]+(.+?)\s*$/.exec(line);
    if (match?.[2] === name && match[1] !== undefined) return match[1].toLowerCase();
  }
  throw new Error(`SHA256SUMS of the release does not list ${name}`);
}

/** The release's name for this platform, such as `linux-amd64`. */
export function platformOf(platform = process.platform, arch: string = process.arch): string {
  const system = platform === "win32" ? "windows" : platform;
  const littlePpc = arch === "ppc64" && endianness() === "LE" ? "ppc64le" : arch;
  const machine = { x64: "amd64", ia32: "386", arm: "arm7" }[littlePpc] ?? littlePpc;
  return `${system}-${machine}`;
}
