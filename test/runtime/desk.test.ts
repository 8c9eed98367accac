// P8.9: what a full desk hands back, and for how long.
import { describe, expect, test } from "vitest";
import type { Spec } from "../../contracts/index.ts";
import { newTask } from "../../mesh/core/initiator-task.ts";
import { type Entry, makeRoom, newEntry } from "../../mesh/runtime/desk.ts";

const NOW = 1_795_000_000_000;
const S = 1_000;

function waiting(forMs: number, leftMs: number): Entry {
  const spec = { task: "t", owner: "sue", capability: "work", deadline: NOW + leftMs } as Spec;
  const t = newTask(spec, "sue.main", false, 1, "d");
  const d = { clock: { now: () => 0 }, clocks: { date: NOW } } as unknown;
  const entry = newEntry(d as Parameters<typeof newEntry>[0], t, new Uint8Array(0));
  entry.submitted = { at: NOW - forMs, storedAt: NOW - forMs };
  return entry;
}

/** How long each of these is handed back for, ms. */
function handedBack(entries: Entry[], off = false): number[] {
  const found: number[] = [];
  const clocks = { off, aheadOf: () => 0 };
  const counters = { add: () => undefined };
  const d = { clock: { wall: () => NOW }, clocks, counters } as unknown;
  makeRoom(
    d as Parameters<typeof makeRoom>[0],
    { stuck: (count) => entries.slice(0, count) },
    (_, ms) => found.push(ms),
  );
  return found;
}

describe("what is handed back comes again (P8.9)", () => {
  test.each([
    { waited: 5 * S, away: 30 * S },
    { waited: 200 * S, away: 50 * S },
    { waited: 1_000 * S, away: 250 * S },
    { waited: 40_000 * S, away: 300 * S },
  ])("after a quarter of the $waited ms that it waited", ({ waited, away }) => {
    expect(handedBack([waiting(waited, 1e9)])).toEqual([away]);
  });

  test("at its deadline, and a second later at the earliest", () => {
    expect(handedBack([waiting(500 * S, 7 * S)])).toEqual([7 * S]);
    expect(handedBack([waiting(500 * S, -4 * S)])).toEqual([1 * S]);
  });

  test("not from here, where the clock is off: everything is handed back then", () => {
    expect(handedBack([waiting(500 * S, 1e9)], true)).toEqual([]);
  });
});
