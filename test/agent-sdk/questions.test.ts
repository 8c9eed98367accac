// Questions that nobody waits for any more are closed, and what a handler did about one it does in
// every attempt.
import { describe, expect, test } from "vitest";
import { Acts } from "../../agent-sdk/durable.ts";
import { DurableRun } from "../../agent-sdk/durable-run.ts";
import type { DurableActs } from "../../agent-sdk/index.ts";
import type { JournalEntry } from "../../contracts/index.ts";
import type { Run } from "../../mesh/index.ts";

/** A handler run twice: the second time with the journal that the first one wrote. */
async function twice(handler: (acts: DurableActs, attempt: number) => Promise<unknown>) {
  const kept = new Map<string, JournalEntry>();
  const ends: unknown[] = [];
  for (const attempt of [1, 2]) {
    const { signal } = new AbortController();
    const journal: NonNullable<Run["journal"]> = {
      read: async () => ({ entries: [...kept.values()], failures: attempt - 1 }),
      append: async (entry) => void kept.set(entry.key, JSON.parse(JSON.stringify(entry))),
      answer: (_key, until) =>
        new Promise((_, reject) => {
          until.addEventListener("abort", () => reject(until.reason), { once: true });
        }),
    };
    const run = { spec: { owner: "o", task: "t" }, epoch: attempt, journal, signal };
    const durable = new DurableRun(run as unknown as Run, undefined as never);
    const end = handler(new Acts(durable, "", signal), attempt);
    ends.push(await end.catch((error: unknown) => (error as Error).message));
    await durable.check();
  }
  return { kept, ends };
}

const open = (kept: ReadonlyMap<string, JournalEntry>) =>
  [...kept.values()].filter(
    ({ key, op }) => op === "ask" && !key.endsWith("!") && !kept.has(`${key}!`),
  );

describe("a question", () => {
  test("that lost a race is open no more", async () => {
    const { kept, ends } = await twice((acts) =>
      acts.race<unknown>([
        (branch) => branch.ask("go on?"),
        (branch) => branch.sleep(5).then(() => "nobody was there"),
      ]),
    );
    expect(ends).toEqual(["nobody was there", "nobody was there"]);
    expect(kept.has("0.0/0")).toBe(true);
    expect(open(kept)).toEqual([]);
  });

  test("that nobody answered in time is closed, and fails alike in every attempt", async () => {
    const { kept, ends } = await twice((acts, attempt) =>
      acts.ask("go on?", { timeoutMs: attempt === 1 ? 5 : 60_000 }),
    );
    expect(ends).toEqual(["nobody answered in time", "nobody answered in time"]);
    expect(open(kept)).toEqual([]);
  });
});

test("a step gives the first attempt what every later one will get", async () => {
  const { ends } = await twice(async (acts) => {
    const given = await acts.step<unknown>("when", () => ({
      at: new Date(0),
      map: new Map([[1, 2]]),
      none: undefined,
      odd: Number.NaN,
    }));
    return [given, await acts.step("nothing", () => undefined)];
  });
  expect(ends[0]).toEqual([{ at: "1970-01-01T00:00:00.000Z", map: {}, odd: null }, undefined]);
  expect(ends[1]).toEqual(ends[0]);
});

test("two steps under one key are one, in every attempt", async () => {
  let n = 0;
  const { ends } = await twice(async (acts) => [
    await acts.step("count", () => ++n, { key: "k" }),
    await acts.step("count", () => ++n, { key: "k" }),
    await acts.recall("k"),
  ]);
  expect(ends).toEqual([
    [1, 1, 1],
    [1, 1, 1],
  ]);
});

test("a caught failure is written down before the step after it begins", async () => {
  const ran: string[] = [];
  const { ends } = await twice(async (acts, attempt) => {
    const primary = () => {
      ran.push("primary");
      throw new Error("primary is away");
    };
    const backup = () => {
      ran.push("backup");
      if (attempt === 1) throw new Error("cut short");
      return "by the backup";
    };
    try {
      return await acts.step("primary", primary);
    } catch {
      return await acts.step("backup", backup);
    }
  });
  expect(ends).toEqual(["cut short", "by the backup"]);
  expect(ran).toEqual(["primary", "backup", "backup"]);
});
