// What a submitter sees of a task whose notices and messages arrive in any order.
import { describe, expect, test } from "vitest";
import { AUTHOR_UNKNOWN, type ReadRecord } from "../../mesh/core/task-view.ts";
import { type TaskEvent, Tracker, type TrackerHooks } from "../../mesh/runtime/tracker.ts";
import { VirtualClock } from "../../sim/virtual/clock.ts";
import { World } from "../../sim/virtual/world.ts";

const idle = { now: () => 0, after: () => ({ cancel: () => undefined }) };

function tracker(more: Partial<TrackerHooks> = {}, clock: unknown = idle): Tracker {
  return new Tracker("t1", "bob", clock as never, {
    cancel: async () => undefined,
    look: async () => [],
    tell: () => undefined,
    artefacts: {} as never,
    claims: true,
    ...more,
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

describe("a handle whose task has ended, or whose peer has stopped", () => {
  /** An end whose author is not known: reason to look again. */
  const doubtful = ["spec", "outcome"].map((kind, i) => ({
    ...{ kind, rev: i + 1, digest: "d", from: "amy.a", body: {} },
    ...(kind === "outcome" ? { flaw: AUTHOR_UNKNOWN } : {}),
  }));
  const ways: Record<string, (t: Tracker) => void> = {
    ended: (t) => t.end({ state: "completed", epoch: 1 } as never),
    stopped: (t) => t.abandon(new Error("the peer stopped") as never),
  };

  test.each(Object.keys(ways))("does not look again (%s)", async (way) => {
    const world = new World({ seed: 1 });
    let looks = 0;
    let answer: (records: unknown) => void = () => undefined;
    const look = () => {
      looks++;
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    const t = tracker({ look: look as never }, new VirtualClock(world, (event) => event()));
    t.stored(1, "d");
    t.lookSoon();
    ways[way]?.(t);
    answer(doubtful);
    t.stored(1, "d");
    t.lookSoon();
    await world.run({ untilMs: 600_000 });
    expect(looks).toBe(1);
  });
});
