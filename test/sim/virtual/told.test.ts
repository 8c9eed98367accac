// What submitters are told of their tasks: what is stored, and soon, whatever befalls them.
import { describe, expect, test } from "vitest";
import { Tracker } from "../../../mesh/runtime/tracker.ts";
import { runVirtual } from "../../../sim/virtual/run.ts";
import { Told } from "../../../sim/virtual/told.ts";
import { World } from "../../../sim/virtual/world.ts";

const clock = { now: () => 0, after: () => ({ cancel: () => undefined }) };
const key = (task: string, n = "1") => ({ task, n }) as never;
const ended = (state: string) => Buffer.from(JSON.stringify({ state }));

function awaited(told: Told, task: string): Tracker {
  const nothing = async () => undefined;
  const hooks = { cancel: nothing, look: async () => [], tell: () => undefined, claims: true };
  const tracker = new Tracker(task, "s0", clock as never, { ...hooks, artefacts: {} as never });
  told.awaits(task, "s0", tracker);
  return tracker;
}

describe("who keeps the books of what is told", () => {
  const book = () => new Told(new World({ seed: 1 }));
  const end = (state: string, epoch: number) => ({ state, epoch }) as never;

  test("finds nothing wrong where it is what is stored", async () => {
    const told = book();
    const tracker = awaited(told, "t1");
    told.stored(key("t1"), ended("completed"));
    expect(told.late).toEqual(["s0.t1: ended, its submitter is not told"]);
    tracker.end(end("completed", 1));
    await tracker.outcome();
    expect({ wrong: told.wrong, late: told.late }).toEqual({ wrong: [], late: [] });
    expect(told.isDone).toBe(true);
  });

  test.each([
    ["an end that is not stored", undefined, "completed", 1, /no end is stored/],
    ["another state", "expired", "completed", 1, /"expired" of epoch 1 is stored/],
    ["another contract's end", "completed", "completed", 2, /"completed" of epoch 1 is stored/],
  ])("finds %s", async (_, stored, state, epoch, words) => {
    const told = book();
    const tracker = awaited(told, "t1");
    if (stored !== undefined) told.stored(key("t1"), ended(stored));
    tracker.end(end(state, epoch));
    await tracker.outcome();
    expect(told.wrong).toEqual([expect.stringMatching(words)]);
  });

  test("lets a dead process rest, and tells what it may ask about again", () => {
    const told = book();
    awaited(told, "t1");
    awaited(told, "t2");
    told.stored(key("t2"), ended("completed"));
    expect(told.forget("s0")).toEqual(["t1", "t2"]);
    expect(told.isDone).toBe(true);
  });
});

test("submitters that die, stand still and are cut off are told of every end", async () => {
  const faults = { submitter: 300, crash: 20, cut: 20, cancel: 0.1, brokerRestart: 5 };
  const run = await runVirtual({
    agents: 20,
    tasks: 150,
    seed: 5,
    timeScale: 0.1,
    faults,
    check: true,
  });
  expect(run.faults.submitter).toBeGreaterThan(2);
  expect(run.told).toMatchObject({ wrong: [], late: [] });
  expect(run.report.tasks).toMatchObject({ submitted: 150, lost: 0, duplicated: 0 });
});
