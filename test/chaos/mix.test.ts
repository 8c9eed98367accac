// Two minutes of chaos in small: real processes and a real server are killed, stopped and starved
// under load, and the judge reads what they did.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { ChaosReport } from "../../chaos/scenario.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..");

interface Ended {
  code: number;
  stdout: string;
}

async function node(...args: string[]): Promise<Ended> {
  try {
    const { stdout } = await run(process.execPath, args, { cwd: root, maxBuffer: 1e8 });
    return { code: 0, stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, stdout };
  }
}

test("a minute of the mix loses nothing, and its history checks as valid", async () => {
  const dir = await mkdtemp(join(tmpdir(), "parley-mix-"));
  const seed = process.env.PARLEY_SEED ?? String(Math.floor(Date.now() / 86_400_000));
  try {
    const args = ["--scenario", "mix", "--minutes", "1", "--agents", "120", "--seed", seed];
    const { code, stdout } = await node("chaos/main.ts", ...args, "--dir", dir, "--json");
    const report = JSON.parse(stdout) as ChaosReport;
    expect(report).toMatchObject({ verdict: "valid", lost: 0, duplicated: 0, staleCommits: 0 });
    expect(report.faults.seen).toBe(report.faults.planned);
    expect(report.faults.seen).toBeGreaterThan(10);
    expect(report.accepted).toBeGreaterThan(500);
    expect(report.bars.filter((b) => !b.met)).toEqual([]);
    expect(code).toBe(0);
    const checked = await node("check/main.ts", dir);
    expect(checked.stdout).toMatch(/^verdict: valid$/m);
    expect(checked.stdout).toMatch(/\d+ passed, 0 failed\n$/);
    expect(checked.code).toBe(0);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}, 240_000);

test("bad arguments are told, with the scenarios there are", async () => {
  const { code } = await node("chaos/main.ts", "--scenario", "nothing");
  expect(code).toBe(64);
  const { stdout } = await node("chaos/main.ts", "--list");
  for (const name of ["kill", "crash-detect", "hang", "zombie", "mix"])
    expect(stdout).toContain(name);
});
