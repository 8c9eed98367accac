// What a submitter sees of a task whose notices and messages arrive in any order.
import { describe, expect, test } from "vitest";
import type { ReadRecord } from "../../mesh/core/task-view.ts";
import { type TaskEvent, Tracker } from "../../mesh/runtime/tracker.ts";

const clock = { now: () => 0, after: () => ({ cancel: () => undefined }) };

function tracker(): Tracker {
  const nothing = async () => undefined;
  return new Tracker("t1", "bob", clock as never, {
    cancel: nothing,
    look: async () => [],
    tell: () => undefined,
    artefacts: {} as never,
    claims: true,
  });
}

const contract = (epoch: number, contractor: string): ReadRecord =>
  ({ kind: "contract", rev: epoch + 1, digest: "d", body: { epoch, contractor } }) as never;
const report = (epoch: number, note: string) =>
  ({ owner: "bob", task: "t1", epoch, note }) as never;

async function seen(t: Tracker): Promise<string[]> {
  t.end({ state: "completed", epoch: 1 } as never);
  const all: TaskEvent[] = [];
  for await (const e of t.events()) all.push(e);
  return all.map((e) =>
    e.type === "progress" ? `${e.from} ${e.note}` : String((e as { state?: string }).state),
  );
}

describe("progress", () => {
  test("that overtakes the contract it belongs to is shown after it", async () => {
    const t = tracker();
    t.onProgress("amy.a", report(1, "early"));
    t.onRecord(contract(1, "amy.a"));
    t.onProgress("amy.a", report(1, "late"));
    expect(await seen(t)).toEqual(["running", "amy.a early", "amy.a late", "completed"]);
  });

  test("of anybody but the contractor of that epoch is not shown", async () => {
    const t = tracker();
    t.onProgress("eve.e", report(1, "mine"));
    t.onRecord(contract(1, "amy.a"));
    t.onProgress("eve.e", report(1, "still mine"));
    t.onProgress("amy.a", report(2, "of an epoch that nobody holds"));
    expect(await seen(t)).toEqual(["running", "completed"]);
  });
});
