import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { drawPool, type SimAgent, type SimPool } from "../../sim/pool.ts";
import {
  buildReport,
  type ExecutionRow,
  formatReport,
  isClean,
  type Report,
  type ReportOptions,
  type RunCounters,
  type TaskRow,
  writeSchedule,
} from "../../sim/report.ts";
import type { WorkloadTask } from "../../sim/workload/task.ts";

function agent(name: string, speed: number, slots: number): SimAgent {
  return { name, speed, slots, costPerSecond: 1, claimFactor: 1, capabilities: ["c"] };
}

function planned(id: string, arriveMs: number, serviceMs: number): WorkloadTask {
  return { id, arriveMs, serviceMs, capability: "c", inputTokens: 1, outputTokens: 1 };
}

const pool: SimPool = { profile: "mixed", agents: [agent("x", 2, 1), agent("y", 1, 2)] };
const options: ReportOptions = {
  seed: 7,
  workload: "generated",
  planned: [planned("a", 0, 100), planned("b", 10, 50), planned("c", 20, 40)],
  timeScale: 0.01,
  connections: "shared",
  policy: "fastest",
  profile: "dev",
};
const counters: RunCounters = { messages: 30, bids: 9, refusals: { busy: 4 } };
const T = 1_000_000;
const rows: TaskRow[] = [
  {
    id: "a",
    submitMs: T,
    specMs: T + 1,
    contractMs: T + 3,
    outcomeMs: T + 60,
    state: "completed",
    contractor: "p1.x",
  },
  {
    id: "b",
    submitMs: T + 10,
    specMs: T + 11,
    contractMs: T + 15,
    outcomeMs: T + 75,
    state: "completed",
    contractor: "y",
  },
  {
    id: "c",
    submitMs: T + 23,
    specMs: T + 24,
    contractMs: T + 30,
    outcomeMs: T + 100,
    state: "completed",
    contractor: "p1.y",
  },
];
const executions: ExecutionRow[] = [
  { task: "a", worker: "p1.x", startMs: T + 4, endMs: T + 54 },
  { task: "b", worker: "y", startMs: T + 16, endMs: T + 66 },
  { task: "c", worker: "p1.y", startMs: T + 40, endMs: T + 80 },
];

function report(
  change: {
    executions?: ExecutionRow[];
    rows?: TaskRow[];
    counters?: RunCounters;
    pool?: SimPool;
    options?: Partial<ReportOptions>;
  } = {},
): Report {
  return buildReport(
    change.executions ?? executions,
    change.rows ?? rows,
    change.counters ?? counters,
    change.pool ?? pool,
    { ...options, ...change.options },
  );
}

describe("buildReport", () => {
  test("has every figure, worked by hand", () => {
    const { baseline, ...figures } = report();
    expect(figures).toEqual({
      agents: 2,
      pool: "mixed",
      profile: "dev",
      workload: "generated",
      timeScale: 0.01,
      connections: "shared",
      policy: "fastest",
      seed: 7,
      seconds: 0.1,
      tasks: {
        submitted: 3,
        completed: 3,
        failed: 0,
        expired: 0,
        canceled: 0,
        rejected: 0,
        lost: 0,
        duplicated: 0,
      },
      tasksPerSecond: 30,
      decisionMs: { mean: 4, p50: 4, p99: 6 },
      endToEndMs: { p50: 65, p99: 77 },
      submitLagMs: { p50: 0, p99: 3 },
      messagesPerDecision: 10,
      bidsPerDecision: 3,
      refusals: { busy: 4 },
      // x was busy for 50 ms in one slot; y for 90 ms in two, which is 45 a slot.
      giniOfBusyTime: Number((5 / (2 * 95)).toFixed(4)),
      coefficientOfVariation: Number((2.5 / 47.5).toFixed(4)),
      utilisation: Number((140 / (3 * 100)).toFixed(4)),
      // x has speed 2, so "a" is 50 ms of bare work; 60/50, 65/50, 77/40.
      slowdown: { mean: Number(((1.2 + 1.3 + 1.925) / 3).toFixed(4)), p99: 1.925 },
    });
    expect(Object.keys(baseline)).toEqual(["random", "p2c", "bid10", "least"]);
    expect(baseline.least.makespanMs).toBeGreaterThan(0);
  });

  test("is plain JSON and says the same after a round trip", () => {
    const once = report();
    expect(JSON.parse(JSON.stringify(once))).toEqual(once);
  });

  test("counts states apart, and whatever did not end as lost", () => {
    const states = ["failed", "expired", "canceled", "rejected", "running", "waiting", "?"];
    const ended = states.map((state, at): TaskRow => ({ id: `z${at}`, submitMs: T, state }));
    const result = report({ rows: [...rows, ...ended] });
    expect(result.tasks).toEqual({
      submitted: 10,
      completed: 3,
      failed: 1,
      expired: 1,
      canceled: 1,
      rejected: 1,
      lost: 3,
      duplicated: 0,
    });
    expect(isClean(result)).toBe(false);
    expect(isClean(report())).toBe(true);
  });

  test("counts a task done twice, but not one whose first attempt came to nothing", () => {
    const again: ExecutionRow = { task: "a", worker: "y", startMs: T + 10, endMs: T + 50 };
    const twice = report({ executions: [...executions, again] });
    expect(twice.tasks.duplicated).toBe(1);
    expect(isClean(twice)).toBe(false);
    const aborted = report({ executions: [...executions, { ...again, completed: false }] });
    expect(aborted.tasks.duplicated).toBe(0);
    // It kept a slot busy all the same.
    expect(aborted.utilisation).toBeGreaterThan(report().utilisation);
  });

  test("counts a task that is reported twice", () => {
    expect(report({ rows: [...rows, rows[0] as TaskRow] }).tasks.duplicated).toBe(1);
  });

  test("agents that got nothing count in the Gini", () => {
    const idle: SimPool = { ...pool, agents: [...pool.agents, agent("idle", 1, 1)] };
    expect(report({ pool: idle }).giniOfBusyTime).toBeGreaterThan(report().giniOfBusyTime + 0.2);
  });

  test("takes somebody else's agent for one of one slot and speed 1", () => {
    const guest: ExecutionRow = { task: "g", worker: "me.mine", startMs: T, endMs: T + 50 };
    const result = report({ executions: [...executions, guest] });
    expect(result.agents).toBe(2);
    expect(result.utilisation).toBeCloseTo(190 / (4 * 100), 4);
  });

  test("a handler that overslept does not make the mesh look better", () => {
    const overslept = executions.map((row) => ({ ...row, endMs: row.endMs + 15 }));
    expect(report({ executions: overslept }).slowdown).toEqual(report().slowdown);
  });

  test("an empty run is all zeros", () => {
    const none = report({ executions: [], rows: [], options: { planned: [] } });
    expect(none).toMatchObject({
      seconds: 0,
      tasksPerSecond: 0,
      utilisation: 0,
      messagesPerDecision: 0,
      slowdown: { mean: 0, p99: 0 },
      decisionMs: { mean: 0, p50: 0, p99: 0 },
    });
  });

  test("the baseline uses the times at which tasks were really submitted", () => {
    const late = rows.map((row) => ({ ...row, submitMs: row.submitMs + 500 }));
    expect(report({ rows: late }).baseline).toEqual(report().baseline);
    const crowded = rows.map((row) => ({ ...row, submitMs: T }));
    const one: SimPool = { profile: "mixed", agents: [agent("x", 1, 1)] };
    const wait = (all: TaskRow[]): number =>
      report({ rows: all, pool: one }).baseline.least.meanWaitMs;
    expect(wait(crowded)).toBeGreaterThan(wait(rows));
  });

  test("keeps the invariants of its figures for any rows", () => {
    const states = fc.constantFrom("completed", "failed", "expired", "running", "negotiating");
    const row = fc.record({
      id: fc.string(),
      submitMs: fc.nat(1_000),
      outcomeMs: fc.option(fc.integer({ min: 1_000, max: 2_000 }), { nil: undefined }),
      state: states,
      contractor: fc.option(fc.constantFrom("x", "p.y", "z"), { nil: undefined }),
    });
    const execution = fc.record({
      task: fc.string(),
      worker: fc.constantFrom("x", "p.y", "z"),
      startMs: fc.nat(1_000),
      endMs: fc.integer({ min: 1_000, max: 2_000 }),
    });
    fc.assert(
      fc.property(fc.array(row), fc.array(execution), (all, done) => {
        const { tasks, giniOfBusyTime, utilisation } = report({ rows: all, executions: done });
        const { submitted, duplicated, ...parts } = tasks;
        expect(Object.values(parts).reduce((a, b) => a + b, 0)).toBe(submitted);
        expect(duplicated).toBeLessThanOrEqual(submitted + done.length);
        expect(giniOfBusyTime >= 0 && giniOfBusyTime < 1).toBe(true);
        expect(utilisation).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 60 },
    );
  });
});

describe("formatReport", () => {
  test("says what was run, what became of it, and how it compares", () => {
    const text = formatReport(report());
    expect(text).toContain("2 agents (unlike one another), 3 tasks from generated");
    expect(text).toContain("connections shared, policy fastest, profile dev, seed 7");
    expect(text).toContain("All 3 tasks completed; none lost, none done twice.");
    for (const name of ["this mesh", "random agent", "shorter of 2", "freest of 10"]) {
      expect(text).toContain(name);
    }
    expect(text).toMatch(/good {2}99 % of decisions within 6\.00 ms/);
    expect(text).toContain("4 busy");
    expect(text.split("\n").every((line) => line.length <= 100)).toBe(true);
    expect(text.endsWith("\n")).toBe(true);
  });

  test("calls out what was lost, done twice or failed", () => {
    const bad = report({
      rows: [
        ...rows,
        { id: "d", submitMs: T, state: "running" },
        { id: "e", submitMs: T, state: "failed" },
      ],
      executions: [...executions, executions[0] as ExecutionRow],
    });
    expect(formatReport(bad)).toContain("3 of 5 tasks completed, 1 failed; 1 LOST, 1 DONE TWICE.");
  });

  test("judges poor what is poor, and says what good would be", () => {
    const slow = rows.map((row) => ({
      ...row,
      contractMs: (row.specMs ?? 0) + 50,
      outcomeMs: (row.outcomeMs ?? 0) + 2_000,
    }));
    const text = formatReport(report({ rows: slow }));
    expect(text).toMatch(/poor {2}slowdown .*good is at most/);
    expect(text).toMatch(/poor {2}99 % of decisions within 50\.00 ms; good is under 10 ms/);
  });

  test("remarks that tasks were submitted late", () => {
    expect(formatReport(report())).not.toContain("late");
    const late = rows.map((row, at) => ({ ...row, submitMs: row.submitMs + at * 100 }));
    expect(formatReport(report({ rows: late }))).toMatch(/203 ms late.*\n.*--time-scale/);
  });

  test("says why a Gini is high where agents differ on purpose, and only there", () => {
    const uneven = executions.map((row) => ({ ...row, worker: "x" }));
    const remark = /poor {2}Gini .*\n(.*\n)*? {2}note {2}these agents differ/;
    expect(formatReport(report({ executions: uneven }))).toMatch(remark);
    const uniform: SimPool = { ...pool, profile: "uniform" };
    expect(formatReport(report({ executions: uneven, pool: uniform }))).not.toMatch(remark);
  });

  test("does not judge a run in which nothing was completed", () => {
    const none = report({ rows: [{ id: "a", submitMs: T, state: "expired" }], executions: [] });
    expect(formatReport(none)).toContain("0 of 1 tasks completed, 1 expired");
    expect(formatReport(none)).not.toMatch(/^ {2}good/m);
  });

  test("writes large numbers so that they can be read", () => {
    const many = drawPool({ profile: "uniform", agents: 1_000, seed: 1, capabilities: ["c"] });
    expect(formatReport(report({ pool: many }))).toContain("1,000 agents (all alike)");
  });
});

describe("writeSchedule", () => {
  test("writes one line per execution, in order of start", () => {
    expect(writeSchedule(executions.toReversed(), T)).toBe(
      "task,worker,start,end\na,p1.x,4,54\nb,y,16,66\nc,p1.y,40,80\n",
    );
  });

  test("is a header alone for no executions, and quotes what needs it", () => {
    expect(writeSchedule([])).toBe("task,worker,start,end\n");
    const odd = [{ task: 'a,"b"', worker: "w", startMs: 0.12345, endMs: 1 }];
    expect(writeSchedule(odd)).toBe('task,worker,start,end\n"a,""b""",w,0.123,1\n');
  });
});

describe("what a live run adds", () => {
  test("a task with two outcomes counts as duplicated", () => {
    const twice = rows.map((row) => (row.id === "b" ? { ...row, outcomes: 2 } : row));
    expect(report({ rows: twice }).tasks).toMatchObject({ completed: 3, duplicated: 1 });
    expect(isClean(report({ rows: twice }))).toBe(false);
  });

  test("an interrupted run judges no task that was under way", () => {
    const open = rows.map((row) => (row.id === "b" ? { ...row, state: "running" } : row));
    const stopped = report({ rows: open, options: { interrupted: true } });
    expect(stopped).toMatchObject({ interrupted: true, tasks: { completed: 2, lost: 0 } });
    expect(formatReport(stopped)).toContain("stopped early with 1 under way, none done twice");
    expect(report({ rows: open }).tasks.lost).toBe(1);
    expect(report({ rows: open })).not.toHaveProperty("interrupted");
  });

  test("what the server counted is given per decision", () => {
    const asked = report({ counters: { ...counters, server: { in: 30, out: 60 } } });
    expect(asked.serverMessagesPerDecision).toEqual({ in: 10, out: 20 });
    expect(report()).not.toHaveProperty("serverMessagesPerDecision");
  });
});
