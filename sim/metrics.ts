// Figures about a run. All of them throw RangeError on NaN, infinite or (where said) negative
// input: a wrong figure in a report is worse than none.

export interface Summary {
  readonly count: number;
  readonly mean: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Arithmetic mean; 0 for no values. */
export function mean(values: readonly number[]): number {
  if (values.length === 0) return 0;
  return sum(values) / values.length;
}

/** Sum with Neumaier's compensation, so the order of the values does not show. */
export function sum(values: readonly number[]): number {
  let total = 0;
  let lost = 0;
  for (const value of values) {
    checkFinite(value);
    const next = total + value;
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + lost;
}

/**
 * Gini coefficient of non-negative values: 0 when all are equal, (n-1)/n when one has everything,
 * always in [0, 1). 0 for no values and for all zeros (nobody is worse off than anybody).
 */
export function gini(values: readonly number[]): number {
  const sorted = sortedNumbers(values);
  if (sorted.length > 0 && (sorted[0] as number) < 0) {
    throw new RangeError("gini is defined for values of at least 0");
  }
  // Divided by the largest first, or the weighted sum of very large values would overflow.
  const largest = sorted.at(-1) ?? 0;
  if (largest === 0 || sorted[0] === largest) return 0;
  const n = sorted.length;
  const scaled = sorted.map((value) => value / largest);
  const weighted = sum(scaled.map((value, index) => (2 * (index + 1) - n - 1) * value));
  const coefficient = weighted / (n * sum(scaled));
  return Math.min(Math.max(coefficient, 0), (n - 1) / n);
}

/** Population standard deviation over the mean; 0 for no values or a mean of 0. */
export function coefficientOfVariation(values: readonly number[]): number {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return 0;
  const scaled = values.map((value) => value / largest);
  const middle = mean(scaled);
  if (middle === 0) return 0;
  const variance = mean(scaled.map((value) => (value - middle) ** 2));
  return Math.sqrt(variance) / Math.abs(middle);
}

/**
 * Exact percentile by nearest rank: the smallest value that at least `share` of the values do not
 * exceed. Always one of the values; 0 for no values. `share` in [0, 1].
 */
export function percentile(values: readonly number[], share: number): number {
  return percentileOfSorted(sortedNumbers(values), share);
}

/** The same for values already in ascending order. */
export function percentileOfSorted(sorted: readonly number[], share: number): number {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`share ${share} is not between 0 and 1`);
  if (sorted.length === 0) return 0;
  // The tiny allowance undoes products such as 0.07 * 100 = 7.000000000000001.
  const rank = Math.ceil(share * sorted.length - 1e-9);
  return sorted[Math.max(rank, 1) - 1] as number;
}

/** Count, mean, extremes and the usual percentiles; all 0 for no values. */
export function summarise(values: readonly number[]): Summary {
  const sorted = sortedNumbers(values);
  return {
    count: sorted.length,
    mean: mean(sorted),
    min: sorted[0] ?? 0,
    p50: percentileOfSorted(sorted, 0.5),
    p90: percentileOfSorted(sorted, 0.9),
    p99: percentileOfSorted(sorted, 0.99),
    max: sorted.at(-1) ?? 0,
  };
}

/** Busy time over the time that `slots` slots had in `spanMs`; 0 when they had none. */
export function utilisation(busyMs: number, slots: number, spanMs: number): number {
  for (const value of [busyMs, slots, spanMs]) {
    checkFinite(value);
    if (value < 0) throw new RangeError(`utilisation needs values of at least 0, not ${value}`);
  }
  const available = slots * spanMs;
  return available === 0 ? 0 : busyMs / available;
}

/** (finish - arrival) / service: 1 is "as fast as if nobody else were there". Service above 0. */
export function slowdown(arrivalMs: number, finishMs: number, serviceMs: number): number {
  if (!(serviceMs > 0)) {
    throw new RangeError(`slowdown needs a service time above 0, not ${serviceMs}`);
  }
  return (finishMs - arrivalMs) / serviceMs;
}

function sortedNumbers(values: readonly number[]): number[] {
  for (const value of values) checkFinite(value);
  return values.toSorted((a, b) => a - b);
}

function checkFinite(value: number): void {
  if (!Number.isFinite(value)) throw new RangeError(`${value} is not a finite number`);
}
