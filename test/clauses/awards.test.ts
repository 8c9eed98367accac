// Clauses 7: awards and claims.
import { describe, expect, test } from "vitest";
import {
  type AwardTerms,
  type Bid,
  type Contract,
  ContractSchema,
  type SeenBid,
  type Spec,
} from "../../contracts/index.ts";
import { step } from "../../mesh/core/initiator.ts";
import { NAMED, type Policy, rank, recompute } from "../../mesh/core/policy.ts";
import { credentialsOf } from "../../mesh/local.ts";
import { verifySignature } from "../../mesh/nats/identity/keys.ts";
import { decode, RECORD_LIMITS } from "../../mesh/runtime/codec/codec.ts";
import { bidsOf } from "../../mesh/runtime/seen-bids.ts";
import { termsOf as sealedTerms } from "../../mesh/runtime/tender.ts";
import { useClauses } from "../support/clauses.ts";
import { Bench, fieldOf, makeBid, makeScored } from "../support/core.ts";
import { Tap, termsIn } from "../support/tap.ts";
import {
  awardOf,
  gate,
  hashOf,
  json,
  msgpack,
  service,
  signedText,
  specOf,
  termsOf,
  until,
} from "../wire/fixture.ts";

const wire = useClauses();

interface AwardMessage {
  v: 1;
  kind: "award";
  terms: Uint8Array;
  sig: Uint8Array;
  spec: Uint8Array;
  bids: Uint8Array;
}

/** A participant of our own that bids on every call it hears. */
async function bidderOf(name: string, capability: string, over: Partial<Bid> = {}) {
  const who = await wire.stranger(name, "contractor", [capability]);
  await who.announce("w", { capabilities: [{ name: capability, version: "1.0.0" }] });
  who.answerWho("w");
  const tap = new Tap(who, `mesh.award.${name}.>`);
  for (const rung of ["all", "s8", "s2"]) {
    who.nc.subscribe(`mesh.cfp.${capability}.${rung}.*.*`, {
      callback: (_, m) => who.publish(`${m.reply}.${name}.w`, msgpack(makeBid(over))),
    });
  }
  await tap.ready();
  return { who, tap };
}

describe("awards on the wire", () => {
  test("P7.1, P7.2: signed terms and the spec's bytes, for the epoch after the last", async () => {
    const sue = await wire.peer("p71s", "agent");
    const { tap } = await bidderOf("p71b", "sum71", { durationMs: 42 });
    const records = new Tap(await wire.stranger("p71tap", "observer"), "mesh.rec.p71s.>");
    await records.ready();
    const handle = await sue.peer.submitters.submit("sum71", { x: 1 }, {});
    const spec = await records.until((m) => m.subject.includes(".spec."));
    const award = (await tap.until(() => true, "the award")).decoded<AwardMessage>();
    const terms = termsIn(award.terms, award.bids);
    expect(Buffer.from(award.spec)).toEqual(Buffer.from(spec.data));
    expect(terms).toMatchObject({
      task: handle.task,
      owner: "p71s",
      submitter: "p71s.main",
      capability: "sum71",
      epoch: 1,
      attempt: 1,
      rev: Number(spec.header("Nats-Sequence")),
      live: false,
      spec: hashOf(spec.data),
      initiator: "p71s.main",
      contractor: "p71b.w",
      rung: "all",
      deadline: (JSON.parse(Buffer.from(spec.data).toString()) as Spec).deadline,
      leaseMs: expect.any(Number),
      policy: { name: "balanced" },
    });
    expect(terms.bids).toMatchObject([{ from: "p71b.w", durationMs: 42 }]);
    const subject = "mesh.award.p71b.w.p71s.main";
    const covered = signedText(subject, terms.rev, terms.at, terms.nonce, award.terms);
    const key = sue.peer.options.signer?.publicKey ?? "";
    expect(verifySignature(key, covered, Buffer.from(award.sig))).toBe(true);
    await handle.cancel();
  });

  test("P7.16: an award that nobody hears counts as refused; the next best gets it", async () => {
    const a = await wire.peer("p716a", "agent", ["sum716"]);
    a.peer.host({
      name: "w",
      slots: 1,
      services: [service("sum716", async () => ({ output: "done" }))],
    });
    const ghost = await wire.stranger("p716g", "contractor", ["sum716"]);
    await ghost.announce("w", { capabilities: [{ name: "sum716", version: "1.0.0" }] });
    ghost.answerWho("w");
    ghost.nc.subscribe("mesh.cfp.sum716.all.*.*", {
      callback: (_, m) => ghost.publish(`${m.reply}.p716g.w`, msgpack(makeBid({ durationMs: 99 }))),
    });
    await ghost.nc.flush();
    await wire.known("sum716", 2);
    const swift = { award: { policy: "fastest" }, hints: { durationMs: 1_000 } } as const;
    const handle = await a.peer.submitters.submit("sum716", {}, swift);
    expect(await handle.outcome()).toMatchObject({ state: "completed", output: "done" });
    expect(a.peer.counters.get("awards.unheard")).toBe(1);
    const named = await a.peer.submitters.submit("sum716", {}, { to: "p716g.w" });
    expect(await named.outcome()).toMatchObject({ state: "completed", output: "done" });
    expect(a.peer.counters.get("awards.unheard")).toBe(2);
  });

  test("P7.16: no other process of its principal hears an award in its stead", async () => {
    const creds = await wire.mesh.mint("p716t", "agent", ["sum716t"]);
    const known = { ...credentialsOf(creds, wire.mesh.home), agent: "self" };
    const twin = await wire.peer("p716t", "agent", ["sum716t"], known);
    twin.peer.host({
      name: "here",
      slots: 1,
      services: [service("sum716t", async () => ({ output: 0 }))],
    });
    await twin.transport.flush();
    const ida = await wire.stranger("p716i", "initiator");
    const award = (to: string) =>
      ida.request(`mesh.award.p716t.${to}.p716i.main`, msgpack({ v: 1, kind: "award" }));
    await expect(award("gone")).rejects.toThrow(/no responders/);
    void award("here").catch(() => "no answer is due");
    await until(
      () => twin.peer.counters.get("refused.award.E_SCHEMA") === 1,
      "the award that was heard",
    );
  });

  test("P7.3: awards that do not fit are dropped and counted, and nothing runs", async () => {
    let ran = 0;
    const a = await wire.peer("p73a", "contractor", ["sum73"]);
    a.peer.host({
      name: "w",
      slots: 4,
      services: [
        service("sum73", async () => {
          ran++;
          return { output: 1 };
        }),
      ],
    });
    const ida = await wire.stranger("p73i", "initiator");
    const eve = await wire.stranger("p73e", "initiator");
    for (const who of [ida, eve]) {
      await who.announce("main");
      who.answerWho("main");
    }
    const spec = specOf("p73i", "sum73");
    const bytes = json(spec);
    const terms = (over: Partial<AwardTerms> = {}) =>
      termsOf(spec, bytes, {
        live: true,
        rev: 0,
        submitter: "p73i.main",
        initiator: "p73i.main",
        contractor: "p73a.w",
        ...over,
      });
    const subject = "mesh.award.p73a.w.p73i.main";
    const old = Date.now() - 31_000;
    const cases: [code: string, message: Uint8Array][] = [
      ["E_SIGNATURE", awardOf(terms(), bytes, undefined)],
      ["E_SIGNATURE", awardOf(terms(), bytes, eve.key)],
      ["E_SENDER", awardOf(terms({ initiator: "p73e.main" }), bytes, ida.key)],
      ["E_SENDER", awardOf(terms({ contractor: "p73a.v" }), bytes, ida.key)],
      ["E_SENDER", awardOf(terms(), json({ ...spec, input: 2 }), ida.key)],
      ["E_SENDER", awardOf(terms({ bids: "others" }), bytes, ida.key)],
      ["E_STALE", awardOf(terms({ at: old }), bytes, ida.key)],
      ["E_STALE", awardOf(terms({ at: Date.now() + 31_000 }), bytes, ida.key)],
    ];
    for (const [code, message] of cases) {
      const counter = `refused.award.${code}`;
      const before = a.peer.counters.get(counter);
      ida.publish(subject, message);
      await until(() => a.peer.counters.get(counter) === before + 1, code);
    }
    expect(ran).toBe(0);
    const good = awardOf(terms(), bytes, ida.key);
    ida.publish(subject, good);
    ida.publish(subject, good);
    await until(() => a.peer.counters.get("refused.award.E_REPLAY") === 1, "the replay's refusal");
    await until(() => ran === 1, "the sound one to run");
  });

  test("P7.4: the claim is fenced by the award's revision; work begins after it", async () => {
    const tap = new Tap(await wire.stranger("p74tap", "observer"), "mesh.rec.>", "mesh.award.>");
    await tap.ready();
    const a = await wire.peer("p74a", "agent", ["sum74"]);
    let began: string[] = [];
    a.peer.host({
      name: "w",
      slots: 1,
      services: [
        service("sum74", async (run) => {
          began = await wire.recordsOf("p74a", run.spec.task);
          return { output: 1 };
        }),
      ],
    });
    await wire.known("sum74", 1);
    const handle = await a.peer.submitters.submit("sum74", {}, {});
    await handle.outcome();
    expect(began.map((subject) => subject.split(".")[4])).toEqual(["contract", "spec"]);
    const record = await tap.until((m) => m.subject.includes(".contract."));
    const contract = ContractSchema.parse(JSON.parse(Buffer.from(record.data).toString()));
    const award = tap.of("award")[0]?.decoded<AwardMessage>();
    expect(contract).toMatchObject({ task: handle.task, epoch: 1, contractor: "p74a.w" });
    expect(contract.award.terms).toBe(Buffer.from(award?.terms ?? []).toString("base64url"));
    expect(contract.award.sig).toBe(Buffer.from(award?.sig ?? []).toString("base64url"));
    expect(contract.bids).toBe(Buffer.from(award?.bids ?? []).toString("base64url"));
    const terms = termsIn(Buffer.from(contract.award.terms, "base64url"));
    expect(record.header("Nats-Expected-Last-Subject-Sequence")).toBe(String(terms.rev));
  });

  test("P7.5: a winner that refuses costs no new call", async () => {
    const sue = await wire.peer("p75s", "agent");
    const order: string[] = [];
    const refusing = async (name: string, durationMs: number, refuse: boolean) => {
      const { who } = await bidderOf(name, "sum75", { durationMs });
      who.nc.subscribe(`mesh.award.${name}.>`, {
        callback: (_, m) => {
          order.push(name);
          const terms = termsIn(heardAward(m.data).terms);
          if (refuse) {
            who.publish(
              `mesh.bid.${terms.initiator}.${terms.cfp}.${name}.w`,
              msgpack({
                v: 1,
                kind: "refusal",
                reason: "busy",
                award: true,
              }),
            );
          }
        },
      });
      await who.nc.flush();
    };
    await refusing("p75a", 1, true);
    await refusing("p75b", 100, true);
    await refusing("p75c", 1_000, false);
    await wire.known("sum75", 3);
    const call = await sue.peer.submitters.call("sum75", {}, { award: { policy: "fastest" } });
    await until(() => order.length === 3, "three awards");
    expect(order).toEqual(["p75a", "p75b", "p75c"]);
    expect(sue.peer.counters.get("calls.all")).toBe(1);
    await call.cancel();
  });

  test("P7.7: the terms let anybody recompute the choice", async () => {
    const tap = new Tap(await wire.stranger("p77tap", "observer"), "mesh.rec.p77s.>");
    await tap.ready();
    const sue = await wire.peer("p77s", "agent", ["sum77"]);
    for (let i = 0; i < 6; i++) {
      sue.peer.host({
        name: `w${i}`,
        slots: 2,
        services: [
          service(
            "sum77",
            async () => ({
              output: i,
            }),
            { bid: (_, own) => ({ ...own, durationMs: 100 + i, cost: 6 - i }) },
          ),
        ],
      });
    }
    await wire.known("sum77", 6);
    for (const policy of ["fastest", "cheapest", "balanced"]) {
      const { task } = await sue.peer.submitters.submit("sum77", {}, { award: { policy } });
      const m = await tap.until(
        (heard) => heard.subject.includes(".contract.") && heard.subject.endsWith(task),
      );
      const contract = JSON.parse(Buffer.from(m.data).toString()) as Contract;
      const sealed = Buffer.from(contract.award.terms, "base64url");
      const terms = termsIn(sealed, bidsOf(contract));
      const facts = { leftMs: terms.policy.leftMs, budget: undefined, weights: undefined };
      const named = NAMED[terms.policy.name] as Policy;
      const scores = terms.bids.map((b) => b.score);
      expect(recompute(terms.bids, named, facts)).toEqual(scores);
      const again = rank(terms.bids.map(bidAgain), named, facts, terms.policy.seed);
      expect(again.map((b) => b.score).sort()).toEqual([...scores].sort());
      const best = Math.min(...scores);
      expect(scores[0]).toBeLessThanOrEqual(best * (1 + terms.policy.band));
      expect(terms.policy.hash).toMatch(/^[A-Za-z0-9_-]{43}$/);
    }
  });

  test("P7.10: an unknown policy is rejected with words that help", async () => {
    const sue = await wire.peer("p710s", "agent");
    const handle = await sue.peer.submitters.submit("sum710", {}, { award: { policy: "mine" } });
    const outcome = await handle.outcome();
    expect(outcome).toMatchObject({ state: "rejected", failure: { code: "E_POLICY" } });
    expect(outcome.failure?.message).toContain("balanced");
  });

  test("P7.11: a named agent is awarded without a call; with `only` nobody else", async () => {
    const hold = gate();
    const a = await wire.peer("p711a", "agent", ["sum711"]);
    const ran: string[] = [];
    for (const name of ["w", "v"]) {
      a.peer.host({
        name,
        slots: 1,
        services: [
          service("sum711", async () => {
            ran.push(name);
            if (name === "w") await hold.promise;
            return { output: name };
          }),
        ],
      });
    }
    await wire.known("sum711", 2);
    const options = { to: "p711a.w", only: true };
    const first = await a.peer.submitters.submit("sum711", {}, options);
    await until(() => a.peer.contractors.running === 1, "the contract");
    expect(a.peer.counters.get("calls.all")).toBe(0);
    const second = await a.peer.submitters.submit("sum711", {}, options);
    await until(() => a.peer.counters.get("waits") === 1, "the second to wait for its agent");
    hold.open();
    expect(await Promise.all([first.result(), second.result()])).toEqual(["w", "w"]);
    expect(ran).toEqual(["w", "w"]);
  });
});

describe("awards in the core", () => {
  function awarded(over = {}) {
    const bench = new Bench();
    bench.field = fieldOf(2);
    const t = bench.task({ award: { policy: "fastest" }, ...over });
    step(t, { on: "begin" }, bench.context);
    return { bench, t };
  }

  test("P7.6: an award without an answer is given up after two seconds", () => {
    const { bench, t } = awarded();
    for (const [from, durationMs] of [
      ["b.w", 1],
      ["c.w", 9],
    ] as const) {
      const bid = makeBid({ durationMs, validMs: 5_000 });
      step(t, { on: "bid", cfp: t.cfp, from, bid }, bench.context);
    }
    expect(bench.taken()).toMatchObject([{ do: "call" }, { do: "award", to: "b.w" }]);
    expect(t.dueAt - bench.context.now).toBe(2_000);
    bench.advance(2_000);
    step(t, { on: "due" }, bench.context);
    expect(bench.taken()).toMatchObject([{ do: "award", to: "c.w" }]);
  });

  test("P7.8: neither a bid over budget nor one past its validity is awarded", () => {
    const dear = awarded({ budget: 5 });
    for (const [from, cost] of [
      ["b.w", 6],
      ["c.w", 7],
    ] as const) {
      step(
        dear.t,
        { on: "bid", cfp: dear.t.cfp, from, bid: makeBid({ cost }) },
        dear.bench.context,
      );
    }
    expect(dear.bench.taken().some((e) => e.do === "award")).toBe(false);
    expect(dear.t.phase).toBe("waiting");
    const old = awarded();
    step(
      old.t,
      { on: "bid", cfp: old.t.cfp, from: "b.w", bid: makeBid({ validMs: 5 }) },
      old.bench.context,
    );
    old.bench.advance(20);
    step(old.t, { on: "due" }, old.bench.context);
    expect(old.bench.taken().some((e) => e.do === "award")).toBe(false);
  });

  test("P7.9: a refusal as stale makes the initiator read before it goes on", () => {
    const { bench, t } = awarded();
    for (const from of ["b.w", "c.w"]) {
      step(t, { on: "bid", cfp: t.cfp, from, bid: makeBid() }, bench.context);
    }
    const [, award] = bench.taken();
    const from = award?.do === "award" ? award.to : "";
    step(
      t,
      { on: "refusal", cfp: t.cfp, from, award: true, reason: "stale", freeInMs: undefined },
      bench.context,
    );
    expect(bench.taken()).toEqual([{ do: "reread" }]);
  });

  test("P7.15: a slot that one task was given is not awarded to another by the same bid", () => {
    const { bench, t } = awarded({ award: { policy: "cheapest" } });
    const other = bench.task({ task: "t2", award: { policy: "cheapest" } });
    step(other, { on: "begin" }, bench.context);
    bench.advance(1);
    bench.taken();
    const bids = (one: typeof t) => {
      for (const [from, cost] of [
        ["cheap.w", 1],
        ["dear.w", 9],
      ] as const) {
        step(one, { on: "bid", cfp: one.cfp, from, bid: makeBid({ cost }) }, bench.context);
      }
      const award = bench.taken().find((e) => e.do === "award");
      return award?.do === "award" ? award.to : undefined;
    };
    expect([bids(t), t.spoken]).toEqual(["cheap.w", []]);
    // As the desk does when it sends the award.
    bench.spoken.add("cheap.w", bench.context.now);
    expect([bids(other), other.spoken]).toEqual(["dear.w", ["cheap.w"]]);
    const terms = { to: "dear.w", order: other.order, bids: "", spec: "", initiator: "i.main" };
    const more = { policyHash: "", leaseMs: undefined, at: 0, nonce: "n" };
    expect(sealedTerms(other, { ...terms, ...more }).spoken).toEqual(["cheap.w"]);
  });
});

function heardAward(data: Uint8Array): AwardMessage {
  const raw = decode(data, RECORD_LIMITS);
  if (!raw.ok) throw new Error(raw.detail);
  return raw.value as unknown as AwardMessage;
}

function bidAgain(b: SeenBid) {
  const scored = makeScored(b.from, {
    startMs: b.startMs,
    cost: b.cost,
    load: b.load,
  });
  return {
    ...scored,
    believed: { durationMs: b.calibratedMs, confidence: b.calibratedConfidence },
  };
}
