// What passes by itself decides over no step: it is tried again. The faults are those of a host
// that is told when to have them; which they are is what the mesh throws.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Capability, runWorkflow, type WorkflowHost } from "../../agent-sdk/index.ts";
import type { SubmitOptions } from "../../agent-sdk/options.ts";
import { type FailureCode, ParleyError, type Workflow } from "../../contracts/index.ts";

const definition: Workflow = {
  v: 1,
  kind: "workflow",
  name: "passing",
  version: "1.0.0",
  steps: [
    { id: "book", capability: "do", compensate: { capability: "undo" } },
    { id: "pay", capability: "do", after: ["book"] },
  ],
};

/** Fails so many times with this code, where it is asked to. */
function host(where: "submit" | "output", code: FailureCode, times: number) {
  const acts: string[] = [];
  const abort = new AbortController();
  let left = times;
  const fault = (here: typeof where, key?: string) => {
    if (here === where && key === "pay" && left-- > 0) throw new ParleyError(code);
  };
  const submit = async (capability: Capability, _input: unknown, options: SubmitOptions = {}) => {
    abort.signal.throwIfAborted();
    fault("submit", options.key);
    acts.push(`${capability.name} ${options.key}`);
    const output = async () => fault("output", options.key) ?? null;
    return { outcome: async () => ({ state: "completed" }), output };
  };
  const task = {
    epoch: 1,
    signal: abort.signal,
    progress: () => undefined,
    recall: async () => undefined,
    hear: () => new Promise(() => undefined),
    step: async (_name: string, fn: (about: never) => unknown) => fn(undefined as never),
    submit,
  };
  return { task: task as unknown as WorkflowHost, acts, abort };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a workflow goes on", () => {
  test.for([
    ["submit", "E_STORE"],
    ["submit", "E_CONNECTION"],
    ["submit", "E_OVERLOAD"],
    ["output", "E_ARTEFACT"],
    ["output", "E_TIMEOUT"],
  ] as const)("when %s fails with %s for a while", async ([where, code]) => {
    const { task, acts } = host(where, code, 5);
    const ending = runWorkflow(definition, {}, task);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await ending).toEqual({ pay: null });
    expect(acts).toEqual(["do book", "do pay"]);
  });
});

describe("a workflow is undone", () => {
  test("when a step fails for good", async () => {
    const { task, acts } = host("submit", "E_INPUT", 1);
    await expect(runWorkflow(definition, {}, task)).rejects.toMatchObject({ code: "E_INPUT" });
    expect(acts).toEqual(["do book", "undo book~undo"]);
  });

  test("when the output of a step stays away", async () => {
    const { task, acts } = host("output", "E_ARTEFACT", Number.POSITIVE_INFINITY);
    const ending = runWorkflow(definition, {}, task);
    const refused = expect(ending).rejects.toMatchObject({ code: "E_ARTEFACT", retry: false });
    await vi.advanceTimersByTimeAsync(600_000);
    await refused;
    expect(acts).toEqual(["do book", "do pay", "undo book~undo"]);
  });
});

test("a contractor that leaves while it tries again leaves its steps as they are", async () => {
  const { task, acts, abort } = host("submit", "E_STORE", Number.POSITIVE_INFINITY);
  const ending = runWorkflow(definition, {}, task);
  const refused = expect(ending).rejects.toMatchObject({ code: "E_DRAINING" });
  await vi.advanceTimersByTimeAsync(5_000);
  abort.abort(new ParleyError("E_DRAINING"));
  await refused;
  expect(acts).toEqual(["do book"]);
});
