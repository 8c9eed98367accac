import { describe, expect, test } from "vitest";
import {
  BREAKER_FAILURES,
  BREAKER_TRIAL_MS,
  BREAKER_TRIAL_MS_MAX,
  BREAKER_WINDOW_MS,
} from "../../contracts/index.ts";
import { Breakers } from "../../mesh/core/breaker.ts";

const sick = (b: Breakers, times: number, at = 0, agent = "b.w") => {
  for (let n = 0; n < times; n++) b.failed("sum", agent, "E_HANDLER", at);
};

describe("B1: a breaker", () => {
  test(`opens at failure ${BREAKER_FAILURES} in a row, and not before`, () => {
    const b = new Breakers();
    sick(b, BREAKER_FAILURES - 1);
    expect(b.blocked("sum", 0)).toBe(false);
    sick(b, 1);
    expect(b.blocked("sum", 0)).toBe(true);
    expect(b.changes.map((c) => [c.agent, c.state])).toEqual([
      [undefined, "open"],
      ["b.w", "open"],
    ]);
  });

  test("stays closed while some succeed", () => {
    const b = new Breakers();
    for (let n = 0; n < 20; n++) {
      sick(b, BREAKER_FAILURES - 1);
      b.succeeded("sum", "b.w", 0);
    }
    expect(b.changes).toEqual([]);
  });

  test("forgets failures that lie far apart", () => {
    const b = new Breakers();
    for (let n = 0; n < 20; n++) sick(b, 1, n * (BREAKER_WINDOW_MS + 1));
    expect(b.isOpen("sum")).toBe(false);
  });

  test("does not mind tasks that cannot be done, or agents that stop", () => {
    const b = new Breakers();
    for (const code of ["E_TERMINAL", "E_INPUT", "E_DRAINING", "E_CANCELED"] as const) {
      for (let n = 0; n < 10; n++) b.failed("sum", "b.w", code, 0);
    }
    expect(b.isOpen("sum")).toBe(false);
  });

  test("is one per capability, and one per agent and capability", () => {
    const b = new Breakers();
    sick(b, BREAKER_FAILURES, 0, "b.w");
    b.succeeded("sum", "c.w", 0);
    expect(b.isOpen("sum")).toBe(false);
    expect([b.trusts("sum", "b.w", 0), b.trusts("sum", "c.w", 0)]).toEqual([false, true]);
    expect(b.trusts("mul", "b.w", 0)).toBe(true);
  });
});

describe("B8: the agents of a principal together", () => {
  const names = (n: number) => Array.from({ length: n }, (_, i) => `mal.x${i}`);

  test("have a breaker of their own, however many names there are", () => {
    const b = new Breakers();
    for (const name of names(2 * BREAKER_FAILURES)) {
      b.failed("sum", name, "E_HANDLER", 0);
      b.succeeded("sum", "wes.w", 0);
    }
    expect(b.trusts("sum", "mal.new", 0)).toBe(false);
    expect([b.trusts("sum", "wes.w", 0), b.isOpen("sum")]).toEqual([true, false]);
    const [change] = b.changes;
    expect(change).toMatchObject({ capability: "sum", principal: "mal", state: "open" });
    // One trial for all of them, and a success is one of all.
    expect(b.trusts("sum", "mal.x1", BREAKER_TRIAL_MS)).toBe(true);
    b.tries("sum", "mal.x1", BREAKER_TRIAL_MS);
    expect(b.trusts("sum", "mal.x2", BREAKER_TRIAL_MS)).toBe(false);
    b.succeeded("sum", "mal.x1", BREAKER_TRIAL_MS);
    expect(b.trusts("sum", "mal.x2", BREAKER_TRIAL_MS)).toBe(true);
  });

  test("have one for claims too, and not before twice as many in a row", () => {
    const b = new Breakers();
    const all = names(2 * BREAKER_FAILURES);
    for (const name of all.slice(1)) b.unclaimed("sum", name, 0);
    expect(b.trusts("sum", "mal.new", 0)).toBe(true);
    b.unclaimed("sum", "mal.x0", 0);
    expect([b.trusts("sum", "mal.new", 0), b.trusts("mul", "mal.new", 0)]).toEqual([false, true]);
    b.claimed("sum", "mal.x5");
    expect(b.trusts("sum", "mal.new", 0)).toBe(true);
  });
});

describe("B2: an open breaker", () => {
  test("admits one trial per pause, and pauses double", () => {
    const b = new Breakers();
    sick(b, BREAKER_FAILURES);
    const passed: number[] = [];
    for (let now = 0; now <= 10_000; now += 50) {
      if (!b.admit("sum", now)) continue;
      passed.push(now);
      b.failed("sum", "b.w", "E_HANDLER", now);
    }
    const pauses = passed.map((at, i) => at - (passed[i - 1] ?? 0));
    expect(pauses.slice(0, 4)).toEqual([250, 500, 1_000, 2_000]);
    expect(pauses[0]).toBe(BREAKER_TRIAL_MS);
    expect(new Set(pauses.slice(4))).toEqual(new Set([BREAKER_TRIAL_MS_MAX]));
  });

  test("is not pushed further by those that ran when it opened", () => {
    const b = new Breakers();
    sick(b, BREAKER_FAILURES + 100);
    expect(b.blocked("sum", BREAKER_TRIAL_MS)).toBe(false);
  });

  test("closes with the first success", () => {
    const b = new Breakers();
    sick(b, BREAKER_FAILURES);
    b.changes.length = 0;
    b.succeeded("sum", "b.w", 0);
    expect(b.blocked("sum", 0)).toBe(false);
    expect(b.changes.map((c) => c.state)).toEqual(["closed", "closed"]);
  });
});

test("B3: a process that takes many contracts along counts once for the capability", () => {
  const b = new Breakers();
  for (let n = 0; n < 25; n++) b.failed("sum", `b.w${n}`, "E_LOST", n);
  expect(b.isOpen("sum")).toBe(false);
  for (let n = 1; n < BREAKER_FAILURES; n++) b.failed("sum", `c.w${n}`, "E_LOST", n * 2_000);
  expect(b.isOpen("sum")).toBe(true);
});

test("B3: nor for the agent, which is not on trial for one crash", () => {
  const b = new Breakers();
  for (let n = 0; n < 25; n++) b.failed("sum", "b.w", "E_LOST", n);
  expect(b.trusts("sum", "b.w", 25)).toBe(true);
  for (let n = 1; n < BREAKER_FAILURES; n++) b.failed("sum", "b.w", "E_LOST", n * 2_000);
  expect(b.trusts("sum", "b.w", BREAKER_FAILURES * 2_000 - 2_000)).toBe(false);
});

describe("B5: an agent that leaves awards unclaimed", () => {
  const deaf = (b: Breakers, times: number) => {
    for (let n = 0; n < times; n++) b.unclaimed("sum", "b.w", 0);
  };

  test("is on trial after as many, which is not held against the capability", () => {
    const b = new Breakers();
    deaf(b, BREAKER_FAILURES - 1);
    expect(b.trusts("sum", "b.w", 0)).toBe(true);
    deaf(b, 1);
    expect(b.trusts("sum", "b.w", 0)).toBe(false);
    expect(b.isOpen("sum")).toBe(false);
    expect(b.changes).toMatchObject([{ agent: "b.w", state: "open" }]);
    expect(b.trusts("sum", "b.w", BREAKER_TRIAL_MS)).toBe(true);
    b.tries("sum", "b.w", BREAKER_TRIAL_MS);
    expect(b.trusts("sum", "b.w", BREAKER_TRIAL_MS)).toBe(false);
  });

  test("makes up for it by a claim, and for nothing else by that", () => {
    const b = new Breakers();
    deaf(b, BREAKER_FAILURES);
    sick(b, BREAKER_FAILURES);
    b.claimed("sum", "b.w");
    expect(b.trusts("sum", "b.w", 0)).toBe(false);
    b.succeeded("sum", "b.w", 0);
    expect(b.trusts("sum", "b.w", 0)).toBe(true);
    deaf(b, BREAKER_FAILURES);
    b.succeeded("sum", "b.w", 0);
    expect(b.trusts("sum", "b.w", 0)).toBe(false);
  });
});

test("B6: failures of an agent on trial are not held against the capability", () => {
  const b = new Breakers();
  sick(b, BREAKER_FAILURES);
  b.succeeded("sum", "c.w", 0);
  sick(b, BREAKER_FAILURES * 2);
  expect(b.isOpen("sum")).toBe(false);
  // Of an agent that nobody knew to be sick they are.
  sick(b, BREAKER_FAILURES, 0, "d.w");
  expect(b.isOpen("sum")).toBe(true);
});

describe("B7: failures that no retry would mend", () => {
  const hopeless = (b: Breakers, agent: string, now: number, alone = false) =>
    b.failed("sum", agent, "E_TERMINAL", now, alone);

  test("are held against an agent while others do well, and never against the capability", () => {
    const b = new Breakers();
    for (let n = 0; n < BREAKER_FAILURES; n++) {
      expect(b.trusts("sum", "b.w", n)).toBe(true);
      b.succeeded("sum", "c.w", n);
      b.failed("sum", "b.w", n % 2 === 0 ? "E_TERMINAL" : "E_INPUT", n);
    }
    expect(b.trusts("sum", "b.w", BREAKER_FAILURES)).toBe(false);
    expect([b.isOpen("sum"), b.trusts("sum", "c.w", 0)]).toEqual([false, true]);
    // The next ones are failed trials, whatever others do.
    const due = BREAKER_FAILURES + BREAKER_TRIAL_MS;
    b.tries("sum", "b.w", due);
    hopeless(b, "c.w", due);
    hopeless(b, "b.w", due);
    expect(b.trusts("sum", "b.w", due + BREAKER_TRIAL_MS)).toBe(false);
    expect(b.trusts("sum", "b.w", due + 2 * BREAKER_TRIAL_MS)).toBe(true);
  });

  test("are held against whoever is first and fast, before others have shown anything", () => {
    const b = new Breakers();
    for (let n = 0; n < BREAKER_FAILURES; n++) hopeless(b, "b.w", n);
    expect(b.trusts("sum", "b.w", BREAKER_FAILURES)).toBe(false);
  });

  test("are the task's where it is so everywhere, or nobody else is there", () => {
    const b = new Breakers();
    b.succeeded("sum", "c.w", 0);
    for (let n = 1; n < 60; n++) hopeless(b, ["b.w", "d.w", "e.w"][n % 3] as string, n);
    for (const agent of ["b.w", "d.w", "e.w"]) expect(b.trusts("sum", agent, 60)).toBe(true);
    const only = new Breakers();
    for (let n = 0; n < 20; n++) hopeless(only, "b.w", n, true);
    expect(only.trusts("sum", "b.w", 20)).toBe(true);
  });

  test("are the task's where the agent does other tasks well", () => {
    const b = new Breakers();
    for (let n = 0; n < 20; n++) {
      b.succeeded("sum", "c.w", n);
      hopeless(b, "b.w", n);
      b.succeeded("sum", "b.w", n);
    }
    expect(b.trusts("sum", "b.w", 20)).toBe(true);
  });
});

test("remembers a bounded number of agents", () => {
  const b = new Breakers(10);
  for (let n = 0; n < 100; n++) b.failed("sum", `b.w${n}`, "E_HANDLER", 0);
  expect(b.trusts("sum", "b.w0", 0)).toBe(true);
});
