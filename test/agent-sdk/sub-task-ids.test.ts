// Sub-tasks are known by what follows from their place: two places never share one.
import { expect, test } from "vitest";
import { z } from "zod";
import { DurableRun, type SubTaskMaker } from "../../agent-sdk/durable-run.ts";
import { defineCapability } from "../../agent-sdk/index.ts";
import type { Spec } from "../../contracts/index.ts";
import type { Run } from "../../mesh/index.ts";

const work = defineCapability({ name: "work", input: z.unknown(), output: z.unknown() });

test("what a predecessor made when it had lost the task is made anew", async () => {
  const made: string[] = [];
  const failure = { code: "E_AUTHORITY", message: "", retry: false };
  const rejected = { state: "rejected", failure };
  const make = (async (_capability, _input, { task = "" }) => {
    made.push(task);
    const stale = made.length === 1;
    return { task, outcome: async () => (stale ? rejected : { state: "completed" }) };
  }) as SubTaskMaker["make"];
  const tasks = { make, find: async () => undefined };
  const signal = new AbortController().signal;
  const run = (epoch: number) =>
    ({ spec: { owner: "ann", task: "t" }, epoch, signal }) as unknown as Run;
  const successor = await new DurableRun(run(2), tasks).task("0", work, {}, {});
  expect(await successor.outcome()).toEqual({ state: "completed" });
  expect(successor.task).toBe(new DurableRun(run(2), tasks).idAt("0", 1));
  made.length = 0;
  // Nobody was there before the first: it has lost the task itself.
  const first = await new DurableRun(run(1), tasks).task("0", work, {}, {});
  expect(await first.outcome()).toEqual(rejected);
});

test("what is made anew after a failed attempt is no round of a loop", async () => {
  const made: string[] = [];
  const failed = new Set<string>();
  const make = (async (_capability, _input, { task = "" }) => {
    if (!made.includes(task)) made.push(task);
    return { ended: async () => (failed.has(task) ? { state: "failed" } : undefined) };
  }) as SubTaskMaker["make"];
  const tasks = { make, find: async () => undefined };
  const none = async () => undefined;
  const read = async () => ({ entries: [], failures: 1 });
  const spec = { owner: "ann", task: "t" } as Spec;
  const run = { spec, journal: { read, append: none, answer: none } } as Partial<Run> as Run;
  const attempt = () => new DurableRun(run, tasks);
  failed.add(attempt().idAt("=loop"));
  await attempt().task("=loop", work, {}, {});
  await attempt().task("=loop:1", work, {}, {});
  expect(made).toHaveLength(3);
});
