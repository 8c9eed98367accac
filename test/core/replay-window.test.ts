import fc from "fast-check";
import { expect, test } from "vitest";
import { ReplayWindow } from "../../mesh/core/replay-window.ts";

test("a nonce is admitted once", () => {
  const w = new ReplayWindow(1_000, 100);
  expect(w.admit("a", 5)).toBe(true);
  expect(w.admit("a", 5)).toBe(false);
  expect(w.admit("b", 5)).toBe(true);
});

test("is remembered for at least the span, however the turns fall", () => {
  const times = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(times, (gaps) => {
      const w = new ReplayWindow(1_000, 1_000);
      const admittedAt = new Map<string, number>();
      let now = 10_000;
      gaps.forEach((gap, i) => {
        now += gap;
        expect(w.admit(`n${i}`, now)).toBe(true);
        admittedAt.set(`n${i}`, now);
        for (const [nonce, at] of admittedAt) {
          if (now - at <= 1_000) expect(w.admit(nonce, now)).toBe(false);
        }
      });
    }),
  );
});

test("is forgotten after two spans: memory is bounded by time", () => {
  const w = new ReplayWindow(1_000, 100);
  w.admit("a", 5_000);
  w.admit("b", 6_001);
  w.admit("c", 7_002);
  expect(w.admit("a", 7_003)).toBe(true);
});

test("a flood turns the generations early and never holds more than two of them", () => {
  const w = new ReplayWindow(1_000, 10);
  for (let i = 0; i < 25; i++) expect(w.admit(`n${i}`, 5_000)).toBe(true);
  expect(w.admit("n24", 5_000)).toBe(false);
  expect(w.admit("n15", 5_000)).toBe(false);
  expect(w.admit("n0", 5_000)).toBe(true);
});
