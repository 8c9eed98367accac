// One hunt: a server, the arena in a process with the bug planted, and the judge, who has no bug.
// Composition root: knows mesh/nats.
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { connectNats } from "../../mesh/nats/connect.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import { NatsTransport } from "../../mesh/nats/transport.ts";
import { checkHistory, type Report } from "../checker.ts";
import { writeDump } from "../dump-file.ts";
import { readRun } from "../traces.ts";
import { type Bug, patched } from "./patch.ts";
import { STORIES, type Story } from "./stories.ts";

/** A play that takes longer is stopped, ms. */
const PLAY_MS_MAX = 45_000;

export interface Hunted {
  bug: string;
  verdict: Report["verdict"];
  /** Of the violations found, by the checker's own names. */
  invariants: string[];
  /** Did the checker name one of those that the bug breaks? For `none`: did it find nothing? */
  caught: boolean;
  seconds: number;
  report: Report;
  /** Stories that broke off with an error. */
  broken: string[];
}

/**
 * @param bug undefined: the product as it is, in all stories
 * @throws Error when the bug does not apply to the sources as they are
 */
export async function hunt(bug: Bug | undefined, stories?: readonly Story[]): Promise<Hunted> {
  // Here it says which text is gone; in the arena's process it would only end it.
  if (bug !== undefined) patched(bug);
  const begun = performance.now();
  const played = stories ?? bug?.hunt ?? (Object.keys(STORIES) as Story[]);
  const folder = await mkdtemp(join(tmpdir(), "parley-hunt-"));
  try {
    const { report, broken } = await playAndJudge(folder, bug, played);
    const invariants = [...new Set(report.violations.map((v) => v.rule))];
    const caught =
      bug === undefined
        ? report.verdict === "valid" && broken.length === 0
        : report.verdict === "invalid" && invariants.some((i) => bug.invariants.includes(i));
    return {
      bug: bug?.name ?? "none",
      verdict: report.verdict,
      invariants,
      caught,
      seconds: (performance.now() - begun) / 1_000,
      report,
      broken,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function playAndJudge(folder: string, bug: Bug | undefined, stories: readonly Story[]) {
  const home = join(folder, "home");
  const dir = join(folder, "history");
  await mkdir(dir);
  const mesh = await startLocalMesh({ home });
  try {
    const broken = await play(mesh, { dir, home, bug, stories });
    const { keys, slots } = JSON.parse(await readFile(join(home, "cast.json"), "utf8")) as Cast;
    await dump(mesh, join(dir, "dump.ndjson"), keys);
    const about = { run: bug?.name ?? "none", profile: "dev", slots };
    const meta = JSON.stringify({ ...about, drained: true, proven: true });
    await writeFile(join(dir, "meta.json"), meta);
    return { report: checkHistory(await readRun([dir])), broken };
  } finally {
    await mesh.stop();
  }
}

/** Who played, as the arena left it. */
interface Cast {
  keys: Record<string, string>;
  slots: Record<string, number>;
}

interface Play {
  dir: string;
  home: string;
  bug: Bug | undefined;
  stories: readonly Story[];
}

/** @returns what broke off; @throws Error when the arena itself does not come to its end */
function play(mesh: LocalMesh, p: Play): Promise<string[]> {
  const at = (name: string) => join(import.meta.dirname, name);
  const { url } = mesh.server;
  const args = ["--import", at("register.ts"), at("arena.ts"), p.dir, p.home, url];
  const child = spawn(process.execPath, [...args, p.stories.join(",")], {
    env: { ...process.env, PARLEY_BUG: p.bug?.name ?? "", NODE_NO_WARNINGS: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  let complaint = "";
  child.stdout.on("data", (piece) => {
    said += piece;
  });
  child.stderr.on("data", (piece) => {
    complaint += piece;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), PLAY_MS_MAX);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      if (code === 0) return resolve((JSON.parse(said) as { broken: string[] }).broken);
      // A bug may well bring the process down: what it wrote until then is judged all the same.
      if (p.bug !== undefined && code !== null) return resolve([complaint.slice(-500)]);
      const how = code === null ? "was stopped" : `ended with ${code}`;
      reject(new Error(`the arena ${how}: ${complaint.slice(-2_000)}`));
    });
  });
}

async function dump(mesh: LocalMesh, path: string, keys: Cast["keys"]): Promise<void> {
  const creds = await mesh.mint("judge", "observer");
  const transport = new NatsTransport(
    await connectNats({
      servers: mesh.server.url,
      name: "judge",
      authenticator: credsAuth(creds),
      principal: "judge",
    }),
  );
  try {
    await writeDump(transport, path, { principal: "judge", keys });
  } finally {
    await transport.close();
  }
}
