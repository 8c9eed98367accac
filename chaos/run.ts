// Runs one scenario and reports on it.
import { join } from "node:path";
import { createPrng } from "../mesh/core/prng.ts";
import { quantiles, timings } from "./harness/figures.ts";
import { judge } from "./harness/judge.ts";
import { World } from "./harness/world.ts";
import type { Bar, ChaosReport, Scenario } from "./scenario.ts";

export interface RunOptions {
  seed: number;
  minutes: number;
  agents: number;
  /** History of the run; kept. */
  dir: string;
  signal: AbortSignal;
  say(line: string): void;
}

const NOTHING = { p50: 0, p99: 0, n: 0 };

function blank(scenario: Scenario, seed: number): ChaosReport {
  return {
    scenario: scenario.name,
    seed,
    faults: { planned: 0, seen: 0 },
    accepted: 0,
    completed: 0,
    failed: 0,
    expired: 0,
    canceled: 0,
    lost: 0,
    duplicated: 0,
    staleCommits: 0,
    wrongRevocations: 0,
    detectMs: NOTHING,
    recoverMs: NOTHING,
    verdict: "not run",
    bars: [],
  };
}

/** Never rejects for what a scenario finds; rejects when the harness itself cannot go on. */
export async function runScenario(scenario: Scenario, o: RunOptions): Promise<ChaosReport> {
  const report = blank(scenario, o.seed);
  const why = await scenario.needs?.();
  if (why !== undefined) return { ...report, why };
  const worlds: World[] = [];
  const cleanups: (() => Promise<void>)[] = [];
  try {
    const bars = await scenario.run({
      ...o,
      prng: createPrng(`chaos/${scenario.name}/${o.seed}`),
      cleanup: (run) => void cleanups.push(run),
      async world(options) {
        const dir = worlds.length === 0 ? o.dir : join(o.dir, String(worlds.length));
        const world = await World.start({ ...o, dir }, options);
        worlds.push(world);
        return world;
      },
    });
    report.verdict = "valid";
    for (const world of worlds) await judgeWorld(report, world, scenario.name);
    report.bars.unshift(...bars);
    return report;
  } finally {
    for (const world of worlds) await world.close();
    for (const cleanup of cleanups) await cleanup();
  }
}

async function judgeWorld(report: ChaosReport, world: World, name: string): Promise<void> {
  const planned = { tasks: 1, faults: world.faults.planned };
  const { report: found, run } = await judge(world, name, planned);
  const { counts } = found;
  const add = (key: keyof ChaosReport & string) => {
    (report as unknown as Record<string, number>)[key] =
      ((report as unknown as Record<string, number>)[key] ?? 0) + (counts[key] ?? 0);
  };
  report.faults.planned += world.faults.planned;
  report.faults.seen += world.faults.seen;
  for (const key of [
    "accepted",
    "completed",
    "failed",
    "expired",
    "canceled",
    "lost",
    "duplicated",
    "staleCommits",
  ] as const) {
    add(key);
  }
  const t = timings(run, ["kill", "stop", "cut"]);
  report.wrongRevocations += t.wrong;
  if (t.detectMs.length > 0) report.detectMs = quantiles(t.detectMs);
  if (t.recoverMs.length > 0) report.recoverMs = quantiles(t.recoverMs);
  if (report.verdict === "valid" && found.verdict !== "valid") report.verdict = found.verdict;
  if (found.why !== undefined) report.why = found.why;
  for (const v of found.violations) {
    const bar: Bar = {
      id: v.rule,
      text: `${v.what} (in ${v.tasks} tasks)`,
      figure: v.witness.join("\n    "),
      met: false,
    };
    report.bars.push(bar);
  }
}

export function failed(report: ChaosReport): boolean {
  if (report.verdict === "not run") return false;
  return report.verdict !== "valid" || report.bars.some((b) => !b.met);
}
