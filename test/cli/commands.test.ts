// `parley` against a real mesh: who is there, submitting and calling, doctor, output.

import { readFile, writeFile } from "node:fs/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { credentialsOf } from "../../mesh/local.ts";
import { connectNats } from "../../mesh/nats/connect.ts";
import { CliMesh } from "../support/cli-mesh.ts";

const ESCAPE = String.fromCharCode(27);

const LONG = { timeout: 30_000 };
let mesh: CliMesh;

beforeAll(async () => {
  mesh = await CliMesh.start();
}, 30_000);
afterAll(() => mesh?.stop());

describe("who is here", LONG, () => {
  it("agents, by capability and attribute", async () => {
    const all = await mesh.json(["agents"]);
    expect(all.map((a: { address: string }) => a.address)).toEqual(["alice.w", "bob.w"]);
    expect(JSON.stringify(all)).not.toContain("eyJ"); // no JWTs
    const [eu] = await mesh.json([
      "agents",
      "--cap",
      "echo",
      "--attr",
      "region=eu",
      "--attr",
      "memory>=16",
    ]);
    expect(eu.address).toBe("bob.w");
    const table = await mesh.run(["agents"]);
    expect(table.out.split("\n")[0]).toMatch(/^AGENT +CAPABILITIES +SLOTS +ATTRIBUTES$/);
    const none = await mesh.run(["agents", "--cap", "nosuch"]);
    expect([none.code, none.out]).toEqual([4, ""]);
    expect(none.err).toContain("code: E_NOT_FOUND");
  });

  it("capabilities, with what became of their calls", async () => {
    await mesh.run(["submit", "echo", "{}", "--wait"]);
    const echo = (await mesh.json(["caps"])).find(
      (c: { capability: string }) => c.capability === "echo",
    );
    expect(echo).toMatchObject({ versions: ["1.2.0"], agents: ["alice.w", "bob.w"], slots: 4 });
    expect(echo.bids).toBeGreaterThanOrEqual(2);
    expect(echo.contracts).toBeGreaterThanOrEqual(1);
    const hold = (await mesh.json(["caps"])).find(
      (c: { capability: string }) => c.capability === "hold",
    );
    expect(hold).toMatchObject({ calls: 0, bids: 0, contracts: 0 });
  });

  it("describes one capability", async () => {
    expect(await mesh.json(["describe", "echo"])).toMatchObject({
      name: "echo",
      description: "gives back what it gets",
      input: { type: "object" },
    });
    expect((await mesh.run(["describe", "nosuch"])).code).toBe(4);
  });
});

describe("submit and call", LONG, () => {
  it("submit prints the task's id and nothing else on standard output", async () => {
    const { code, out } = await mesh.run(["submit", "echo", '{"a":1}']);
    expect(code).toBe(0);
    expect(out).toMatch(/^[a-z2-7]{26}\n$/);
  });

  it("submit --wait prints the output; input from a pipe", async () => {
    const { code, out } = await mesh.run(["submit", "echo", "-", "--wait"], {}, '{"a":[1,2]}');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ got: { a: [1, 2] } });
  });

  it("call prints the output, and with --json the whole answer", async () => {
    expect(JSON.parse((await mesh.run(["call", "echo", '{"x":1}'])).out)).toMatchObject({
      got: { x: 1 },
    });
    expect(await mesh.json(["call", "echo", "{}", "--to", "bob.w"])).toMatchObject({
      state: "completed",
      output: { by: "bob" },
      task: expect.any(String),
    });
  });

  it("what the options say is heeded", async () => {
    const by = async (...args: string[]) =>
      JSON.parse((await mesh.run(["submit", "echo", "{}", "--wait", ...args])).out).by;
    expect(await by("--policy", "cheapest")).toBe("bob");
    expect(await by("--policy", "fastest")).toBe("alice");
    expect(await by("--policy", "fastest", "--requires", "region=eu")).toBe("bob");
    expect(await by("--policy", "fastest", "--budget", "2")).toBe("bob");
    expect(await by("--policy", "fastest", "--exclude", "alice.w")).toBe("bob");
    expect(await by("--policy", "hybrid", "--weights", "time=0,cost=5,load=0,risk=0")).toBe("bob");
  });

  it("events as lines of JSON, ending with the outcome", async () => {
    const { code, out } = await mesh.run(["submit", "steps", "--jsonl"]);
    const events = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(events.find((e) => e.type === "progress")).toMatchObject({
      done: 0.5,
      note: "half way",
      partial: { n: 1 },
    });
    expect(events.at(-1)).toMatchObject({ type: "outcome", state: "completed", output: "done" });
  });

  it("progress goes to standard error", async () => {
    const { out, err } = await mesh.run(["call", "steps", "--progress"]);
    expect(out).toBe('"done"\n');
    expect(err).toContain("50 % half way");
  });

  it("a task that fails is status 1, with the reason", async () => {
    const { code, out, err } = await mesh.run(["submit", "fail", "--wait", "--retries", "0"]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("the disk is full");
    expect(err).toContain("code: E_HANDLER");
  });

  it("nobody who could is status 4, at the deadline", async () => {
    const failed = await mesh.run(["call", "fail", "--json"]);
    expect(JSON.parse(failed.out)).toMatchObject({ state: "failed", attempts: 3 });
    const { code, err } = await mesh.run(["call", "nosuch", "--timeout", "500ms"]);
    expect(code).toBe(4);
    expect(err).toContain('no agent offered "nosuch"');
  });

  it("nobody with a free slot in time is status 5", async () => {
    const { code, err } = await mesh.run([
      "submit",
      "hold",
      "--wait",
      "--timeout",
      "700ms",
      "--to",
      "bob.w",
    ]);
    expect([code, err]).toEqual([5, expect.stringContaining("code: E_DEADLINE")]);
    const { signal } = await mesh.holding();
    expect(signal.aborted).toBe(true);
  });

  it("two calls at once under one name do not get each other's bids", async () => {
    const spy = await mesh.local.open("spy", "observer");
    const calls: string[] = [];
    const sub = spy.transport.subscribe("mesh.cfp.*.*.cli.*", (m) => calls.push(m.reply ?? ""));
    await spy.transport.flush();
    const answers = await Promise.all([1, 2].map((n) => mesh.run(["call", "echo", `{"n":${n}}`])));
    expect(answers.map((a) => JSON.parse(a.out).got)).toEqual([{ n: 1 }, { n: 2 }]);
    sub.unsubscribe();
    await spy.close(0);
    expect(calls.length).toBeGreaterThanOrEqual(2);
    expect(new Set(calls).size).toBe(calls.length);
  });

  it("Ctrl-C ends a call, and the agent is told to stop", async () => {
    const program = mesh.begin(["call", "hold"]);
    const { signal } = await mesh.holding();
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    program.process.kill("SIGINT");
    expect((await program.ended).code).toBe(130);
    await aborted;
  });

  it("Ctrl-C while waiting for a task leaves the task alone", async () => {
    const program = mesh.begin(["submit", "hold", "--jsonl"]);
    const { end } = await mesh.holding();
    const { task } = JSON.parse(await program.line(/"running"/));
    program.process.kill("SIGINT");
    const { code, err } = await program.ended;
    expect([code, err]).toEqual([130, expect.stringContaining(`parley task watch ${task}`)]);
    end();
    expect((await mesh.run(["task", "watch", task])).out).toMatch(/outcome .*completed/);
  });
});

describe("doctor and identities", LONG, () => {
  it("finds a sound mesh sound, and says which profile is in force", async () => {
    const checks = await mesh.json(["doctor"]);
    const verdict = Object.fromEntries(
      checks.map((c: { check: string; verdict: string }) => [c.check, c.verdict]),
    );
    expect(verdict).toMatchObject({
      server: "ok",
      version: "ok",
      jetstream: "ok",
      identity: "ok",
      trust: "ok",
      "stream KV_mesh_tasks": "ok",
      "stream mesh_audit": "ok",
      durability: "warn",
      max_payload: "ok",
      consumers: "ok",
      clock: "ok",
      permissions: "ok",
      initiators: "ok",
      agents: "ok",
    });
    expect(checks.find((c: { check: string }) => c.check === "durability")).toMatchObject({
      text: expect.stringContaining("profile dev"),
      fix: expect.any(String),
    });
  });

  it("finds a stream that somebody has changed", async () => {
    const change = async (allow: boolean) => {
      const creds = await mesh.local.mint("changer", "admin");
      const nc = await connectNats({
        ...credentialsOf(creds, mesh.local.home),
        servers: mesh.local.server.url,
        name: "changer",
        principal: "changer",
      });
      const jsm = await jetstreamManager(nc);
      await jsm.streams.update("KV_mesh_tasks", { allow_rollup_hdrs: allow });
      await nc.close();
    };
    await change(true);
    try {
      const { code, out } = await mesh.run(["doctor"]);
      expect(code).toBe(1);
      expect(out).toMatch(/FAIL +stream KV_mesh_tasks .*allow_rollup_hdrs/);
    } finally {
      await change(false);
    }
  });

  it("identity push brings the server up to date", async () => {
    const push = await mesh.json(["identity", "push"]);
    expect(push.delivery).toBe("pushed");
    expect((await mesh.run(["agents"])).code).toBe(0);
  });

  it("a revoked identity is cut off at once, and told so", async () => {
    expect((await mesh.run(["identity", "add", "eve", "--role", "observer"])).code).toBe(0);
    const creds = `${mesh.dir}/.parley/creds/eve.creds`;
    const kept = await readFile(creds, "utf8");
    expect((await mesh.run(["agents", "--creds", creds])).code).toBe(0);
    const revoke = await mesh.run(["identity", "revoke", "eve"]);
    expect([revoke.code, revoke.err]).toEqual([0, expect.stringContaining("pushed")]);
    await writeFile(`${mesh.dir}/eve.creds`, kept);
    const known = await mesh.run(["agents", "--creds", `${mesh.dir}/eve.creds`]);
    expect([known.code, known.err]).toEqual([1, expect.stringContaining("revoked")]);
    // Without the mesh's folder it is the server that refuses.
    const refused = await mesh.run(["agents", "--creds", `${mesh.dir}/eve.creds`], {
      PARLEY_HOME: `${mesh.dir}/elsewhere`,
    });
    expect([refused.code, refused.err]).toEqual([3, expect.stringContaining("code: E_PERMISSION")]);
  });
});

describe("output", LONG, () => {
  const colored = async (extra: object) =>
    (await mesh.run(["task", "ls"], extra)).out.includes(ESCAPE);

  it("is plain in a pipe, and where NO_COLOR or NATS_COLOR says so", async () => {
    expect(await colored({})).toBe(false);
    expect(await colored({ FORCE_COLOR: "1" })).toBe(true);
    expect(await colored({ FORCE_COLOR: "1", NATS_COLOR: "none" })).toBe(false);
    expect(await colored({ NO_COLOR: "1" })).toBe(false);
  });

  it("--quiet says nothing on standard error", async () => {
    const { err, out } = await mesh.run(["submit", "echo", "{}", "-q"]);
    expect(err).toBe("");
    expect(out).not.toBe("");
  });
});
