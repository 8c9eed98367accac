// Clauses 9: supervision and adoption. The slow ones wait for the server's ack_wait.
import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { ACK_WAIT_MS, BeatSchema, type Outcome } from "../../contracts/index.ts";
import { step } from "../../mesh/core/initiator.ts";
import { foldTask } from "../../mesh/core/task-view.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import { credentialsOf } from "../../mesh/local.ts";
import { useClauses } from "../support/clauses.ts";
import { Bench, fieldOf, makeBid } from "../support/core.ts";
import { Tap, termsIn } from "../support/tap.ts";
import { gate, json, msgpack, type Stranger, service, until } from "../wire/fixture.ts";

const wire = useClauses();

function specs(peer: OpenPeer, capability: string, wait: Promise<void>, slots = 1) {
  peer.peer.host({
    name: "w",
    slots,
    services: [
      service(capability, async (run) => {
        await wait;
        return { output: run.epoch };
      }),
    ],
  });
}

/** What the server knows of one supervision consumer. */
async function consumer(urgency: number) {
  const admin = await wire.stranger(
    `admin${urgency}${performance.now()}`.replace(".", "-"),
    "admin",
  );
  const jsm = await jetstreamManager(admin.nc, { checkAPI: false });
  const info = await jsm.consumers.info("KV_mesh_tasks", `initiators-${urgency}`);
  await admin.nc.close();
  return info;
}

/** As if the process had been killed: no farewell, nothing handed back. */
async function kill(peer: OpenPeer): Promise<void> {
  await peer.transport.connection.close();
}

describe("supervision", () => {
  test("P9.1: a spec is acknowledged when its outcome is stored, and not before", async () => {
    for (const [priority, urgency] of [
      [9, 0],
      [5, 1],
      [0, 2],
    ] as const) {
      const hold = gate();
      const capability = `sum91${urgency}`;
      const a = await wire.peer(`p91a${urgency}`, "agent", [capability]);
      specs(a, capability, hold.promise);
      await wire.known(capability, 1);
      const handle = await a.peer.submitters.submit(capability, {}, { priority });
      await until(() => a.peer.contractors.running === 1, "the contract");
      expect((await consumer(urgency)).num_ack_pending).toBe(1);
      hold.open();
      await handle.outcome();
      await until(async () => (await consumer(urgency)).num_ack_pending === 0, "the ack");
    }
  });

  test("P9.2, P9.3, P9.11: a living initiator keeps its task; a successor carries on", async () => {
    const hold = gate();
    const worker = await wire.peer("p92w", "contractor", ["sum92"]);
    specs(worker, "sum92", hold.promise);
    const first = await wire.peer("p92i", "agent");
    await wire.known("sum92", 1);
    const sue = await wire.peer("p92s", "submitter");
    const handle = await sue.peer.submitters.submit("sum92", {}, {});
    await until(() => worker.peer.contractors.running === 1, "the contract");
    const second = await wire.peer("p92j", "agent", [], { silenceMs: 500 });
    const since = performance.now();
    // More than a whole ack_wait under a living initiator: nobody else is handed the spec.
    await until(() => performance.now() - since > ACK_WAIT_MS * 1.2, "time to pass", 20_000);
    expect((await consumer(1)).num_redelivered).toBe(0);
    expect(first.peer.initiators.open).toBe(1);
    await kill(first);
    await until(() => second.peer.counters.get("initiator.adopted") === 1, "the adoption", 20_000);
    await until(() => second.peer.counters.get("probes") === 1, "the question to the contractor");
    hold.open();
    expect(await handle.result()).toBe(1);
    // P9.11: the successor that asked is told, long before it would look.
    await until(() => second.peer.initiators.open === 0, "the successor to let go");
    expect(await wire.recordsOf("p92s", handle.task)).toHaveLength(3);
  }, 40_000);

  test("P9.4: beats go from a busy contractor to its initiator, and to nobody else", async () => {
    const tap = new Tap(await wire.stranger("p94tap", "observer"), "mesh.beat.>");
    await tap.ready();
    const hold = gate();
    const a = await wire.peer("p94a", "agent", ["sum94"]);
    specs(a, "sum94", hold.promise);
    await wire.known("sum94", 1);
    const handle = await a.peer.submitters.submit("sum94", {}, {});
    await tap.until((m) => tap.seen.indexOf(m) === 1, "two beats");
    for (const m of tap.seen) {
      expect(m.subject).toBe("mesh.beat.p94a.main.p94a.w");
      expect(BeatSchema.parse(m.decoded()).tasks).toEqual([[handle.owner, handle.task, 1, "w"]]);
    }
    hold.open();
    await handle.outcome();
  });

  test("P9.4: one beat speaks for all agents of a process, each by its name", async () => {
    const tap = new Tap(await wire.stranger("p94t", "observer"), "mesh.beat.p94i.>");
    await tap.ready();
    const hold = gate();
    const first = await wire.peer("p94i", "agent", []);
    const con = await wire.peer("p94c", "contractor", ["two94"]);
    for (const name of ["w1", "w2"]) {
      const run = () => hold.promise.then(() => ({ output: name }));
      con.peer.host({ name, slots: 1, services: [service("two94", run)] });
    }
    await wire.known("two94", 2);
    const handles = await Promise.all(
      [1, 2].map((n) => first.peer.submitters.submit("two94", n, {})),
    );
    const both = await tap.until((m) => BeatSchema.parse(m.decoded()).tasks.length === 2, "both");
    const { tasks } = BeatSchema.parse(both.decoded());
    const named = tasks.map(([, task, , agent]) => ({ task, agent }));
    expect(new Set(named.map((n) => n.task))).toEqual(new Set(handles.map((h) => h.task)));
    expect(new Set(named.map((n) => n.agent))).toEqual(new Set(["w1", "w2"]));
    // Neither agent is taken for the other: nobody is told that he was replaced.
    expect(first.peer.counters.get("fenced.told")).toBe(0);
    hold.open();
    await Promise.all(handles.map((h) => h.outcome()));
  });

  test.each([
    [
      "names an agent or none",
      [
        ["sue", "t1", 1],
        ["sue", "t1", 1, "w"],
      ],
      true,
    ],
    ["has no epoch", [["sue", "t1"]], false],
    ["has half an epoch", [["sue", "t1", 1.5]], false],
    ["goes on", [["sue", "t1", 1, "w", "x"]], false],
    ["holds a wildcard for a task", [["sue", "*", 1]], false],
    ["holds two tokens for an owner", [["sue.main", "t1", 1]], false],
    ["holds a number for an agent", [["sue", "t1", 1, 7]], false],
    ["is no list", ["sue.t1.1"], false],
  ])("P9.4: a beat of which a contract %s", (_, tasks, sound) => {
    const beat = { v: 1, kind: "beat", tasks, lagMs: 0 };
    expect(BeatSchema.safeParse(beat).success).toBe(sound);
  });

  test("P9.8: whoever is behind a lost connection is asked, and given up if gone", async () => {
    const patient = { silenceMs: 600_000 };
    const ina = await wire.peer("p98i", "agent", [], patient);
    const con = await wire.peer("p98c", "contractor", ["sum98"]);
    specs(con, "sum98", new Promise(() => undefined));
    await wire.known("sum98", 1);
    const handle = await ina.peer.submitters.submit("sum98", {}, { retry: { attempts: 1 } });
    await until(() => con.peer.contractors.running === 1, "the contract");
    await con.transport.connection.close();
    const outcome = await handle.outcome(AbortSignal.timeout(10_000));
    expect(outcome.failure?.code).toBe("E_LOST");
  }, 15_000);

  test("P9.5: an agent says whether it works on a task and epoch", async () => {
    const hold = gate();
    const a = await wire.peer("p95a", "agent", ["sum95"]);
    specs(a, "sum95", hold.promise);
    await wire.known("sum95", 1);
    const handle = await a.peer.submitters.submit("sum95", {}, {});
    await until(() => a.peer.contractors.running === 1, "the contract");
    const asker = await wire.stranger("p95s", "initiator");
    const ask = async (task: string, epoch: number) => {
      const message = { v: 1, kind: "live", owner: "p95a", task, epoch, from: "p95s.main" };
      const body = msgpack(message);
      return [...(await asker.request("mesh.live.p95a.w", body)).data];
    };
    expect(await ask(handle.task, 1)).toEqual([1]);
    expect(await ask(handle.task, 2)).toEqual([0]);
    expect(await ask("another", 1)).toEqual([0]);
    hold.open();
    await handle.outcome();
    await until(async () => (await ask(handle.task, 1))[0] === 0, "the end of the work");
  });

  test("P9.5: for an agent that is gone no other process of its principal answers", async () => {
    const creds = await wire.mesh.mint("p95t", "agent", ["sum95t"]);
    const replica = async (agent: string) => {
      const known = { ...credentialsOf(creds, wire.mesh.home), agent: `${agent}-self` };
      const peer = await wire.peer("p95t", "agent", ["sum95t"], known);
      peer.peer.host({
        name: agent,
        slots: 1,
        services: [service("sum95t", async () => ({ output: 0 }))],
      });
      await peer.transport.flush();
      return peer;
    };
    await replica("one");
    const two = await replica("two");
    const asker = await wire.stranger("p95u", "initiator");
    const about = { v: 1, kind: "live", owner: "p95t", task: "t", epoch: 1, from: "p95u.main" };
    const ask = (agent: string) =>
      asker.request(`mesh.live.p95t.${agent}`, msgpack(about)).then(
        ({ data }) => [...data],
        (error: Error) => error.message,
      );
    expect([await ask("one"), await ask("two")]).toEqual([[0], [0]]);
    await kill(two);
    await until(async () => /no responders/.test(String(await ask("two"))), "that nobody is there");
    expect(await ask("one")).toEqual([0]);
  });

  test("P9.9: whoever was replaced is told, and stops; strangers stop nobody", async () => {
    let stopped: unknown;
    const a = await wire.peer("p99a", "agent", ["sum99"]);
    a.peer.host({
      name: "w",
      slots: 1,
      services: [
        service("sum99", (run) => {
          const { promise, reject } = Promise.withResolvers<never>();
          run.signal.addEventListener("abort", () => {
            stopped = run.signal.reason;
            reject(stopped);
          });
          return promise;
        }),
      ],
    });
    await wire.known("sum99", 1);
    const handle = await a.peer.submitters.submit("sum99", {}, { retry: { attempts: 1 } });
    await until(() => a.peer.contractors.running === 1, "the contract");
    const about = { v: 1, owner: "p99a", task: handle.task, epoch: 1 };
    for (const [name, role] of [
      ["p99s", "submitter"],
      ["p99i", "initiator"],
    ] as const) {
      expect(stopped).toBeUndefined();
      const who = await wire.stranger(name, role);
      await who.announce("main", {});
      who.answerWho("main");
      const from = `${name}.main`;
      if (role === "initiator") {
        await who.request("mesh.live.p99a.w", msgpack({ ...about, kind: "live", from }));
      }
      who.publish(`mesh.msg.p99a.w.${from}`, msgpack({ ...about, kind: "fenced" }));
      await who.nc.flush();
    }
    await until(() => stopped !== undefined, "the abort");
    expect(a.peer.counters.get("refused.cancel.E_ROLE")).toBe(1);
  });

  test("P9.10: a contractor that is cut off for a lease stops", async () => {
    const ina = await wire.peer("p910i", "agent", [], { leaseMs: 1 });
    const con = await wire.peer("p910c", "contractor", ["sum910"]);
    let stopped: unknown;
    let begun = false;
    con.peer.host({
      name: "w",
      slots: 1,
      services: [
        service("sum910", (run) => {
          begun = true;
          const { promise, reject } = Promise.withResolvers<never>();
          run.signal.addEventListener("abort", () => {
            stopped = run.signal.reason;
            reject(stopped);
          });
          return promise;
        }),
      ],
    });
    await wire.known("sum910", 1);
    await ina.peer.submitters.submit("sum910", {}, { retry: { attempts: 1 } });
    await until(() => begun, "the work");
    await con.transport.connection.close();
    await until(() => stopped !== undefined, "the abort");
    expect(stopped).toMatchObject({ code: "E_LOST" });
  });

  test("P9.6, P9.9: a silent contractor is replaced, told so, and cannot commit", async () => {
    const sue = await wire.peer("p96s", "agent", [], { silenceMs: 150 });
    const dumb = await silentContractor("p96d", "sum96");
    const handle = await sue.peer.submitters.submit("sum96", {}, { retry: { backoffMs: 1 } });
    const claimed = await dumb.claimed;
    const b = await wire.peer("p96b", "contractor", ["sum96"]);
    specs(b, "sum96", Promise.resolve());
    expect(await handle.result()).toBe(2);
    const late: Partial<Outcome> = {
      v: 1,
      kind: "outcome",
      task: handle.task,
      epoch: 1,
      state: "completed",
      output: 1,
      attempts: 1,
      endedAt: Date.now(),
      prev: "",
    };
    // Back from the dead: its first sign of life is answered.
    const told = new Tap(dumb.who, "mesh.msg.p96d.>");
    await told.ready();
    const tasks = [[handle.owner, handle.task, 1]];
    dumb.who.publish(
      "mesh.beat.p96s.main.p96d.w",
      msgpack({ v: 1, kind: "beat", tasks, lagMs: 0 }),
    );
    const fenced = await told.until((m) => m.decoded<{ kind: string }>().kind === "fenced", "word");
    expect(fenced.decoded()).toMatchObject({ task: handle.task, epoch: 1 });
    const answer = await dumb.who.store({
      key: { ...claimed.key, kind: "outcome", toPrincipal: "p96s", toAgent: "main" },
      body: json(late),
      fence: claimed.rev,
    });
    expect(answer.error?.err_code).toBe(10071);
  }, 20_000);
});

/** Bids best, claims as one should, and then says nothing. */
async function silentContractor(name: string, capability: string) {
  const who: Stranger = await wire.stranger(name, "contractor", [capability]);
  await who.announce("w", { capabilities: [{ name: capability, version: "1.0.0" }] });
  who.answerWho("w");
  who.nc.subscribe(`mesh.cfp.${capability}.all.*.*`, {
    callback: (_, m) => who.publish(`${m.reply}.${name}.w`, msgpack(makeBid())),
  });
  const awards = new Tap(who, `mesh.award.${name}.>`);
  await awards.ready();
  const claimed = awards
    .until(() => true, "the award")
    .then(async (m) => {
      const award = m.decoded<{ terms: Uint8Array; sig: Uint8Array }>();
      const terms = termsIn(award.terms);
      const key = {
        owner: terms.owner,
        task: terms.task,
        kind: "contract" as const,
        n: "1",
        toPrincipal: "p96s",
        toAgent: "main",
        fromPrincipal: name,
        fromAgent: "w",
      };
      const { seq = 0 } = await who.store({
        key,
        fence: terms.rev,
        body: json({
          v: 1,
          kind: "contract",
          task: terms.task,
          epoch: 1,
          attempt: 1,
          capability,
          contractor: `${name}.w`,
          initiator: terms.initiator,
          leaseMs: terms.leaseMs,
          award: {
            terms: Buffer.from(award.terms).toString("base64url"),
            sig: Buffer.from(award.sig).toString("base64url"),
          },
          prev: terms.prev,
          at: Date.now(),
        }),
      });
      return { key, rev: seq };
    });
  return { who, claimed };
}

test("P9.7: a read that is older than what is known is not acted upon", () => {
  const bench = new Bench();
  bench.field = fieldOf(1);
  const t = bench.task();
  step(t, { on: "begin" }, bench.context);
  step(t, { on: "bid", cfp: t.cfp, from: "b.w", bid: makeBid() }, bench.context);
  step(t, { on: "contract", rev: 7, head: "h7", epoch: 1, from: "b.w" }, bench.context);
  bench.taken();
  const view = { ...foldTask([]), spec: t.spec, rev: 6, head: "h6" };
  step(t, { on: "adopt", view }, bench.context);
  expect([t.phase, t.rev, bench.taken()]).toEqual(["running", 7, []]);
});
