// Clauses 8: waiting, and the market turned round.
import { describe, expect, test } from "vitest";
import { AGING_MS, type Cfp, IdleSchema, OfferSchema } from "../../contracts/index.ts";
import { step } from "../../mesh/core/initiator.ts";
import { goesBefore, type Waiter, WaitingRoom } from "../../mesh/core/waiting-room.ts";
import { useClauses } from "../support/clauses.ts";
import { Bench, fieldOf } from "../support/core.ts";
import { Tap } from "../support/tap.ts";
import { gate, msgpack, service, until } from "../wire/fixture.ts";

const wire = useClauses();

describe("waiting on the wire", () => {
  test("P8.1, P8.2: a task waits for a slot; who frees one says so and gets it", async () => {
    const tap = new Tap(await wire.stranger("p82tap", "observer"), "mesh.idle.>");
    await tap.ready();
    const a = await wire.peer("p82a", "agent", ["sum"]);
    const gates = [gate(), gate()];
    let runs = 0;
    a.peer.host({
      name: "w",
      slots: 1,
      services: [
        service("sum", async () => {
          await gates[runs++]?.promise;
          return { output: runs };
        }),
      ],
    });
    await wire.known("sum", 1);
    await tap.until(() => true, "the newcomer's own question");
    const before = tap.seen.length;
    const first = await a.peer.submitters.submit("sum", {}, {});
    await until(() => runs === 1, "the first to run");
    const second = await a.peer.submitters.submit("sum", {}, {});
    await until(() => a.peer.counters.get("waits") > 0, "the second to wait");
    gates[0]?.open();
    gates[1]?.open();
    expect(await first.result()).toBeDefined();
    expect(await second.result()).toBe(2);
    const idle = tap.seen.slice(before);
    expect(idle.length).toBeGreaterThan(0);
    expect(idle[0]?.subject).toBe("mesh.idle.sum.p82a.w");
    expect(IdleSchema.strict().parse(idle[0]?.decoded())).toMatchObject({ slots: 1 });
  });

  test("P8.3: offers, the most urgent first, one a slot; each a call to one agent", async () => {
    const sue = await wire.peer("p83s", "agent");
    const submit = (task: string, priority: number) =>
      sue.peer.submitters.submit("sum", {}, { task, priority });
    const handles = [await submit("t-low", 2), await submit("t-high", 8), await submit("t-mid", 5)];
    await until(() => sue.peer.counters.get("waits") === 3, "three waiting tasks");
    const free = await wire.stranger("p83f", "contractor", ["sum"]);
    const offers = new Tap(free, "mesh.offer.p83f.>");
    await offers.ready();
    let offered: string[] = [];
    // A recall may have a task under way just then, or one is on offer still: ask until there are
    // as many as slots.
    await until(async () => {
      const before = offers.seen.length;
      free.publish("mesh.idle.sum.p83f.w", msgpack({ v: 1, kind: "idle", slots: 2 }));
      await offers.until((m) => offers.seen.indexOf(m) >= before);
      // What was offered with it is here as well.
      await sue.transport.flush();
      await offers.ready();
      offered = offers.seen.slice(before).map((m) => {
        expect(m.subject).toBe("mesh.offer.p83f.w.p83s.main");
        const offer = OfferSchema.parse(m.decoded());
        expect(offer).toMatchObject({ capability: "sum", call: { kind: "cfp" } });
        return offer.call.task;
      });
      expect(offered.length).toBeLessThanOrEqual(2);
      return offered.length === 2;
    }, "two offers");
    const byUrgency = ["t-high", "t-mid", "t-low"].filter((task) => offered.includes(task));
    expect(offered).toEqual(byUrgency);
    await Promise.all(handles.map((h) => h.cancel()));
  });

  test("P8.2: after a step, first for what may come behind it, then for anything", async () => {
    const tap = new Tap(await wire.stranger("p82btap", "observer"), "mesh.idle.sum82.>");
    await tap.ready();
    const a = await wire.peer("p82b", "agent", ["sum82"]);
    a.peer.host({ name: "w", slots: 1, services: [service("sum82", async () => ({ output: 1 }))] });
    await wire.known("sum82", 1);
    await tap.until(() => true, "the newcomer's own question");
    const before = tap.seen.length;
    const step = { rank: 5_000, hints: { durationMs: 600 } };
    await (await a.peer.submitters.submit("sum82", {}, step)).result();
    await until(() => tap.seen.length >= before + 2, "two questions");
    const asked = tap.seen.slice(before, before + 2).map((m) => IdleSchema.parse(m.decoded()));
    expect(asked).toMatchObject([{ slots: 1, rank: 4_400 }, { slots: 1 }]);
    expect(asked[1]).not.toHaveProperty("rank");
  });

  test("P8.3: nothing below the rank that was asked for is offered", async () => {
    const sue = await wire.peer("p83bs", "agent");
    const handle = await sue.peer.submitters.submit("sum83", {}, { rank: 100 });
    await until(() => sue.peer.counters.get("waits") === 1, "a waiting task");
    const free = await wire.stranger("p83bf", "contractor", ["sum83"]);
    const offers = new Tap(free, "mesh.offer.p83bf.>");
    await offers.ready();
    const ask = (agent: string, rank: number) => {
      const idle = msgpack({ v: 1, kind: "idle", slots: 1, rank });
      free.publish(`mesh.idle.sum83.p83bf.${agent}`, idle);
    };
    await until(() => {
      ask("picky", 101);
      ask("plain", 100);
      return offers.seen.length > 0;
    }, "an offer");
    const subjects = new Set(offers.seen.map((m) => m.subject));
    expect([...subjects]).toEqual(["mesh.offer.p83bf.plain.p83bs.main"]);
    await handle.cancel();
  });

  test("P8.8: what an agent would refuse is not offered to it, and holds up nothing", async () => {
    const sue = await wire.peer("p88s", "agent");
    const options = { requires: { gpu: true } };
    const never = await Promise.all(
      Array.from({ length: 8 }, () => sue.peer.submitters.submit("sum88", {}, options)),
    );
    await until(() => sue.peer.counters.get("waits") === 8, "eight waiting tasks");
    const offers = new Tap(await wire.stranger("p88tap", "observer"), "mesh.offer.>");
    const a = await wire.peer("p88a", "contractor", ["sum88"]);
    const services = [service("sum88", async () => ({ output: 88 }))];
    a.peer.host({ name: "w", slots: 1, attributes: { gpu: false }, services });
    // It asks for work as it comes, which may be heard before its card.
    await (await sue.peer.submitters.submit("sum88", {}, {})).result();
    await offers.ready();
    const before = offers.seen.length;
    const many = Array.from({ length: 8 }, () => sue.peer.submitters.submit("sum88", {}, {}));
    for (const handle of await Promise.all(many)) expect(await handle.result()).toBe(88);
    const offered = offers.seen
      .slice(before)
      .filter((m) => m.subject.endsWith(".p88s.main"))
      .map((m) => OfferSchema.parse(m.decoded()).call.task);
    expect(offered.length).toBeGreaterThan(0);
    expect(never.filter(({ task }) => offered.includes(task))).toEqual([]);
    for (const handle of never) await handle.cancel();
  });

  test("P8.6: of what is offered and called for together, the highest rank gets it", async () => {
    const a = await wire.peer("p86a", "contractor", ["sum86"]);
    a.peer.host({ name: "w", slots: 1, services: [service("sum86", async () => ({ output: 1 }))] });
    await wire.known("sum86", 1);
    const ida = await wire.stranger("p86i", "initiator");
    const bids = new Tap(ida, "mesh.bid.p86i.>");
    await bids.ready();
    const callOf = (cfp: string, rank: number): Cfp => {
      return { v: 1, kind: "cfp", cfp, task: "t", priority: 5, windowMs: 20, rank };
    };
    const answers = async (offered: number, called: number): Promise<string[]> => {
      const before = bids.seen.length;
      const offer = { v: 1, kind: "offer", capability: "sum86", urgency: 9 };
      const call = callOf(`o${offered}`, offered);
      ida.publish("mesh.offer.p86a.w.p86i.main", msgpack({ ...offer, call }));
      ida.publish("mesh.cfp.sum86.all.p86i.main", msgpack(callOf(`c${called}`, called)));
      await until(() => bids.seen.length === before + 2, "two answers");
      const heard = bids.seen.slice(before);
      const told = heard.map((m) => {
        const { kind, reason } = m.decoded<{ kind: string; reason?: string }>();
        return `${m.subject.split(".")[4]} ${reason ?? kind}`;
      });
      return told.sort();
    };
    expect(await answers(10, 5)).toEqual(["c5 busy", "o10 bid"]);
    expect(await answers(4, 20)).toEqual(["c20 bid", "o4 busy"]);
  });

  test("P8.4: of what two offer at once, the spec that was stored first goes first", async () => {
    const a = await wire.peer("p84a", "contractor", ["sum84"]);
    a.peer.host({ name: "w", slots: 1, services: [service("sum84", async () => ({ output: 1 }))] });
    await wire.known("sum84", 1);
    const ida = await wire.stranger("p84i", "initiator");
    const bids = new Tap(ida, "mesh.bid.p84i.>");
    await bids.ready();
    const since = Date.now();
    const offer = (cfp: string, more: object) => {
      const call = { v: 1, kind: "cfp", cfp, task: "t", priority: 5, windowMs: 20 };
      return msgpack({ v: 1, kind: "offer", capability: "sum84", call, ...more });
    };
    // Who offers it later says that it is more urgent by then.
    const offered = async (older: object, younger: object): Promise<string[]> => {
      const n = bids.seen.length;
      ida.publish("mesh.offer.p84a.w.p84i.second", offer(`y${n}`, { urgency: 5.1, ...younger }));
      ida.publish("mesh.offer.p84a.w.p84i.first", offer(`o${n}`, { urgency: 5, ...older }));
      await until(() => bids.seen.length === n + 2, "two answers");
      const told = bids.seen.slice(n).map((m) => {
        const { kind, reason } = m.decoded<{ kind: string; reason?: string }>();
        return `${m.subject.split(".")[3]} ${reason ?? kind}`;
      });
      return told.sort();
    };
    const bid = ["first bid", "second busy"];
    expect(await offered({ since: since - 2 }, { since: since - 1 })).toEqual(bid);
    expect(await offered({ since, specRev: 7 }, { since, specRev: 8 })).toEqual(bid);
    // An initiator of an earlier version names neither: what it says of its urgency counts.
    expect(await offered({}, {})).toEqual(["first busy", "second bid"]);
  });

  test("P8.7: who ends when it was said bids for what begins when it has ended", async () => {
    const tap = new Tap(await wire.stranger("p87tap", "observer"), "mesh.bid.p87a.>");
    await tap.ready();
    const a = await wire.peer("p87a", "agent", ["sum87"]);
    let [running, most] = [0, 0];
    const work = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 40));
      running--;
      return { output: null };
    };
    a.peer.host({ name: "w", slots: 1, services: [service("sum87", work)] });
    await wire.known("sum87", 1);
    const submit = () => a.peer.submitters.submit("sum87", {}, { hints: { durationMs: 40 } });
    const ahead = () => tap.seen.some((m) => (m.decoded<{ startMs?: number }>().startMs ?? 0) > 0);
    // As many as it takes on a machine where timers come late.
    await until(async () => {
      const handles = await Promise.all(Array.from({ length: 8 }, submit));
      await Promise.all(handles.map((handle) => handle.outcome()));
      return ahead();
    }, "a bid that begins later");
    expect(most).toBe(1);
  });
});

describe("waiting rooms", () => {
  test("P8.5: a call is left to whoever is first in the row", () => {
    const now = 1_000;
    const w = { task: "t", row: "", priority: 5, since: now, deadline: 0, rank: 100 };
    const capability = "sum";
    expect(goesBefore({ capability, priority: 5, rank: 99 }, w, now)).toBe(false);
    expect(goesBefore({ capability, priority: 5, rank: 101 }, w, now)).toBe(true);
    expect(goesBefore({ capability, priority: 5 }, w, now)).toBe(false);
    expect(goesBefore({ capability, priority: 6 }, w, now)).toBe(true);
    const plain = { ...w, rank: undefined };
    expect(goesBefore({ capability, priority: 5, rank: 1 }, plain, now)).toBe(true);
    expect(goesBefore({ capability, priority: 5 }, plain, now)).toBe(false);
    expect(goesBefore({ capability, priority: 6 }, plain, now + 2 * AGING_MS)).toBe(false);
  });
});

describe("waiting in the core", () => {
  test("P8.1: a waiting task wants nothing but its deadline", () => {
    const bench = new Bench();
    const t = bench.task();
    bench.field = fieldOf(50);
    step(t, { on: "begin" }, bench.context);
    step(t, { on: "nobody", cfp: t.cfp }, bench.context);
    expect(t.phase).toBe("waiting");
    expect(t.dueAt - bench.context.now).toBe(t.spec.deadline - bench.context.wall);
    bench.taken();
    step(t, { on: "due" }, bench.context);
    expect([t.phase, bench.taken()]).toEqual(["waiting", []]);
  });

  test("P8.4: priority, one level for every ten seconds, then the nearer deadline", () => {
    expect(AGING_MS).toBe(10_000);
    const w = (task: string, over: Partial<Waiter>): Waiter => ({
      task,
      row: "",
      priority: 5,
      since: 0,
      deadline: 2_000_000_000_000,
      ...over,
    });
    const room = new WaitingRoom();
    room.enter(w("old", { priority: 4 }));
    room.enter(w("young", { priority: 5, since: 10_001 }));
    room.enter(w("near", { priority: 5, since: 10_001, deadline: 1_999_999_000_000 }));
    room.enter(w("high", { priority: 9, since: 10_001 }));
    expect(room.pick(4, () => true).map((one) => one.task)).toEqual([
      "high",
      "old",
      "near",
      "young",
    ]);
  });

  test("P8.5: newcomers queue behind those who wait", () => {
    const bench = new Bench();
    bench.queueing = true;
    const t = bench.task();
    step(t, { on: "begin" }, bench.context);
    expect(bench.taken()).toEqual([{ do: "wait", on: true }]);
  });
});
