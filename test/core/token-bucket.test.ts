import fc from "fast-check";
import { expect, test } from "vitest";
import { TokenBuckets } from "../../mesh/core/token-bucket.ts";

test("gives a burst, then so many a second", () => {
  const b = new TokenBuckets({ perS: 10, burst: 3 });
  expect([1, 2, 3, 4].map(() => b.take("k", 0))).toEqual([true, true, true, false]);
  expect(b.waitMs("k", 0)).toBe(100);
  expect(b.take("k", 100)).toBe(true);
  expect(b.take("k", 100)).toBe(false);
});

test("keeps keys apart", () => {
  const b = new TokenBuckets({ perS: 1 });
  expect([b.take("a", 0), b.take("a", 0), b.take("b", 0)]).toEqual([true, false, true]);
});

test("never gives more than burst + rate x time, whenever it is asked", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 200 }),
      (perS, burst, steps) => {
        const b = new TokenBuckets({ perS, burst });
        let now = 0;
        let given = 0;
        for (const step of steps) {
          now += step;
          if (b.take("k", now)) given++;
        }
        expect(given).toBeLessThanOrEqual(burst + (now / 1_000) * perS + 1e-6);
      },
    ),
  );
});

test("remembers a bounded number of keys", () => {
  const b = new TokenBuckets({ perS: 0.001, burst: 1 });
  for (let n = 0; n < 30_000; n++) b.take(`k${n}`, n);
  expect(b.size).toBeLessThanOrEqual(10_000);
});
