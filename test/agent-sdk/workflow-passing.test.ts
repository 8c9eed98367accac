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

/** A host of one's own making, with nothing to hear or to recall. */
function hostOf(about: object): { task: WorkflowHost; abort: AbortController } {
  const abort = new AbortController();
  const task = {
    epoch: 1,
    signal: abort.signal,
    progress: () => undefined,
    recall: async () => undefined,
    hear: () => new Promise(() => undefined),
    step: async (_name: string, fn: (about: never) => unknown) => fn(undefined as never),
    ...about,
  };
  return { task: task as unknown as WorkflowHost, abort };
}

const completed = { outcome: async () => ({ state: "completed" }), output: async () => null };

test("what is left to undo is handed over, though the store is away for a moment", async () => {
  let tries = 0;
  const handed: unknown[] = [];
  const { task, abort } = hostOf({
    submit: async (_: Capability, __: unknown, { key, signal }: SubmitOptions) => {
      if (key === "book") return completed;
      const canceled = Promise.withResolvers<object>();
      signal?.addEventListener("abort", () => canceled.resolve({ state: "canceled" }));
      return { outcome: () => canceled.promise };
    },
    handOver: async (duties: { key: string }[]) => {
      if (++tries < 3) throw new ParleyError("E_STORE");
      handed.push(...duties.map(({ key }) => key));
    },
  });
  const ending = runWorkflow(definition, {}, task);
  const refused = expect(ending).rejects.toMatchObject({ code: "E_DEADLINE" });
  await vi.advanceTimersByTimeAsync(1_000);
  abort.abort(new ParleyError("E_DEADLINE"));
  await vi.advanceTimersByTimeAsync(60_000);
  await refused;
  expect(handed).toEqual(["book~undo"]);
});

test("a step that may have been stored is asked for until that is known, and undone", async () => {
  const acts: string[] = [];
  const fails = Promise.withResolvers<void>();
  let tries = 0;
  const { task } = hostOf({
    submit: async ({ name }: Capability, _: unknown, { key, signal }: SubmitOptions) => {
      signal?.throwIfAborted();
      acts.push(`${name} ${key}`);
      if (key === "book" && ++tries === 1) {
        fails.resolve();
        throw new ParleyError("E_STORE", "it may or may not be stored");
      }
      const failure = { code: "E_HANDLER", message: "no", retry: false };
      const failed = () => fails.promise.then(() => ({ state: "failed", failure }));
      return key === "bad" ? { outcome: failed } : { ...completed, cancel: async () => undefined };
    },
  });
  const [book] = definition.steps;
  const steps = [book as Workflow["steps"][number], { id: "bad", capability: "do" }];
  const refused = expect(runWorkflow({ ...definition, steps }, {}, task)).rejects.toThrow(/bad/);
  await vi.advanceTimersByTimeAsync(10_000);
  await refused;
  expect(acts).toEqual(["do book", "do bad", "do book", "undo book~undo"]);
});

describe("a deadline that others see a little sooner", () => {
  test("hands over, though the verdict could not be stored any more", async () => {
    const handed: unknown[] = [];
    const { task, abort } = hostOf({
      deadline: Date.now() + 1_100,
      submit: async (_: Capability, __: unknown, { key, signal }: SubmitOptions) => {
        signal?.throwIfAborted();
        if (key !== "pay") return completed;
        await new Promise((resolve) => setTimeout(resolve, 500));
        const failure = { code: "E_HANDLER", message: "no", retry: false };
        return { outcome: async () => ({ state: "failed", failure }) };
      },
      step: async () => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        const fenced = new ParleyError("E_FENCED");
        abort.abort(fenced);
        throw fenced;
      },
      handOver: async (duties: { key: string }[]) => {
        handed.push(...duties.map(({ key }) => key));
      },
    });
    const refused = expect(runWorkflow(definition, {}, task)).rejects.toThrow();
    await vi.advanceTimersByTimeAsync(5_000);
    await refused;
    expect(handed).toEqual(["book~undo"]);
  });

  test("hands over what a step's expiry tells of", async () => {
    const handed: unknown[] = [];
    const { task } = hostOf({
      deadline: Date.now() + 1_000,
      submit: async (_: Capability, __: unknown, { key }: SubmitOptions) => {
        if (key !== "pay") return completed;
        await new Promise((resolve) => setTimeout(resolve, 900));
        return { outcome: async () => ({ state: "expired" }) };
      },
      handOver: async (duties: { key: string }[]) => {
        handed.push(...duties.map(({ key }) => key));
      },
    });
    const ending = runWorkflow(definition, {}, task);
    const refused = expect(ending).rejects.toMatchObject({ code: "E_DEADLINE" });
    await vi.advanceTimersByTimeAsync(5_000);
    await refused;
    expect(handed).toEqual(["book~undo"]);
  });
});

test("a verdict that cannot be written down is carried out all the same", async () => {
  const { task, acts } = host("submit", "E_INPUT", 1);
  const step = async () => {
    throw new ParleyError("E_OUTPUT", "nested too deep");
  };
  const ending = runWorkflow(definition, {}, { ...task, step } as unknown as WorkflowHost);
  await expect(ending).rejects.toMatchObject({ code: "E_INPUT" });
  expect(acts).toEqual(["do book", "undo book~undo"]);
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
