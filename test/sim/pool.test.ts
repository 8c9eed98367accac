import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isToken } from "../../contracts/ids.ts";
import { capacityOf, claimedMs, drawPool, type SimAgent, slotsOf } from "../../sim/pool.ts";

const sizes = fc.integer({ min: 1, max: 60 });
const capabilitySets = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), {
  minLength: 1,
  maxLength: 6,
});

describe("the uniform pool", () => {
  test("has equal agents of one slot and speed 1 that can do everything", () => {
    const pool = drawPool({ profile: "uniform", agents: 16, seed: 1, capabilities: ["a", "b"] });
    expect(pool.agents).toHaveLength(16);
    for (const agent of pool.agents) {
      expect(agent).toMatchObject({ speed: 1, slots: 1, costPerSecond: 1, claimFactor: 1 });
      expect(agent.capabilities).toEqual(["a", "b"]);
    }
    expect([slotsOf(pool), capacityOf(pool)]).toEqual([16, 16]);
  });
});

describe("the mixed pool", () => {
  test("is the same for the same seed and another for another", () => {
    const draw = (seed: string | number): readonly SimAgent[] =>
      drawPool({ profile: "mixed", agents: 30, seed }).agents;
    expect(draw(4)).toEqual(draw("4"));
    expect(draw(4)).not.toEqual(draw(5));
  });

  test("agent 17 is the same agent in a small and in a large pool", () => {
    const draw = (agents: number): SimAgent | undefined =>
      drawPool({ profile: "mixed", agents, seed: "x", capabilities: ["a", "b", "c"] }).agents[17];
    expect(draw(20)).toEqual(draw(1_000));
  });

  test("has names that are tokens, each once, and figures within their bounds", () => {
    fc.assert(
      fc.property(sizes, fc.string(), (agents, seed) => {
        const pool = drawPool({ profile: "mixed", agents, seed });
        expect(new Set(pool.agents.map((agent) => agent.name)).size).toBe(agents);
        for (const agent of pool.agents) {
          expect(isToken(agent.name)).toBe(true);
          expect(agent.speed >= 0.4 && agent.speed <= 2.5).toBe(true);
          expect([1, 2, 3, 4]).toContain(agent.slots);
          expect(agent.costPerSecond).toBeGreaterThan(0);
          expect(agent.claimFactor > 0 && agent.claimFactor <= 1).toBe(true);
        }
      }),
    );
  });

  test("covers every capability, and no agent is without one", () => {
    fc.assert(
      fc.property(sizes, capabilitySets, fc.string(), (agents, capabilities, seed) => {
        const pool = drawPool({ profile: "mixed", agents, seed, capabilities });
        for (const agent of pool.agents) expect(agent.capabilities.length).toBeGreaterThan(0);
        for (const capability of capabilities) {
          expect(slotsOf(pool, capability)).toBeGreaterThan(0);
          expect(capacityOf(pool, capability)).toBeLessThanOrEqual(capacityOf(pool) + 1e-9);
        }
      }),
    );
  });

  test("is mixed as its comments say", () => {
    const { agents } = drawPool({ profile: "mixed", agents: 5_000, seed: "shares" });
    const share = (is: (agent: SimAgent) => boolean): number => agents.filter(is).length / 5_000;
    expect(share((agent) => agent.slots === 1)).toBeCloseTo(0.8, 1);
    expect(share((agent) => agent.slots === 4)).toBeCloseTo(0.03, 1);
    expect(share((agent) => agent.slots === 4)).toBeGreaterThan(0);
    expect(Math.abs(share((agent) => agent.claimFactor === 1) - 0.85)).toBeLessThan(0.02);
    expect(share((agent) => agent.claimFactor < 0.4)).toBe(0);
    expect(share((agent) => agent.claimFactor > 0.8 && agent.claimFactor < 1)).toBe(0);
    const speeds = agents.map((agent) => agent.speed);
    const mean = speeds.reduce((a, b) => a + b, 0) / 5_000;
    expect(Math.abs(mean - 1)).toBeLessThan(0.02);
    // Fast agents are dearer: cost follows speed.
    const dear = agents.filter((agent) => agent.speed > 1.2).map((agent) => agent.costPerSecond);
    expect(dear.reduce((a, b) => a + b, 0) / dear.length).toBeGreaterThan(1.2);
  });
});

test("an honest agent claims what a task takes it, an overconfident one less", () => {
  const agent: SimAgent = {
    name: "a",
    speed: 2,
    slots: 1,
    costPerSecond: 1,
    claimFactor: 1,
    capabilities: ["c"],
  };
  expect(claimedMs(agent, 1_000)).toBe(500);
  expect(claimedMs({ ...agent, claimFactor: 0.5 }, 1_000)).toBe(250);
});

test("refuses a pool of nobody or of no use", () => {
  for (const agents of [0, -1, 1.5, Number.NaN]) {
    expect(() => drawPool({ profile: "mixed", agents, seed: 1 })).toThrow(RangeError);
  }
  const useless = { profile: "uniform", agents: 1, seed: 1, capabilities: [] } as const;
  expect(() => drawPool(useless)).toThrow(/capability/);
});
