// Canceling: one fenced record, against whatever is stored meanwhile.
import { describe, expect, test } from "vitest";
import { AUTHOR_UNKNOWN, type ReadRecord } from "../../mesh/core/task-view.ts";
import type { Clock, WriteResult } from "../../mesh/ports/index.ts";
import { cancelTask } from "../../mesh/runtime/cancel.ts";
import type { Records } from "../../mesh/runtime/records.ts";

const conflict = (rev: number): WriteResult => ({ ok: false, fault: "conflict", rev });
const BODIES: Record<string, object> = {
  spec: { owner: "sue" },
  contract: { epoch: 1, contractor: "amy.a" },
  outcome: { state: "completed", epoch: 1 },
};
const FROM: Record<string, string> = { spec: "sue.main" };
const record = (kind: string, rev: number, more: Partial<ReadRecord> = {}) =>
  ({
    kind,
    rev,
    digest: `d${rev}`,
    from: FROM[kind] ?? "amy.a",
    body: BODIES[kind],
    ...(kind === "contract" ? { terms: { rev: rev - 1 } } : {}),
    ...more,
  }) as ReadRecord;
const ended = [record("spec", 3), record("contract", 4), record("outcome", 5)];
/** All waits are over at once. */
const clock = {
  now: () => 0,
  wall: () => 0,
  after: (_: number, run: () => void) => {
    queueMicrotask(run);
    return { cancel: () => undefined };
  },
} as Clock;

/** Cancels a task whose store answers so, and whose records are so at each look. */
async function cancel(
  answers: WriteResult[],
  looks: (ReadRecord[] | undefined)[],
  known = { rev: 1, head: "d1" },
) {
  const written: { fence: number; prev: string }[] = [];
  const records = {
    write: (_: unknown, body: { prev: string }, fence: number, _s: unknown, done: unknown) => {
      written.push({ fence, prev: body.prev });
      (done as (result: WriteResult | undefined) => void)(answers.shift());
    },
  } as unknown as Records;
  const wish = {
    owner: "sue",
    task: "t1",
    reason: "enough",
    agent: "sue.main",
    signer: undefined,
    look: async () => looks.shift(),
    ...known,
  };
  return { end: await cancelTask(records, clock, wish), written };
}

describe("a cancel that lost the race", () => {
  test("is written again, behind the record that was faster", async () => {
    const looks = [[record("spec", 1)], [record("spec", 1), record("contract", 5)]];
    const { end, written } = await cancel(
      [conflict(5), { ok: true, rev: 6, duplicate: false }],
      looks,
    );
    expect(end).toBe("stored");
    expect(written).toEqual([
      { fence: 1, prev: "d1" },
      { fence: 5, prev: "d5" },
    ]);
  });

  test("to the outcome has nothing left to cancel", async () => {
    const { end, written } = await cancel([conflict(5)], [[record("spec", 3)], ended]);
    expect(end).toBe("ended");
    expect(written).toHaveLength(1);
  });

  test("of a task that moves on and on is given up, and says so", async () => {
    const answers = Array.from({ length: 20 }, (_, i) => conflict(i + 2));
    const looks = Array.from({ length: 20 }, (_, i) => [record("spec", i + 1)]);
    await expect(cancel(answers, looks)).rejects.toThrow(/try again/);
  });

  test("a store that refuses it for another reason is named", async () => {
    const refused: WriteResult = { ok: false, fault: "refused", detail: "no" };
    await expect(cancel([refused], [[record("spec", 1)]])).rejects.toThrow(/not stored \(no\)/);
  });
});

describe("a cancel of a task that may have ended", () => {
  const stored: WriteResult = { ok: true, rev: 6, duplicate: false };
  const doubtful = (kind: string) =>
    ended.map((r) => (r.kind === kind ? { ...r, flaw: AUTHOR_UNKNOWN } : r));

  test("is not written while nobody can tell what is there under its id", async () => {
    const known = { rev: 5, head: "" };
    await expect(cancel([], [], known)).rejects.toThrow(/nobody could tell.*try again/);
    const { end } = await cancel([], [undefined, ended], known);
    expect(end).toBe("ended");
  });

  test("waits until its end is proven, or known to be none", async () => {
    const { end } = await cancel([], [doubtful("contract"), doubtful("outcome"), ended]);
    expect(end).toBe("ended");
  });

  test("is written where its end stays in doubt: no forger may prevent it", async () => {
    const looks = Array.from({ length: 20 }, () => doubtful("outcome"));
    expect((await cancel([stored], looks)).end).toBe("stored");
  });

  test("is written at once behind a forged end", async () => {
    const forged = record("outcome", 4, { from: "eve.e" });
    const { end, written } = await cancel([stored], [[record("spec", 3), forged]]);
    expect(end).toBe("stored");
    expect(written).toEqual([{ fence: 4, prev: "d4" }]);
  });
});
