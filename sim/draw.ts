// Distributions on top of the uniform generator. Each takes the generator last drawn from first.
import type { Prng } from "../mesh/core/prng.ts";

/** Standard normal (Box and Muller; the second value is thrown away to keep no state). */
export function normal(prng: Prng): number {
  const radius = Math.sqrt(-2 * Math.log(1 - prng.next()));
  return radius * Math.cos(2 * Math.PI * prng.next());
}

/** Exponential with mean 1. */
export function exponential(prng: Prng): number {
  return -Math.log(1 - prng.next());
}

/** Lognormal with the given mean (not median) and spread of its logarithm. */
export function lognormal(prng: Prng, mean: number, sigma: number): number {
  return mean * Math.exp(sigma * normal(prng) - (sigma * sigma) / 2);
}

/** An index, each with probability proportional to its weight. Weights >= 0, one above 0. */
export function weightedIndex(prng: Prng, weights: readonly number[]): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0)) throw new RangeError("weightedIndex needs at least one weight above 0");
  let rest = prng.next() * total;
  let last = 0;
  for (const [index, weight] of weights.entries()) {
    if (weight <= 0) continue;
    if (rest < weight) return index;
    rest -= weight;
    last = index;
  }
  // Only rounding gets here.
  return last;
}
