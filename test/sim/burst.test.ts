// Hundreds of tasks at once for a few agents: they wait their turn (P8.4) instead of asking all the
// time (P8.5).
import { expect, test } from "vitest";
import { runVirtual } from "../../sim/virtual/run.ts";
import { CAPABILITY_DEFAULT, type WorkloadTask } from "../../sim/workload/task.ts";

const tasks: WorkloadTask[] = Array.from({ length: 300 }, (_, i) => ({
  id: `t${i}`,
  capability: CAPABILITY_DEFAULT,
  arriveMs: i * 0.05,
  serviceMs: 100,
  inputTokens: 0,
  outputTokens: 1,
}));

// The first few hundred call before they learn that all are busy, and the others wait at once; two
// initiators have half of them each. From 0.06 to 0.6 while age began with the waiting.
test("P8.4: tasks of one moment begin in the order of their coming", async () => {
  const run = await runVirtual({
    agents: 16,
    tasks: tasks.length,
    seed: 1,
    pool: "uniform",
    workload: { name: "moment", tasks: tasks.map((task) => ({ ...task, arriveMs: 0 })) },
    utilisation: 100,
    initiators: 2,
    baselineRuns: 0,
  });
  const began = [...run.executions].sort((a, b) => a.startMs - b.startMs).map((e) => e.task);
  expect(began).toHaveLength(tasks.length);
  const late = began.map((task, place) => Math.abs(place - tasks.findIndex((t) => t.id === task)));
  // No more than the sixteen that end in one millisecond change places.
  expect(Math.max(...late)).toBeLessThan(32);
});

// 15.9 when this was written; 19.3 while an award that was refused counted as a slot found.
test("P8.5: a burst costs no more messages a decision than a calm market", async () => {
  const { report } = await runVirtual({
    agents: 16,
    tasks: tasks.length,
    seed: 1,
    pool: "uniform",
    workload: { name: "burst", tasks },
    utilisation: 100,
    initiators: 1,
    baselineRuns: 0,
  });
  expect(report.tasks.completed).toBe(tasks.length);
  expect(report.messagesPerDecision).toBeLessThan(17);
  // All of them at work from the begin to the end.
  expect(report.utilisation).toBeGreaterThan(0.95);
});
