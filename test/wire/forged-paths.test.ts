// Deliveries that the server was led to make, and subjects that look like patterns.
import { describe, expect, test } from "vitest";
import { recordSubject } from "../../contracts/subjects.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import {
  bodyOf,
  con,
  endsRight,
  type Held,
  held,
  ina,
  keyOf,
  mal,
  olga,
  sue,
  wes,
  wire,
} from "./cast.ts";
import { awardOf, counted, json, msgpack, termsOf, until } from "./fixture.ts";

describe("a delivery that the server was led to make", () => {
  /** Stores bytes as an artefact and has the server send them to any subject. */
  async function redirect(
    to: string,
    payload: Uint8Array,
    id: string,
    head: Record<string, string> = {},
  ): Promise<void> {
    await con.request(`$O.mesh_artifacts.C.${id}`, payload, head);
    const get = "$JS.API.DIRECT.GET.OBJ_mesh_artifacts.$O.mesh_artifacts.C";
    con.nc.publish(`${get}.${id}`, "", { reply: to });
  }

  const cases: [string, string, () => OpenPeer, (h: Held) => Uint8Array][] = [
    [
      "msg",
      "mesh.msg.ina.main.wes.main",
      () => ina,
      (h) =>
        msgpack({
          v: 1,
          kind: "done",
          owner: "sue",
          task: h.task,
          epoch: 1,
          rev: 99,
          state: "completed",
        }),
    ],
    [
      "award",
      "mesh.award.wes.main.mal.main",
      () => wes,
      (h) =>
        awardOf(
          termsOf(h.spec, h.specBytes, {
            initiator: "mal.main",
            contractor: "wes.main",
            rev: h.rev,
          }),
          h.specBytes,
          mal.key,
        ),
    ],
    [
      "cfp",
      "mesh.cfp.echo.all.ina.main",
      () => wes,
      () => msgpack({ v: 1, kind: "cfp", cfp: "c1", task: "t", priority: 5, windowMs: 20 }),
    ],
    ["beat", "mesh.beat.ina.main.wes.main", () => ina, (h) => beat(h)],
    [
      "offer",
      "mesh.offer.wes.main.ina.main",
      () => wes,
      () =>
        msgpack({
          v: 1,
          kind: "offer",
          capability: "echo",
          urgency: 1,
          call: { v: 1, kind: "cfp", cfp: "c1", task: "t", priority: 5, windowMs: 20 },
        }),
    ],
    [
      "live",
      "mesh.live.wes.main",
      () => wes,
      (h) =>
        msgpack({ v: 1, kind: "live", owner: "sue", task: h.task, epoch: 1, from: "mal.main" }),
    ],
    ["door", "mesh.submit.echo", () => ina, () => json({ n: 1 })],
    ["door", "mesh.call.echo", () => ina, () => json({ n: 1 })],
  ];

  function beat(h: Held): Uint8Array {
    return msgpack({ v: 1, kind: "beat", tasks: [["sue", h.task, 1]], lagMs: 0 });
  }

  test.each(cases)("is refused as %s on %s", async (what, to, at, payload) => {
    const h = await held();
    const counter = `refused.${what}.E_FORGED_PATH`;
    const before = counted(at(), counter);
    // A task that ended is let go a moment later, once its outcome was looked up.
    await until(() => ina.peer.initiators.open === 1, "the ended ones to be let go");
    const open = ina.peer.initiators.open;
    await redirect(to, payload(h), `r${h.task}`);
    await until(() => counted(at(), counter) === before + 1, "counted");
    expect(ina.peer.initiators.open).toBe(open);
    await endsRight(h);
  });

  test("is no bid", async () => {
    const tap = olga.nc.subscribe("mesh.cfp.vacant.*.ina.main", { max: 1 });
    await olga.nc.flush();
    // Nobody serves it, so that the call stays open for a while.
    const waiting = await sue.peer.submitters.submit("vacant", {}, { timeoutMs: 5_000 });
    let cfp = "";
    for await (const m of tap) cfp = (m.reply ?? "").split(".")[4] ?? "";
    const before = counted(ina, "refused.bid.E_FORGED_PATH") + counted(ina, "bid.late");
    const bid = {
      startMs: 0,
      durationMs: 0,
      cost: 0,
      confidence: 1,
      load: 0,
      slots: 1,
      validMs: 9,
    };
    await redirect(
      `mesh.bid.ina.main.${cfp}.wes.main`,
      msgpack({ v: 1, kind: "bid", ...bid }),
      "bid",
    );
    await until(
      () => counted(ina, "refused.bid.E_FORGED_PATH") + counted(ina, "bid.late") > before,
      "counted",
    );
    await waiting.cancel();
  });

  test("is no notice of a record", async () => {
    const h = await held();
    const before = counted(ina, "refused.record.E_FORGED_PATH");
    for (const kind of ["outcome", "cancel", "contract"] as const) {
      const to = `mesh.rec.sue.ina.main.${kind}.wes.main.${h.task}`;
      await redirect(to, bodyOf(h, kind), `n${kind}${h.task}`);
    }
    await until(() => counted(ina, "refused.record.E_FORGED_PATH") === before + 3, "counted");
    await endsRight(h);
  });

  test("is none the better for headers that imitate the server's", async () => {
    const h = await held();
    const records = counted(ina, "refused.record.E_FORGED_PATH");
    const cards = counted(ina, "refused.card.E_FORGED_PATH");
    const key = keyOf(h, "outcome", { fromPrincipal: "wes" });
    const asRecord = { "Nats-Subject": recordSubject(key), "Nats-Sequence": "99" };
    const asLeave = {
      "Nats-Stream": "KV_mesh_agents",
      "Nats-Subject": "$KV.mesh_agents.wes.main",
      "KV-Operation": "DEL",
    };
    await redirect(
      `mesh.rec.sue.ina.main.outcome.wes.main.${h.task}`,
      bodyOf(h, "outcome"),
      `s${h.task}`,
      asRecord,
    );
    await redirect("mesh.card.wes.main", new Uint8Array(0), `l${h.task}`, asLeave);
    await until(() => counted(ina, "refused.record.E_FORGED_PATH") > records, "the notice refused");
    await until(() => counted(ina, "refused.card.E_FORGED_PATH") > cards, "the leave refused");
    expect(ina.peer.registry.card("wes.main")?.slots).toBe(50);
    await endsRight(h);
  });

  test("gives a record no other place or revision than the server's", async () => {
    const h = await held();
    const [subject, body, head] = con.record({
      key: keyOf(h, "failure"),
      body: bodyOf(h, "failure"),
      fence: h.contractRev,
    });
    const wes = recordSubject(keyOf(h, "failure", { fromPrincipal: "wes" }));
    const spoofed = { "Nats-Subject": wes, "Nats-Sequence": String(2 ** 50), ...head };
    const answer = (await con.request(subject, body, spoofed)).json<{ seq: number }>();
    const record = (await ina.peer.deps.records.read("sue", h.task)).at(-1);
    expect(record).toMatchObject({ rev: answer.seq, from: "con.main" });
    await endsRight(h);
  });

  test("is no notice of a card, nor of a leave", async () => {
    const before = counted(ina, "refused.card.E_FORGED_PATH");
    await redirect("mesh.card.wes.main", json({ v: 1 }), "card");
    // Nothing is stored under this id: the server's empty answer looks like a leave.
    const get = "$JS.API.DIRECT.GET.OBJ_mesh_artifacts.$O.mesh_artifacts.C.nothing";
    con.nc.publish(get, "", { reply: "mesh.card.wes.main" });
    await until(() => counted(ina, "refused.card.E_FORGED_PATH") === before + 2, "counted");
    expect(ina.peer.registry.card("wes.main")?.slots).toBe(50);
  });

  test("an acknowledgement of the store is no message", async () => {
    const h = await held();
    const subjects: [string, OpenPeer][] = [
      ["msg", ina],
      ["award", wes],
      ["offer", wes],
      ["beat", ina],
      ["live", wes],
    ];
    for (const [verb, peer] of subjects) {
      const to = peer === wes ? "wes.main" : "ina.main";
      const subject = verb === "live" ? `mesh.live.${to}` : `mesh.${verb}.${to}.ina.main`;
      const before = counted(peer, `refused.${verb}.E_KIND`);
      con.publish(`$O.mesh_artifacts.C.ack${verb}`, "x", {}, subject);
      await until(() => counted(peer, `refused.${verb}.E_KIND`) === before + 1, `${verb} counted`);
    }
    await endsRight(h);
  });
});

describe("literal wildcards in published subjects", () => {
  test("in records and cards, do nobody any harm", async () => {
    const h = await held();
    const body = bodyOf(h, "outcome", { award: undefined });
    for (const key of [
      keyOf(h, "outcome", { owner: "*" }),
      keyOf(h, "outcome", { owner: ">" }),
      keyOf(h, "outcome", { task: "*" }),
      keyOf(h, "outcome", { task: ">" }),
      keyOf(h, "cancel", { owner: "*", task: "*" }),
      keyOf(h, "spec", { owner: "*", task: "*", n: "0-1" }),
    ]) {
      con.publish(recordSubject(key), body);
    }
    const seats = ina.peer.registry.size;
    for (const agent of ["*", ">", "a>", "*b"]) {
      const { body: card, seal } = con.card(agent);
      con.publish(`mesh.reg.con.${agent}`, card, { "Mesh-Sig": seal });
      con.publish(`mesh.key.con.${agent}`, card, { "Mesh-Sig": seal });
    }
    await con.nc.flush();
    await endsRight(h);
    expect(ina.peer.registry.size).toBe(seats);
    const ivy = await wire.peer("ivy", "initiator");
    expect(ivy.peer.registry.card("wes.main")).toBeDefined();
    await ivy.close(0);
  });

  test("in messages between peers, are no addresses", async () => {
    const before = wes.peer.counters.snapshot();
    for (const subject of [
      // For no agent, and so heard by nobody.
      "mesh.award.wes.*.mal.main",
      "mesh.award.wes.>.mal.main",
      "mesh.award.wes.main.mal.*",
      "mesh.offer.wes.*.mal.main",
      "mesh.msg.wes.main.mal.*",
      "mesh.cfp.echo.all.mal.*",
    ]) {
      mal.nc.publish(subject, "{}");
    }
    await until(
      () => counted(wes, "refused.") >= sum(before) + 4,
      () => JSON.stringify(wes.peer.counters.snapshot()),
    );
  });

  function sum(all: Record<string, number>): number {
    return Object.entries(all).reduce((n, [k, v]) => (k.startsWith("refused.") ? n + v : n), 0);
  }
});
