// A recorded workflow on a real mesh, small: each step once, after what it comes after.
import { expect, test } from "vitest";
import { playFlows, scheduleCsv } from "../../../sim/flow/report.ts";
import { readFlow } from "../../../sim/flow/wfformat.ts";

function fork(width: number): Buffer {
  const names = ["start", ...Array.from({ length: width }, (_, i) => `mid${i}`), "end"];
  const parents = (name: string) =>
    name === "start" ? [] : name === "end" ? names.slice(1, -1) : ["start"];
  const specification = { tasks: names.map((id) => ({ id, name: id, parents: parents(id) })) };
  const execution = { tasks: names.map((id) => ({ id, runtimeInSeconds: 1 })) };
  return Buffer.from(JSON.stringify({ workflow: { specification, execution } }));
}

test.each(["universal", "specialised"] as const)(
  "a fork on a %s pool",
  async (pool) => {
    const result = await playFlows({
      flows: [readFlow(fork(8), "fork")],
      copies: 2,
      agents: 12,
      timeScale: 0.02,
      pool,
      profile: "dev",
      seed: 1,
      say: () => undefined,
      signal: new AbortController().signal,
    });
    expect(result.report).toMatchObject({ workflows: 2, steps: 20, completed: 2, once: true });
    expect(result.report.violations).toBe(0);
    expect(result.report.overBound).toBeGreaterThanOrEqual(1);
    const [head, ...rows] = scheduleCsv(result).trim().split("\n");
    expect([head, rows.length]).toEqual(["task,worker,start,end", 20]);
  },
  60_000,
);
