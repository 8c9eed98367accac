// Clauses 1: names and subjects.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as s from "../../contracts/index.ts";
import { useClauses } from "../support/clauses.ts";
import { publishVerdict, subscribeVerdict } from "../support/permissions.ts";

const wire = useClauses();
const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);

describe("names", () => {
  const schemas = [
    s.PrincipalSchema,
    s.AgentNameSchema,
    s.CapabilityNameSchema,
    s.TaskIdSchema,
    s.TokenSchema,
  ];

  test("P1.1: a name is one token of 1 to 64 characters", () => {
    const bad = ["", "a.b", "a b", "a*", ">", "é", "a".repeat(65), "a\n", "$SYS"];
    for (const schema of schemas) {
      for (const name of bad) expect(schema.safeParse(name).success, name).toBe(false);
      for (const name of ["a", "_", "-", "a".repeat(64), "Ab_9-z"]) {
        expect(schema.safeParse(name).success, name).toBe(true);
      }
    }
  });

  test("P1.1: the server's door refuses another name, with one that would do", async () => {
    const peer = await wire.peer("p11", "agent", []);
    const client = await wire.stranger("p11c", "submitter");
    const answer = await client.request("mesh.submit.sum", "{}", { "Mesh-Task": "my task!" });
    expect(answer.json()).toMatchObject({ error: { code: "E_SCHEMA" } });
    expect(answer.string()).toContain("my-task");
    expect(peer.peer.counters.get("refused.door.E_SCHEMA")).toBe(1);
  });
});

describe("subjects", () => {
  test("P1.2: what is built is parsed back: verb, whom it is for, who sends", () => {
    fc.assert(
      fc.property(fc.array(token, { minLength: 8, maxLength: 8 }), (t) => {
        const [a, b, c, d, e, f, g, h] = t as [
          string,
          string,
          string,
          string,
          string,
          string,
          string,
          string,
        ];
        const directed = { toPrincipal: a, toAgent: b, fromPrincipal: c, fromAgent: d };
        for (const verb of ["award", "offer", "beat", "msg"] as const) {
          const subject = s.directedSubject(verb, `${a}.${b}`, `${c}.${d}`);
          expect(subject).toBe(`mesh.${verb}.${a}.${b}.${c}.${d}`);
          expect(s.parseDirected(verb, subject)).toEqual(directed);
        }
        expect(s.parseBidSubject(s.bidSubject(`${a}.${b}`, e, `${c}.${d}`))).toEqual({
          toPrincipal: a,
          toAgent: b,
          cfp: e,
          from: { principal: c, agent: d },
        });
        expect(s.parseCfpSubject(s.cfpSubject(a, "s8", `${c}.${d}`))).toEqual({
          capability: a,
          rung: "s8",
          fromPrincipal: c,
          fromAgent: d,
        });
        expect(s.parseIdleSubject(s.idleSubject(a, `${c}.${d}`))).toEqual({
          capability: a,
          principal: c,
          agent: d,
        });
        const key: s.RecordKey = {
          owner: a,
          task: b,
          kind: "contract",
          n: c,
          toPrincipal: d,
          toAgent: e,
          fromPrincipal: f,
          fromAgent: g,
        };
        expect(s.parseRecordSubject(s.recordSubject(key))).toEqual(key);
        expect(s.parseDoorSubject(s.fieldSubject(h))).toBe(h);
        expect(s.parseLookSubject(s.lookSubject(a, h))).toEqual({ owner: a, task: h });
      }),
    );
  });

  test("P1.2: the table of the protocol names every subject that is built", () => {
    const built = {
      cfp: s.cfpSubject("c", "s8", "p.a"),
      bid: s.bidSubject("q.b", "1", "p.a"),
      none: s.bidReplySubject("q.b", "1"),
      award: s.directedSubject("award", "q.b", "p.a"),
      idle: s.idleSubject("c", "p.a"),
      offer: s.directedSubject("offer", "q.b", "p.a"),
      beat: s.directedSubject("beat", "q.b", "p.a"),
      live: s.liveSubject("p", "a"),
      msg: s.directedSubject("msg", "q.b", "p.a"),
      reg: s.registrationSubject("p", "a"),
      key: s.keySubject("p", "a"),
      who: s.whoSubject("p", "a"),
      look: s.lookSubject("o", "t"),
      submit: s.doorSubject("submit", "c"),
    };
    expect(built).toEqual({
      cfp: "mesh.cfp.c.s8.p.a",
      bid: "mesh.bid.q.b.1.p.a",
      none: "mesh.bid.q.b.1",
      award: "mesh.award.q.b.p.a",
      idle: "mesh.idle.c.p.a",
      offer: "mesh.offer.q.b.p.a",
      beat: "mesh.beat.q.b.p.a",
      live: "mesh.live.p.a",
      msg: "mesh.msg.q.b.p.a",
      reg: "mesh.reg.p.a",
      key: "mesh.key.p.a",
      who: "mesh.who.p.a",
      look: "mesh.look.o.t",
      submit: "mesh.submit.c",
    });
  });

  test("P1.3: another number of tokens, or a wildcard inside one, is refused", () => {
    const parsers = [
      [s.parseBidSubject, "mesh.bid.a.b.c.d.e"],
      [s.parseCfpSubject, "mesh.cfp.c.s8.p.a"],
      [s.parseIdleSubject, "mesh.idle.c.p.a"],
      [s.parseRecordNotice, "mesh.rec.o.a.b.spec.c.d.t"],
      [s.parseRecordSubject, "$KV.mesh_tasks.o.t.spec.0-1.a.b.c.d"],
      [s.parseLookSubject, "mesh.look.o.t"],
      [s.parseDoorSubject, "mesh.submit.c"],
      [s.parseCardSubject, "mesh.card.p.a"],
      [(x: string) => s.parseDirected("award", x), "mesh.award.a.b.c.d"],
    ] as const;
    for (const [parse, good] of parsers) {
      expect(parse(good), good).toBeDefined();
      const last = good.lastIndexOf(".");
      for (const bad of [
        `${good}.x.y.z`,
        good.slice(0, last),
        `${good.slice(0, last)}.*`,
        `${good.slice(0, last)}.>`,
        `x${good}`,
      ]) {
        expect(parse(bad), bad).toBeUndefined();
      }
    }
  });
});

describe("what the server enforces", () => {
  test("P1.4: a principal sends in its own name only", async () => {
    const { nc } = await wire.stranger("p14", "agent", ["sum"]);
    const verbs: [own: string, others: string][] = [
      ["mesh.cfp.sum.s8.p14.x", "mesh.cfp.sum.s8.eve.x"],
      ["mesh.bid.a.b.1.p14.x", "mesh.bid.a.b.1.eve.x"],
      ["mesh.award.a.b.p14.x", "mesh.award.a.b.eve.x"],
      ["mesh.idle.sum.p14.x", "mesh.idle.sum.eve.x"],
      ["mesh.offer.a.b.p14.x", "mesh.offer.a.b.eve.x"],
      ["mesh.beat.a.b.p14.x", "mesh.beat.a.b.eve.x"],
      ["mesh.msg.a.b.p14.x", "mesh.msg.a.b.eve.x"],
      ["mesh.reg.p14.x", "mesh.reg.eve.x"],
      ["mesh.key.p14.x", "mesh.key.eve.x"],
      ["mesh.look.p14.t", "mesh.look.eve.t"],
    ];
    for (const [own, others] of verbs) {
      expect([own, await publishVerdict(nc, own)]).toEqual([own, "permitted"]);
      expect([others, await publishVerdict(nc, others)]).toEqual([others, "refused"]);
    }
    const rec = "$KV.mesh_tasks.p14.t.contract.1.a.b.eve.x";
    expect(await publishVerdict(nc, rec)).toBe("refused");
    expect(await publishVerdict(nc, "mesh.card.p14.x")).toBe("refused");
    expect(await publishVerdict(nc, "mesh.rec.p14.a.b.spec.p14.x.t")).toBe("refused");
  });

  test("P1.5: a principal receives what is addressed to it, and nothing else", async () => {
    const { nc } = await wire.stranger("p15", "agent", ["sum"]);
    for (const verb of ["bid", "award", "offer", "beat", "msg"]) {
      expect([verb, await subscribeVerdict(nc, `mesh.${verb}.p15.>`)]).toEqual([verb, "permitted"]);
      for (const other of [`mesh.${verb}.eve.>`, `mesh.${verb}.>`, "mesh.>"]) {
        expect([other, await subscribeVerdict(nc, other)]).toEqual([other, "refused"]);
      }
    }
    expect(await subscribeVerdict(nc, "mesh.rec.*.p15.>")).toBe("permitted");
    expect(await subscribeVerdict(nc, "mesh.rec.p15.>")).toBe("permitted");
    for (const other of [
      "mesh.rec.eve.>",
      "mesh.rec.*.eve.>",
      "mesh.rec.>",
      "_INBOX.eve.>",
      "_INBOX.>",
      "$KV.mesh_tasks.>",
    ]) {
      expect([other, await subscribeVerdict(nc, other)]).toEqual([other, "refused"]);
    }
  });

  test("P1.6: calls are heard for granted capabilities only", async () => {
    const { nc } = await wire.stranger("p16", "contractor", ["sum"]);
    expect(await subscribeVerdict(nc, "mesh.cfp.sum.s8.*.*")).toBe("permitted");
    for (const other of ["mesh.cfp.ocr.s8.*.*", "mesh.cfp.*.all.*.*", "mesh.cfp.>"]) {
      expect([other, await subscribeVerdict(nc, other)]).toEqual([other, "refused"]);
    }
  });
});
