// Triggers by the command line: stored, listed, served by two processes of which one is killed.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CliMesh } from "../support/cli-mesh.ts";

let mesh: CliMesh;

beforeAll(async () => {
  mesh = await CliMesh.start();
}, 30_000);
afterAll(() => mesh?.stop());

const put = (trigger: object) =>
  mesh.run(["trigger", "put", "-", "--json"], {}, JSON.stringify(trigger));
const echoes = async () => {
  const tasks = (await mesh.json(["task", "ls"])) as { capability: string; state: string }[];
  return tasks.filter((task) => task.capability === "echo").map((task) => task.state);
};

describe("parley trigger", { timeout: 60_000 }, () => {
  test("put says when it is due next, ls lists it, rm removes it", async () => {
    const nightly = {
      name: "nightly",
      when: { cron: "0 3 * * *", timeZone: "Europe/Berlin" },
      capability: "echo",
    };
    const { out } = await put(nightly);
    expect(JSON.parse(out)).toMatchObject({ ...nightly, next: expect.stringMatching(/T0[12]:00/) });
    const listed = await mesh.run(["trigger", "ls"]);
    expect(listed.out).toMatch(/nightly +\S+ +cron 0 3 \* \* \* \(Europe\/Berlin\) +echo +2/);
    expect(await mesh.json(["trigger", "ls", "--all"])).toMatchObject([
      { name: "nightly", principal: expect.any(String) },
    ]);
    expect((await mesh.run(["trigger", "rm", "nightly"])).code).toBe(0);
    expect(await mesh.json(["trigger", "ls"])).toEqual([]);
    const again = await mesh.run(["trigger", "rm", "nightly"]);
    expect([again.code, again.err]).toEqual([
      expect.any(Number),
      expect.stringContaining("nightly"),
    ]);
    expect(again.code).not.toBe(0);
  });

  test("put refuses what makes no sense, with every reason", async () => {
    const { code, err } = await put({
      name: "x",
      when: { cron: "99 * * * *" },
      capability: "echo",
    });
    expect(code).not.toBe(0);
    expect(err).toMatch(/when.cron: .*99/);
  });

  test("serve: one task for each event, though one of two processes is killed", async () => {
    await put({ name: "mail", when: { event: "mail.*" }, capability: "echo" });
    const one = mesh.begin(["trigger", "serve"]);
    const two = mesh.begin(["trigger", "serve"]);
    await Promise.all([one, two].map((serving) => serving.line(/^serving the triggers of /)));
    await mesh.json(["trigger", "emit", "mail.in", '{"id":1}']);
    await vi.waitFor(async () => expect(await echoes()).toEqual(["completed"]), 20_000);
    one.process.kill("SIGKILL");
    await one.ended;
    await mesh.json(["trigger", "emit", "mail.in", '{"id":2}']);
    await vi.waitFor(
      async () => expect(await echoes()).toEqual(["completed", "completed"]),
      20_000,
    );
    two.process.kill("SIGINT");
    expect((await two.ended).code).toBe(130);
  });
});
