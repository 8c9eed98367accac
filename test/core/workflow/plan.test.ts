// Planning: the graph that makes what is wanted, or what is missing for it.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WorkflowSchema } from "../../../contracts/index.ts";
import { checkWorkflow } from "../../../mesh/core/workflow/check.ts";
import { type Offer, offersByName } from "../../../mesh/core/workflow/offer.ts";
import { planWorkflow } from "../../../mesh/core/workflow/plan.ts";
import { checkTypes } from "../../../mesh/core/workflow/types.ts";

const schema = (names: readonly string[], type = "string") => ({
  type: "object",
  properties: Object.fromEntries(names.map((name) => [name, { type }])),
  required: [...names],
  additionalProperties: false,
});
const offer = (name: string, needs: string[], makes: string[], durationMs = 1_000): Offer => ({
  name,
  input: schema(needs),
  output: schema(makes),
  durationMs,
});
const KITCHEN = [
  offer("mill", ["grain"], ["flour"]),
  offer("well", [], ["water"]),
  offer("knead", ["flour", "water"], ["dough"]),
  offer("bake", ["dough"], ["bread"]),
  offer("buy", ["money"], ["bread"], 10),
];

describe("a plan", () => {
  test("makes what is missing on the way, and can be run as it is", () => {
    const plan = planWorkflow({ name: "p", goals: ["bread"], have: ["grain"] }, KITCHEN);
    if (!plan.ok) throw new Error("no plan");
    expect(plan.workflow.steps.map((step) => step.id)).toEqual(["mill", "well", "knead", "bake"]);
    expect(plan.workflow.steps[2]?.input).toEqual({
      flour: { $: "steps.mill.output.flour" },
      water: { $: "steps.well.output.water" },
    });
    expect(plan.workflow.output).toEqual({ bread: { $: "steps.bake.output.bread" } });
    const offers = offersByName(KITCHEN);
    expect(WorkflowSchema.safeParse(plan.workflow).success).toBe(true);
    expect(checkWorkflow(plan.workflow, new Set(offers.keys()))).toEqual([]);
    expect(checkTypes(plan.workflow, offers)).toEqual([]);
  });

  test("takes the way that is there earliest", () => {
    const plan = planWorkflow({ name: "p", goals: ["bread"], have: ["grain", "money"] }, KITCHEN);
    expect(plan.ok && plan.workflow.steps.map((step) => step.id)).toEqual(["buy"]);
  });

  test("says what is missing, down to what nobody makes", () => {
    const plan = planWorkflow({ name: "p", goals: ["bread"], have: [] }, KITCHEN);
    expect(plan).toEqual({
      ok: false,
      gaps: [
        {
          product: "bread",
          makers: [
            { capability: "bake", lacks: ["dough"] },
            { capability: "buy", lacks: ["money"] },
          ],
        },
        { product: "dough", makers: [{ capability: "knead", lacks: ["flour"] }] },
        { product: "money", makers: [] },
        { product: "flour", makers: [{ capability: "mill", lacks: ["grain"] }] },
        { product: "grain", makers: [] },
      ],
    });
  });

  test("of any offers has steps in an order that works, or names a gap", () => {
    const name = fc.constantFrom("a", "b", "c", "d", "e", "f");
    const any = fc.uniqueArray(
      fc.record({
        name: fc.stringMatching(/^[m-z]{1,3}$/),
        needs: fc.uniqueArray(name, { maxLength: 3 }),
        makes: fc.uniqueArray(name, { minLength: 1, maxLength: 2 }),
        ms: fc.integer({ min: 0, max: 50 }),
      }),
      { maxLength: 12, selector: (o) => o.name },
    );
    fc.assert(
      fc.property(any, fc.uniqueArray(name, { maxLength: 2 }), name, (list, have, goal) => {
        const offers = list.map((o) => offer(o.name, o.needs, o.makes, o.ms));
        const plan = planWorkflow({ name: "p", goals: [goal], have }, offers);
        if (!plan.ok) {
          expect(have.includes(goal) || plan.gaps.length > 0).toBe(true);
          return;
        }
        const there = new Set(have);
        for (const step of plan.workflow.steps) {
          const own = list.find((o) => o.name === step.id);
          expect(own?.needs.every((need) => there.has(need))).toBe(true);
          for (const product of own?.makes ?? []) there.add(product);
        }
        expect(there.has(goal)).toBe(true);
        expect(checkWorkflow(plan.workflow)).toEqual([]);
      }),
    );
  });
});

describe("values between steps", () => {
  const offers = offersByName([
    { name: "count", input: schema(["text"]), output: { type: "integer" } },
    { name: "half", input: schema(["n"], "number"), output: schema(["n"], "number") },
  ]);
  const check = (steps: object[]) =>
    checkTypes(WorkflowSchema.parse({ v: 1, kind: "workflow", name: "w", steps }), offers);

  test("fit, an integer for a number included", () => {
    const count = { id: "c", capability: "count", input: { text: { $: "params.t" } } };
    const half = { id: "h", capability: "half", input: { n: { $: "steps.c.output" } } };
    expect(check([count, half])).toEqual([]);
  });

  test("that do not fit are all named, each with its place and what to do", () => {
    const half = { id: "h", capability: "half", input: { n: 1, m: 2 } };
    const count = { id: "c", capability: "count", input: { text: { $: "steps.h.output.n" } } };
    const other = { id: "o", capability: "count", input: { text: { $: "steps.h.output.k" } } };
    const bare = { id: "b", capability: "count", input: {} };
    expect(
      check([half, count, other, bare]).map((p) => `${p.path}: ${p.problem}; ${p.fix}`),
    ).toEqual([
      'steps.0.input.m: "half" takes no "m"; it takes "n"',
      'steps.1.input.text: {"$": "steps.h.output.n"} is number, and string is wanted; ' +
        "give string, or put a step between that makes it",
      'steps.2.input.text: {"$": "steps.h.output.k"}: "half" gives no such value; it gives n',
      'steps.3.input: "count" needs "text", which the input does not have; ' +
        'add "text" to the input',
    ]);
  });
});
