import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  coefficientOfVariation,
  gini,
  mean,
  percentile,
  slowdown,
  sum,
  summarise,
  utilisation,
} from "../../sim/metrics.ts";

const amounts = fc.array(fc.double({ min: 0, max: 1e12, noNaN: true }), { maxLength: 60 });
const someAmounts = fc.array(fc.integer({ min: 0, max: 1e6 }), { minLength: 1, maxLength: 60 });

/** Straight from the definition: mean difference of all pairs over twice the mean. */
function giniByPairs(values: readonly number[]): number {
  let differences = 0;
  for (const a of values) for (const b of values) differences += Math.abs(a - b);
  const total = values.reduce((x, y) => x + y, 0);
  return total === 0 ? 0 : differences / (2 * values.length * total);
}

describe("gini", () => {
  test("is in [0, 1) for any amounts, the largest and smallest doubles too", () => {
    const wide = fc.array(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }));
    fc.assert(
      fc.property(fc.oneof(amounts, wide), (values) => {
        const value = gini(values);
        expect(value >= 0 && value < 1).toBe(true);
      }),
    );
  });

  test("is the mean difference of pairs over twice the mean", () => {
    fc.assert(
      fc.property(someAmounts, (values) => {
        expect(gini(values)).toBeCloseTo(giniByPairs(values), 10);
      }),
    );
  });

  test("is exactly 0 when all are equal, for no values and for all zeros", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e300, noNaN: true }), fc.nat(40), (value, count) => {
        expect(gini(new Array(count).fill(value))).toBe(0);
      }),
    );
  });

  test("is (n-1)/n when one has everything", () => {
    expect(gini([0, 0, 0, 5])).toBeCloseTo(3 / 4, 12);
    expect(gini([1, 0])).toBeCloseTo(1 / 2, 12);
  });

  test("does not depend on the unit or the order", () => {
    fc.assert(
      fc.property(someAmounts, fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (values, unit) => {
        const expected = gini(values);
        expect(gini(values.map((value) => value * unit))).toBeCloseTo(expected, 9);
        expect(gini(values.toReversed())).toBe(expected);
      }),
    );
  });

  test("does not depend on how many times the same values are there", () => {
    fc.assert(
      fc.property(someAmounts, (values) => {
        expect(gini([...values, ...values])).toBeCloseTo(gini(values), 9);
      }),
    );
  });

  test("falls when the richest gives some to the poorest", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 1e6 }), { minLength: 2 }), (values) => {
        const sorted = values.toSorted((a, b) => a - b);
        const gift = ((sorted.at(-1) as number) - (sorted[0] as number)) / 4;
        const fairer = [(sorted[0] as number) + gift, ...sorted.slice(1, -1)];
        fairer.push((sorted.at(-1) as number) - gift);
        expect(gini(fairer)).toBeLessThan(gini(sorted));
      }),
    );
  });

  test("refuses negative and broken values", () => {
    expect(() => gini([1, -1])).toThrow(RangeError);
    expect(() => gini([1, Number.NaN])).toThrow(RangeError);
    expect(() => gini([Number.POSITIVE_INFINITY])).toThrow(RangeError);
  });
});

describe("coefficientOfVariation", () => {
  test("is 0 for equal values and none, and known for a known case", () => {
    expect(coefficientOfVariation([])).toBe(0);
    expect(coefficientOfVariation([3, 3, 3])).toBe(0);
    expect(coefficientOfVariation([1, 3])).toBeCloseTo(0.5, 12);
  });

  test("is at least 0, at most sqrt(n - 1), and scale invariant", () => {
    fc.assert(
      fc.property(someAmounts, fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (values, unit) => {
        const value = coefficientOfVariation(values);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(Math.sqrt(values.length - 1) + 1e-9);
        const scaled = coefficientOfVariation(values.map((one) => one * unit));
        expect(scaled).toBeCloseTo(value, 9);
      }),
    );
  });
});

describe("percentile", () => {
  test("is the nearest rank: known cases", () => {
    const values = [15, 20, 35, 40, 50];
    expect([0, 0.05, 0.3, 0.4, 0.5, 1].map((p) => percentile(values, p))).toEqual([
      15, 15, 20, 20, 35, 50,
    ]);
    const hundred = Array.from({ length: 100 }, (_, at) => at + 1);
    for (let p = 1; p <= 100; p++) expect(percentile(hundred, p / 100)).toBe(p);
  });

  test("is the smallest value that at least that share does not exceed", () => {
    const share = fc.integer({ min: 1, max: 1_000 }).map((mills) => mills / 1_000);
    fc.assert(
      fc.property(someAmounts, share, (values, p) => {
        const value = percentile(values, p);
        const upTo = values.filter((one) => one <= value).length;
        const below = values.filter((one) => one < value).length;
        expect(upTo / values.length).toBeGreaterThanOrEqual(p - 1e-9);
        expect(below / values.length).toBeLessThan(p);
      }),
    );
  });

  test("refuses a share outside [0, 1] and is 0 for no values", () => {
    expect(() => percentile([1], 99)).toThrow(/share 99/);
    expect(() => percentile([1], Number.NaN)).toThrow(RangeError);
    expect(percentile([], 0.5)).toBe(0);
  });

  test("leaves its input as it was", () => {
    const values = [3, 1, 2];
    percentile(values, 0.5);
    expect(values).toEqual([3, 1, 2]);
  });
});

test("sum keeps the small ones beside the large ones", () => {
  expect(sum([1, 1e100, 1, -1e100])).toBe(2);
  expect(sum(new Array(10).fill(0.1))).toBe(1);
});

test("mean and summaries", () => {
  expect(mean([])).toBe(0);
  expect(summarise([4, 1, 3, 2])).toEqual({
    count: 4,
    mean: 2.5,
    min: 1,
    p50: 2,
    p90: 4,
    p99: 4,
    max: 4,
  });
  expect(summarise([])).toEqual({ count: 0, mean: 0, min: 0, p50: 0, p90: 0, p99: 0, max: 0 });
});

test("utilisation and slowdown", () => {
  expect(utilisation(850, 10, 100)).toBeCloseTo(0.85, 12);
  expect(utilisation(0, 0, 0)).toBe(0);
  expect(() => utilisation(1, -1, 1)).toThrow(RangeError);
  expect(slowdown(100, 400, 100)).toBe(3);
  expect(() => slowdown(0, 1, 0)).toThrow(/above 0/);
});
