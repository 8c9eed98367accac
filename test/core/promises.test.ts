import { describe, expect, test } from "vitest";
import { Promises } from "../../mesh/core/promises.ts";

const SLOTS = 2;

function bids(promises: Promises, principal: string, count: number, now: number): void {
  for (let i = 0; i < count; i++) promises.made(principal, SLOTS, now);
}

describe("promises", () => {
  test("three bids a slot are out at a time, each for ten milliseconds", () => {
    const promises = new Promises();
    bids(promises, "ina", 5, 0);
    expect(promises.full(SLOTS, 0)).toBe(false);
    bids(promises, "ida", 1, 4);
    expect(promises.full(SLOTS, 5)).toBe(true);
    expect(promises.full(1, 5)).toBe(true);
    expect(promises.full(SLOTS, 10)).toBe(false);
    expect(promises.full(1, 10)).toBe(false);
    expect(promises.full(SLOTS, 14)).toBe(false);
  });

  test("who calls again and again and never awards holds nothing up", () => {
    const promises = new Promises();
    for (let now = 0; now < 64; now++) promises.made("mal", SLOTS, now);
    expect(promises.full(SLOTS, 63)).toBe(true);
    for (let now = 64; now < 1_000; now++) promises.made("mal", SLOTS, now);
    expect(promises.full(SLOTS, 1_000)).toBe(false);
    bids(promises, "ina", 6, 1_000);
    expect(promises.full(SLOTS, 1_000)).toBe(true);
  });

  test("a contract makes a principal's calls count again", () => {
    const promises = new Promises();
    for (let now = 0; now < 100; now++) promises.made("ina", SLOTS, now);
    bids(promises, "ina", 6, 1_000);
    expect(promises.full(SLOTS, 1_000)).toBe(false);
    promises.kept("ina");
    bids(promises, "ina", 6, 1_000);
    expect(promises.full(SLOTS, 1_000)).toBe(true);
  });

  test("what others are remembered for pushes nobody out while he calls", () => {
    const promises = new Promises();
    for (let i = 0; i < 64; i++) promises.made("mal", SLOTS, 0);
    for (let i = 0; i < 999; i++) promises.made(`p${i}`, SLOTS, 0);
    bids(promises, "mal", 6, 1_000);
    expect(promises.full(SLOTS, 1_000)).toBe(false);
  });
});
