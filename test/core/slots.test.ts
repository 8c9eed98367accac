import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Slots, UsualDuration } from "../../mesh/core/slots.ts";

describe("slots", () => {
  test("L1, L2: used stays within [0, total] and load within [0, 1], whatever happens", () => {
    const op = fc.tuple(fc.boolean(), fc.integer({ min: -5, max: 100_000 }));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4 }), fc.array(op), (total, ops) => {
        const slots = new Slots(total, 0);
        let now = 0;
        let held = 0;
        for (const [take, passed] of ops) {
          now += passed;
          if (take) held += slots.take(now) ? 1 : 0;
          else if (held > 0) {
            slots.release(now);
            held--;
          }
          expect(slots.used).toBe(held);
          expect(slots.free).toBe(total - held);
          expect(slots.free).toBeGreaterThanOrEqual(0);
          expect(slots.load(now)).toBeGreaterThanOrEqual(0);
          expect(slots.load(now)).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  test("a full agent takes nothing; a release too many is not counted", () => {
    const slots = new Slots(1, 0);
    expect([slots.take(0), slots.take(0)]).toEqual([true, false]);
    slots.release(0);
    slots.release(0);
    expect([slots.used, slots.free]).toEqual([0, 1]);
  });

  test("load is the share of slot time in use", () => {
    const slots = new Slots(2, 0);
    expect(slots.load(0)).toBe(0);
    slots.take(0);
    expect(slots.load(1_000)).toBeCloseTo(0.5);
    slots.release(1_000);
    expect(slots.load(2_000)).toBeCloseTo(0.25, 2);
  });

  test("load forgets: an hour idle leaves next to nothing of an hour of work", () => {
    const slots = new Slots(1, 0);
    slots.take(0);
    slots.release(3_600_000);
    expect(slots.load(3_600_000)).toBeCloseTo(1);
    for (let t = 3_600_000; t <= 7_200_000; t += 60_000) slots.load(t);
    expect(slots.load(7_200_000)).toBeLessThan(0.02);
  });
});

describe("usual duration", () => {
  test("is unknown at first, then follows what tasks take per unit of size", () => {
    const usual = new UsualDuration();
    expect(usual.estimateMs(10)).toBeUndefined();
    usual.learn(50, 10);
    expect(usual.estimateMs(20)).toBe(100);
    for (let i = 0; i < 60; i++) usual.learn(80, 10);
    expect(usual.estimateMs(10)).toBeCloseTo(80, 1);
  });
});
