import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { graphOf } from "../../../mesh/core/workflow/graph.ts";
import { listSchedule } from "../../../sim/flow/list-schedule.ts";
import { specialists } from "../../../sim/flow/report.ts";
import {
  capabilityOf,
  categoryOf,
  FlowError,
  readFlow,
  scaled,
  stepsOf,
} from "../../../sim/flow/wfformat.ts";

interface Given {
  id: string;
  parents?: string[];
  children?: string[];
  s?: number;
  program?: string;
}

function file(tasks: Given[], over: object = {}): Buffer {
  const specification = {
    tasks: tasks.map(({ s, program, ...told }) => ({ name: told.id, ...told })),
  };
  const execution = {
    tasks: tasks.map(({ id, s = 1, program }) => ({
      id,
      runtimeInSeconds: s,
      ...(program === undefined ? {} : { command: { program } }),
    })),
  };
  return Buffer.from(
    JSON.stringify({ name: "f", workflow: { specification, execution }, ...over }),
  );
}

describe("a recorded workflow", () => {
  test("is read plain or packed", () => {
    const bytes = file([
      { id: "a", s: 2 },
      { id: "b", parents: ["a"], program: "/bin/cat" },
    ]);
    for (const each of [bytes, gzipSync(bytes)]) {
      expect(readFlow(each, "x").tasks).toEqual([
        { index: 0, id: "a", category: "a", ms: 2_000, parents: [] },
        { index: 1, id: "b", category: "cat", ms: 1_000, parents: [0] },
      ]);
    }
  });

  test("has its edges from either end", () => {
    const flow = readFlow(
      file([
        { id: "a", children: ["b", "c"] },
        { id: "b", parents: ["a"] },
        { id: "c", parents: ["b"] },
      ]),
      "x",
    );
    expect(flow.tasks.map((t) => t.parents)).toEqual([[], [0], [1, 0]]);
  });

  test.each([
    ["no JSON", Buffer.from("{"), /is no JSON/],
    ["another form", Buffer.from("{}"), /is no WfFormat 1.5: workflow/],
    ["no tasks", file([]), /specification.tasks/],
    ["an unknown parent", file([{ id: "a", parents: ["z"] }]), /comes after z, which is no task/],
    ["an unknown child", file([{ id: "a", children: ["z"] }]), /comes before z, which is no task/],
    [
      "a cycle",
      file([
        { id: "a", parents: ["b"] },
        { id: "b", parents: ["a"] },
      ]),
      /a → b wait for/,
    ],
    ["the same id twice", file([{ id: "a" }, { id: "a" }]), /two tasks have the id a/],
  ])("with %s is refused in words", (_, bytes, text) => {
    expect(() => readFlow(bytes, "x.json")).toThrow(FlowError);
    expect(() => readFlow(bytes, "x.json")).toThrow(text);
  });

  test("takes its categories from programs, or from names", () => {
    expect(categoryOf("/usr/bin/blastall", "blastall_ID000002")).toBe("blastall");
    expect(categoryOf("#!/bin/bash -ue", "NFCORE.FASTQC_7")).toBe("FASTQC");
    expect(categoryOf(undefined, "individuals_ID0000001")).toBe("individuals");
    expect(capabilityOf("map.merge+x")).toBe("map-merge-x");
  });

  test("gives short steps a floor, so that a scheduler has a positive time", () => {
    const [t] = readFlow(file([{ id: "a", s: 0 }]), "x").tasks;
    expect(scaled(t!, 0.01)).toBe(1);
  });

  test("has specialists in proportion to the work, at least one", () => {
    const flow = readFlow(
      file([
        { id: "a", s: 90, program: "long" },
        { id: "b", s: 10, program: "mid" },
        { id: "c", s: 0.01, program: "tiny" },
      ]),
      "x",
    );
    const pool = specialists([flow], 10).flat();
    const count = (name: string) => pool.filter((each) => each === name).length;
    expect([count("long"), count("mid"), count("tiny")]).toEqual([9, 1, 1]);
  });
});

describe("the list schedule", () => {
  const stepsFrom = (parents: number[][]) =>
    stepsOf(
      parents.map((p, i) => ({ index: i, id: `${i}`, category: "x", ms: 1, parents: p })),
      1,
      "x",
    );

  test("takes the longest way first", () => {
    // Two workers: a chain of three and two short ones beside it.
    const g = graphOf(stepsFrom([[], [0], [1], [], []]));
    expect(listSchedule(g, [10, 10, 10, 15, 15], 2)).toEqual({ makespanMs: 30, boundMs: 30 });
  });

  test("is found for campaigns of hundreds of thousands of steps", () => {
    const many = Array.from({ length: 300_000 }, () => []);
    const list = listSchedule({ ...graphOf([]), before: many, after: many }, [], 10);
    expect(list).toEqual({ makespanMs: 0, boundMs: 0 });
  });

  test("is never below the bound, nor above all the work in a row", () => {
    const graphs = fc
      .array(fc.tuple(fc.array(fc.nat(), { maxLength: 3 }), fc.integer({ min: 1, max: 50 })), {
        minLength: 1,
        maxLength: 40,
      })
      .map((list) => ({
        parents: list.map(([p], i) => (i === 0 ? [] : p.map((n) => n % i))),
        ms: list.map(([, d]) => d),
      }));
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 8 }), ({ parents, ms }, workers) => {
        const s = listSchedule(graphOf(stepsFrom(parents)), ms, workers);
        const work = ms.reduce((a, b) => a + b, 0);
        expect(s.makespanMs).toBeGreaterThanOrEqual(s.boundMs - 1e-6);
        expect(s.makespanMs).toBeLessThanOrEqual(work + 1e-6);
        // Graham: at most twice the best.
        expect(s.makespanMs).toBeLessThanOrEqual(2 * s.boundMs + 1e-6);
      }),
    );
  });
});
