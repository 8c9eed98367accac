// What a workflow leaves behind that nobody may go on with: all of it is done by a workflow of its
// contractor's, whatever fails. And what is kept of it, when the store is away for a moment.
import { describe, expect, test, vi } from "vitest";
import {
  type Capability,
  runWorkflow,
  serveWorkflows,
  type WorkflowHost,
  workflow,
} from "../../agent-sdk/index.ts";
import type { SubmitOptions } from "../../agent-sdk/options.ts";
import { ParleyError } from "../../contracts/index.ts";
import { gate, useMesh } from "./fixture.ts";
import { flow, workshop } from "./workshop.ts";

const mesh = useMesh();
const { work, did, holds, act, handle: does } = workshop("left-do");

async function crew(name: string) {
  const hands = await mesh.join(`${name}-hands`);
  await hands.serve(work, does, { slots: 50 });
  const boss = await mesh.join(`${name}-boss`);
  await serveWorkflows(boss);
  return boss;
}

const unique = (prefix: string) => [...new Set(did.filter((each) => each.startsWith(prefix)))];

describe("a workflow that is canceled at once", () => {
  test("is undone to its end, though one undoing fails", async () => {
    const boss = await crew("now");
    const [reached, release] = [gate(), gate()];
    holds.set("now-wait", { reached: reached.open, until: release.promise });
    const once = { retry: { attempts: 1 } };
    const steps = [
      { id: "a", ...act("now-a"), compensate: act("now-no-a") },
      { id: "b", ...act("now-b"), compensate: act("now-no-b", { fail: true }), after: ["a"] },
      { id: "wait", ...act("now-wait"), ...once, after: ["b"] },
    ];
    const onExit = { capability: work.name, input: { what: "now-exit" } };
    const handle = await boss.submit(workflow, { definition: flow(steps, { onExit }) });
    await reached.promise;
    const canceled = handle.cancel("the customer left", { now: true });
    await vi.waitFor(() => expect(did).toContain("now-exit"), 15_000);
    release.open();
    await canceled;
    expect(unique("now-").filter((each) => each !== "now-wait")).toEqual([
      "now-a",
      "now-b",
      "now-no-b",
      "now-no-a",
      "now-exit",
    ]);
  }, 30_000);
});

describe("a workflow that is out of time", () => {
  test("while it does what comes at its end: somebody does that all the same", async () => {
    const boss = await crew("late");
    const [reached, release] = [gate(), gate()];
    holds.set("late-exit", { reached: reached.open, until: release.promise });
    const onExit = { capability: work.name, input: { what: "late-exit" } };
    const definition = flow([{ id: "a", ...act("late-a") }], { onExit });
    const handle = await boss.submit(workflow, { definition }, { timeoutMs: 1_500 });
    await reached.promise;
    expect((await handle.outcome()).state).toBe("expired");
    await vi.waitFor(() => expect(did).toContain("late-exit"), 15_000);
    release.open();
  }, 30_000);
});

describe("a store that is away for a moment", () => {
  const definition = flow([
    { id: "book", capability: "do", compensate: { capability: "undo" } },
    { id: "pay", capability: "do", after: ["book"] },
  ]);
  const failure = { code: "E_HANDLER", message: "no", retry: false };

  /** Its second step fails. */
  function host(about: Partial<Record<keyof WorkflowHost, unknown>>) {
    const acts: string[] = [];
    const submit = async ({ name }: Capability, _input: unknown, options: SubmitOptions = {}) => {
      acts.push(`${name} ${options.key}`);
      const isPay = options.key === "pay";
      const outcome = async () => (isPay ? { state: "failed", failure } : { state: "completed" });
      return { outcome, output: async () => null };
    };
    const task = {
      epoch: 2,
      signal: new AbortController().signal,
      progress: () => undefined,
      recall: async () => undefined,
      hear: () => new Promise(() => undefined),
      step: async (_name: string, fn: () => unknown) => fn(),
      submit,
      ...about,
    };
    return { task: task as unknown as WorkflowHost, acts };
  }

  let faults = 1;
  const fault = () => {
    if (faults-- > 0) throw new ParleyError("E_STORE");
  };
  test.each([
    ["to what was kept", { recall: async () => fault() }],
    [
      "to the verdict",
      {
        step: async (name: string, fn: () => unknown) => {
          if (name === "verdict") fault();
          return fn();
        },
      },
    ],
  ])("does nothing %s: the workflow is undone", async (_what, about) => {
    faults = 1;
    const { task, acts } = host(about);
    await expect(runWorkflow(definition, {}, task)).rejects.toThrow(/step "pay" failed/);
    expect(acts).toEqual(["do book", "do pay", "undo book~undo"]);
  });
});
