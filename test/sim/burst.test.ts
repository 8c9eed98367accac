// P8.5: hundreds of tasks at once for a few agents wait their turn instead of asking all the time.
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
