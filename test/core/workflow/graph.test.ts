import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Step, WorkflowSchema } from "../../../contracts/index.ts";
import { checkWorkflow } from "../../../mesh/core/workflow/check.ts";
import { cycles, graphOf, ordered, ranks } from "../../../mesh/core/workflow/graph.ts";
import { fill, holds, valueAt } from "../../../mesh/core/workflow/template.ts";

const step = (id: string, after: string[] = [], over: Partial<Step> = {}): Step => ({
  id,
  after,
  capability: "work",
  ...over,
});

const flow = (steps: Step[], over: object = {}) =>
  WorkflowSchema.parse({ v: 1, kind: "workflow", name: "w", steps, ...over });

describe("a graph", () => {
  /** Edges only from earlier to later steps: no cycle. */
  const dag = fc
    .array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 40 })
    .map((lists) =>
      lists.map((list, i) => step(`s${i}`, i === 0 ? [] : list.map((n) => `s${n % i}`))),
    );

  test("is walked in an order that holds, and has no cycle", () => {
    fc.assert(
      fc.property(dag, (steps) => {
        const g = graphOf(steps);
        const at = new Map(ordered(g).map((node, place) => [node, place]));
        expect(at.size).toBe(steps.length);
        g.before.forEach((list, i) => {
          for (const b of list) expect(at.get(b)!).toBeLessThan(at.get(i)!);
        });
        expect(cycles(g)).toEqual([]);
      }),
    );
  });

  test("ranks each step by the longest way from it to the end", () => {
    const steps = [step("a"), step("b", ["a"]), step("c", ["a"]), step("d", ["b", "c"])];
    const ms = [1, 10, 100, 5];
    expect(ranks(graphOf(steps), (i) => ms[i]!)).toEqual([106, 15, 105, 5]);
  });

  test("finds every cycle by its members, also in a long row", () => {
    const n = 5_000;
    const long = Array.from({ length: n }, (_, i) => step(`s${i}`, [`s${(i + n - 1) % n}`]));
    expect(cycles(graphOf(long)).map((group) => group.length)).toEqual([n]);
    const two = [step("a", ["b"]), step("b", ["a"]), step("c", ["c"]), step("d", ["a"])];
    expect(cycles(graphOf(two)).map((group) => group.sort())).toEqual([[0, 1], [2]]);
  });
});

describe("a definition", () => {
  test("gets all its problems at once, each with its place and what to do", () => {
    const problems = checkWorkflow(
      flow([
        step("fetch"),
        step("fetch"),
        step("parse", ["fetsh"]),
        step("sum", [], { input: { text: { $: "steps.parse.outptu.x" }, n: { $: "nothing" } } }),
        step("x", ["z"]),
        step("y", [], { input: { $: "steps.x.output" } }),
        step("z", ["y"]),
        step("many", [], {
          each: { in: { $: "params.list" } },
          repeat: { until: { $: "last.ok" }, rounds: 3 },
        }),
        step("gone", [], { capability: "wrok" }),
      ]),
      new Set(["work"]),
    );
    const text = problems.map((p) => `${p.path}: ${p.problem} -> ${p.fix}`);
    expect(text).toEqual([
      'steps.1.id: "fetch" is the id of steps.0 too -> give it another one, such as "fetch-1"',
      'steps.2.after: "parse" comes after "fetsh", which is no step -> perhaps "fetch", or ' +
        "take it out",
      'steps.3.input: {"$": "steps.parse.outptu.x"}: a step has output and state, not ' +
        '"outptu" -> write {"$": "steps.parse.output.outptu"}',
      'steps.3.input: {"$": "nothing"} begins with "nothing" -> begin with one of params, steps, ' +
        "item, index, last, round",
      'steps.7: "many" is a map and a loop at once -> make the loop a workflow of its own, and ' +
        "map over that",
      'steps.8.capability: nobody offers "wrok" -> perhaps "work", or start an agent that does',
      "steps: x → y → z → x wait for each other -> " +
        'let "x" no longer come after "z", turn that round ("z" after "x"), or make one step of ' +
        '"x" and "y" and "z"',
    ]);
  });

  test("that is sound has none", () => {
    const sound = flow([
      step("a"),
      step("b", [], { input: { $: "steps.a.output" }, when: { $: "params.on", eq: true } }),
    ]);
    expect(checkWorkflow(sound, new Set(["work"]))).toEqual([]);
  });

  test("is refused where its form is wrong", () => {
    const wrong = { v: 1, kind: "workflow", name: "w", steps: [{ id: "a b", capability: "x" }] };
    expect(WorkflowSchema.safeParse(wrong).success).toBe(false);
    expect(WorkflowSchema.safeParse({ ...wrong, steps: [] }).success).toBe(false);
  });
});

describe("a template", () => {
  const scope = { params: { n: 3, list: [1, 2] }, steps: { a: { state: "completed", output: 7 } } };

  test("takes values from where it says, and null where there is nothing", () => {
    const template = { n: { $: "params.n" }, a: [{ $: "steps.a.output" }], no: { $: "steps.b" } };
    expect(fill(template, scope)).toEqual({ n: 3, a: [7], no: null });
    expect(valueAt(scope, "params.list.1")).toBe(2);
  });

  test.each(["constructor", "__proto__", "params.toString", "params.n.toFixed"])(
    "reaches nothing but data: %s",
    (path) => expect(valueAt(scope, path)).toBeUndefined(),
  );

  test("has conditions on values", () => {
    expect(holds({ $: "params.n", gt: 2, le: 3 }, scope)).toBe(true);
    expect(holds({ $: "params.n", in: [1, 2] }, scope)).toBe(false);
    expect(holds({ $: "params.x", exists: false }, scope)).toBe(true);
    expect(holds({ $: "steps.a.output" }, scope)).toBe(true);
    expect(holds({ all: [{ $: "params.n", eq: 3 }, { not: { $: "params.x" } }] }, scope)).toBe(
      true,
    );
    expect(
      holds(
        {
          any: [
            { $: "params.n", lt: 0 },
            { $: "params.n", ne: 4 },
          ],
        },
        scope,
      ),
    ).toBe(true);
  });
});
