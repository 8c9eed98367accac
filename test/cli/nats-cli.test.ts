// The stock `nats` program drives the mesh: doors, records, registry, services. The real program
// against a real server; where there is none, these tests skip and say so.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { OpenPeer } from "../../mesh/index.ts";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { addIdentity } from "../../mesh/nats/identity/home.ts";
import { tempDir } from "../support/nats-server.ts";
import { type Ended, findNatsCli, type Program, start } from "../support/program.ts";

const cli = findNatsCli();
const title =
  cli === undefined
    ? "the nats program (skipped: none in NATS_CLI_BIN, PATH or the cache; .ci/run installs it)"
    : "the nats program";

let mesh: LocalMesh;
let dir: string;
let remove: () => Promise<void>;
const open: OpenPeer[] = [];
const creds: Record<string, string> = {};

async function setUp(): Promise<void> {
  ({ dir, remove } = await tempDir());
  mesh = await startLocalMesh({ home: `${dir}/.parley` });
  for (const [name, role] of [
    ["operator", "admin"],
    ["cli", "submitter"],
    ["observer", "observer"],
  ] as const) {
    creds[name] = (await addIdentity(mesh.home, { name, role })).credsPath;
  }
  open.push(await mesh.open("steward", "agent", [], { use: { contractor: false } }));
  const bob = await mesh.open("bob", "contractor", ["echo", "steps", "large"]);
  open.push(bob);
  bob.peer.host({
    name: "worker",
    slots: 2,
    description: "echoes and counts",
    services: [
      {
        capability: { name: "echo", version: "1.0.0" },
        run: async (r) => ({ output: { got: r.input } }),
      },
      {
        capability: { name: "steps", version: "1.2.0" },
        run: async (r) => {
          for (const n of [1, 2, 3]) r.progress({ done: n / 3, note: `step ${n}`, partial: { n } });
          return { output: "counted" };
        },
      },
      {
        capability: { name: "large", version: "1.0.0" },
        run: async () => ({ output: "x".repeat(2_000_000) }),
      },
    ],
  });
}

function begin(who: string, ...args: string[]): Program {
  const to = [
    "--server",
    mesh.server.url,
    "--creds",
    creds[who] as string,
    "--inbox-prefix",
    `_INBOX.${who}`,
  ];
  return start(cli as string, [...to, ...args], dir);
}

function nats(who: string, ...args: string[]): Promise<Ended> {
  return begin(who, ...args).ended;
}

const request = async (who: string, ...args: string[]) =>
  (await nats(who, "req", "--raw", ...args)).out.trim();

/** Lines that are JSON; the program puts empty ones between them. */
function documents(text: string) {
  return text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

describe.skipIf(cli === undefined)(title, { timeout: 30_000 }, () => {
  beforeAll(setUp, 30_000);
  afterAll(async () => {
    await Promise.all(open.map((peer) => peer.close(0)));
    await mesh?.stop();
    await remove?.();
  });

  describe("the doors", () => {
    it.each(["operator", "cli"])("mesh.submit answers %s with the task's id", async (who) => {
      const answer = JSON.parse(await request(who, "mesh.submit.echo", "{}"));
      expect(answer).toEqual({ task: expect.stringMatching(/^[a-z2-7]{26}$/), state: "submitted" });
    });

    it("mesh.call answers with the result", async () => {
      expect(JSON.parse(await request("operator", "mesh.call.echo", '{"x":1}'))).toMatchObject({
        state: "completed",
        output: { got: { x: 1 } },
        task: expect.any(String),
      });
    });

    it("progress streams until the result, and the stream ends by itself", async () => {
      const { code, out } = await nats(
        "operator",
        "req",
        "mesh.call.steps",
        "{}",
        "--wait-for-empty",
        "--reply-timeout=20s",
        "--timeout=20s",
      );
      expect(code).toBe(0);
      expect(documents(out)).toMatchObject([
        { type: "progress", note: "step 1", partial: { n: 1 } },
        { type: "progress", note: "step 2", partial: { n: 2 } },
        { type: "progress", note: "step 3", done: 1 },
        { state: "completed", output: "counted" },
      ]);
    });

    it("options travel as headers", async () => {
      const answer = JSON.parse(
        await request(
          "operator",
          "mesh.submit.echo",
          "{}",
          "-H",
          "Mesh-Task:my-own-id",
          "-H",
          "Mesh-Priority:9",
        ),
      );
      expect(answer.task).toBe("my-own-id");
      const spec = await nats(
        "observer",
        "kv",
        "get",
        "mesh_tasks",
        "--raw",
        "steward.my-own-id.spec.0-0._._.steward.main",
      );
      expect(JSON.parse(spec.out)).toMatchObject({ priority: 9, onBehalfOf: "door" });
    });

    it.each([
      ["{oops", "E_NOT_UNDERSTOOD"],
      ["hello", "E_NOT_UNDERSTOOD"],
      ['{"__proto__":{"x":1}}', "E_NOT_UNDERSTOOD"],
      [`${"[".repeat(60)}${"]".repeat(60)}`, "E_NOT_UNDERSTOOD"],
    ])("input %s is refused with a typed answer, by both doors", async (input, code) => {
      for (const door of ["submit", "call"]) {
        const answer = JSON.parse(await request("operator", `mesh.${door}.echo`, input));
        expect(answer).toMatchObject({
          error: { code, retry: false, message: expect.any(String) },
        });
      }
    });

    it("headers that make no sense are refused with a typed answer", async () => {
      for (const header of ["Mesh-Priority:11", "Mesh-Timeout-Ms:soon", "Mesh-Task:a b"]) {
        const answer = JSON.parse(await request("operator", "mesh.call.echo", "{}", "-H", header));
        expect(answer).toMatchObject({ error: { code: "E_SCHEMA" } });
      }
    });

    it("a capability that nobody has ends with a clear answer at its deadline", async () => {
      const answer = JSON.parse(
        await request("operator", "mesh.call.nosuch", "{}", "-H", "Mesh-Timeout-Ms:500"),
      );
      expect(answer).toMatchObject({
        state: "expired",
        failure: { code: "E_NO_CAPABILITY", message: expect.stringContaining("nosuch") },
      });
    });

    it("a result larger than a message is refused with what to do", async () => {
      const answer = JSON.parse(await request("operator", "mesh.call.large", "{}"));
      expect(answer).toMatchObject({ error: { code: "E_TOO_LARGE" }, task: expect.any(String) });
      expect(answer.error.message).toContain(`parley task get ${answer.task}`);
    });

    it("who may only read cannot submit", async () => {
      const { out, err } = await nats("observer", "req", "mesh.submit.echo", "{}", "--timeout=1s");
      expect(`${out}${err}`).not.toContain('"task"');
    });
  });

  describe("what is stored", () => {
    it.each(["operator", "observer"])("kv ls and get show agents to %s", async (who) => {
      const keys = (await nats(who, "kv", "ls", "mesh_agents")).out.trim().split("\n").sort();
      expect(keys).toEqual(["bob.main", "bob.worker", "steward.main"]);
      const card = await nats(who, "kv", "get", "mesh_agents", "bob.worker", "--raw");
      expect(JSON.parse(card.out)).toMatchObject({
        kind: "card",
        principal: "bob",
        agent: "worker",
        slots: 2,
        capabilities: [{ name: "echo" }, { name: "steps" }, { name: "large" }],
      });
      expect((await nats(who, "kv", "ls")).out).toMatch(/mesh_agents.*\n.*mesh_tasks/);
    });

    it("kv ls and get show the records of a task", async () => {
      const { task } = JSON.parse(await request("operator", "mesh.call.echo", '{"y":2}'));
      const keys = (await nats("observer", "kv", "ls", "mesh_tasks")).out
        .split("\n")
        .filter((key) => key.includes(task));
      expect(keys.map((key) => key.split(".")[2]).sort()).toEqual(["contract", "outcome", "spec"]);
      const outcome = keys.find((key) => key.includes(".outcome.")) as string;
      const { out } = await nats("observer", "kv", "get", "mesh_tasks", outcome, "--raw");
      expect(JSON.parse(out)).toMatchObject({ state: "completed", output: { got: { y: 2 } } });
    });

    it("kv watch and sub mesh.rec.> show every record as it is made", async () => {
      const watching = begin("observer", "kv", "watch", "mesh_tasks", "--updates");
      const hearing = begin("observer", "sub", "mesh.rec.>");
      // Both are ready when they show a task that was made after they were.
      const probing = await ready([watching, hearing]);
      const { task } = JSON.parse(await request("operator", "mesh.call.echo", "{}"));
      expect(task).not.toBe(probing);
      for (const kind of ["spec", "contract", "outcome"]) {
        expect(await watching.line(new RegExp(`\\.${task}\\.${kind}\\.`))).toMatch(
          /PUT mesh_tasks > .*"v":1/,
        );
        await hearing.line(new RegExp(`Received on "mesh\\.rec\\..*\\.${kind}\\..*\\.${task}"`));
      }
      await hearing.line(new RegExp(`^\\{.*"task":"${task}".*"state":"completed"`));
      for (const program of [watching, hearing]) {
        program.process.kill("SIGTERM");
        await program.ended;
      }
    });

    it("a submitter hears the records of its own tasks only", async () => {
      const others = await nats("cli", "sub", "mesh.rec.>", "--wait=1s");
      expect(`${others.out}${others.err}`).toMatch(/[Pp]ermissions [Vv]iolation/);
    });
  });

  describe("services", () => {
    it("micro ls, info, stats and ping show the agents", async () => {
      expect((await nats("observer", "micro", "ls")).out).toMatch(
        /worker\s*│.*│ bob-worker\s*│ echoes and counts/,
      );
      const info = await nats("observer", "micro", "info", "worker");
      expect(info.out).toContain("bob.worker");
      expect(info.out).toContain("echo@1.0.0,steps@1.2.0,large@1.0.0");
      expect((await nats("observer", "micro", "ping")).out).toMatch(/worker bob-worker +rtt=/);
    });

    it("stats are those of each capability", async () => {
      await request("operator", "mesh.call.steps", "{}");
      const { out } = await nats("observer", "micro", "stats", "worker", "--json");
      const [service] = JSON.parse(out) as {
        endpoints: { name: string; num_requests: number; data: { bids: number } }[];
      }[];
      const by = Object.fromEntries((service?.endpoints ?? []).map((e) => [e.name, e]));
      const { contracts } = contractsOf("steps");
      expect(by.steps?.num_requests).toBe(contracts);
      expect(by.echo?.num_requests).toBe(contractsOf("echo").contracts);
      expect(by.echo?.num_requests).not.toBe(contracts);
    });
  });
});

function contractsOf(capability: string): { contracts: number } {
  const agent = (open[1] as OpenPeer).peer.contractors.agents.get("worker");
  if (agent === undefined) throw new Error("the agent is gone");
  return agent.tally(capability);
}

/** Makes tasks until every program has shown one. */
async function ready(programs: readonly Program[]): Promise<string> {
  let seen = false;
  const all = Promise.all(programs.map((p) => p.line(/outcome/))).then(() => {
    seen = true;
  });
  let task = "";
  while (!seen) {
    ({ task } = JSON.parse(await request("operator", "mesh.call.echo", "{}")));
    await Promise.race([all, new Promise((resolve) => setImmediate(resolve))]);
  }
  return task;
}
