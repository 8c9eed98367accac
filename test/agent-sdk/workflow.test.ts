// Workflows on a real mesh: saga, map, switch, loop, and a contractor that leaves in the middle.
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import {
  defineCapability,
  serveWorkflows,
  type TaskHandle,
  type Workflow,
  workflow,
} from "../../agent-sdk/index.ts";
import type { Mesh } from "../../agent-sdk/mesh.ts";
import { codeOf, gate, useMesh } from "./fixture.ts";
import { flow, workshop } from "./workshop.ts";

const mesh = useMesh();

/** What a worker of these tests is asked to do; it tells what it did in order. */
const { work, did, holds, act, handle: does } = workshop("do");

async function worker(name: string): Promise<Mesh> {
  const agent = await mesh.join(name, { slots: 50 });
  await agent.serve(work, does);
  return agent;
}

const once = { retry: { attempts: 1 } };

describe("a workflow", async () => {
  test("runs its graph, with values going from step to step", async () => {
    await worker("hands");
    const boss = await mesh.join("boss");
    await serveWorkflows(boss);
    const definition = flow([
      { id: "a", ...act("w1-a", { n: { $: "params.start" } }) },
      { id: "b", ...act("w1-b", { n: { $: "steps.a.output.n" } }) },
      { id: "c", ...act("w1-c", { n: { $: "steps.a.output.n" } }) },
      { id: "d", ...act("w1-d", { n: { $: "steps.b.output.n" } }), after: ["c"] },
    ]);
    const handle = await boss.submit(workflow, { definition, params: { start: 40 } });
    expect(await handle.result()).toEqual({ d: { what: "w1-d", n: 43 } });
    const order = did.filter((each) => each.startsWith("w1"));
    expect([order[0], order[3], order.length]).toEqual(["w1-a", "w1-d", 4]);
  });

  test("maps, chooses and loops", async () => {
    const user = await mesh.join("mapper");
    const definition = flow(
      [
        {
          id: "each",
          capability: "do",
          each: { in: { $: "params.list" }, atOnce: 2 },
          input: { what: "w2-map", n: { $: "item" } },
        },
        { id: "big", ...act("w2-big"), when: { $: "params.list.2", gt: 100 } },
        {
          id: "loop",
          ...act("w2-loop", { n: { $: "round" } }),
          repeat: { until: { $: "last.n", ge: 3 }, rounds: 5 },
        },
      ],
      { output: { all: { $: "steps.each.output" }, big: { $: "steps.big.state" } } },
    );
    const handle = await user.submit(workflow, { definition, params: { list: [1, 2, 3] } });
    expect(await handle.result()).toEqual({
      all: [2, 3, 4].map((n) => ({ what: "w2-map", n })),
      big: "skipped",
    });
    expect(did.filter((each) => each === "w2-loop")).toHaveLength(3);
  });

  // Two owners may choose the same id: each has its own undone.
  test.each([
    ["leaver", "w6"],
    ["goer", "w7"],
  ])(
    "canceled like any task by %s, is undone by a workflow of its contractor's",
    async (name, w) => {
      const user = await mesh.join(name);
      const undo = (what: string) => ({ compensate: { capability: "do", input: { what } } });
      const reached = gate();
      const release = gate();
      holds.set(`${w}-wait`, { reached: reached.open, until: release.promise });
      const definition = flow(
        [
          { id: "a", ...act(`${w}-a`), ...undo(`${w}-no-a`) },
          { id: "b", ...act(`${w}-b`), ...undo(`${w}-no-b`), after: ["a"] },
          { id: "wait", ...act(`${w}-wait`), after: ["b"] },
          { id: "never", ...act(`${w}-never`), after: ["wait"] },
        ],
        { onExit: { capability: "do", input: { what: `${w}-exit` } } },
      );
      const handle = await user.submit(workflow, { definition }, { task: "trip" });
      await reached.promise;
      await handle.cancel("the customer left", { now: true });
      expect((await handle.outcome()).state).toBe("canceled");
      const of = (what: string) => did.filter((each) => each.startsWith(w) && each !== what);
      const undone = ["a", "b", "no-b", "no-a", "exit"].map((what) => `${w}-${what}`);
      await vi.waitFor(() => expect(of(`${w}-wait`)).toEqual(undone), 10_000);
      release.open();
    },
  );

  test("undoes what was done when a later step fails, last first, each once", async () => {
    const user = await mesh.join("traveller");
    const undo = (what: string) => ({ compensate: { capability: "do", input: { what } } });
    const definition = flow(
      [
        { id: "flight", ...act("w3-flight"), ...undo("w3-no-flight") },
        { id: "hotel", ...act("w3-hotel"), ...undo("w3-no-hotel"), after: ["flight"] },
        { id: "car", ...act("w3-car", { fail: true }), ...once, after: ["hotel"] },
      ],
      { onExit: { capability: "do", input: { what: "w3-exit" } } },
    );
    const handle = await user.submit(workflow, { definition });
    const { state, failure } = await handle.outcome();
    expect([state, failure?.message]).toEqual([
      "failed",
      expect.stringMatching(/^step "car" failed: .*w3-car cannot be done/),
    ]);
    expect(did.filter((each) => each.startsWith("w3"))).toEqual([
      "w3-flight",
      "w3-hotel",
      "w3-car",
      "w3-no-hotel",
      "w3-no-flight",
      "w3-exit",
    ]);
  });

  test("whose deadline passes is undone all the same, by a workflow of its own", async () => {
    const user = await mesh.join("patient");
    const late = gate();
    holds.set("w9-b", { reached: () => undefined, until: late.promise });
    const definition = flow([
      { id: "a", ...act("w9-a"), compensate: { capability: "do", input: { what: "w9-no-a" } } },
      { id: "b", ...act("w9-b"), after: ["a"] },
    ]);
    const handle = await user.submit(workflow, { definition }, { timeoutMs: 1_500 });
    expect((await handle.outcome()).state).toBe("expired");
    await vi.waitFor(() => expect(did).toContain("w9-no-a"), 10_000);
    late.open();
  });

  test("within a budget has steps side by side only where each has one of its own", async () => {
    const user = await mesh.join("buyer");
    const most = { alone: 0, shared: 0 };
    let open = 0;
    const input = z.object({ of: z.enum(["alone", "shared"]) });
    const paid = defineCapability({ name: "paid", input, output: z.number() });
    const seller = await mesh.join("seller");
    const both = Promise.withResolvers<void>();
    const sell = async ({ of }: z.infer<typeof input>) => {
      most[of] = Math.max(most[of], ++open);
      if (of === "shared" && open === 2) both.resolve();
      if (of === "shared") await both.promise;
      return open--;
    };
    await seller.serve(paid, sell, { cost: 1, slots: 5 });
    const pair = (of: "alone" | "shared", budget?: number) =>
      flow(
        ["a", "b"].map((id) => {
          return { id, capability: "paid", input: { of }, ...(budget && { budget }) };
        }),
      );
    for (const definition of [pair("alone"), pair("shared", 5)]) {
      const handle = await user.submit(workflow, { definition }, { budget: 10 });
      expect(await handle.outcome()).toMatchObject({ state: "completed", cost: 2 });
    }
    expect(most).toEqual({ alone: 1, shared: 2 });
  });

  test("that has spent its budget is undone all the same", async () => {
    const user = await mesh.join("spender");
    const seller = await mesh.join("spent");
    const input = z.object({ of: z.string() });
    const sold = defineCapability({ name: "sold", input, output: z.string() });
    const back = defineCapability({ name: "back", input: z.unknown(), output: z.string() });
    const returned: unknown[] = [];
    await seller.serve(sold, ({ of }) => of, { cost: 1 });
    await seller.serve(back, (of) => `${returned.push(of)}`, { cost: 1 });
    const steps = ["a", "b", "c"].map((of, i, all) => ({
      id: of,
      capability: i < 2 ? "sold" : "never",
      input: { of },
      after: all.slice(i - 1, i),
      ...(i < 2 ? { compensate: { capability: "back" } } : { timeoutMs: 300 }),
    }));
    const handle = await user.submit(workflow, { definition: flow(steps) }, { budget: 2 });
    const outcome = await handle.outcome();
    expect(outcome).toMatchObject({ state: "failed" });
    expect(outcome.failure?.message).toMatch(/^step "c" expired/);
    expect(returned).toEqual(["b", "a"]);
  });

  test("that is wrong is refused with all that is wrong in it", async () => {
    const user = await mesh.join("clumsy");
    const definition = flow([
      { id: "a", ...act("x"), after: ["b"] },
      { id: "b", ...act("x"), after: ["a", "nobody"] },
    ]);
    const failed = await (await user.submit(workflow, { definition })).outcome();
    expect(failed.failure?.message).toMatch(/2 problems in the workflow/);
    expect(failed.failure?.message).toMatch(/"b" comes after "nobody", which is no step/);
    expect(failed.failure?.message).toMatch(/a → b → a wait for each other/);
    const wrong = { definition: { ...definition, steps: [] } };
    expect(await codeOf(user.submit(workflow, wrong))).toBe("E_INPUT");
  });
});

describe("the contractor of a workflow that leaves", () => {
  /** Runs a definition; the first contractor leaves while the step `hold` runs. */
  async function leaving(
    name: string,
    hold: string,
    definition: Workflow,
    then?: (handle: TaskHandle) => void,
  ) {
    const release = gate();
    const reached = Promise.withResolvers<void>();
    holds.set(hold, { reached: reached.resolve, until: release.promise });
    const user = await mesh.join(`${name}-user`);
    const bosses = await Promise.all(
      ["x", "y"].map(async (letter) => {
        const boss = await mesh.join(`${name}-${letter}`);
        await serveWorkflows(boss, { attributes: { crew: name } });
        return boss;
      }),
    );
    // Only these two may get it, so that the test knows whom to send away.
    const requires = { crew: name };
    const contractor = Promise.withResolvers<string>();
    const handle = await user.submit(
      workflow,
      { definition },
      { requires, retry: { attempts: 3, backoffMs: 0 } },
    );
    void (async () => {
      for await (const event of handle.events()) {
        if (event.type === "state" && event.contractor !== undefined) {
          contractor.resolve(event.contractor);
        }
      }
    })();
    await reached.promise;
    const first = await contractor.promise;
    then?.(handle);
    const holder = bosses.find((boss) => boss.address === first);
    expect(holder).toBeDefined();
    await holder?.close();
    release.open();
    return handle;
  }

  test("leaves its steps as they are: the next one goes on", async () => {
    const definition = flow([
      { id: "a", ...act("w4-a") },
      { id: "b", ...act("w4-b"), after: ["a"] },
      { id: "c", ...act("w4-c"), after: ["b"] },
    ]);
    const handle = await leaving("relay", "w4-b", definition);
    expect(await handle.result()).toEqual({ c: { what: "w4-c", n: 1 } });
    expect(did.filter((each) => each === "w4-a" || each === "w4-c")).toEqual(["w4-a", "w4-c"]);
  }, 40_000);

  test("in the moment in which it is canceled: the next one undoes what was done", async () => {
    const undo = (what: string) => ({ compensate: { capability: "do", input: { what } } });
    const sub = flow([
      { id: "a", ...act("w8-a"), ...undo("w8-no-a") },
      { id: "b", ...act("w8-b"), after: ["a"] },
      { id: "c", ...act("w8-c"), after: ["b"] },
    ]);
    // A step of the first contractor's ends by itself, one that follows it is canceled.
    const last = gate();
    holds.set("w8-c", { reached: () => undefined, until: last.promise });
    let canceled: Promise<void> | undefined;
    const definition = flow([
      { id: "first", ...act("w8-first"), ...undo("w8-no-first") },
      { id: "inner", capability: "workflow", input: { definition: sub }, after: ["first"] },
    ]);
    const handle = await leaving("quit", "w8-b", definition, (held) => {
      canceled = held.cancel("the customer left");
    });
    await canceled;
    last.open();
    expect((await handle.outcome()).failure).toMatchObject({ code: "E_CANCELED" });
    const undone = did.filter((each) => each.startsWith("w8-no"));
    expect(undone).toEqual(["w8-no-a", "w8-no-first"]);
  }, 40_000);

  test("in the middle of undoing: the next one undoes the rest, each once", async () => {
    const undo = (what: string) => ({ compensate: { capability: "do", input: { what } } });
    const definition = flow([
      { id: "a", ...act("w5-a"), ...undo("w5-no-a") },
      { id: "b", ...act("w5-b"), ...undo("w5-no-b"), after: ["a"] },
      { id: "c", ...act("w5-c", { fail: true }), ...once, after: ["b"] },
      { id: "d", ...act("w5-d"), after: ["c"] },
    ]);
    const handle = await leaving("undo", "w5-no-b", definition);
    expect((await handle.outcome()).failure?.message).toMatch(/step "c" failed/);
    const undone = did.filter((each) => each.startsWith("w5"));
    expect(undone.slice(0, 3)).toEqual(["w5-a", "w5-b", "w5-c"]);
    expect(undone.filter((each) => each === "w5-no-a")).toHaveLength(1);
    expect(undone).toContain("w5-no-b");
    expect(undone).not.toContain("w5-d");
  }, 40_000);
});
