// The blackboard and stored definitions on a real server.
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { defineCapability, serveWorkflows, workflow } from "../../agent-sdk/index.ts";
import { codeOf, useMesh } from "./fixture.ts";

const mesh = useMesh();

describe("a board", async () => {
  test("keeps what was set, and lets no writer overwrite what he has not seen", async () => {
    const ann = await (await mesh.join("ann")).board("plan");
    const bob = await (await mesh.join("bob")).board("plan");
    expect(await ann.get("goal")).toBeUndefined();
    const first = await ann.set("goal", { text: "tidy up" }, { rev: 0 });
    expect(await bob.get("goal")).toEqual({ key: "goal", value: { text: "tidy up" }, rev: first });
    await bob.set("goal", { text: "build" }, { rev: first });
    expect(await codeOf(ann.set("goal", "lost", { rev: first }))).toBe("E_FENCED");
    expect(await codeOf(ann.set("goal", "lost", { rev: 0 }))).toBe("E_FENCED");
    expect((await ann.list()).map((item) => item.value)).toEqual([{ text: "build" }]);
  });

  test("counts right when ten write at once", async () => {
    const boards = await Promise.all(
      [0, 1].map(async (n) => (await mesh.join(`counter${n}`)).board("count")),
    );
    const add = (n: number) => boards[n % 2]?.update<number>("sum", (now = 0) => now + 1);
    await Promise.all(Array.from({ length: 10 }, (_, n) => add(n)));
    expect((await boards[0]?.get("sum"))?.value).toBe(10);
  });

  test("tells whoever watches, removals included", async () => {
    const seen: unknown[] = [];
    const board = await (await mesh.join("watcher")).board("news");
    const stop = board.watch((key, item) => void seen.push([key, item?.value]));
    const other = await (await mesh.join("teller")).board("news");
    await other.set("a.b", 1);
    await other.remove("a.b");
    await vi.waitFor(
      () =>
        expect(seen).toEqual([
          ["a.b", 1],
          ["a.b", undefined],
        ]),
      5_000,
    );
    stop();
  });

  test("gives a lease to one at a time, and to the next when it is not renewed", async () => {
    const one = await (await mesh.join("first")).board("jobs");
    const two = await (await mesh.join("second")).board("jobs");
    const held = await one.lease("sweep", 1_000, "first");
    expect(await two.lease("sweep", 1_000)).toBeUndefined();
    expect(await held?.renew()).toBe(true);
    await vi.waitFor(async () => expect(await two.lease("sweep", 60_000)).toBeDefined(), {
      timeout: 10_000,
      interval: 100,
    });
    expect(await held?.renew()).toBe(false);
    await held?.release();
    expect(await one.lease("sweep", 1_000)).toBeUndefined();
  });

  test("says so where somebody has written what is no JSON, and shows the rest", async () => {
    const board = await (await mesh.join("tidy")).board("mixed");
    const seen: string[] = [];
    const stop = board.watch((key) => void seen.push(key));
    const { transport } = await mesh.local.open("messy", "agent", []);
    await transport.request("$KV.mesh_board.mixed.bad", Buffer.from("{"), { timeoutMs: 2_000 });
    await transport.close();
    await board.set("good", 1);
    expect(await codeOf(board.get("bad"))).toBe("E_NOT_UNDERSTOOD");
    expect((await board.list()).map(({ key }) => key)).toEqual(["good"]);
    await vi.waitFor(() => expect(seen).toEqual(["good"]), 5_000);
    stop();
  });

  test("refuses names that are no tokens", async () => {
    const user = await mesh.join("user");
    expect(await codeOf(user.board("a.b"))).toBe("E_SCHEMA");
    const board = await user.board("ok");
    await expect(async () => board.set("*", 1)).rejects.toThrow(/key/);
  });
});

describe("stored definitions", async () => {
  const upper = defineCapability({ name: "upper", input: z.string(), output: z.string() });
  const version = (v: string, step: string) => ({
    v: 1,
    kind: "workflow",
    name: "loud",
    version: v,
    steps: [{ id: step, capability: "upper", input: { $: "params.text" } }],
  });

  test("are run by name, the newest or a version, and inside one another", async () => {
    const boss = await mesh.join("author");
    await boss.serve(upper, (text) => text.toUpperCase(), { slots: 4 });
    await serveWorkflows(boss);
    const store = await boss.definitions();
    expect(await store.put(version("1.0.0", "old"))).toBe("author.loud@1.0.0");
    expect(await store.put(version("1.1.0", "new"))).toBe("author.loud@1.1.0");
    expect(await codeOf(store.put(version("1.1.0", "other")))).toBe("E_FENCED");
    expect(await store.list()).toContainEqual({ name: "author.loud", version: "1.0.0" });
    const user = await mesh.join("reader");
    const run = async (use: string, params: object) =>
      (await user.submit(workflow, { use, params: { ...params } })).result();
    expect(await run("author.loud", { text: "a" })).toEqual({ new: "A" });
    expect(await run("author.loud@1.0.0", { text: "b" })).toEqual({ old: "B" });
    const outer = {
      ...version("1.0.0", "x"),
      name: "outer",
      steps: [
        {
          id: "inner",
          capability: "workflow",
          input: { use: "author.loud", params: { text: { $: "params.text" } } },
        },
      ],
    };
    await store.put(outer);
    expect(await run("author.outer", { text: "c" })).toEqual({ inner: { new: "C" } });
  });

  test("can be written by their author only", async () => {
    const { transport } = await mesh.local.open("thief", "agent", []);
    const subject = "$KV.mesh_workflows.author.loud.9_0_0";
    const sent = transport.request(subject, Buffer.from("{}"), { timeoutMs: 2_000 });
    expect(await codeOf(sent)).toBe("E_PERMISSION");
    await transport.close();
  });

  test("that are none say so", async () => {
    const { transport } = await mesh.local.open("scribe", "agent", []);
    const write = (key: string, text: string) =>
      transport.request(`$KV.mesh_workflows.scribe.${key}`, Buffer.from(text), {
        timeoutMs: 2_000,
      });
    await write("torn.1_0_0", "{");
    await write("odd.1_0_0", "[]");
    await transport.close();
    const store = await (await mesh.join("finder")).definitions();
    expect(await codeOf(store.get("scribe.torn"))).toBe("E_NOT_UNDERSTOOD");
    expect(await codeOf(store.get("scribe.odd"))).toBe("E_SCHEMA");
  });

  test("that are not there say so", async () => {
    const boss = await mesh.join("asker");
    const store = await boss.definitions();
    expect(await codeOf(store.get("author.none"))).toBe("E_NOT_FOUND");
    expect(await codeOf(store.get("nonsense"))).toBe("E_SCHEMA");
  });
});
