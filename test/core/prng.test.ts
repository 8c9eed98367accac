import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createPrng, pick } from "../../mesh/core/prng.ts";

// Recorded here on purpose: if these change, every recorded seed of every run changes with them.
const KNOWN = {
  seven: [0.8921193694117566, 0.08014125637136371, 0.548890815339903, 0.33442514301862236],
  mesh: [0.6002144710311635, 0.32161481854343643],
  forked: [73, 114, 615],
};

const seeds = fc.oneof(fc.string(), fc.integer());

function take(seed: string | number, count: number): number[] {
  const prng = createPrng(seed);
  return Array.from({ length: count }, () => prng.next());
}

/** Chi-square of counts that should all be equal. */
function chiSquare(counts: readonly number[]): number {
  const expected = counts.reduce((a, b) => a + b, 0) / counts.length;
  return counts.reduce((total, count) => total + (count - expected) ** 2 / expected, 0);
}

describe("createPrng", () => {
  test("gives the numbers that recorded runs were made with", () => {
    expect(take(7, 4)).toEqual(KNOWN.seven);
    expect(take("mesh", 2)).toEqual(KNOWN.mesh);
    const forked = createPrng(7).fork("agent").fork(3);
    expect([forked.int(1_000), forked.int(1_000), forked.int(1_000)]).toEqual(KNOWN.forked);
  });

  test("equal seeds give equal streams, different seeds different ones", () => {
    fc.assert(
      fc.property(seeds, seeds, (a, b) => {
        expect(take(a, 5)).toEqual(take(a, 5));
        if (String(a) !== String(b)) expect(take(a, 5)).not.toEqual(take(b, 5));
      }),
    );
  });

  test("a number and its text are one seed", () => {
    expect(take(42, 3)).toEqual(take("42", 3));
  });

  test("refuses a seed that is not finite", () => {
    expect(() => createPrng(Number.NaN)).toThrow(RangeError);
    expect(() => createPrng(Number.POSITIVE_INFINITY)).toThrow(/finite/);
  });

  test("near seeds have unrelated first numbers", () => {
    const firsts = Array.from({ length: 4_000 }, (_, seed) => createPrng(seed).next());
    const counts = new Array<number>(20).fill(0);
    for (const value of firsts) counts[Math.floor(value * 20)]! += 1;
    // 19 degrees of freedom: 43.8 is passed by one seed set in a thousand; this one is fixed.
    expect(chiSquare(counts)).toBeLessThan(43.8);
  });
});

describe("next", () => {
  test("stays in [0, 1) and is even to the eye of a chi-square test", () => {
    const values = take("uniform", 100_000);
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
    const counts = new Array<number>(100).fill(0);
    for (const value of values) counts[Math.floor(value * 100)]! += 1;
    // 99 degrees of freedom: 148.2 is the one in a thousand mark.
    expect(chiSquare(counts)).toBeLessThan(148.2);
  });

  test("neighbours are unrelated", () => {
    const values = take("serial", 50_000).map((value) => value - 0.5);
    const product = values.slice(1).reduce((sum, value, at) => sum + value * values[at]!, 0);
    const correlation = product / values.reduce((sum, value) => sum + value * value, 0);
    expect(Math.abs(correlation)).toBeLessThan(0.015);
  });

  test("uses all 53 bits", () => {
    const fine = take("bits", 1_000).filter((value) => (value * 2 ** 32) % 1 !== 0);
    expect(fine.length).toBeGreaterThan(990);
  });
});

describe("int", () => {
  test("stays in [0, n)", () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 2 ** 32 }), (seed, n) => {
        const value = createPrng(seed).int(n);
        expect(Number.isInteger(value) && value >= 0 && value < n).toBe(true);
      }),
    );
  });

  test("favours nobody, even where 2^32 is not a multiple of n", () => {
    const n = 3 * 2 ** 30;
    const prng = createPrng("bias");
    // With a plain remainder the lower third would get half of the draws.
    const low = Array.from({ length: 30_000 }, () => prng.int(n)).filter((v) => v < n / 3).length;
    expect(low / 30_000).toBeCloseTo(1 / 3, 1);
  });

  test("refuses what is no range", () => {
    for (const n of [0, -1, 1.5, Number.NaN, 2 ** 32 + 1]) {
      expect(() => createPrng(1).int(n)).toThrow(RangeError);
    }
  });
});

describe("fork", () => {
  test("depends on seed and label alone, not on how much was drawn", () => {
    fc.assert(
      fc.property(seeds, fc.string(), fc.nat(20), (seed, label, drawn) => {
        const prng = createPrng(seed);
        const before = prng.fork(label).next();
        for (let i = 0; i < drawn; i++) prng.next();
        expect(prng.fork(label).next()).toBe(before);
      }),
    );
  });

  test("moves nothing in the parent", () => {
    const prng = createPrng(5);
    prng.fork("child").next();
    expect([prng.next(), prng.next()]).toEqual(take(5, 2));
  });

  test("labels do not run into one another", () => {
    const prng = createPrng("s");
    const streams = [
      prng,
      prng.fork("ab"),
      prng.fork("a").fork("b"),
      prng.fork("a/1:b"),
      prng.fork("b").fork("a"),
      prng.fork(""),
      createPrng("s/2:ab"),
    ].map((one) => one.next());
    expect(new Set(streams).size).toBe(streams.length);
  });
});

test("pick takes each element about as often, and none from an empty list", () => {
  const prng = createPrng("pick");
  const counts = { a: 0, b: 0, c: 0 };
  for (let i = 0; i < 9_000; i++) counts[pick(prng, ["a", "b", "c"] as const)] += 1;
  // 2 degrees of freedom: 13.8 is the one in a thousand mark.
  expect(chiSquare(Object.values(counts))).toBeLessThan(13.8);
  expect(() => pick(prng, [])).toThrow(RangeError);
});
