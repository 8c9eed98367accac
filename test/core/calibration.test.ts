import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { actualOf, Calibration } from "../../mesh/core/calibration.ts";

const CAP = "ocr";

function taught(contracts: number, claimedMs: number, actualMs: number, good = true): Calibration {
  const c = new Calibration();
  for (let i = 0; i < contracts; i++) c.learn("liar.a", CAP, claimedMs, actualMs, good);
  return c;
}

describe("duration", () => {
  test("a stranger's claim is believed as it is", () => {
    expect(new Calibration().believe("new.a", CAP, 100, 0.9)).toEqual({
      durationMs: 100,
      confidence: 0.9,
    });
  });

  test("a liar's next bids are discounted, more with every contract", () => {
    const beliefs = [1, 3, 10, 30].map(
      (n) => taught(n, 10, 100).believe("liar.a", CAP, 10, 1).durationMs,
    );
    expect(beliefs).toEqual([...beliefs].sort((a, b) => a - b));
    expect(beliefs[0]).toBeGreaterThan(15);
    expect(beliefs[2]).toBeGreaterThan(50);
  });

  test("a steady lie pays nothing in the end: the truth is believed", () => {
    for (const lie of [2, 10, 50]) {
      const believed = taught(60, 100 / lie, 100).believe("liar.a", CAP, 100 / lie, 1).durationMs;
      expect(believed).toBeGreaterThan(98);
      expect(believed).toBeLessThanOrEqual(100.001);
    }
  });

  test("a newcomer is not branded by one piece of bad luck", () => {
    const once = taught(1, 10, 100).believe("liar.a", CAP, 10, 1).durationMs;
    expect(once).toBeLessThan(20);
  });

  test("who over-claims looks faster again, so caution does not cost him", () => {
    expect(taught(10, 100, 50).believe("liar.a", CAP, 100, 1).durationMs).toBeLessThan(70);
  });

  test("he can mend his ways: twenty honest contracts outweigh twenty false ones", () => {
    const c = taught(20, 10, 100);
    const before = c.believe("liar.a", CAP, 10, 1).durationMs;
    for (let i = 0; i < 20; i++) c.learn("liar.a", CAP, 100, 100, true);
    const mended = c.believe("liar.a", CAP, 10, 1).durationMs;
    expect(before).toBeGreaterThan(60);
    expect(mended).toBeLessThan(16);
  });

  test("one absurd outlier counts as a hundredfold at most", () => {
    const c = taught(1, 1, 1e12);
    expect(c.believe("liar.a", CAP, 1, 1).durationMs).toBeLessThan(100);
  });
  test("no lie is too large to be found out", () => {
    for (const claim of [0.001, 0.5, 1]) {
      expect(
        taught(60, claim, 100_000).believe("liar.a", CAP, claim, 1).durationMs,
      ).toBeGreaterThan(90_000);
    }
  });

  test("who claimed far too much is not believed to be quicker than a hundredth", () => {
    expect(taught(60, 1e9, 1).believe("liar.a", CAP, 1_000, 1).durationMs).toBeGreaterThan(9.9);
  });

  test("the contractor's word counts for no less than was seen, but for a slack", () => {
    const running = { phase: "running" as const, live: false, runsSince: 1_000 };
    expect(actualOf(running, 50, 11_000)).toBeGreaterThan(7_000);
    expect(actualOf(running, undefined, 11_000)).toBeGreaterThan(7_000);
    expect(actualOf(running, 9_900, 11_000)).toBe(9_900);
    // Short ones, and what was not seen: nobody can tell.
    expect(actualOf(running, 50, 1_400)).toBe(50);
    expect(actualOf({ ...running, phase: "awarding" }, 50, 11_000)).toBe(50);
    expect(actualOf({ ...running, live: true }, undefined, 11_000)).toBeUndefined();
  });
});

describe("confidence", () => {
  test("failures bring it below the claim, successes never above it", () => {
    expect(taught(5, 10, 10, false).believe("liar.a", CAP, 10, 0.99).confidence).toBeLessThan(0.5);
    expect(taught(50, 10, 10).believe("liar.a", CAP, 10, 0.7).confidence).toBe(0.7);
  });

  test("one failure of a newcomer leaves him in the race", () => {
    const c = new Calibration();
    c.learn("new.a", CAP, 10, undefined, false);
    const { confidence, durationMs } = c.believe("new.a", CAP, 10, 0.99);
    expect(confidence).toBeGreaterThan(0.6);
    expect(confidence).toBeLessThan(0.9);
    expect(durationMs).toBe(10);
  });

  test("recovers after failures", () => {
    const c = taught(5, 10, 10, false);
    for (let i = 0; i < 30; i++) c.learn("liar.a", CAP, 10, 10, true);
    expect(c.believe("liar.a", CAP, 10, 0.99).confidence).toBeGreaterThan(0.9);
  });
});

test("agents and capabilities are kept apart", () => {
  const c = taught(20, 10, 100);
  expect(c.believe("liar.a", "other", 10, 1).durationMs).toBe(10);
  expect(c.believe("liar.b", CAP, 10, 1).durationMs).toBe(10);
});

test("memory is bounded: the oldest pair is forgotten", () => {
  const c = new Calibration(3);
  for (const from of ["a.a", "b.b", "c.c", "d.d"]) c.learn(from, CAP, 10, 100, true);
  expect(c.size).toBe(3);
  expect(c.believe("a.a", CAP, 10, 1).durationMs).toBe(10);
  expect(c.believe("d.d", CAP, 10, 1).durationMs).toBeGreaterThan(10);
});

test("whatever is learned, a belief is finite, and its confidence within [0, 1]", () => {
  const duration = fc.double({ min: 0, max: 1e12, noNaN: true });
  const deed = fc.tuple(duration, fc.option(duration, { nil: undefined }), fc.boolean());
  fc.assert(
    fc.property(fc.array(deed, { maxLength: 60 }), duration, (deeds, claimed) => {
      const c = new Calibration();
      for (const [claim, actual, good] of deeds) c.learn("x.y", CAP, claim, actual, good);
      const belief = c.believe("x.y", CAP, claimed, 1);
      expect(belief.durationMs).toBeGreaterThanOrEqual(claimed / 100.001);
      expect(belief.durationMs).toBeLessThan(Number.POSITIVE_INFINITY);
      expect(belief.confidence).toBeGreaterThanOrEqual(0);
      expect(belief.confidence).toBeLessThanOrEqual(1);
    }),
  );
});
