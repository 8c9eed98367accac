// P8.8: what was refused is not offered to the same agent again for a while.
import { expect, test } from "vitest";
import type { Address } from "../../contracts/index.ts";
import { Refusals } from "../../mesh/core/refusals.ts";

const [ANN, BEN, CEM] = ["ann.main", "ben.main", "cem.main"] as Address[] as [
  Address,
  Address,
  Address,
];
const ANYTHING = Number.POSITIVE_INFINITY;

test("a refusal stands for five seconds, each further one twice as long, up to the longest", () => {
  const refusals = new Refusals({ longestMs: 12_000, agents: 8 });
  let now = 0;
  for (const standsMs of [5_000, 10_000, 12_000, 12_000]) {
    refusals.refused(ANN, now, ANYTHING);
    expect(refusals.mayAsk(ANN, now + standsMs - 1)).toBe(false);
    now += standsMs;
    expect(refusals.mayAsk(ANN, now)).toBe(true);
  }
  expect(refusals.mayAsk(BEN, 1)).toBe(true);
});

test("who would not do it for so much may be asked for more, and not for less", () => {
  const refusals = new Refusals({ longestMs: 5_000, agents: 8 });
  refusals.refused(ANN, 0, 3);
  expect([2, 3, 4].map((budget) => refusals.mayAsk(ANN, 1, budget))).toEqual([false, false, true]);
  refusals.refused(ANN, 1_000, 2);
  expect(refusals.mayAsk(ANN, 4_999, 3)).toBe(false);
  expect(refusals.mayAsk(ANN, 5_000, 2)).toBe(true);
});

test("a bid ends it, and the next refusal stands as long as the first", () => {
  const refusals = new Refusals({ longestMs: 80_000, agents: 8 });
  refusals.refused(ANN, 0, ANYTHING);
  refusals.refused(ANN, 0, ANYTHING);
  refusals.forget(ANN);
  expect(refusals.mayAsk(ANN, 1)).toBe(true);
  refusals.refused(ANN, 1, ANYTHING);
  expect(refusals.mayAsk(ANN, 5_001)).toBe(true);
});

test("of too many agents the one that refused the longest ago is forgotten", () => {
  const refusals = new Refusals({ longestMs: 5_000, agents: 2 });
  for (const agent of [ANN, BEN, ANN, CEM]) refusals.refused(agent, 0, ANYTHING);
  expect([ANN, BEN, CEM].map((agent) => refusals.mayAsk(agent, 1))).toEqual([false, true, false]);
});
