// Recorded workflows in virtual time: near the schedule of a centre that knows everything, and
// each step recorded once whoever dies.
import { describe, expect, test } from "vitest";
import { createPrng } from "../../../mesh/core/prng.ts";
import { FAIR } from "../../../mesh/core/waiting-room.ts";
import { playFlows } from "../../../sim/flow/report.ts";
import { type RecordedFlow, readFlow } from "../../../sim/flow/wfformat.ts";

/** Layers of steps of unlike length, each behind up to three of the layer before. */
function layered(layers: number, width: number, seed: string): Buffer {
  const prng = createPrng(seed);
  const id = (layer: number, i: number) => `t${layer}-${i}`;
  const tasks = [];
  const runs = [];
  for (let layer = 0; layer < layers; layer++) {
    for (let i = 0; i < width; i++) {
      const behind = layer === 0 ? 0 : 1 + prng.int(3);
      const parents = Array.from({ length: behind }, () => id(layer - 1, prng.int(width)));
      tasks.push({ id: id(layer, i), name: id(layer, i), parents: [...new Set(parents)] });
      runs.push({ id: id(layer, i), runtimeInSeconds: 1 + prng.int(60) });
    }
  }
  return Buffer.from(
    JSON.stringify({ workflow: { specification: { tasks }, execution: { tasks: runs } } }),
  );
}

/** Chains, and beside each later step one that nothing waits for: who ends a step enables something
 * long and something short at the moment at which an agent is free. */
function chainsAndLeaves(chains: number, steps: number) {
  const tasks: { id: string; name: string; parents: string[] }[] = [];
  for (let i = 0; i < chains; i++) {
    for (let n = 0; n < steps; n++) {
      const parents = n === 0 ? [] : [`chain${i}-${n - 1}`];
      if (n > 0) tasks.push({ id: `leaf${i}-${n}`, name: "leaf", parents });
      tasks.push({ id: `chain${i}-${n}`, name: "chain", parents });
    }
  }
  const prng = createPrng("chains");
  const runs = tasks.map(({ id }) => ({ id, runtimeInSeconds: 40 + prng.int(30) }));
  const file = { workflow: { specification: { tasks }, execution: { tasks: runs } } };
  return { tasks, flow: readFlow(Buffer.from(JSON.stringify(file)), "chains") };
}

interface Over {
  flows?: RecordedFlow[];
  copies?: number;
  agents: number;
  timeScale?: number;
  crashesPerMinute?: number;
}

const play = (over: Over) =>
  playFlows({
    flows: [readFlow(layered(8, 40, "one"), "one"), readFlow(layered(20, 10, "two"), "two")],
    copies: 1,
    timeScale: 1,
    pool: "universal",
    profile: "dev",
    seed: 3,
    virtual: true,
    say: () => undefined,
    signal: new AbortController().signal,
    ...over,
  });

describe("recorded workflows in virtual time", { timeout: 120_000 }, () => {
  test("keep the order and come within 5 % of the list schedule", async () => {
    const { report } = await play({ agents: 24 });
    expect(report).toMatchObject({ steps: 520, completed: 2, once: true, violations: 0 });
    expect(report.overList).toBeLessThanOrEqual(1.05);
  });

  test("P8.6: what was enabled just now goes before nothing that is more critical", async () => {
    const [chains, steps] = [20, 5];
    const { tasks, flow } = chainsAndLeaves(chains, steps);
    const { report, placed } = await play({ agents: 16, flows: [flow] });
    expect(report).toMatchObject({ completed: 1, once: true, violations: 0 });
    const at = new Map(placed.map((p) => [tasks[Number(p.step.slice(1))]?.id, p]));
    /** Chains with steps behind them that waited while this one began. */
    const passedOver = (begunMs: number) =>
      tasks.filter(({ id, parents: [before] }) => {
        if (id.startsWith("leaf") || id.endsWith(`-${steps - 1}`)) return false;
        const readyMs = before === undefined ? 0 : (at.get(before)?.endMs ?? 0);
        return readyMs < begunMs - 10 && (at.get(id)?.startMs ?? 0) > begunMs + 1;
      });
    const leaves = tasks.filter(({ id }) => id.startsWith("leaf"));
    const early = leaves.filter(({ id }) => passedOver(at.get(id)?.startMs ?? 0).length > 0);
    // The turns that go by age.
    expect(early.length).toBeLessThanOrEqual(leaves.length / FAIR);
  });

  test("are the same twice", async () => {
    const [one, two] = [await play({ agents: 24 }), await play({ agents: 24 })];
    expect(one.placed).toEqual(two.placed);
  });

  test("record each step once while hosts and workflow contractors die", async () => {
    const { report } = await play({ agents: 120, copies: 3, timeScale: 0.2, crashesPerMinute: 20 });
    expect(report).toMatchObject({ workflows: 6, completed: 6, steps: 1_560, recorded: 1_560 });
    expect(report.crashes).toBeGreaterThan(5);
  });
});
