import { describe, expect, test } from "vitest";
import { coefficientOfVariation, mean, percentile } from "../../sim/metrics.ts";
import { readAzureCsv } from "../../sim/workload/azure-csv.ts";
import * as fitted from "../../sim/workload/fitted.ts";
import { generate } from "../../sim/workload/generate.ts";
import { serviceMsOf, WorkloadError, type WorkloadTask } from "../../sim/workload/task.ts";
import { traceFile, traceReason } from "./data.ts";

const SEEDS = 12;
const COUNT = 10_000;
const runs = Array.from({ length: SEEDS }, (_, seed) => generate({ count: COUNT, seed }));
const everything = runs.flat();

function gaps(tasks: readonly WorkloadTask[]): number[] {
  return tasks.slice(1).map((task, at) => task.arriveMs - (tasks[at] as WorkloadTask).arriveMs);
}

/** Variance over mean of the number of arrivals in windows: 1 for a Poisson process. */
function dispersion(tasks: readonly WorkloadTask[], windowMs: number): number {
  const windows = Math.floor((tasks.at(-1) as WorkloadTask).arriveMs / windowMs);
  const counts = new Array<number>(windows).fill(0);
  for (const task of tasks) {
    const at = Math.floor(task.arriveMs / windowMs);
    if (at < windows) counts[at]! += 1;
  }
  return coefficientOfVariation(counts) ** 2 * mean(counts);
}

describe("generate", () => {
  test("gives the same for the same seed, and a longer run begins with the shorter", () => {
    const long = generate({ count: 500, seed: "s" });
    expect(generate({ count: 500, seed: "s" })).toEqual(long);
    expect(generate({ count: 100, seed: "s" })).toEqual(long.slice(0, 100));
    expect(generate({ count: 100, seed: "t" })).not.toEqual(long.slice(0, 100));
  });

  test("gives tasks in order from 0, with ids of their own, inside the observed ranges", () => {
    for (const tasks of runs) {
      expect(tasks[0]?.arriveMs).toBe(0);
      expect(gaps(tasks).every((gap) => gap >= 0)).toBe(true);
      expect(new Set(tasks.map((task) => task.id)).size).toBe(COUNT);
    }
    for (const { inputTokens, outputTokens, serviceMs } of everything) {
      expect(Number.isInteger(inputTokens) && Number.isInteger(outputTokens)).toBe(true);
      expect(inputTokens >= 2 && inputTokens <= 14_050).toBe(true);
      expect(outputTokens >= 7 && outputTokens <= 1_000).toBe(true);
      expect(serviceMs).toBe(serviceMsOf(inputTokens, outputTokens));
    }
  });

  test("arrives at the fitted rate, in clumps on every time scale", () => {
    const rate = mean(runs.map((tasks) => (COUNT / (tasks.at(-1)?.arriveMs ?? 0)) * 1_000));
    expect(Math.abs(rate / fitted.ARRIVALS_PER_SECOND - 1)).toBeLessThan(0.15);
    const spread = mean(runs.map((tasks) => coefficientOfVariation(gaps(tasks))));
    expect(spread > 1.04 && spread < 1.15).toBe(true);
    const atSecond = mean(runs.map((tasks) => dispersion(tasks, 1_000)));
    const atMinute = mean(runs.map((tasks) => dispersion(tasks, 60_000)));
    expect(atSecond > 1.2 && atSecond < 1.5).toBe(true);
    expect(atMinute > 6 && atMinute < 22).toBe(true);
  });

  test("long answers are rarer when the rate is high, as in the trace", () => {
    const shares: number[] = [];
    const rates: number[] = [];
    for (const tasks of runs) {
      for (let from = 0; from < COUNT; from += 500) {
        const part = tasks.slice(from, from + 500);
        shares.push(part.filter((task) => task.outputTokens > 250).length / 500);
        const span = (part.at(-1)?.arriveMs ?? 0) - (part[0]?.arriveMs ?? 0);
        rates.push(500_000 / span);
      }
    }
    const [share, rate] = [mean(shares), mean(rates)];
    const product = mean(shares.map((one, at) => (one - share) * ((rates[at] as number) - rate)));
    const spread = coefficientOfVariation(shares) * share * coefficientOfVariation(rates) * rate;
    expect(product / spread).toBeLessThan(-0.7);
  });

  test("the weights of each table add up to 1", () => {
    for (const table of [fitted.SHORT_ANSWERS, fitted.LONG_ANSWERS]) {
      expect(table.reduce((total, [weight]) => total + weight, 0)).toBeCloseTo(1, 3);
    }
  });

  test("refuses a count that is none, takes a capability", () => {
    for (const count of [0, -1, 1.5, Number.NaN]) {
      expect(() => generate({ count, seed: 1 })).toThrow(WorkloadError);
    }
    expect(generate({ count: 1, seed: 1, capability: "sum" })[0]?.capability).toBe("sum");
  });
});

describe.skipIf(traceFile === undefined)(`beside the recorded trace${traceReason}`, () => {
  const trace = traceFile === undefined ? [] : readAzureCsv(traceFile);
  const columns: [string, (task: WorkloadTask) => number][] = [
    ["context tokens", (task) => task.inputTokens],
    ["generated tokens", (task) => task.outputTokens],
    ["service time", (task) => task.serviceMs],
  ];

  test.each(columns)("%s have the trace's quantiles", (_, of) => {
    const recorded = trace.map(of);
    const drawn = everything.map(of);
    for (const share of [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]) {
      const [a, b] = [percentile(recorded, share), percentile(drawn, share)];
      expect(Math.abs(b / a - 1)).toBeLessThan(0.15);
    }
    expect(Math.abs(mean(drawn) / mean(recorded) - 1)).toBeLessThan(0.1);
  });

  test("gaps have the trace's quantiles", () => {
    const recorded = gaps(trace);
    const drawn = runs.flatMap(gaps);
    for (const share of [0.25, 0.5, 0.75, 0.9, 0.99]) {
      const [a, b] = [percentile(recorded, share), percentile(drawn, share)];
      expect(Math.abs(b / a - 1)).toBeLessThan(0.15);
    }
  });
});
