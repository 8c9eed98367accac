import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AgentCard,
  type Attributes,
  CapabilitySchema,
  RequirementsSchema,
} from "../../contracts/index.ts";
import {
  asksNoMore,
  attributesOf,
  groupOf,
  meets,
  type Needs,
  needsKey,
  needsOf,
  refuses,
  versionMeets,
} from "../../mesh/core/match.ts";

const here: Attributes = { region: "eu", gpu: true, memory: 64 };

describe("meets", () => {
  test.each([
    [{ region: "eu" }, true],
    [{ region: "us" }, false],
    [{ gpu: true, region: "eu" }, true],
    [{ gpu: true, region: "us" }, false],
    [{ memory: { min: 64 } }, true],
    [{ memory: { min: 65 } }, false],
    [{ memory: { max: 64 } }, true],
    [{ memory: { max: 63 } }, false],
    [{ memory: { min: 10, max: 70 } }, true],
    [{ region: { in: ["us", "eu"] } }, true],
    [{ region: { in: ["us"] } }, false],
    [{ region: { in: [] } }, false],
    [{ region: { min: 1 } }, false],
    [{ disk: { max: 5 } }, false],
    [{ disk: false }, false],
  ])("%j: %s", (wanted, met) => {
    // Through the schema, as it comes over the wire: no form of a requirement is lost there.
    expect(meets(RequirementsSchema.parse(wanted), here)).toBe(met);
  });

  test("asks nothing when nothing is required", () => {
    expect(meets(undefined, undefined)).toBe(true);
    expect(meets({}, undefined)).toBe(true);
  });

  test("an agent without attributes meets no requirement", () => {
    expect(meets({ region: "eu" }, undefined)).toBe(false);
  });

  test("names of the object's own making are no attributes", () => {
    expect(meets({ constructor: { min: 0 } }, {})).toBe(false);
    expect(meets({ toString: "x" }, {})).toBe(false);
  });

  test("a capability's attributes win over the agent's", () => {
    const capability = CapabilitySchema.parse({
      name: "ocr",
      version: "1.0.0",
      attributes: { region: "us" },
    });
    expect(attributesOf(here, capability)).toEqual({ ...here, region: "us" });
    expect(attributesOf(undefined, capability)).toEqual({ region: "us" });
  });
});

describe("versionMeets", () => {
  test.each([
    [undefined, "1.0.0", true],
    ["", "1.0.0", true],
    ["1", "1.9.9", true],
    ["1", "2.0.0", false],
    ["1.2", "1.2.0", true],
    ["1.2", "1.1.9", false],
    ["1.2.3", "1.2.3", true],
    ["1.2.3", "1.2.2", false],
    ["1.2.3", "1.3.0", true],
    ["^1.2", "1.4.0", true],
    ["1.2.3.4", "1.2.3", false],
    ["newest", "1.0.0", false],
  ])("wanted %s, have %s: %s", (wanted, have, met) => {
    expect(versionMeets(wanted, have)).toBe(met);
  });
});

describe("groupOf", () => {
  test("is stable and within range", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 64 }), (address, groups) => {
        const group = groupOf(address, groups);
        expect(group).toBe(groupOf(address, groups));
        expect(group).toBeGreaterThanOrEqual(0);
        expect(group).toBeLessThan(groups);
      }),
    );
  });

  // A name that is both principal and agent once cancelled out of the low bits: two groups only.
  test.each([
    ["one agent name", (i: number) => `p${i}.worker`],
    ["one principal", (i: number) => `host-0.a${i}`],
    ["the same name twice", (i: number) => `a${i}.a${i}`],
  ])("spreads a thousand agents over eight groups: %s", (_, address) => {
    const seats = new Array<number>(8).fill(0);
    for (let i = 0; i < 1_000; i++) seats[groupOf(address(i), 8)]! += 1;
    expect(Math.min(...seats)).toBeGreaterThan(80);
    expect(Math.max(...seats)).toBeLessThan(180);
  });
});

describe("what a task asks of whoever does it", () => {
  const agents = ["con.a", "con.b", "dan.a"];
  const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
  const memory = fc.oneof(
    fc.constantFrom(4, 8),
    fc.record({ in: fc.subarray([2, 4, 8]) }),
    fc
      .record({ min: maybe(fc.constantFrom(2, 4, 8)), max: maybe(fc.constantFrom(4, 8)) })
      .map(({ min, max }) => ({ ...(min && { min }), ...(max && { max }) })),
  );
  const requires = fc
    .record({ gpu: maybe(fc.boolean()), memory: maybe(memory) })
    .map(({ gpu, memory: m }) => ({ ...(gpu !== undefined && { gpu }), ...(m && { memory: m }) }));
  const needs: fc.Arbitrary<Needs> = fc
    .record({
      version: maybe(fc.constantFrom("1", "1.2", "2.0.0")),
      requires: maybe(requires),
      to: maybe(fc.constantFrom(...agents)),
      only: maybe(fc.boolean()),
      exclude: maybe(fc.subarray(agents)),
      budget: maybe(fc.integer({ min: 0, max: 3 })),
      hints: maybe(fc.record({ size: fc.integer({ min: 1, max: 9 }) })),
    })
    .map((some) => {
      const told = Object.entries(some).filter(([, value]) => value !== undefined);
      return { capability: "sum", ...Object.fromEntries(told) } as Needs;
    });
  const card = fc
    .record({
      version: fc.constantFrom("1.0.0", "1.2.3", "2.0.0"),
      gpu: fc.boolean(),
      memory: fc.constantFrom(4, 8),
    })
    .map(({ version, ...attributes }) => {
      const capabilities = [CapabilitySchema.parse({ name: "sum", version })];
      return { capabilities, attributes } as unknown as AgentCard;
    });

  test("who may do the one may do the other, where that one asks no more", () => {
    let held = 0;
    fc.assert(
      fc.property(needs, needs, card, fc.constantFrom(...agents), (one, other, who, agent) => {
        if (!asksNoMore(one, other)) return;
        held++;
        expect((one.budget ?? 9) >= (other.budget ?? 9)).toBe(true);
        // A price may go by the size: what would pay for the larger pays for the smaller.
        const paid = one.budget !== undefined && other.hints !== undefined;
        if (paid) expect(one.hints?.size ?? 0).toBeLessThanOrEqual(other.hints?.size ?? 0);
        if (!refuses(other, agent, who)) expect(refuses(one, agent, who)).toBe(false);
      }),
      { numRuns: 5_000 },
    );
    expect(held).toBeGreaterThan(50);
  });

  test("what asks for the same has the same key, and asks no more", () => {
    fc.assert(
      fc.property(needs, needs, (one, other) => {
        expect(asksNoMore(one, one)).toBe(true);
        expect(asksNoMore(needsOf(one), needsOf(one))).toBe(true);
        if (needsKey(one) !== needsKey(other)) return;
        expect(needsOf(one).budget).toBe(needsOf(other).budget);
        expect(asksNoMore({ ...one, budget: undefined }, other)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
    expect(needsKey({ capability: "sum", to: "con.a" })).toBe("");
    const keys = [undefined, 0, 0.3, 1, 1.9, 2].map((budget) =>
      needsKey({ capability: "sum", version: "1", ...(budget === undefined ? {} : { budget }) }),
    );
    expect(keys[3]).toBe(keys[4]);
    expect(new Set(keys).size).toBe(5);
    const sized = (size: number, budget?: number) =>
      needsKey({ capability: "sum", hints: { size }, ...(budget === undefined ? {} : { budget }) });
    expect(sized(100)).toBe("");
    expect([sized(5, 1), sized(7, 1)]).toEqual([sized(4, 1), sized(4, 1)]);
    expect(sized(8, 1)).not.toBe(sized(7, 1));
  });

  test("of an agent that nobody knows nothing is said", () => {
    expect(refuses({ capability: "sum", requires: { gpu: true } }, "con.a", undefined)).toBe(false);
    const only = { capability: "sum", to: "con.b", only: true };
    expect(refuses(only, "con.a", undefined)).toBe(true);
  });
});
