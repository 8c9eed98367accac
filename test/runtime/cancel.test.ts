// Canceling: one fenced record, against whatever is stored meanwhile.
import { describe, expect, test } from "vitest";
import type { ReadRecord } from "../../mesh/core/task-view.ts";
import { systemClock } from "../../mesh/nats/system.ts";
import type { WriteResult } from "../../mesh/ports/index.ts";
import { cancelTask } from "../../mesh/runtime/cancel.ts";
import type { Records } from "../../mesh/runtime/records.ts";

const conflict = (rev: number): WriteResult => ({ ok: false, fault: "conflict", rev });
const record = (kind: string, rev: number) => ({ kind, rev, digest: `d${rev}` }) as ReadRecord;

/** Cancels a task whose store answers so, and whose records are so at each look. */
async function cancel(answers: WriteResult[], looks: (ReadRecord[] | undefined)[]) {
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
    rev: 1,
    head: "d1",
  };
  return { end: await cancelTask(records, systemClock, wish), written };
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
    const looks = [[record("spec", 1)], [record("spec", 1), record("outcome", 5)]];
    const { end, written } = await cancel([conflict(5)], looks);
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
