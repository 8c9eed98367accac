// A successor does not know which steps its predecessor had done: it asks for every one before it
// may count any as never begun.
import { expect, test } from "vitest";
import { type Capability, runWorkflow, type WorkflowHost } from "../../agent-sdk/index.ts";
import type { SubmitOptions } from "../../agent-sdk/options.ts";
import type { Outcome, Workflow } from "../../contracts/index.ts";

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
    return handle({ state: "completed" });
  };
  const task = {
    epoch,
    signal: new AbortController().signal,
    progress: () => undefined,
    recall: async () => undefined,
    hear: () => new Promise(() => undefined),
    step: async (_name: string, fn: (about: never) => unknown) => fn(undefined as never),
    submit,
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

test("the first contractor drops the steps that it never asked for", async () => {
  const { task, undone } = host(1);
  await expect(runWorkflow(definition, {}, task)).rejects.toThrow("cannot be done");
  expect(undone.length).toBeLessThan(STEPS);
});
