// Workflows by the command line: listed, looked into, drawn, stopped, changed, tried again.
import { readFile, writeFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import {
  defineCapability,
  join,
  type Mesh,
  serveWorkflows,
  type Workflow,
  workflow,
} from "../../agent-sdk/index.ts";
import type { StepRow } from "../../cli/lib/flow-file.ts";
import { silent } from "../agent-sdk/fixture.ts";
import { CliMesh } from "../support/cli-mesh.ts";

let mesh: CliMesh;
let user: Mesh;
const joined: Mesh[] = [];
const did: string[] = [];
const gates = new Map<string, PromiseWithResolvers<void>>();
const broken = new Set<string>();

const work = defineCapability({
  name: "work",
  input: z.object({ what: z.string() }),
  output: z.string(),
});

const brew = defineCapability({
  name: "brew",
  input: z.object({ beans: z.string() }),
  output: z.object({ coffee: z.string() }),
});

async function agent(name: string): Promise<Mesh> {
  const { home, server } = mesh.local;
  const one = await join({ name, server: server.url, home: home.dir, log: silent });
  joined.push(one);
  return one;
}

function held(what: string): PromiseWithResolvers<void> {
  const gate = Promise.withResolvers<void>();
  gates.set(what, gate);
  return gate;
}

beforeAll(async () => {
  mesh = await CliMesh.start();
  user = await agent("user");
  await user.serve(
    work,
    async ({ what }) => {
      await gates.get(what)?.promise;
      if (broken.has(what)) throw new Error(`${what} is broken`);
      did.push(what);
      return what.toUpperCase();
    },
    { slots: 20 },
  );
  await user.serve(brew, ({ beans }) => ({ coffee: `${beans} coffee` }), { slots: 4 });
  await serveWorkflows(user);
}, 30_000);
afterAll(async () => {
  for (const gate of gates.values()) gate.resolve();
  await Promise.all(joined.map((one) => one.close()));
  await mesh?.stop();
});

const step = (id: string, after: string[] = [], more: object = {}) => ({
  id,
  capability: "work",
  input: { what: id },
  after,
  retry: { attempts: 1 },
  ...more,
});
const flow = (name: string, steps: Workflow["steps"]): Workflow => ({
  v: 1,
  kind: "workflow",
  name,
  version: "1.0.0",
  steps,
});
const undo = (what: string) => ({ compensate: { capability: "work", input: { what } } });
const steps = async (id: string) =>
  ((await mesh.json(["workflow", "get", id])) as { steps: StepRow[] }).steps;
const stateOf = async (id: string) =>
  Object.fromEntries((await steps(id)).map((row) => [row.id, row.state]));

describe("parley workflow", { timeout: 60_000 }, () => {
  test("ls, get, history and show tell what a finished one did", async () => {
    const definition = flow("told", [step("t-a"), step("t-b", ["t-a"]), step("t-c", ["t-a"])]);
    const handle = await user.submit(workflow, { definition });
    await handle.result();
    const listed = (await mesh.json(["workflow", "ls"])) as { task: string; name: string }[];
    expect(listed).toContainEqual(expect.objectContaining({ task: handle.task, name: "told" }));
    expect(await steps(handle.task)).toMatchObject(
      ["t-a", "t-b", "t-c"].map((id) => ({ id, state: "completed", contractor: user.address })),
    );
    const history = (await mesh.json(["workflow", "history", handle.task])) as {
      step: string;
      what: string;
    }[];
    const order = history.filter((h) => h.what === "completed").map((h) => h.step);
    expect([order[0], order.at(-1), order.length]).toEqual(["t-a", "", 4]);
    const file = joinPath(mesh.dir, "told.svg");
    await mesh.run(["workflow", "show", handle.task, "--output", file]);
    const svg = await readFile(file, "utf8");
    expect(svg).toMatch(/^<svg [\s\S]*<title>t-a: completed by user\.[\s\S]*<\/svg>\s*$/);
  });

  test.each([
    ["workflow", "c"],
    ["task", "u"],
  ])("%s cancel undoes what was done, last first, each once", async (noun, c) => {
    const gate = held(`${c}-wait`);
    const definition = flow("left", [
      step(`${c}-a`, [], undo(`${c}-no-a`)),
      step(`${c}-b`, [`${c}-a`], undo(`${c}-no-b`)),
      step(`${c}-wait`, [`${c}-b`]),
      step(`${c}-never`, [`${c}-wait`]),
    ]);
    const { task } = await user.submit(workflow, { definition });
    const waits = async () => expect((await stateOf(task))[`${c}-wait`]).toBe("running");
    await vi.waitFor(waits, 20_000);
    const told = await mesh.json([noun, "cancel", task, "--reason", "the customer left"]);
    expect(told).toMatchObject({
      state: "failed",
      failure: { code: "E_CANCELED", message: "the customer left" },
    });
    gate.resolve();
    const done = ["a", "b", "no-b", "no-a"].map((what) => `${c}-${what}`);
    expect(did.filter((what) => what.startsWith(`${c}-`))).toEqual(done);
    expect(await stateOf(task)).toMatchObject({
      [`${c}-wait`]: "canceled",
      [`${c}-never`]: "never begun",
      [`${c}-a~undo`]: "completed",
    });
    const again = await mesh.run([noun, "cancel", task]);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining("over")]);
  });

  test("change adds, drops and replaces steps that have not begun, and no others", async () => {
    const gate = held("h-a");
    const definition = flow("bent", [
      step("h-a"),
      step("h-drop", ["h-a"]),
      step("h-other", ["h-a"]),
    ]);
    const handle = await user.submit(workflow, { definition });
    await vi.waitFor(
      async () => expect((await stateOf(handle.task))["h-a"]).toBe("running"),
      20_000,
    );
    const file = joinPath(mesh.dir, "change.json");
    const ask = async (change: object) => {
      await writeFile(file, JSON.stringify(change));
      return mesh.run(["workflow", "change", handle.task, file]);
    };
    const refused = await ask({ drop: ["h-a", "h-none"] });
    expect(refused.code).toBe(2);
    expect(refused.err).toMatch(/"h-a" is running; [\s\S]*there is no step "h-none"/);
    const taken = await ask({
      drop: ["h-drop"],
      replace: [step("h-other", ["h-a"], { input: { what: "h-new" } })],
      add: [step("h-more", ["h-other"])],
    });
    expect([taken.code, taken.out.trim()]).toEqual([0, "changed"]);
    gate.resolve();
    expect(await handle.result()).toEqual({ "h-drop": null, "h-more": "H-MORE" });
    expect(did.filter((what) => what.startsWith("h-"))).toEqual(["h-a", "h-new", "h-more"]);
    expect((await stateOf(handle.task))["h-drop"]).toBe("dropped");
  });

  test("retry does again what did not complete, and only that", async () => {
    broken.add("r-b");
    const definition = flow("again", [step("r-a"), step("r-b", ["r-a"]), step("r-c", ["r-b"])]);
    const handle = await user.submit(workflow, { definition });
    expect((await handle.outcome()).state).toBe("failed");
    broken.clear();
    const { task, given } = await mesh.json(["workflow", "retry", handle.task]);
    expect(given).toEqual(["r-a"]);
    await vi.waitFor(async () => expect((await stateOf(task))["r-c"]).toBe("completed"), 20_000);
    expect(did.filter((what) => what.startsWith("r-"))).toEqual(["r-a", "r-b", "r-c"]);
    expect((await stateOf(task))["r-a"]).toBe("given");
  });

  test("plan makes a definition of what agents declare; put stores it", async () => {
    const planned = await mesh.run(["workflow", "plan", "--goal", "coffee", "--have", "beans"]);
    expect(JSON.parse(planned.out)).toMatchObject({
      steps: [{ id: "brew", capability: "brew", input: { beans: { $: "params.beans" } } }],
      output: { coffee: { $: "steps.brew.output.coffee" } },
    });
    const none = await mesh.run(["workflow", "plan", "--goal", "tea"]);
    expect([none.code, none.err]).toEqual([4, expect.stringContaining("nobody makes it")]);
    const file = joinPath(mesh.dir, "coffee.json");
    await writeFile(file, planned.out);
    expect(await mesh.json(["workflow", "check", file])).toMatchObject({ name: "plan", steps: 1 });
    const { use } = await mesh.json(["workflow", "put", file]);
    expect(use).toMatch(/\.plan@1\.0\.0$/);
    const again = await mesh.run(["workflow", "put", file]);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining("stored already")]);
    const [name] = use.split("@");
    expect(await mesh.json(["workflow", "stored"])).toContainEqual({ name, version: "1.0.0" });
    const params = ["--params", JSON.stringify({ beans: "dark" }), "--wait"];
    const ran = await mesh.json(["workflow", "run", name, ...params]);
    expect(ran).toMatchObject({ state: "completed", output: { coffee: "dark coffee" } });
    expect(await steps(ran.task)).toMatchObject([{ id: "brew", state: "completed" }]);
    const piped = await mesh.run(["workflow", "run", "-", ...params], {}, planned.out);
    expect(JSON.parse(piped.out)).toEqual({ coffee: "dark coffee" });
    const wrong = await mesh.run(["workflow", "run", "-", "--params", "5"], {}, planned.out);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("are an object")]);
    const missing = ["workflow", "run", "cli.nope", "--wait", "--json"];
    const failed = await mesh.run(missing);
    expect([failed.code, JSON.parse(failed.out)]).toEqual([
      4,
      expect.objectContaining({ state: "failed" }),
    ]);
    expect(failed.err).toContain("E_NOT_FOUND");
    const looked = await mesh.run(["workflow", "get", JSON.parse(failed.out).task]);
    expect([looked.code, looked.err]).toEqual([4, expect.stringMatching(/no definition: /)]);
    const typo = await mesh.run(["workflow", "run", "nope"]);
    expect([typo.code, typo.err]).toEqual([2, expect.stringMatching(/OWNER\.NAME@1\.0\.0/)]);
    const odd = await mesh.run(["workflow", "run", "-"], {}, "[]");
    expect([odd.code, odd.err]).toEqual([2, expect.stringContaining("no definition of a work")]);
  });

  test("check names values that do not fit", async () => {
    const file = joinPath(mesh.dir, "misfit.json");
    const misfit = { id: "a", capability: "brew", input: { sugar: 1 } };
    await writeFile(file, JSON.stringify(flow("misfit", [misfit])));
    const { code, err } = await mesh.run(["workflow", "check", file]);
    expect([code, err]).toEqual([2, expect.stringMatching(/"brew" needs "beans"/)]);
  });
});
