// A successor does not know which steps its predecessor had done: it asks for every one before it
// may count any as never begun.
import { expect, test } from "vitest";
import {
  type Capability,
  runWorkflow,
  serveWorkflows,
  type WorkflowHost,
  workflow,
} from "../../agent-sdk/index.ts";
import type { SubmitOptions } from "../../agent-sdk/options.ts";
import { type Outcome, ParleyError, type Workflow } from "../../contracts/index.ts";
import { gate, useMesh } from "./fixture.ts";
import { flow, workshop } from "./workshop.ts";

const STEPS = 40;
const definition: Workflow = {
  v: 1,
  kind: "workflow",
  name: "successor",
  version: "1.0.0",
  steps: [
    { id: "bad", capability: "bad" },
    ...Array.from({ length: STEPS }, (_, n) => ({
      id: `s${n}`,
      capability: "do",
      input: { n },
      compensate: { capability: "undo", input: { n } },
    })),
  ],
};

/** A mesh on which the predecessor had all steps done, but for the one that fails now. */
function host(epoch: number, about: Partial<WorkflowHost> = {}) {
  const undone: number[] = [];
  const handle = (outcome: Partial<Outcome>) => ({
    outcome: async () => outcome,
    output: async () => null,
    cancel: async () => undefined,
  });
  const submit = async (capability: Capability, input: unknown, options: SubmitOptions = {}) => {
    if (capability.name === "bad") {
      const failure = { code: "E_HANDLER", message: "cannot be done", retry: false };
      return handle({ state: "failed", failure: failure as Outcome["failure"] });
    }
    // Storing takes a while, in which the failure is heard.
    await new Promise(setImmediate);
    if (capability.name === "undo") undone.push((input as { n: number }).n);
    else if (epoch === 1 && options.signal?.aborted) return handle({ state: "canceled" });
    about.signal?.throwIfAborted();
    return handle({ state: "completed" });
  };
  const find = async (_capability: Capability, key: string) =>
    key.startsWith("s") ? handle({ state: "completed" }) : undefined;
  const task = {
    epoch,
    signal: new AbortController().signal,
    progress: () => undefined,
    recall: async () => undefined,
    hear: () => new Promise(() => undefined),
    step: async (_name: string, fn: (about: never) => unknown) => fn(undefined as never),
    submit,
    find,
    ...about,
  };
  return { task: task as unknown as WorkflowHost, undone };
}

test("what a predecessor had done is undone by its successor, all of it", async () => {
  const { task, undone } = host(2);
  await expect(runWorkflow(definition, {}, task)).rejects.toThrow("cannot be done");
  expect(undone.toSorted((a, b) => a - b)).toEqual(Array.from({ length: STEPS }, (_, n) => n));
});

test("so it is where a budget has its steps done one after the other", async () => {
  const { task, undone } = host(2, { budgetLeft: 10 });
  await expect(runWorkflow(definition, {}, task)).rejects.toThrow("cannot be done");
  expect(undone.toSorted((a, b) => a - b)).toEqual(Array.from({ length: STEPS }, (_, n) => n));
});

test.each(["side by side", "in a row"])(
  "so it is where it may not go on at all: %s",
  async (how) => {
    const contract = new AbortController();
    const { task } = host(2, { signal: contract.signal });
    const duties: string[] = [];
    const handOver: WorkflowHost["handOver"] = async (list) => {
      duties.push(...list.map(({ key }) => key));
    };
    const row = definition.steps.map((step, i, all) =>
      i < 2 || how !== "in a row" ? step : { ...step, after: [(all[i - 1] as { id: string }).id] },
    );
    const steps = row.filter(({ id }) => id !== "bad");
    const ending = runWorkflow({ ...definition, steps }, {}, { ...task, handOver });
    contract.abort(new ParleyError("E_CANCELED", "at once"));
    await expect(ending).rejects.toThrow("at once");
    expect(duties).toHaveLength(STEPS);
  },
);

test("the first contractor drops the steps that it never asked for", async () => {
  const { task, undone } = host(1);
  await expect(runWorkflow(definition, {}, task)).rejects.toThrow("cannot be done");
  expect(undone.length).toBeLessThan(STEPS);
});

const mesh = useMesh();

test("what failed while nobody held the contract undoes all that was done before", async () => {
  const { work, did, holds, act, handle } = workshop("gap-do");
  const hands = await mesh.join("gap-hands");
  await hands.serve(work, handle, { slots: 50 });
  const [reached, release, done] = [gate(), gate(), gate()];
  holds.set("gap-p", { reached: reached.open, until: release.promise });
  holds.set("gap-s3", { reached: done.open, until: Promise.resolve() });
  const saga = (id: string, after: string[]) => ({
    id,
    ...act(`gap-${id}`),
    compensate: act(`gap-no-${id}`),
    after,
  });
  const steps = [
    { id: "p", ...act("gap-p", { fail: true }), retry: { attempts: 1 } },
    saga("s1", []),
    saga("s2", ["s1"]),
    saga("s3", ["s2"]),
  ];
  const first = await mesh.join("gap-first");
  await serveWorkflows(first);
  const submitter = await mesh.join("gap-submitter");
  const task = await submitter.submit(workflow, { definition: flow(steps) });
  await Promise.all([reached.promise, done.promise]);
  await first.close();
  release.open();
  await serveWorkflows(await mesh.join("gap-next"));
  expect(await task.outcome()).toMatchObject({ state: "failed" });
  expect(did.filter((each) => each.startsWith("gap-no"))).toEqual([
    "gap-no-s3",
    "gap-no-s2",
    "gap-no-s1",
  ]);
}, 30_000);
