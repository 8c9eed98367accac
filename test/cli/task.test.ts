// `parley task ls|get|watch|cancel` against a real mesh.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CliMesh } from "../support/cli-mesh.ts";
import { startRelay } from "../support/relay.ts";

const LONG = { timeout: 30_000 };
let mesh: CliMesh;

beforeAll(async () => {
  mesh = await CliMesh.start();
}, 30_000);
afterAll(() => mesh?.stop());

describe("tasks", LONG, () => {
  it("what no task or agent can be called is refused by name, and nothing is stored", async () => {
    const refused = [
      ["task", "get", "a b"],
      ["task", "watch", "a b"],
      ["submit", "echo", "{}", "--otherwise", "a.b"],
      ["submit", "a.b", "{}"],
      ["submit", "echo", "{}", "--exclude", "alice"],
    ];
    const before = (await mesh.json(["task", "ls"])).length;
    for (const args of refused) {
      const { code, err } = await mesh.run(args);
      expect([args.join(" "), code]).toEqual([args.join(" "), 2]);
      expect(err).toMatch(/code: E_(USAGE|SCHEMA)/);
    }
    expect(await mesh.json(["task", "ls"])).toHaveLength(before);
  });

  it("why nobody took it: too dear, or not as asked", async () => {
    const no = (...args: string[]) =>
      mesh.run(["submit", "echo", "{}", "--wait", "--deadline", "1s", ...args]);
    // One after the other: behind a task that waits, the next does not ask for itself.
    const version = await no("--cap-version", "7.0.0");
    const budget = await no("--budget", "0.000001");
    const there = await no("--to", "x.y", "--only");
    expect(version.err).toMatch(/may do "echo" as asked/);
    expect(budget.err).toMatch(/offered "echo" within the budget/);
    expect(there.err).not.toMatch(/as asked|budget/);
  });

  it("ls: newest first, by state and capability", async () => {
    const first = (await mesh.run(["submit", "echo", "{}", "--wait", "--json"])).out;
    const second = (await mesh.run(["submit", "fail", "--wait", "--retries", "0", "--json"])).out;
    const [a, b] = [JSON.parse(first).task, JSON.parse(second).task];
    const ids = async (...args: string[]) =>
      (await mesh.json(["task", "ls", ...args])).map((t: { task: string }) => t.task);
    const all = await ids();
    expect(all.indexOf(b)).toBeLessThan(all.indexOf(a));
    expect(await ids("--state", "failed", "--limit", "1")).toEqual([b]);
    expect(await ids("--cap", "echo", "--limit", "1")).toEqual([a]);
    expect((await mesh.run(["task", "ls"])).out.split("\n")[0]).toMatch(/^TASK +STATE +CAPABILITY/);
  });

  it("get: state, records, output", async () => {
    const { out } = await mesh.run(["submit", "echo", '{"a":1}', "--wait", "--json"]);
    const { task } = JSON.parse(out);
    const got = await mesh.json(["task", "get", task]);
    expect(got).toMatchObject({
      task,
      owner: "cli",
      state: "completed",
      capability: "echo",
      epoch: 1,
      spec: { input: { a: 1 } },
      output: { got: { a: 1 } },
      faults: [],
    });
    expect(got.records.map((r: { kind: string }) => r.kind)).toEqual([
      "spec",
      "contract",
      "outcome",
    ]);
    expect(JSON.parse((await mesh.run(["task", "get", task, "--raw"])).out).got).toEqual({ a: 1 });
    expect((await mesh.run(["task", "get", task])).out).toMatch(/^state +completed$/m);
    expect((await mesh.run(["task", "get", "nosuch"])).code).toBe(4);
  });

  it("get --raw fetches what travels by reference", async () => {
    const text = "x".repeat(100_000);
    const { out } = await mesh.run(
      ["submit", "echo", "-", "--wait", "--json"],
      {},
      JSON.stringify({ text }),
    );
    const { task } = JSON.parse(out);
    expect(JSON.parse((await mesh.run(["task", "get", task, "--raw"])).out).got.text).toBe(text);
  });

  it("a submitter sees its own tasks, and is told what it may not", async () => {
    const { out } = await mesh.run(["submit", "echo", "{}", "--wait", "--json"]);
    const { task } = JSON.parse(out);
    const creds = { NATS_CREDS: `${mesh.dir}/.parley/creds/cli.creds` };
    const got = await mesh.run(["task", "get", task, "--json"], creds);
    expect(JSON.parse(got.out)).toMatchObject({ task, state: "completed", faults: [] });
    const list = await mesh.run(["task", "ls"], creds);
    expect([list.code, list.err]).toEqual([
      1,
      expect.stringMatching(/its own tasks only, by their/),
    ]);
    const agents = await mesh.run(["agents"], creds);
    expect([agents.code, agents.out]).toEqual([1, ""]);
    expect(agents.err).toContain("code: E_PERMISSION");
  });

  it("watch follows a task from its beginning to its end", async () => {
    const program = mesh.begin(["submit", "hold", "--jsonl"]);
    const { end } = await mesh.holding();
    const { task } = JSON.parse(await program.line(/"running"/));
    const watching = mesh.begin(["task", "watch", task, "--jsonl"]);
    await watching.line(/"contract"/);
    end();
    const { code, out } = await watching.ended;
    expect(code).toBe(0);
    expect(
      out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).kind),
    ).toEqual(["spec", "contract", "outcome"]);
    expect((await program.ended).code).toBe(0);
  });

  it("watch without an id shows all records until Ctrl-C", async () => {
    const watching = mesh.begin(["task", "watch", "--jsonl"]);
    const ready = new Promise<void>((resolve) =>
      watching.process.stderr?.on("data", (text) => {
        if (String(text).includes("watching")) resolve();
      }),
    );
    await ready;
    const { out } = await mesh.run(["submit", "echo", "{}", "--wait", "--json"]);
    const { task } = JSON.parse(out);
    await watching.line(new RegExp(`${task}.*"outcome"`));
    watching.process.kill("SIGINT");
    expect((await watching.ended).code).toBe(130);
  });

  it("watch shows what was stored while its link was away, and ends with its task", async () => {
    const relay = await startRelay(mesh.local.server.url);
    const program = mesh.begin(["submit", "hold", "--jsonl"]);
    const { end } = await mesh.holding();
    const { task } = JSON.parse(await program.line(/"running"/));
    const far = ["--server", relay.url];
    const one = mesh.begin(["task", "watch", task, "--jsonl", ...far]);
    const every = mesh.begin(["task", "watch", "--jsonl", ...far]);
    const said = (text: string) =>
      new Promise<void>((resolve) => {
        let all = "";
        every.process.stderr?.on("data", (chunk) => {
          all += chunk;
          if (all.includes(text)) resolve();
        });
      });
    await Promise.all([one.line(/"contract"/), said("watching")]);
    const gone = said("the server is gone");
    await relay.cut();
    await gone;
    end();
    expect((await program.ended).code).toBe(0);
    await relay.mend();
    await every.line(new RegExp(`${task}.*"outcome"`));
    expect((await one.ended).out).toMatch(/"kind":"outcome"/);
    every.process.kill("SIGINT");
    await every.ended;
    await relay.stop();
  });

  it("cancel ends a running task and tells the agent why", async () => {
    const program = mesh.begin(["submit", "hold", "--jsonl"]);
    const { signal } = await mesh.holding();
    const { task } = JSON.parse(await program.line(/"running"/));
    const cancel = await mesh.run(["task", "cancel", task, "--reason", "wrong input"]);
    expect([cancel.code, cancel.out]).toEqual([0, "canceled\n"]);
    expect(signal.aborted).toBe(true);
    const ended = await program.ended;
    expect([ended.code, ended.err]).toEqual([1, expect.stringContaining("wrong input")]);
    const got = await mesh.json(["task", "get", task]);
    expect(got).toMatchObject({ state: "canceled", faults: [] });
    expect(got.records.find((r: { kind: string }) => r.kind === "cancel").from).toBe(
      "operator.main",
    );
  });

  it("cancel reaches a task that nobody has taken yet", async () => {
    const task = (await mesh.run(["submit", "nosuch", "{}"])).out.trim();
    expect(await mesh.json(["task", "cancel", task])).toMatchObject({ task, state: "canceled" });
  });

  it("cancel of a task that is over is refused", async () => {
    const { out } = await mesh.run(["submit", "echo", "{}", "--wait", "--json"]);
    const { code, err } = await mesh.run(["task", "cancel", JSON.parse(out).task]);
    expect([code, err]).toEqual([1, expect.stringContaining("over already: completed")]);
  });
});
