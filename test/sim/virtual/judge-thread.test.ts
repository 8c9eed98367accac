// The judge in a thread of its own says what the judge in the run says, of the same events.
import { afterEach, describe, expect, test } from "vitest";
import type { HistoryLine } from "../../../check/format.ts";
import type { StoredRecord } from "../../../mesh/ports/index.ts";
import { type EventJudge, Invariants } from "../../../sim/virtual/invariants.ts";
import { JudgeThread } from "../../../sim/virtual/judge-thread.ts";
import { runVirtual } from "../../../sim/virtual/run.ts";

const threads: JudgeThread[] = [];

function thread(): JudgeThread {
  const one = new JudgeThread({ slots: {}, lossy: false });
  threads.push(one);
  return one;
}

afterEach(() => {
  for (const one of threads.splice(0)) one.end();
});

let counted = 0;

function observed(task: string, op: string): HistoryLine {
  const n = counted++;
  return { p: "h0.1", n, t: n, k: "obs", op, task: `client.${task}`, who: "h0.a1", e: 1 };
}

function spec(task: string, rev: number): StoredRecord {
  const key = { owner: "client", task, kind: "spec", n: "0" } as const;
  const to = { toPrincipal: "mesh", toAgent: "any" };
  return {
    key: { ...key, ...to, fromPrincipal: "client", fromAgent: "main" },
    rev,
    storedAt: rev,
    body: Buffer.from("{}"),
    header: () => undefined,
  };
}

/** One task after the other; the handler of the `bad`th starts without a contract. */
function tell(judge: EventJudge, tasks: number, bad: number): { known: number | undefined } {
  counted = 0;
  let known: number | undefined;
  for (let i = 1; i <= tasks; i++) {
    judge.line(observed(`t${i}`, i === bad ? "start" : "beat"));
    judge.stored(spec(`t${i}`, i), i);
    if (judge.first !== undefined) known ??= i;
  }
  return { known };
}

describe("the judge's thread", () => {
  test("judges a run with faults as the judge in the run does, from the same history", async () => {
    const options = { agents: 60, tasks: 300, seed: 3, faults: "mix", timeScale: 0.2 } as const;
    const inside = await runVirtual({ ...options, baselineRuns: 1, check: true });
    const outside = await runVirtual({ ...options, baselineRuns: 1, check: "beside" });
    expect(inside.verdict?.report.judged.S5).toBeGreaterThan(100);
    expect(outside.verdict).toEqual(inside.verdict);
    expect(outside.report).toEqual(inside.report);
    expect(outside.events).toBe(inside.events);
  }, 60_000);

  test("names the event that broke a rule, and the run knows it at the same later one", () => {
    const inside = new Invariants({ slots: {}, lossy: false });
    expect(tell(inside, 20_000, 700).known).toBe(700);
    const heard = [thread(), thread()].map((judge) => ({ judge, ...tell(judge, 20_000, 700) }));
    const [first, second] = heard;
    expect(first?.judge.first).toEqual(inside.first);
    expect(inside.first).toMatchObject({ rule: "S5", task: "client.t700", event: 700, atMs: 700 });
    expect(first?.known).toBeGreaterThan(700);
    expect(second?.known).toBe(first?.known);
    expect(first?.judge.conclude(true)).toEqual(inside.conclude(true));
  });

  test("a broken rule in the last events is known with the conclusion", () => {
    const judge = thread();
    expect(tell(judge, 100, 90).known).toBeUndefined();
    expect(judge.conclude(true).violations.map((v) => v.rule)).toContain("S5");
    expect(judge.first).toMatchObject({ rule: "S5", event: 90 });
  });

  test("a judge that fails says why, and does not keep the run waiting", () => {
    const judge = thread();
    judge.line(null as unknown as HistoryLine);
    expect(() => judge.conclude(true)).toThrow(/judge's thread failed: TypeError/);
  });
});
