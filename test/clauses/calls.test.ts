// Clauses 5 and 6: calls, bids, refusals, windows.
import { describe, expect, test } from "vitest";
import {
  type Answer,
  AnswerSchema,
  BIDS_MAX,
  BidSchema,
  type Cfp,
  CfpSchema,
  FieldQuerySchema,
  SAMPLE_RUNGS,
  SAMPLES,
  WINDOW_MS_MAX,
} from "../../contracts/index.ts";
import { step } from "../../mesh/core/initiator.ts";
import { UNKNOWN_FIELD } from "../../mesh/core/initiator-choice.ts";
import { groupOf } from "../../mesh/core/match.ts";
import { useClauses } from "../support/clauses.ts";
import { Bench, fieldOf, makeBid } from "../support/core.ts";
import { type Heard, Tap } from "../support/tap.ts";
import { gate, msgpack, type Stranger, service, until } from "../wire/fixture.ts";

const wire = useClauses();
const echo = (name: string) => service(name, async (run) => ({ output: run.input }));

/** An initiator of our own, that only calls. */
class Caller {
  readonly who: Stranger;
  readonly tap: Tap;
  #calls = 0;

  constructor(who: Stranger) {
    this.who = who;
    this.tap = new Tap(who, `mesh.bid.${who.name}.>`);
  }

  call(capability: string, rung: string, over: Partial<Cfp> = {}): string {
    const cfp = `c${++this.#calls}`;
    const call: Cfp = { v: 1, kind: "cfp", cfp, task: "t", priority: 5, windowMs: 20, ...over };
    const me = `${this.who.name}.main`;
    this.who.publish(
      `mesh.cfp.${capability}.${rung}.${me}`,
      msgpack(call),
      {},
      `mesh.bid.${me}.${cfp}`,
    );
    return cfp;
  }

  answers(cfp: string): Heard[] {
    return this.tap.seen.filter((m) => m.subject.split(".")[4] === cfp);
  }

  async first(cfp: string): Promise<Answer> {
    const m = await this.tap.until((heard) => heard.subject.split(".")[4] === cfp, cfp);
    return AnswerSchema.parse(m.decoded());
  }
}

async function callerOf(name: string): Promise<Caller> {
  return new Caller(await wire.stranger(name, "initiator"));
}

describe("calls", () => {
  test("P5.1: a call says what is asked, and not the input", async () => {
    const tap = new Tap(await wire.stranger("p51tap", "observer"), "mesh.cfp.>", "mesh.award.>");
    await tap.ready();
    const a = await wire.peer("p51a", "agent", ["sum"]);
    a.peer.host({ name: "w", slots: 1, services: [echo("sum")] });
    await wire.known("sum", 1);
    const secret = "the-input-itself";
    const handle = await a.peer.submitters.submit("sum", { secret }, { priority: 7, budget: 3 });
    await handle.outcome();
    const calls = tap.of("cfp");
    expect(calls.length).toBeGreaterThan(0);
    for (const m of calls) {
      expect(CfpSchema.strict().parse(m.decoded())).toMatchObject({
        task: handle.task,
        priority: 7,
        costMax: 3,
        deadline: expect.any(Number),
      });
      expect(Buffer.from(m.data).includes(secret)).toBe(false);
    }
    expect(Buffer.from(tap.of("award")[0]?.data ?? []).includes(secret)).toBe(true);
  });

  test("P5.2: the rung follows how many could do it, how long it takes, what is wanted", () => {
    const rungOf = (agents: number, offering = agents, over = {}) => {
      const bench = new Bench();
      bench.field = fieldOf(agents, offering);
      const t = bench.task(over);
      step(t, { on: "begin" }, bench.context);
      return t.rung;
    };
    expect([rungOf(0), rungOf(6), rungOf(7), rungOf(1_000)]).toEqual(["all", "all", "s4", "s4"]);
    const special = { requires: { gpu: true } };
    expect([rungOf(10, 32, special), rungOf(30, 32, special)]).toEqual(["all", "all"]);
    expect([rungOf(49, 99, special), rungOf(50, 99, special)]).toEqual(["all", "s4"]);
    const short = { hints: { durationMs: 50 } };
    const long = { hints: { durationMs: 51 } };
    const wanting = (policy: string) => rungOf(20, 20, { award: { policy } });
    expect(["balanced", "fastest", "cheapest", "deadline", "hybrid"].map(wanting)).toEqual([
      ...["s4", "s8", "s8", "s8", "s8"],
    ]);
    expect([rungOf(20, 20, { budget: 3 }), rungOf(20, 20, { ...short, budget: 3 })]).toEqual([
      ...["s8", "s2"],
    ]);
    expect([rungOf(20, 20, short), rungOf(20, 20, long)]).toEqual(["s2", "s4"]);
  });

  test("P5.3: a sample reaches one agent of each of its groups", async () => {
    const agents = Array.from({ length: 40 }, (_, i) => `w${i}`);
    const a = await wire.peer("p53a", "agent", ["sum53"]);
    for (const name of agents) a.peer.host({ name, slots: 1, services: [echo("sum53")] });
    await wire.known("sum53", 40);
    const caller = await callerOf("p53c");
    for (const rung of SAMPLE_RUNGS) {
      const groups = SAMPLES[rung];
      const seats = new Set(agents.map((name) => groupOf(`p53a.${name}`, groups)));
      const cfp = caller.call("sum53", rung);
      await until(() => caller.answers(cfp).length === seats.size, `${seats.size} answers`);
      const all = caller.call("sum53", "all");
      await until(() => caller.answers(all).length === 40, "everybody's answer to the next call");
      const answered = caller.answers(cfp).map((m) => m.subject.split(".").slice(5).join("."));
      expect(answered).toHaveLength(seats.size);
      expect(new Set(answered.map((name) => groupOf(name, groups)))).toEqual(seats);
    }
  });
});

describe("answers", () => {
  test("P5.4, P5.5, P5.6: a bid, or a refusal and why, under the bidder's name", async () => {
    const a = await wire.peer("p54a", "agent", ["sum54", "fussy"]);
    a.peer.host({
      name: "w",
      slots: 2,
      attributes: { region: "eu" },
      services: [
        {
          ...echo("sum54"),
          capability: { name: "sum54", version: "1.2.0", cost: 5, durationMs: 30 },
        },
        { ...echo("fussy"), bid: () => undefined },
      ],
    });
    await wire.known("sum54", 1);
    const caller = await callerOf("p54c");
    const ask = async (capability: string, over: Partial<Cfp> = {}) =>
      caller.first(caller.call(capability, "all", over));
    const bid = BidSchema.strict().parse(await ask("sum54", { requires: { region: "eu" } }));
    expect(bid).toMatchObject({ startMs: 0, durationMs: 30, cost: 5, load: 0, slots: 2 });
    expect(bid.confidence).toBeGreaterThan(0);
    expect(bid.validMs).toBeGreaterThan(0);
    const [, , p, agent, , ...from] = caller.tap.seen[0]?.subject.split(".") ?? [];
    expect([p, agent, ...from]).toEqual(["p54c", "main", "p54a", "w"]);
    const refusals: [string, string, Partial<Cfp>][] = [
      ["ineligible", "sum54", { requires: { region: "us" } }],
      ["ineligible", "sum54", { version: "2" }],
      ["ineligible", "sum54", { exclude: ["p54a.w"] }],
      ["over_budget", "sum54", { costMax: 4 }],
      ["low_value", "fussy", {}],
    ];
    for (const [reason, capability, over] of refusals) {
      expect(await ask(capability, over)).toMatchObject({ kind: "refusal", reason });
    }
  });

  test("P5.6: an agent whose handler fails says so in its next bids", async () => {
    const a = await wire.peer("p56a", "agent", ["sum56"]);
    let well = false;
    const run = async () => {
      if (!well) throw new Error("no key");
      return { output: 1 };
    };
    a.peer.host({ name: "w", slots: 4, services: [service("sum56", run)] });
    await wire.known("sum56", 1);
    const caller = await callerOf("p56c");
    const confidence = async () =>
      BidSchema.parse(await caller.first(caller.call("sum56", "all"))).confidence;
    const told = [await confidence()];
    const once = { retry: { attempts: 1 } };
    for (well of [false, false, true]) {
      await (await a.peer.submitters.submit("sum56", {}, once)).outcome();
      await until(() => a.peer.contractors.running === 0, "the slot");
      told.push(await confidence());
    }
    expect(told[0]).toBe(0.99);
    expect(told[1]).toBeLessThan(0.8);
    expect(told[2]).toBeLessThan(told[1] as number);
    expect(told[3]).toBeGreaterThan(told[2] as number);
  });

  test("P5.6: work that was taken back does not count as failed", async () => {
    const a = await wire.peer("p56b", "agent", ["sum56b"]);
    const started = gate();
    const run = ({ signal }: { signal: AbortSignal }) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(new Error("stopped")));
        started.open();
      });
    a.peer.host({ name: "w", slots: 4, services: [service("sum56b", run)] });
    await wire.known("sum56b", 1);
    const task = await a.peer.submitters.submit("sum56b", {}, {});
    await started.promise;
    await task.cancel("no longer wanted");
    await task.outcome();
    await until(() => a.peer.contractors.running === 0, "the handler to stop");
    const caller = await callerOf("p56d");
    const bid = BidSchema.parse(await caller.first(caller.call("sum56b", "all")));
    expect(bid.confidence).toBe(0.99);
  });

  test("P5.5: a bid is the subject's, whatever its body says", async () => {
    const sue = await wire.peer("p55s", "agent");
    const bidder = await wire.stranger("p55b", "contractor", ["sum55"]);
    const awards = new Tap(bidder, "mesh.award.p55b.>");
    bidder.nc.subscribe("mesh.cfp.sum55.all.*.*", {
      callback: (_, m) => {
        bidder.publish(`${m.reply}.p55b.w`, msgpack({ ...makeBid(), from: "p55s.main" }));
      },
    });
    await awards.ready();
    const call = await sue.peer.submitters.call("sum55", {}, { timeoutMs: 5_000 });
    const award = await awards.until(() => true, "the award");
    expect(award.subject).toBe("mesh.award.p55b.w.p55s.main");
    await call.cancel();
  });

  test("P5.7: at capacity an agent leaves its groups and refuses as busy", async () => {
    const hold = gate();
    const a = await wire.peer("p57a", "agent", ["sum57"]);
    a.peer.host({
      name: "w",
      slots: 1,
      services: [
        service("sum57", async () => {
          await hold.promise;
          return { output: 1 };
        }),
      ],
    });
    await wire.known("sum57", 1);
    const caller = await callerOf("p57c");
    expect(await caller.first(caller.call("sum57", "s8"))).toMatchObject({ kind: "bid" });
    const handle = await a.peer.submitters.submit("sum57", {}, {});
    await until(() => a.peer.contractors.running === 1, "the contract");
    await a.transport.flush();
    const none = caller.call("sum57", "s8");
    const reply = await caller.tap.until((m) => m.subject.split(".")[4] === none, "no responders");
    expect(reply.subject).toBe(`mesh.bid.p57c.main.${none}`);
    expect(await caller.first(caller.call("sum57", "all"))).toMatchObject({ reason: "busy" });
    hold.open();
    await handle.outcome();
    await until(async () => {
      const cfp = caller.call("sum57", "s8");
      return (await caller.tap.until((m) => m.subject.split(".")[4] === cfp)).data.length > 0;
    }, "the agent to sit down again");
  });

  test("P5.7: who calls and never awards makes no agent busy", async () => {
    const a = await wire.peer("p57f", "contractor", ["sum57f"]);
    a.peer.host({
      name: "w",
      slots: 1,
      services: [service("sum57f", async () => ({ output: 1 }))],
    });
    await wire.known("sum57f", 1);
    const caller = await callerOf("p57m");
    /** How many of so many calls at once are answered with a bid. */
    const bids = async (count: number): Promise<number> => {
      const calls = Array.from({ length: count }, () => caller.call("sum57f", "all"));
      const answers = await Promise.all(calls.map((cfp) => caller.first(cfp)));
      return answers.filter((answer) => (answer as { kind?: string }).kind === "bid").length;
    };
    // A slot, and three bids for it at a time: the others are refused as busy until then.
    for (let inVain = 0; inVain < 64; ) inVain += await bids(20);
    expect(await bids(20)).toBe(20);
  });

  test("P5.8: the first answer of an agent to a call counts, later ones do not", () => {
    const bench = new Bench();
    const t = bench.task();
    step(t, { on: "begin" }, bench.context);
    for (let i = 0; i < 9; i++) {
      step(t, { on: "bid", cfp: t.cfp, from: "b.w", bid: makeBid({ cost: i }) }, bench.context);
    }
    expect([t.phase, t.answers, t.bids.length, t.bids[0]?.bid.cost]).toEqual(["calling", 1, 1, 0]);
  });

  test("P5.9: nobody there: the server says so on the bare subject; the task waits", async () => {
    const caller = await callerOf("p59c");
    const cfp = caller.call("nobody-does-this", "all");
    const m = await caller.tap.until((heard) => heard.subject === `mesh.bid.p59c.main.${cfp}`);
    expect(m.data.length).toBe(0);
    const sue = await wire.peer("p59s", "agent");
    const call = await sue.peer.submitters.call("nor-this", {}, { timeoutMs: 400 });
    const outcome = await call.outcome();
    expect(outcome).toMatchObject({ state: "expired", failure: { code: "E_NO_CAPABILITY" } });
    expect(sue.peer.counters.get("waits")).toBe(1);
  });
});

describe("who does not follow the cards", () => {
  test("P5.10: asks who could answer, and waits for as many bids", async () => {
    const tap = new Tap(await wire.stranger("p510tap", "observer"), "mesh.field.>", "mesh.cfp.>");
    await tap.ready();
    const a = await wire.peer("p510a", "agent", ["sum510"]);
    for (const name of ["w1", "w2", "w3"]) {
      a.peer.host({ name, slots: 9, services: [echo("sum510")] });
    }
    await wire.known("sum510", 3);
    const sue = await wire.peer("p510s", "submitter");
    for (const x of [1, 2]) {
      const call = await sue.peer.submitters.call("sum510", { x }, {});
      expect(await call.result()).toEqual({ x });
    }
    expect(tap.of("field").map((m) => m.subject)).toEqual(["mesh.field.sum510"]);
    expect(tap.of("cfp").map((m) => m.subject)).toEqual(
      Array(2).fill("mesh.cfp.sum510.all.p510s.main"),
    );
    expect(CfpSchema.parse(tap.of("cfp")[0]?.decoded())).toMatchObject({ crowd: 3 });
    expect(sue.peer.counters.get("bids")).toBe(6);
    const able = await sue.peer.submitters.call("sum510", 1, {
      requires: { gpu: true },
      timeoutMs: 300,
    });
    expect(await able.outcome()).toMatchObject({ failure: { code: "E_NO_BID" } });
    expect(FieldQuerySchema.parse(tap.of("field")[1]?.decoded()).requires).toEqual({ gpu: true });
  });

  test("P5.10: any initiator answers, a person too", async () => {
    const a = await wire.peer("p510c", "agent", ["sum5"]);
    for (const name of ["w1", "w2"]) a.peer.host({ name, slots: 1, services: [echo("sum5")] });
    await wire.known("sum5", 2);
    const sam = await wire.stranger("p510p", "submitter");
    const groups = expect.objectContaining({ s8: expect.any(Number) });
    const field = { v: 1, kind: "field", agents: 2, offering: 2, groups };
    expect((await sam.request("mesh.field.sum5", "")).json()).toEqual(field);
    const query = msgpack({ v: 1, kind: "field_query", requires: { region: "us" } });
    const special = (await sam.request("mesh.field.sum5", query)).json();
    expect(special).toEqual({ ...field, agents: 0 });
  });

  test("P5.10: with nobody to tell, a sample, then all, who answer as a crowd", async () => {
    const bench = new Bench();
    bench.field = UNKNOWN_FIELD;
    const t = bench.task();
    step(t, { on: "begin" }, bench.context);
    step(t, { on: "nobody", cfp: t.cfp }, bench.context);
    expect(bench.taken()).toMatchObject([
      { do: "call", rung: "s4" },
      { do: "call", rung: "all" },
    ]);
    expect(UNKNOWN_FIELD.offering).toBeGreaterThan(BIDS_MAX);
  });
});

describe("windows", () => {
  function called(field = fieldOf(4)) {
    const bench = new Bench();
    bench.field = field;
    const t = bench.task({ award: { policy: "fastest" } });
    step(t, { on: "begin" }, bench.context);
    bench.taken();
    const bid = (from: string, durationMs = 10) =>
      step(t, { on: "bid", cfp: t.cfp, from, bid: makeBid({ durationMs }) }, bench.context);
    const pass = (ms: number) => {
      bench.advance(ms);
      step(t, { on: "due" }, bench.context);
    };
    return { bench, t, bid, pass };
  }

  test("P6.1: a window closes with the last expected answer, not with time", () => {
    const { t, bid } = called();
    for (const from of ["b.w", "c.w", "d.w"]) bid(from);
    expect(t.phase).toBe("calling");
    bid("e.w");
    expect(t.phase).toBe("awarding");
  });

  test("P6.1: bids of failed agents alone close it only when nobody else is left", () => {
    const bench = new Bench();
    bench.field = fieldOf(3);
    bench.answers.met("sum", "all", 2, 1);
    const retry = bench.task();
    retry.failed = ["b.w"];
    step(retry, { on: "begin" }, bench.context);
    const busy = { cfp: retry.cfp, award: false, reason: "busy", freeInMs: undefined } as const;
    step(retry, { on: "bid", cfp: retry.cfp, from: "b.w", bid: makeBid() }, bench.context);
    step(retry, { on: "refusal", from: "c.w", ...busy }, bench.context);
    expect([retry.expected, retry.answers, retry.phase]).toEqual([2, 2, "calling"]);
    const slow = makeBid({ durationMs: 99 });
    step(retry, { on: "bid", cfp: retry.cfp, from: "d.w", bid: slow }, bench.context);
    expect([retry.phase, retry.awarded?.from]).toEqual(["awarding", "d.w"]);
  });

  test("P6.2: after four usual round trips, 2 to 20 ms; unanswered, extended", () => {
    const { bench, t, bid, pass } = called();
    expect(t.dueAt - bench.context.now).toBe(WINDOW_MS_MAX);
    bid("b.w");
    pass(WINDOW_MS_MAX);
    expect(t.phase).toBe("awarding");
    for (const [roundTrip, window] of [
      [3, 12],
      [0, 2],
      [50, 20],
    ] as const) {
      const next = called();
      next.bench.answers.met("sum", "all", 4, roundTrip);
      const again = next.bench.task();
      step(again, { on: "begin" }, next.bench.context);
      expect(again.dueAt - next.bench.context.now).toBe(window);
    }
    const silence = (agents: number): number => {
      const silent = called(fieldOf(agents));
      let waited = 0;
      while (silent.t.phase === "calling") {
        waited += silent.t.dueAt - silent.bench.context.now;
        silent.pass(silent.t.dueAt - silent.bench.context.now);
      }
      expect(silent.t.phase).toBe("waiting");
      return waited;
    };
    expect(silence(4)).toBe(20 + 40 + 80 + 160 + 320);
    expect(silence(50)).toBe(20 + 40 + (20 + 80) + (20 + 160));
  });

  test("P6.3: a bid between choice and claim is ranked as a next best", () => {
    const { bench, t, bid, pass } = called();
    bid("b.w", 10);
    bid("c.w", 90);
    pass(WINDOW_MS_MAX);
    bid("d.w", 50);
    bench.taken();
    step(
      t,
      { on: "refusal", cfp: t.cfp, from: "b.w", award: true, reason: "busy", freeInMs: undefined },
      bench.context,
    );
    expect(bench.taken()).toMatchObject([{ do: "award", to: "d.w" }]);
  });

  test("P6.3: after a live award too, and the next call waits for it", () => {
    const bench = new Bench();
    bench.field = fieldOf(3);
    bench.answers.met("sum", "all", 2, 1);
    const t = bench.task({ award: { policy: "fastest" } }, true);
    step(t, { on: "begin" }, bench.context);
    for (const [from, durationMs] of [
      ["b.w", 10],
      ["c.w", 90],
      ["d.w", 50],
    ] as const) {
      step(t, { on: "bid", cfp: t.cfp, from, bid: makeBid({ durationMs }) }, bench.context);
    }
    expect([t.phase, t.contractor]).toEqual(["running", "b.w"]);
    expect(bench.answers.expected("sum", "all", 3)).toBe(3);
    bench.taken();
    const refusal = { cfp: t.cfp, award: true, reason: "busy", freeInMs: undefined } as const;
    step(t, { on: "refusal", from: "b.w", ...refusal }, bench.context);
    expect(bench.taken()).toMatchObject([{ do: "award", to: "d.w" }]);
  });
});
