import fc from "fast-check";
import { expect, test } from "vitest";
import { lengthOf, stretch } from "../../sim/workload/stretch.ts";
import { WorkloadError, type WorkloadTask } from "../../sim/workload/task.ts";

function task(arriveMs: number, serviceMs: number): WorkloadTask {
  const id = `t${arriveMs}`;
  return { id, arriveMs, serviceMs, capability: "c", inputTokens: 1, outputTokens: 1 };
}

const gaps = fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1 });
const above = fc.double({ min: 0.01, max: 1_000, noNaN: true });

function span(tasks: readonly WorkloadTask[]): number {
  return (tasks.at(-1)?.arriveMs ?? 0) - (tasks[0]?.arriveMs ?? 0);
}

function work(tasks: readonly WorkloadTask[]): number {
  return tasks.reduce((total, one) => total + one.serviceMs, 0);
}

function workload(list: readonly number[]): WorkloadTask[] {
  const tasks = [task(17, 5)];
  for (const gap of list) {
    const before = tasks.at(-1)?.arriveMs ?? 0;
    tasks.push(task(before + gap, 1 + (gap % 7)));
  }
  return tasks;
}

test("work over capacity times span becomes the utilisation, at any time scale", () => {
  fc.assert(
    fc.property(gaps, above, above, above, (list, capacity, utilisation, timeScale) => {
      const tasks = workload(list);
      const moved = stretch(tasks, { capacity, utilisation, timeScale }).tasks;
      expect(moved[0]?.arriveMs).toBe(0);
      const load = work(moved) / (capacity * span(moved));
      expect(load / utilisation).toBeCloseTo(1, 6);
      expect(work(moved) / (work(tasks) * timeScale)).toBeCloseTo(1, 9);
    }),
  );
});

test("all gaps grow by one factor, so order and burstiness stay", () => {
  fc.assert(
    fc.property(gaps, above, (list, capacity) => {
      const tasks = workload(list);
      const { tasks: moved, factor } = stretch(tasks, { capacity });
      for (const [at, one] of moved.entries()) {
        const before = (tasks[at] as WorkloadTask).arriveMs - 17;
        expect(Math.abs(one.arriveMs - before * factor)).toBeLessThanOrEqual(
          1e-9 * Math.max(1, one.arriveMs),
        );
      }
    }),
  );
});

test("by default 85 per cent, in real time", () => {
  const { tasks, factor } = stretch([task(0, 10), task(10, 10)], { capacity: 2 });
  expect(span(tasks)).toBeCloseTo(20 / (2 * 0.85), 9);
  expect(factor).toBeCloseTo(20 / (2 * 0.85) / 10, 9);
  expect(tasks[0]?.serviceMs).toBe(10);
});

test("a batch stays a batch", () => {
  const { tasks, factor } = stretch([task(5, 10), task(5, 20)], { capacity: 1, timeScale: 0.1 });
  expect(factor).toBe(1);
  expect(tasks.map((one) => [one.arriveMs, one.serviceMs])).toEqual([
    [0, 1],
    [0, 2],
  ]);
});

test("the length is that of the last task, or of all the work where that is more", () => {
  expect(lengthOf([task(0, 10), task(100, 10)], 1)).toBe(110);
  expect(lengthOf([task(0, 10), task(0, 10), task(0, 40)], 2)).toBe(40);
  expect(lengthOf([task(0, 10), task(0, 10), task(0, 10)], 1)).toBe(30);
});

test("refuses what cannot be stretched to, saying which option", () => {
  const tasks = [task(0, 1), task(1, 1)];
  expect(() => stretch([], { capacity: 1 })).toThrow(WorkloadError);
  expect(() => stretch(tasks, { capacity: 0 })).toThrow(/capacity 0: .*slot/);
  expect(() => stretch(tasks, { capacity: 1, utilisation: -1 })).toThrow(/utilisation -1/);
  expect(() => stretch(tasks, { capacity: 1, timeScale: Number.NaN })).toThrow(/time scale NaN/);
});

test("a task that no deadline leaves time for is named", () => {
  const day = 24 * 3_600_000;
  const tasks = [task(0, 5), task(1, 8 * day)];
  expect(() => stretch(tasks, { capacity: 1 })).toThrow(/^t1: takes 8.0 days; the longest .* 7/);
  expect(stretch(tasks, { capacity: 1, timeScale: 0.5 }).tasks).toHaveLength(2);
});
