import { expect, test } from "vitest";
import { makePlan } from "../../../sim/live/plan.ts";
import type { Settings } from "../../../sim/live/settings.ts";

const SETTINGS: Settings = {
  agents: 1_000,
  tasks: 4_000,
  utilisation: 0.85,
  pool: "mixed",
  policy: "balanced",
  seed: "1",
  connections: "shared",
  hosts: 3,
  profile: "dev",
  signing: true,
  json: false,
};

/** The time scale, and tasks a second while they arrive. */
function played(over: Partial<Settings>): { timeScale: number; pace: number } {
  const { tasks, timeScale } = makePlan({ ...SETTINGS, ...over });
  return { timeScale, pace: tasks.length / ((tasks.at(-1)?.arriveMs ?? 0) / 1_000) };
}

test.each([
  ["shared", 167],
  ["own", 120],
] as const)("%s connections: no faster than %i tasks a second, or as in reality", (how, most) => {
  for (const seed of ["1", "2", "3", "4"]) {
    for (const agents of [200, 1_000, 3_000]) {
      const { timeScale, pace } = played({ seed, agents, connections: how });
      if (timeScale < 1) expect(pace).toBeLessThan(most * 1.05);
    }
  }
  expect(played({ connections: how, timeScale: 0.1 }).pace).toBeGreaterThan(1_000);
});

test("a few tasks are not spread over more than 40 s, nor made slower than real time", () => {
  expect(makePlan({ ...SETTINGS, tasks: 2_000 }).lengthMs).toBeLessThan(40_000);
  expect(makePlan({ ...SETTINGS, tasks: 20 }).timeScale).toBe(1);
});
