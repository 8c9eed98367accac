// P8.7: how early an agent may ask for its next task.
import { describe, expect, test } from "vitest";
import { Foresight } from "../../mesh/core/foresight.ts";

function leadAfter(runs: [foretold: number, worked: number][], askMs?: number): number | undefined {
  const foresight = new Foresight();
  for (let i = 0; askMs !== undefined && i < 30; i++) foresight.asked(askMs);
  for (const [foretold, worked] of runs) foresight.ran(foretold, worked);
  return foresight.leadMs;
}

const times = (n: number, run: [number, number]) => Array.from({ length: n }, () => run);

describe("foresight", () => {
  test("wants four tasks that ended as they were said to", () => {
    expect(leadAfter(times(3, [100, 100]))).toBeUndefined();
    expect(leadAfter(times(4, [100, 101]))).toBeGreaterThan(0);
  });

  test("is as long as two awards take to come, between 4 and 50 ms", () => {
    const exact = times(4, [100, 100]);
    expect(leadAfter(exact, 0.1)).toBe(4);
    expect(leadAfter(exact, 10)).toBeCloseTo(20, 0);
    expect(leadAfter(exact, 400)).toBe(50);
  });

  test("is none where tasks end when they please, and comes back", () => {
    const wild = times(6, [100, 160]);
    expect(leadAfter(wild, 5)).toBeUndefined();
    expect(leadAfter([...times(6, [100, 100]), [100, 500]], 5)).toBeUndefined();
    expect(leadAfter([...wild, ...times(20, [100, 101])], 5)).toBeGreaterThan(0);
  });
});
