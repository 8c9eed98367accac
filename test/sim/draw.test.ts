import { expect, test } from "vitest";
import { createPrng } from "../../mesh/core/prng.ts";
import { exponential, lognormal, normal, weightedIndex } from "../../sim/draw.ts";

const COUNT = 40_000;

function moments(draw: () => number): { mean: number; spread: number } {
  const values = Array.from({ length: COUNT }, draw);
  const mean = values.reduce((a, b) => a + b, 0) / COUNT;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / COUNT;
  return { mean, spread: Math.sqrt(variance) };
}

test("normal has mean 0 and spread 1, and its tails", () => {
  const prng = createPrng("normal");
  const { mean, spread } = moments(() => normal(prng));
  expect(Math.abs(mean)).toBeLessThan(0.02);
  expect(Math.abs(spread - 1)).toBeLessThan(0.02);
  const beyondTwo = Array.from({ length: COUNT }, () => normal(prng)).filter((v) => v > 2);
  expect(beyondTwo.length / COUNT).toBeCloseTo(0.02275, 2);
});

test("exponential has mean 1 and spread 1", () => {
  const prng = createPrng("exponential");
  const { mean, spread } = moments(() => exponential(prng));
  expect(Math.abs(mean - 1)).toBeLessThan(0.02);
  expect(Math.abs(spread - 1)).toBeLessThan(0.03);
});

test("lognormal keeps the mean that it is given", () => {
  const prng = createPrng("lognormal");
  const { mean, spread } = moments(() => lognormal(prng, 5, 0.5));
  expect(Math.abs(mean / 5 - 1)).toBeLessThan(0.02);
  expect(spread / mean).toBeCloseTo(Math.sqrt(Math.exp(0.25) - 1), 1);
});

test("weightedIndex keeps to the weights and never takes a weight of 0", () => {
  const prng = createPrng("weights");
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < COUNT; i++) counts[weightedIndex(prng, [3, 0, 1, 0])]! += 1;
  expect(counts[1]).toBe(0);
  expect(counts[3]).toBe(0);
  expect(counts[0]! / COUNT).toBeCloseTo(0.75, 1);
  expect(() => weightedIndex(prng, [0, 0])).toThrow(RangeError);
});
