import { describe, expect, test } from "vitest";
import { createPrng } from "../../mesh/core/prng.ts";
import {
  BASELINE_RULES,
  type BaselineFigures,
  type BaselineRule,
  computeBaseline,
  runRule,
} from "../../sim/baseline.ts";
import { capacityOf, drawPool, type SimAgent, type SimPool } from "../../sim/pool.ts";
import { readAzureCsv } from "../../sim/workload/azure-csv.ts";
import { generate } from "../../sim/workload/generate.ts";
import { stretch } from "../../sim/workload/stretch.ts";
import { WorkloadError, type WorkloadTask } from "../../sim/workload/task.ts";
import { traceFile, traceReason } from "./data.ts";

function task(id: string, arriveMs: number, serviceMs: number, capability = "c"): WorkloadTask {
  return { id, arriveMs, serviceMs, capability, inputTokens: 1, outputTokens: 1 };
}

function agent(name: string, speed = 1, slots = 1, capabilities = ["c"]): SimAgent {
  return { name, speed, slots, costPerSecond: 1, claimFactor: 1, capabilities };
}

function pool(...agents: SimAgent[]): SimPool {
  return { profile: "mixed", agents };
}

function run(rule: BaselineRule, tasks: WorkloadTask[], agents: SimPool): BaselineFigures {
  return runRule(rule, tasks, agents, createPrng("test"));
}

describe("worked by hand", () => {
  test("one server: every rule queues first come, first served", () => {
    const tasks = [task("a", 0, 10), task("b", 5, 10), task("c", 100, 10)];
    for (const rule of BASELINE_RULES) {
      const figures = run(rule, tasks, pool(agent("x")));
      expect(figures.makespanMs).toBe(110);
      expect(figures.meanWaitMs).toBeCloseTo(5 / 3, 12);
      expect(figures.slowdown).toEqual({ mean: (1 + 1.5 + 1) / 3, p99: 1.5 });
      expect(figures.giniOfBusyTime).toBe(0);
    }
  });

  test("the central queue gives each of two servers one of two tasks", () => {
    const figures = run(
      "least",
      [task("a", 0, 10), task("b", 0, 10)],
      pool(agent("x"), agent("y")),
    );
    expect(figures).toMatchObject({ makespanMs: 10, giniOfBusyTime: 0, meanWaitMs: 0 });
  });

  test("a fast agent is done sooner, and slowdown counts the time that it really takes", () => {
    const figures = run("least", [task("a", 0, 10), task("b", 0, 10)], pool(agent("x", 2)));
    expect(figures.makespanMs).toBe(10);
    expect(figures.slowdown.mean).toBe((1 + 2) / 2);
  });

  test("slots are servers, and busy time counts per slot", () => {
    const tasks = ["a", "b", "c"].map((id) => task(id, 0, 10));
    const figures = run("least", tasks, pool(agent("x", 1, 2), agent("y")));
    expect(figures).toMatchObject({ makespanMs: 10, giniOfBusyTime: 0, meanWaitMs: 0 });
  });

  test("of two servers p2c takes the one with fewer tasks", () => {
    // Whoever gets the long task has one waiting or running, the other none: "b" goes there; at
    // 60 "b" is done, so "c" goes there too, and nobody ever waits.
    const tasks = [task("a", 0, 100), task("b", 10, 50), task("c", 70, 10)];
    for (let seed = 0; seed < 20; seed++) {
      const figures = runRule("p2c", tasks, pool(agent("x"), agent("y")), createPrng(seed));
      expect(figures.meanWaitMs).toBe(0);
    }
  });

  test("the order of the list does not matter, the order of arrival does", () => {
    const tasks = [task("a", 0, 10), task("b", 5, 10), task("c", 7, 1)];
    expect(run("least", tasks.toReversed(), pool(agent("x")))).toEqual(
      run("least", tasks, pool(agent("x"))),
    );
  });

  test("only agents with the capability are drawn", () => {
    const tasks = Array.from({ length: 50 }, (_, at) => task(`t${at}`, at, 1, "rare"));
    const agents = pool(agent("x"), agent("y", 1, 1, ["c", "rare"]), agent("z"));
    for (const rule of BASELINE_RULES) {
      expect(run(rule, tasks, agents).giniOfBusyTime).toBeCloseTo(2 / 3, 9);
    }
    expect(() => run("least", [task("a", 0, 1, "none")], agents)).toThrow(WorkloadError);
  });

  test("no tasks give zeros", () => {
    const figures = run("random", [], pool(agent("x")));
    expect(figures).toMatchObject({ makespanMs: 0, giniOfBusyTime: 0, meanWaitMs: 0 });
  });
});

describe("on a drawn workload", () => {
  const mixed = drawPool({ profile: "mixed", agents: 60, seed: 3 });
  const tasks = stretch(generate({ count: 3_000, seed: 3 }), { capacity: capacityOf(mixed) }).tasks;

  test("is the same for the same seed", () => {
    const once = computeBaseline(tasks, mixed, { seed: 9 });
    expect(computeBaseline(tasks, mixed, { seed: 9 })).toEqual(once);
    expect(computeBaseline(tasks, mixed, { seed: 10 }).random).not.toEqual(once.random);
    expect(computeBaseline(tasks, mixed, { seed: 10 }).least).toEqual(once.least);
  });

  test("the more a rule looks at, the less its tasks wait", () => {
    const { random, p2c, bid10, least } = computeBaseline(tasks, mixed, { seed: 1 });
    expect(random.slowdown.mean).toBeGreaterThan(p2c.slowdown.mean);
    expect(p2c.slowdown.mean).toBeGreaterThan(bid10.slowdown.mean);
    expect(bid10.slowdown.mean).toBeGreaterThan(least.slowdown.mean);
    expect(random.giniOfBusyTime).toBeGreaterThan(least.giniOfBusyTime);
  });

  test("the time scale changes times and nothing else", () => {
    const capacity = capacityOf(mixed);
    const fast = stretch(generate({ count: 3_000, seed: 3 }), { capacity, timeScale: 0.01 }).tasks;
    const slow = computeBaseline(tasks, mixed, { seed: 1 });
    const scaled = computeBaseline(fast, mixed, { seed: 1 });
    for (const rule of BASELINE_RULES) {
      expect(scaled[rule].slowdown.mean).toBeCloseTo(slow[rule].slowdown.mean, 6);
      expect(scaled[rule].makespanMs).toBeCloseTo(slow[rule].makespanMs * 0.01, 3);
    }
  });
});

// The azure-llm table of the data page: Gini of work, mean slowdown, p99 slowdown, mean wait in s.
const PAGE: [agents: number, rule: BaselineRule, ...figures: number[]][] = [
  [16, "random", 0.018, 12.24, 110.6, 39.8],
  [16, "p2c", 0.005, 3.23, 19.9, 8.2],
  [16, "bid10", 0.003, 1.63, 8.9, 2.39],
  [16, "least", 0.002, 1.57, 8.5, 2.18],
  [100, "random", 0.048, 9.22, 67.9, 28.42],
  [100, "p2c", 0.018, 2.94, 18, 6.9],
  [100, "bid10", 0.007, 1.12, 2.5, 0.43],
  [100, "least", 0.005, 1.04, 1.8, 0.15],
  [1000, "random", 0.158, 4.98, 32.9, 13.79],
  [1000, "p2c", 0.073, 2.61, 14, 5.53],
  [1000, "bid10", 0.03, 1.07, 1.9, 0.23],
  [1000, "least", 0.025, 1, 1, 0],
];

/**
 * What the page's three seeds and ours may differ by: twice the spread seen over twelve seeds. At
 * 16 agents one unlucky draw moves all of `random`, and its 99 % most.
 */
const SLACK: Record<BaselineRule, { mean: number; p99: number }> = {
  random: { mean: 0.2, p99: 0.35 },
  p2c: { mean: 0.04, p99: 0.09 },
  bid10: { mean: 0.015, p99: 0.05 },
  least: { mean: 0.01, p99: 0.03 },
};

describe.skipIf(traceFile === undefined)(`the recorded trace${traceReason}`, () => {
  const figures = new Map<number, ReturnType<typeof computeBaseline>>();
  function of(agents: number): ReturnType<typeof computeBaseline> {
    const known = figures.get(agents);
    if (known !== undefined) return known;
    const uniform = drawPool({ profile: "uniform", agents, seed: 1 });
    const { tasks } = stretch(readAzureCsv(traceFile as string), { capacity: capacityOf(uniform) });
    const fresh = computeBaseline(tasks, uniform, { seed: 1 });
    figures.set(agents, fresh);
    return fresh;
  }

  test.each(PAGE)("%i agents, %s, as on the data page", (agents, rule, ...page) => {
    const [giniOfWork = 0, slowdownMean = 0, slowdownP99 = 0, waitSeconds = 0] = page;
    const ours = of(agents)[rule];
    const slack = agents === 16 || rule !== "random" ? SLACK[rule] : { mean: 0.04, p99: 0.06 };
    // Half of the page's last digit comes on top of each slack.
    const near = (value: number, paged: number, share: number, digit: number): void => {
      expect(Math.abs(value - paged)).toBeLessThanOrEqual(paged * share + digit / 2);
    };
    near(ours.slowdown.mean, slowdownMean, slack.mean, 0.01);
    near(ours.slowdown.p99, slowdownP99, slack.p99, 0.1);
    near(ours.meanWaitMs / 1_000, waitSeconds, slack.mean * 1.5, 0.01);
    near(ours.giniOfBusyTime, giniOfWork, 0.05, rule === "random" ? 0.006 : 0.002);
  });
});
