// Whole virtual runs: the same seed gives the same history, byte for byte; nothing is lost or
// done twice, with faults and without.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { lineFault } from "../../../check/format.ts";
import { MIXES } from "../../../sim/virtual/faults.ts";
import { runVirtual } from "../../../sim/virtual/run.ts";
import type { VirtualOptions, VirtualRun } from "../../../sim/virtual/run-types.ts";

const root = join(import.meta.dirname, "..", "..", "..");

async function played(options: Partial<VirtualOptions>) {
  const lines: string[] = [];
  const run = await runVirtual({
    agents: 100,
    tasks: 200,
    seed: 1,
    timeScale: 0.2,
    baselineRuns: 1,
    history: (line) => void lines.push(line),
    ...options,
  });
  return { run, lines };
}

function sound({ report, pending, end }: VirtualRun, tasks: number): void {
  expect({ end, pending }).toEqual({ end: "met", pending: [] });
  expect(report.tasks).toMatchObject({ submitted: tasks, lost: 0, duplicated: 0 });
}

test("whether it is judged or not, it is the same history and the same figures", async () => {
  const faults = { loss: 0.01, crash: 2 };
  const judged = await played({ check: true, faults });
  const bare = await played({ check: false, faults });
  expect(bare.lines).toEqual(judged.lines);
  const { events, worldMs, report } = judged.run;
  expect(bare.run).toMatchObject({ events, worldMs, report });
});

describe("determinism", () => {
  test("one seed, one history: twice, and with the other way to drain promises", async () => {
    const faults = "mix";
    const first = await played({ faults, seed: "again" });
    const second = await played({ faults, seed: "again" });
    const turns = await played({ faults, seed: "again", drain: "turns" });
    expect(first.lines.length).toBeGreaterThan(2_000);
    expect(second.lines).toEqual(first.lines);
    expect(turns.lines).toEqual(first.lines);
    expect(turns.run.historyHash).toBe(first.run.historyHash);
    expect({ ...second.run.report }).toEqual({ ...first.run.report });
    const other = await played({ faults, seed: "another" });
    expect(other.run.historyHash).not.toBe(first.run.historyHash);
  }, 60_000);

  // Policies are named by a digest of their source, which the test runner rewrites: so a process
  // of plain Node is compared with another one, not with this one.
  test("in another process too, signed", () => {
    const played = (drain: string): string => {
      const code =
        'import { runVirtual } from "./sim/virtual/run.ts";' +
        "const run = await runVirtual({ agents: 20, tasks: 30, signing: true, agentsPerHost: 10, " +
        `timeScale: 0.2, seed: 5, baselineRuns: 1, drain: "${drain}", history: () => {} });` +
        "console.log(run.report.tasks.completed, run.historyHash);";
      const args = ["--conditions=parley-source", "--input-type=module", "--eval", code];
      const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
      expect(stderr).toBe("");
      return stdout.trim();
    };
    const first = played("now");
    expect(first).toMatch(/^30 [0-9a-f]{64}$/);
    expect(played("turns")).toBe(first);
  }, 60_000);

  test("a history is one that the checker reads", async () => {
    const { lines } = await played({ faults: "crash", tasks: 50 });
    for (const line of lines) expect(lineFault(JSON.parse(line))).toBeUndefined();
    const counts = new Map<string, number>();
    for (const line of lines) {
      const { p, n } = JSON.parse(line) as { p: string; n: number };
      expect(n).toBe(counts.get(p) ?? 0);
      counts.set(p, n + 1);
    }
    expect(counts.size).toBeGreaterThan(4);
  });
});

describe("runs", () => {
  test("without faults everything is done, fairly and soon", async () => {
    const { run } = await played({ tasks: 500 });
    sound(run, 500);
    expect(run.report.tasks.completed).toBe(500);
    expect(run.report.decisionMs.p50).toBeLessThan(5);
    expect(run.report.slowdown.mean).toBeLessThan(1.1);
    expect(run.counters.submitted).toBe(500);
    // Nothing was refused that should not have been: no forged path, no permission, no schema.
    const odd = Object.keys(run.counters).filter((name) => name.startsWith("refused."));
    expect(odd).toEqual([]);
  }, 30_000);

  test("stopped by somebody: what was under way is neither lost nor a broken rule", async () => {
    let looks = 0;
    const stop = () => ++looks > 20;
    const { run } = await played({ tasks: 2_000, check: true, stop });
    expect(run.report.interrupted).toBe(true);
    expect(run.report.tasks.completed).toBeLessThan(run.report.tasks.submitted);
    expect(run.report.tasks.lost).toBe(0);
    expect(run.pending).toEqual([]);
    expect(run.verdict?.report.violations).toEqual([]);
  });

  test("a batch: nothing expires, however long the row", async () => {
    const row = { serviceMs: 20_000, arriveMs: 0, capability: "llm-chat", inputTokens: 1 };
    const tasks = Array.from({ length: 200 }, (_, i) => ({ ...row, id: `t${i}`, outputTokens: 1 }));
    const workload = { name: "batch", tasks };
    const { run } = await played({ agents: 4, timeScale: 1, workload });
    expect(run.report.tasks).toMatchObject({ submitted: 200, completed: 200, expired: 0 });
  });

  test("signed: every record and award is proven", async () => {
    const { run } = await played({ agents: 50, tasks: 60, signing: true });
    sound(run, 60);
    expect(run.report.tasks.completed).toBe(60);
    const odd = Object.keys(run.counters).filter((name) => /^(refused|identity)\./.test(name));
    expect(odd).toEqual([]);
  }, 30_000);

  const mixes = Object.keys(MIXES).filter((name) => name !== "none") as (keyof typeof MIXES)[];
  test.each(mixes)(
    "with faults: %s",
    async (faults) => {
      const { run } = await played({ faults, tasks: 300, timeScale: 0.5, seed: `f-${faults}` });
      sound(run, 300);
      const { completed, failed, expired } = run.report.tasks;
      expect(completed + failed + expired).toBe(300);
      expect(completed).toBeGreaterThan(270);
    },
    60_000,
  );
});
