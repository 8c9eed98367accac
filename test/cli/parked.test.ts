// `parley task parked|redrive`, and alternatives given on the command line, against a real mesh.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CliMesh } from "../support/cli-mesh.ts";

let mesh: CliMesh;

beforeAll(async () => {
  mesh = await CliMesh.start();
}, 30_000);
afterAll(() => mesh?.stop());

describe("parked tasks", { timeout: 30_000 }, () => {
  const fail = async (...args: string[]) => {
    const { out } = await mesh.run(
      ["submit", "fail", "-", "--wait", "--retries", "0", "--json", ...args],
      {},
      '{"n":1}',
    );
    return JSON.parse(out).task as string;
  };
  const parked = async (...args: string[]) =>
    (await mesh.json(["task", "parked", ...args])).map((t: { task: string }) => t.task);

  // First: five failures in a row open the breaker.
  it("--otherwise: the next capability when the first fails", async () => {
    const args = ["submit", "fail", "{}", "--wait", "--json", "--retries", "0"];
    const { out } = await mesh.run([...args, "--otherwise", "echo", "--patience", "1s"]);
    expect(JSON.parse(out)).toMatchObject({ state: "completed", attempts: 2 });
    const none = await mesh.run([...args, "--otherwise", "fail"]);
    expect(none.err).toMatch(/all 2 alternatives failed/);
  });

  it("are listed with what went wrong, and done again as new tasks", async () => {
    const task = await fail("--priority", "7");
    expect(await parked()).toContain(task);
    expect(await parked("--cap", "echo")).toEqual([]);
    expect((await mesh.run(["task", "parked"])).out).toMatch(/^TASK +CAPABILITY +OWNER +ATTEMPTS/);
    const [again] = await mesh.json(["task", "redrive", task]);
    expect(again.redriveOf).toBe(task);
    const { spec } = await mesh.json(["task", "get", again.task]);
    expect(spec).toMatchObject({
      redriveOf: task,
      priority: 7,
      input: { n: 1 },
      capability: "fail",
    });
  });

  it("are begun again once: whoever does it a second time has to say so", async () => {
    const task = await fail();
    const [again] = await mesh.json(["task", "redrive", task]);
    const second = await mesh.run(["task", "redrive", task]);
    expect([second.code, second.err]).toEqual([1, expect.stringContaining(`again: ${again.task}`)]);
    const listed = await mesh.json(["task", "parked", "--cap", "fail"]);
    expect(listed).toContainEqual(expect.objectContaining({ task, again: again.task }));
    const madeOf = async (...args: string[]) =>
      (await mesh.json(["task", "redrive", "--all", "--cap", "fail", ...args])).map(
        (m: { redriveOf: string }) => m.redriveOf,
      );
    expect(await madeOf()).not.toContain(task);
    expect(await madeOf("--again")).toContain(task);
  });

  it("redrive asks for tasks that are parked, by name or all of them", async () => {
    const { out } = await mesh.run(["submit", "echo", "{}", "--wait", "--json"]);
    const over = await mesh.run(["task", "redrive", JSON.parse(out).task]);
    expect(over.code).not.toBe(0);
    expect(over.err).toMatch(/is not parked: it is completed/);
    expect((await mesh.run(["task", "redrive"])).err).toMatch(/name the tasks, or say --all/);
  });
});
