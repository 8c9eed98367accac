// Tasks that a handler makes: for the same owner, with at most the parent's deadline and budget.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineCapability, type TaskHandle } from "../../agent-sdk/index.ts";
import type { Spec } from "../../contracts/index.ts";
import { aborted, gate, texts, useMesh } from "./fixture.ts";

const mesh = useMesh();

/** The spec of a task, read back from the store under its owner. */
async function specOf(owner: string, task: string): Promise<Spec> {
  const observer = await mesh.local.open(`reader-${task.slice(0, 8)}`, "agent");
  try {
    const records = await observer.peer.deps.records.read(owner, task);
    return records.find((r) => r.kind === "spec")?.body as Spec;
  } finally {
    await observer.close();
  }
}

describe("a durable sub-task", () => {
  test("inherits owner, deadline and budget, and is stored under the root's owner", async () => {
    const [parent, child] = [texts("parent"), texts("child")];
    const worker = await mesh.join("worker");
    const boss = await mesh.join("boss");
    const root = await mesh.join("root");
    await worker.serve(child, (s) => s.toUpperCase(), { cost: 2 });
    let sub: TaskHandle<string> | undefined;
    let left: (number | undefined)[] = [];
    await boss.serve(parent, async (input, { submit, cost, ...context }) => {
      cost(1);
      sub = await submit(child, input, { deadline: Date.now() + 1e9, budget: 50 });
      left = [context.budgetLeft];
      return sub.result();
    });
    const deadline = Date.now() + 60_000;
    const handle = await root.submit(parent, "x", {
      deadline,
      budget: 10,
      priority: 7,
      onBehalfOf: "a customer",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    });
    expect(await handle.result()).toBe("X");
    expect(sub?.owner).toBe("root");
    const spec = await specOf("root", sub!.task);
    expect(spec).toMatchObject({
      owner: "root",
      deadline,
      budget: 9,
      priority: 7,
      onBehalfOf: "a customer",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      parent: { task: handle.task, epoch: 1, contractor: boss.address, deadline, budget: 9 },
    });
    expect(left).toEqual([10]);
    // The parent's cost: its own 1 and the sub-task's 2.
    expect((await handle.outcome()).cost).toBe(3);
  });

  test("may have a tighter deadline and budget, not a wider one", async () => {
    const [parent, child] = [texts("parent-2"), texts("child-2")];
    const boss = await mesh.join("boss2");
    const made: TaskHandle<string>[] = [];
    await boss.serve(child, (s) => s, { slots: 3 });
    const soon = Date.now() + 5_000;
    await boss.serve(parent, async (_, { submit }) => {
      made.push(await submit(child, "tight", { deadline: soon, budget: 1 }));
      made.push(await submit(child, "wide", { budget: 100 }));
      await Promise.all(made.map((h) => h.outcome()));
      return "";
    });
    const root = await mesh.join("root2");
    await (await root.submit(parent, "", { timeoutMs: 60_000, budget: 4 })).result();
    const [tight, wide] = await Promise.all(made.map((h) => specOf("root2", h.task)));
    expect(tight).toMatchObject({ deadline: soon, budget: 1 });
    expect(wide).toMatchObject({ budget: 3 });
    expect(wide!.deadline).toBeGreaterThan(soon);
  });

  test("is canceled with its parent", async () => {
    const [parent, child] = [texts("parent-3"), texts("child-3")];
    const started = gate();
    const stopped = gate<unknown>();
    const boss = await mesh.join("boss3");
    await boss.serve(child, async (_, { signal }) => {
      started.open();
      stopped.open(await aborted(signal));
      throw signal.reason;
    });
    let sub: TaskHandle<string> | undefined;
    await boss.serve(parent, async (_, { submit }) => {
      sub = await submit(child, "");
      return sub.result();
    });
    const root = await mesh.join("root3");
    const handle = await root.submit(parent, "");
    await started.promise;
    await handle.cancel("enough");
    expect(await stopped.promise).toMatchObject({ code: "E_CANCELED" });
    expect(await sub!.outcome()).toMatchObject({ state: "canceled" });
  });
});

describe("a live sub-call", () => {
  test("of a live or durable task has at most its deadline, and shares its budget", async () => {
    const seen = defineCapability({
      name: "seen",
      input: z.null(),
      output: z.object({ deadline: z.number(), left: z.number().optional() }),
    });
    const parent = defineCapability({ name: "parent-4", input: z.null(), output: seen.output });
    const boss = await mesh.join("boss4");
    await boss.serve(seen, (_, { deadline, budgetLeft: left }) => ({
      deadline,
      ...(left === undefined ? {} : { left }),
    }));
    await boss.serve(parent, (_, { call }) => call(seen, null, { timeoutMs: 1e9 }));
    const root = await mesh.join("root4");
    const deadline = Date.now() + 30_000;
    expect(await root.call(parent, null, { deadline, budget: 6 })).toEqual({ deadline, left: 6 });
    expect(await root.call(parent, null, { deadline })).toEqual({ deadline });
    const handle = await root.submit(parent, null, { deadline, budget: 6 });
    expect(await handle.result()).toEqual({ deadline, left: 6 });
  });

  test("P12.1: is its agent's own, of whatever task it is a part", async () => {
    const [parent, child] = [texts("parent-6"), texts("child-6")];
    const boss = await mesh.join("boss6");
    const hands = await mesh.join("hands6");
    await hands.serve(child, (_, { owner }) => owner);
    await boss.serve(parent, (_, { call }) => call(child, ""));
    const root = await mesh.join("root6");
    expect(await root.call(parent, "")).toBe("boss6");
    expect(await (await root.submit(parent, "")).result()).toBe("boss6");
  });

  test("makes a durable sub-task of a live task its own agent's", async () => {
    const [parent, child] = [texts("parent-5"), texts("child-5")];
    const boss = await mesh.join("boss5");
    await boss.serve(child, (s) => s);
    await boss.serve(parent, async (_, { submit }) => {
      const handle = await submit(child, "");
      await handle.result();
      return handle.owner;
    });
    const root = await mesh.join("root5");
    expect(await root.call(parent, "")).toBe("boss5");
  });
});
