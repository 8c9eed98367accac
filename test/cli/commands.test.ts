// `parley` against a real mesh: two agents that bid, a steward that initiates.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AwardTerms, Contract, SeenBid, Spec } from "../../contracts/index.ts";
import { NEAR_EQUAL } from "../../mesh/core/policy.ts";
import { openPeer, type OpenPeer } from "../../mesh/index.ts";
import { credentialsOf, type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { addIdentity } from "../../mesh/nats/identity/home.ts";
import { parseCreds } from "../../mesh/nats/identity/creds.ts";
import { decode, RECORD_LIMITS } from "../../mesh/runtime/codec/codec.ts";
import { sealAward } from "../../mesh/runtime/awards.ts";
import { Policies } from "../../mesh/runtime/policies.ts";
import { digest } from "../../mesh/runtime/signing.ts";
import { tempDir } from "../support/nats-server.ts";
import { parley, type Program, startParley } from "../support/program.ts";
import { readFile } from "node:fs/promises";

const ESCAPE = String.fromCharCode(27);

let mesh: LocalMesh;
let dir: string;
let remove: () => Promise<void>;
const open: OpenPeer[] = [];
/** Resolved by the handler of `hold` when it starts; lets it end when called. */
let held = Promise.withResolvers<{ end: () => void; signal: AbortSignal }>();

beforeAll(async () => {
  ({ dir, remove } = await tempDir());
  mesh = await startLocalMesh({ home: `${dir}/.parley` });
  open.push(await mesh.open("steward", "agent", [], { use: { contractor: false } }));
  for (const [name, cost, durationMs] of [["alice", 3, 1], ["bob", 1, 4_000]] as const) {
    const peer = await mesh.open(name, "agent", ["echo", "steps", "hold", "fail"], {
      use: { initiator: false, intake: false },
    });
    open.push(peer);
    peer.peer.host({
      name: "w", slots: 2, attributes: { region: name === "alice" ? "us" : "eu", memory: 16 },
      services: [
        {
          capability: { name: "echo", version: "1.2.0", cost, durationMs,
            input: { type: "object" }, description: "gives back what it gets" },
          // Always the same claim, whatever the work has taken so far.
          bid: (_call, usual) => ({ ...usual, durationMs }),
          run: async (r) => ({ output: { got: r.input, by: name } }),
        },
        {
          capability: { name: "steps", version: "1.0.0", cost },
          run: async (r) => {
            r.progress({ done: 0.5, note: "half way", partial: { n: 1 } });
            return { output: "done" };
          },
        },
        {
          capability: { name: "hold", version: "1.0.0", cost },
          run: (r) => new Promise((resolve, reject) => {
            r.signal.addEventListener("abort", () => reject(r.signal.reason));
            held.resolve({ end: () => resolve({ output: "released" }), signal: r.signal });
          }),
        },
        {
          capability: { name: "fail", version: "1.0.0", cost },
          run: () => Promise.reject(new Error("the disk is full")),
        },
      ],
    });
  }
  await settled();
}, 30_000);

afterAll(async () => {
  await Promise.all(open.map((peer) => peer.close(0)));
  await mesh?.stop();
  await remove();
});

/** Until the steward has seen both cards. */
async function settled(): Promise<void> {
  const { registry } = (open[0] as OpenPeer).peer;
  if (registry.find("echo").length === 2) return;
  await new Promise<void>((resolve) => {
    const stop = registry.onChange(() => {
      if (registry.find("echo").length < 2) return;
      stop();
      resolve();
    });
  });
}

const env = () => ({ PARLEY_HOME: `${dir}/.parley`, NATS_URL: mesh.server.url });
const run = (args: string[], extra = {}, input?: string) =>
  parley(args, dir, { ...env(), ...extra }, input);
const begin = (args: string[]): Program => startParley(args, dir, env());

async function json(args: string[], code = 0) {
  const ended = await run([...args, "--json"]);
  expect([ended.code, ended.err]).toEqual([code, code === 0 ? expect.any(String) : ended.err]);
  return JSON.parse(ended.out);
}

const LONG = { timeout: 30_000 };

describe("who is here", LONG, () => {
  it("agents, by capability and attribute", async () => {
    const all = await json(["agents"]);
    expect(all.map((a: { address: string }) => a.address)).toEqual(["alice.w", "bob.w"]);
    expect(JSON.stringify(all)).not.toContain("eyJ"); // no JWTs
    const [eu] = await json(["agents", "--cap", "echo", "--attr", "region=eu", "--attr",
      "memory>=16"]);
    expect(eu.address).toBe("bob.w");
    const table = await run(["agents"]);
    expect(table.out.split("\n")[0]).toMatch(/^AGENT +CAPABILITIES +SLOTS +ATTRIBUTES$/);
    const none = await run(["agents", "--cap", "nosuch"]);
    expect([none.code, none.out]).toEqual([4, ""]);
    expect(none.err).toContain("code: E_NOT_FOUND");
  });

  it("capabilities, with what became of their calls", async () => {
    await run(["submit", "echo", "{}", "--wait"]);
    const echo = (await json(["caps"])).find((c: { capability: string }) =>
      c.capability === "echo");
    expect(echo).toMatchObject({ versions: ["1.2.0"], agents: ["alice.w", "bob.w"], slots: 4 });
    expect(echo.bids).toBeGreaterThanOrEqual(2);
    expect(echo.contracts).toBeGreaterThanOrEqual(1);
    const hold = (await json(["caps"])).find((c: { capability: string }) =>
      c.capability === "hold");
    expect(hold).toMatchObject({ calls: 0, bids: 0, contracts: 0 });
  });

  it("describes one capability", async () => {
    expect(await json(["describe", "echo"])).toMatchObject({
      name: "echo", description: "gives back what it gets", input: { type: "object" },
    });
    expect((await run(["describe", "nosuch"])).code).toBe(4);
  });
});

describe("submit and call", LONG, () => {
  it("submit prints the task's id and nothing else on standard output", async () => {
    const { code, out } = await run(["submit", "echo", '{"a":1}']);
    expect(code).toBe(0);
    expect(out).toMatch(/^[a-z2-7]{26}\n$/);
  });

  it("submit --wait prints the output; input from a pipe", async () => {
    const { code, out } = await run(["submit", "echo", "-", "--wait"], {}, '{"a":[1,2]}');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ got: { a: [1, 2] } });
  });

  it("call prints the output, and with --json the whole answer", async () => {
    expect(JSON.parse((await run(["call", "echo", '{"x":1}'])).out)).toMatchObject({
      got: { x: 1 },
    });
    expect(await json(["call", "echo", "{}", "--to", "bob.w"])).toMatchObject({
      state: "completed", output: { by: "bob" }, task: expect.any(String),
    });
  });

  it("what the options say is heeded", async () => {
    const by = async (...args: string[]) =>
      JSON.parse((await run(["submit", "echo", "{}", "--wait", ...args])).out).by;
    expect(await by("--policy", "cheapest")).toBe("bob");
    expect(await by("--policy", "fastest")).toBe("alice");
    expect(await by("--policy", "fastest", "--requires", "region=eu")).toBe("bob");
    expect(await by("--policy", "fastest", "--budget", "2")).toBe("bob");
    expect(await by("--policy", "fastest", "--exclude", "alice.w")).toBe("bob");
    expect(await by("--policy", "hybrid", "--weights", "time=0,cost=5,load=0,risk=0")).toBe("bob");
  });

  it("events as lines of JSON, ending with the outcome", async () => {
    const { code, out } = await run(["submit", "steps", "--jsonl"]);
    const events = out.trim().split("\n").map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(events.find((e) => e.type === "progress"))
      .toMatchObject({ done: 0.5, note: "half way", partial: { n: 1 } });
    expect(events.at(-1)).toMatchObject({ type: "outcome", state: "completed", output: "done" });
  });

  it("progress goes to standard error", async () => {
    const { out, err } = await run(["call", "steps", "--progress"]);
    expect(out).toBe('"done"\n');
    expect(err).toContain("50 % half way");
  });

  it("a task that fails is status 1, with the reason", async () => {
    const { code, out, err } = await run(["submit", "fail", "--wait", "--retries", "0"]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("the disk is full");
    expect(err).toContain("code: E_HANDLER");
  });

  it("nobody who could is status 4, at the deadline", async () => {
    const { code, err } = await run(["call", "nosuch", "--timeout", "500ms"]);
    expect(code).toBe(4);
    expect(err).toContain('no agent offered "nosuch"');
  });

  it("nobody with a free slot in time is status 5", async () => {
    const { code, err } = await run(
      ["submit", "hold", "--wait", "--timeout", "700ms", "--to", "bob.w"]);
    expect([code, err]).toEqual([5, expect.stringContaining("code: E_DEADLINE")]);
    const { signal } = await held.promise;
    expect(signal.aborted).toBe(true);
    held = Promise.withResolvers();
  });

  it("Ctrl-C ends a call, and the agent is told to stop", async () => {
    const program = begin(["call", "hold"]);
    const { signal } = await held.promise;
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    program.process.kill("SIGINT");
    expect((await program.ended).code).toBe(130);
    await aborted;
    held = Promise.withResolvers();
  });

  it("Ctrl-C while waiting for a task leaves the task alone", async () => {
    const program = begin(["submit", "hold", "--jsonl"]);
    const { end } = await held.promise;
    const { task } = JSON.parse(await program.line(/"running"/));
    program.process.kill("SIGINT");
    const { code, err } = await program.ended;
    expect([code, err]).toEqual([130, expect.stringContaining(`parley task watch ${task}`)]);
    end();
    held = Promise.withResolvers();
    expect((await run(["task", "watch", task])).out).toMatch(/outcome .*completed/);
  });
});

describe("tasks", LONG, () => {
  it("ls: newest first, by state and capability", async () => {
    const first = (await run(["submit", "echo", "{}", "--wait", "--json"])).out;
    const second = (await run(["submit", "fail", "--wait", "--retries", "0", "--json"])).out;
    const [a, b] = [JSON.parse(first).task, JSON.parse(second).task];
    const ids = async (...args: string[]) =>
      (await json(["task", "ls", ...args])).map((t: { task: string }) => t.task);
    const all = await ids();
    expect(all.indexOf(b)).toBeLessThan(all.indexOf(a));
    expect(await ids("--state", "failed", "--limit", "1")).toEqual([b]);
    expect(await ids("--cap", "echo", "--limit", "1")).toEqual([a]);
    expect((await run(["task", "ls"])).out.split("\n")[0]).toMatch(/^TASK +STATE +CAPABILITY/);
  });

  it("get: state, records, output", async () => {
    const { out } = await run(["submit", "echo", '{"a":1}', "--wait", "--json"]);
    const { task } = JSON.parse(out);
    const got = await json(["task", "get", task]);
    expect(got).toMatchObject({
      task, owner: "cli", state: "completed", capability: "echo", epoch: 1,
      spec: { input: { a: 1 } }, output: { got: { a: 1 } }, faults: [],
    });
    expect(got.records.map((r: { kind: string }) => r.kind))
      .toEqual(["spec", "contract", "outcome"]);
    expect(JSON.parse((await run(["task", "get", task, "--raw"])).out).got).toEqual({ a: 1 });
    expect((await run(["task", "get", task])).out).toMatch(/^state +completed$/m);
    expect((await run(["task", "get", "nosuch"])).code).toBe(4);
  });

  it("get --raw fetches what travels by reference", async () => {
    const text = "x".repeat(100_000);
    const { out } = await run(["submit", "echo", "-", "--wait", "--json"], {},
      JSON.stringify({ text }));
    const { task } = JSON.parse(out);
    expect(JSON.parse((await run(["task", "get", task, "--raw"])).out).got.text).toBe(text);
  });

  it("a submitter sees its own tasks, and is told what it may not", async () => {
    const { out } = await run(["submit", "echo", "{}", "--wait", "--json"]);
    const { task } = JSON.parse(out);
    const creds = { NATS_CREDS: `${dir}/.parley/creds/cli.creds` };
    const got = await run(["task", "get", task, "--json"], creds);
    expect(JSON.parse(got.out)).toMatchObject({ task, state: "completed", faults: [] });
    const agents = await run(["agents"], creds);
    expect([agents.code, agents.out]).toEqual([1, ""]);
    expect(agents.err).toContain("code: E_PERMISSION");
  });

  it("watch follows a task from its beginning to its end", async () => {
    const program = begin(["submit", "hold", "--jsonl"]);
    const { end } = await held.promise;
    const { task } = JSON.parse(await program.line(/"running"/));
    const watching = begin(["task", "watch", task, "--jsonl"]);
    await watching.line(/"contract"/);
    end();
    held = Promise.withResolvers();
    const { code, out } = await watching.ended;
    expect(code).toBe(0);
    expect(out.trim().split("\n").map((line) => JSON.parse(line).kind))
      .toEqual(["spec", "contract", "outcome"]);
    expect((await program.ended).code).toBe(0);
  });

  it("watch without an id shows all records until Ctrl-C", async () => {
    const watching = begin(["task", "watch", "--jsonl"]);
    const ready = new Promise<void>((resolve) =>
      watching.process.stderr?.on("data", (text) => {
        if (String(text).includes("watching")) resolve();
      }));
    await ready;
    const { out } = await run(["submit", "echo", "{}", "--wait", "--json"]);
    const { task } = JSON.parse(out);
    await watching.line(new RegExp(`${task}.*"outcome"`));
    watching.process.kill("SIGINT");
    expect((await watching.ended).code).toBe(130);
  });

  it("cancel ends a running task and tells the agent why", async () => {
    const program = begin(["submit", "hold", "--jsonl"]);
    const { signal } = await held.promise;
    const { task } = JSON.parse(await program.line(/"running"/));
    const cancel = await run(["task", "cancel", task, "--reason", "wrong input"]);
    expect([cancel.code, cancel.out]).toEqual([0, "canceled\n"]);
    expect(signal.aborted).toBe(true);
    held = Promise.withResolvers();
    const ended = await program.ended;
    expect([ended.code, ended.err]).toEqual([1, expect.stringContaining("wrong input")]);
    const got = await json(["task", "get", task]);
    expect(got).toMatchObject({ state: "canceled", faults: [] });
    expect(got.records.find((r: { kind: string }) => r.kind === "cancel").from)
      .toBe("operator.main");
  });

  it("cancel reaches a task that nobody has taken yet", async () => {
    const task = (await run(["submit", "nosuch", "{}"])).out.trim();
    expect(await json(["task", "cancel", task])).toMatchObject({ task, state: "canceled" });
  });

  it("cancel of a task that is over is refused", async () => {
    const { out } = await run(["submit", "echo", "{}", "--wait", "--json"]);
    const { code, err } = await run(["task", "cancel", JSON.parse(out).task]);
    expect([code, err]).toEqual([1, expect.stringContaining("over already: completed")]);
  });
});

describe("why", LONG, () => {
  it("recomputes a real award, and says who would have won otherwise", async () => {
    const { out } = await run(["submit", "echo", "{}", "--wait", "--json", "--policy", "fastest"]);
    const { task } = JSON.parse(out);
    const { awards } = await json(["task", "why", task]);
    expect(awards).toHaveLength(1);
    const [award] = awards;
    expect(award).toMatchObject({
      epoch: 1, contractor: "alice.w", rung: "all", policy: { name: "fastest" },
    });
    expect(award.bids.map((b: SeenBid) => b.from)).toEqual(["alice.w", "bob.w"]);
    award.bids.forEach((b: SeenBid, i: number) =>
      expect(award.recomputed[i]).toBeCloseTo(b.score, 9));
    expect(award.checks.map((c: { name: string; verdict: string }) => [c.name, c.verdict]))
      .toEqual(["signature", "terms", "spec", "revision", "chain", "choice"]
        .map((name) => [name, "good"]));
    expect(award.others).toContainEqual({ policy: "cheapest", winner: "bob.w" });
    const text = (await run(["task", "why", task])).out;
    expect(text).toMatch(/\* alice\.w/);
    expect(text).toMatch(/cheapest +bob\.w/);
  });

  it("explains every epoch", async () => {
    const { out } = await run(["submit", "fail", "--wait", "--retries", "1", "--json"]);
    const { awards } = await json(["task", "why", JSON.parse(out).task]);
    expect(awards.map((a: { epoch: number }) => a.epoch)).toEqual([1, 2]);
    expect(awards[0].contractor).not.toBe(awards[1].contractor);
    for (const award of awards) {
      expect(award.checks.filter((c: { verdict: string }) => c.verdict !== "good")).toEqual([]);
    }
  });

  it("an award that its contractor has tampered with does not pass", async () => {
    const task = await forge((terms) => ({
      // It claims to have been the cheaper one.
      ...terms, bids: terms.bids.map((b) => ({ ...b, cost: 0 })),
    }));
    const { code, out, err } = await run(["task", "why", task, "--json"]);
    expect([code, err]).toEqual([1, expect.stringContaining("E_CHECK")]);
    const { checks } = JSON.parse(out).awards[0];
    expect(verdicts(checks)).toMatchObject({ signature: "bad", revision: "good", chain: "good" });
  });

  it("an initiator that did not follow its policy is found out", async () => {
    const task = await forge((terms) => terms, (bids) => bids.toReversed());
    const { code, out } = await run(["task", "why", task, "--json"]);
    expect(code).toBe(1);
    const { checks } = JSON.parse(out).awards[0];
    expect(verdicts(checks)).toMatchObject({ signature: "good", choice: "bad" });
  });

  it("an honest award made the same way passes", async () => {
    const task = await forge((terms) => terms);
    const { code, out } = await run(["task", "why", task, "--json"]);
    expect(code).toBe(0);
    expect(verdicts(JSON.parse(out).awards[0].checks))
      .toMatchObject({ signature: "good", choice: "good" });
  });
});

function verdicts(checks: { name: string; verdict: string }[]): Record<string, string> {
  return Object.fromEntries(checks.map((c) => [c.name, c.verdict]));
}

/** Stores a contract by hand: by `mallory.w`, with an award that `ina.main` made or not quite. */
async function forge(
  tamper: (terms: AwardTerms) => AwardTerms,
  reorder: (bids: SeenBid[]) => SeenBid[] = (bids) => bids,
): Promise<string> {
  const number = open.length;
  const name = (base: string) => `${base}${number}`;
  const [sue, ina, mallory] = await Promise.all([
    person(name("sue"), "submitter"), person(name("ina"), "agent"), person(name("mallory"), "agent"),
  ]);
  const { task } = await sue.peer.submitters.submit("forged", {}, { award: { policy: "fastest" } });
  const { ledger, records } = ina.peer.deps;
  const owner = name("sue");
  const [stored] = await ledger.read(owner, task);
  const [proven] = await records.read(owner, task);
  if (stored === undefined || proven === undefined) throw new Error("the spec is not stored");
  const contractor = `${name("mallory")}.main`;
  const bid = (from: string, ms: number): SeenBid => ({
    from, startMs: 0, durationMs: ms, cost: 1, confidence: 1, load: 0, calibratedMs: ms,
    calibratedConfidence: 1, score: ms,
  });
  const spec = JSON.parse(Buffer.from(stored.body).toString()) as Spec;
  const terms: AwardTerms = {
    v: 1, kind: "award", task, owner, submitter: `${owner}.main`, capability: "forged", epoch: 1,
    attempt: 1, rev: stored.rev, prev: proven.digest, live: false, cfp: "c1",
    spec: digest(stored.body), initiator: `${name("ina")}.main`, contractor, rung: "all",
    policy: { name: "fastest", hash: new Policies().hash("fastest"), seed: 0.5, band: NEAR_EQUAL },
    bids: reorder([bid(contractor, 10), bid("other.w", 20)]), refusals: 0,
    deadline: spec.deadline, leaseMs: 15_000, at: Date.now(), nonce: "n1",
  };
  const seal = (t: AwardTerms) => {
    const { message } = sealAward(t, stored.body, ina.signer, ina.peer.deps.identities);
    const opened = decode(message, RECORD_LIMITS);
    return (opened.ok ? opened.value : {}) as { terms: Uint8Array; sig: Uint8Array };
  };
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const contract: Contract = {
    v: 1, kind: "contract", task, epoch: 1, attempt: 1, capability: "forged", contractor,
    initiator: terms.initiator, leaseMs: 15_000, prev: proven.digest, at: Date.now(),
    award: { terms: text(seal(tamper(terms)).terms), sig: text(seal(terms).sig) },
  };
  const result = await new Promise((resolve) => mallory.peer.deps.records.write({
    owner, task, kind: "contract", n: "1", toPrincipal: name("ina"), toAgent: "main",
    fromPrincipal: name("mallory"), fromAgent: "main",
  }, contract, stored.rev, mallory.signer, resolve));
  expect(result).toMatchObject({ ok: true });
  return task;
}

async function person(name: string, role: "submitter" | "agent") {
  const { credsPath } = await addIdentity(mesh.home, { name, role });
  const credentials = credentialsOf(parseCreds(await readFile(credsPath)), mesh.home);
  const opened = await openPeer({
    ...credentials, servers: mesh.server.url, name, principal: name, agent: "main", role,
    use: { contractor: false, initiator: false, intake: false },
  });
  open.push(opened);
  return { peer: opened.peer, signer: credentials.signer };
}

describe("doctor and identities", LONG, () => {
  it("finds a sound mesh sound, and says which profile is in force", async () => {
    const checks = await json(["doctor"]);
    const verdict = Object.fromEntries(checks.map((c: { check: string; verdict: string }) =>
      [c.check, c.verdict]));
    expect(verdict).toMatchObject({
      server: "ok", version: "ok", jetstream: "ok", identity: "ok", trust: "ok",
      "stream KV_mesh_tasks": "ok", "stream mesh_audit": "ok", durability: "warn",
      max_payload: "ok", consumers: "ok", clock: "ok", permissions: "ok", initiators: "ok",
      agents: "ok",
    });
    expect(checks.find((c: { check: string }) => c.check === "durability"))
      .toMatchObject({ text: expect.stringContaining("profile dev"), fix: expect.any(String) });
  });

  it("finds a stream that somebody has changed", async () => {
    const admin = open[0] as OpenPeer;
    const change = async (allow: boolean) => {
      const { jetstreamManager } = await import("@nats-io/jetstream");
      const creds = await mesh.mint("changer", "admin");
      const { connectNats } = await import("../../mesh/nats/connect.ts");
      const nc = await connectNats({
        ...credentialsOf(creds, mesh.home), servers: mesh.server.url, name: "changer",
        principal: "changer",
      });
      const jsm = await jetstreamManager(nc);
      await jsm.streams.update("KV_mesh_tasks", { allow_rollup_hdrs: allow });
      await nc.close();
    };
    await change(true);
    try {
      const { code, out } = await run(["doctor"]);
      expect(code).toBe(1);
      expect(out).toMatch(/FAIL +stream KV_mesh_tasks .*allow_rollup_hdrs/);
    } finally {
      await change(false);
    }
    expect(admin.peer.address).toBe("steward.main");
  });

  it("a revoked identity is cut off at once, and told so", async () => {
    expect((await run(["identity", "add", "eve", "--role", "observer"])).code).toBe(0);
    const creds = `${dir}/.parley/creds/eve.creds`;
    const kept = await readFile(creds, "utf8");
    expect((await run(["agents", "--creds", creds])).code).toBe(0);
    const revoke = await run(["identity", "revoke", "eve"]);
    expect([revoke.code, revoke.err]).toEqual([0, expect.stringContaining("pushed")]);
    const { writeFile } = await import("node:fs/promises");
    await writeFile(`${dir}/eve.creds`, kept);
    const known = await run(["agents", "--creds", `${dir}/eve.creds`]);
    expect([known.code, known.err]).toEqual([1, expect.stringContaining("revoked")]);
    // Without the mesh's folder it is the server that refuses.
    const refused = await run(["agents", "--creds", `${dir}/eve.creds`],
      { PARLEY_HOME: `${dir}/elsewhere` });
    expect([refused.code, refused.err]).toEqual([3, expect.stringContaining("code: E_PERMISSION")]);
  });
});

describe("output", LONG, () => {
  const colored = async (extra: object) => (await run(["task", "ls"], extra)).out.includes(ESCAPE);

  it("is plain in a pipe, and where NO_COLOR or NATS_COLOR says so", async () => {
    expect(await colored({})).toBe(false);
    expect(await colored({ FORCE_COLOR: "1" })).toBe(true);
    expect(await colored({ FORCE_COLOR: "1", NATS_COLOR: "none" })).toBe(false);
    expect(await colored({ NO_COLOR: "1" })).toBe(false);
  });

  it("--quiet says nothing on standard error", async () => {
    const { err, out } = await run(["submit", "echo", "{}", "-q"]);
    expect(err).toBe("");
    expect(out).not.toBe("");
  });
});
