// Who came last, of those that still count.
import { expect, test } from "vitest";
import { Arrivals } from "../../mesh/core/arrivals.ts";

test("the newest are told first, without those that no longer count", () => {
  const gone = new Set<number>();
  const arrivals = new Arrivals<number>((n) => !gone.has(n));
  for (let n = 0; n < 10; n++) arrivals.add(n, 10);
  expect(arrivals.newest(3)).toEqual([9, 8, 7]);
  for (const n of [9, 7]) gone.add(n);
  expect(arrivals.newest(3)).toEqual([8, 6]);
  gone.add(8);
  expect(arrivals.newest(3)).toEqual([6, 5, 4]);
  for (let n = 0; n < 10; n++) gone.add(n);
  expect(arrivals.newest(3)).toEqual([]);
});

test("those that have gone are looked at once, not each time", () => {
  let looks = 0;
  const arrivals = new Arrivals<number>((n) => {
    looks++;
    return n > 99_990;
  });
  for (let n = 0; n < 100_000; n++) arrivals.add(n, 10);
  for (let i = 0; i < 100; i++) expect(arrivals.newest(5)).toHaveLength(5);
  // Each when it was forgotten, and the ten that count with every look.
  expect(looks).toBeLessThan(250_000);
});
