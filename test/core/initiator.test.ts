// Invariants of the initiator under whatever may come, in any order.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CLAIM_TIMEOUT_MS, failure, type Spec } from "../../contracts/index.ts";
import { step } from "../../mesh/core/initiator.ts";
import type { Effect, Event, InitiatorTask } from "../../mesh/core/initiator-task.ts";
import { foldTask, type TaskView } from "../../mesh/core/task-view.ts";
import { Bench, fieldOf, makeBid, makeSpec, WALL_AT_ZERO } from "../support/core.ts";

const AGENTS = ["b.w", "c.w", "d.w", "e.w"] as const;
const agents = fc.constantFrom(...AGENTS);
const codes = fc.constantFrom("E_HANDLER", "E_TERMINAL", "E_LOST", "E_DRAINING" as const);
const reasons = fc.constantFrom("busy", "ineligible", "draining", "stale", "low_value" as const);
const small = fc.integer({ min: -1, max: 3 });

type Move = { event: (t: InitiatorTask) => Event } | { advance: number | "due" };

const event = (make: (t: InitiatorTask) => Event): Move => ({ event: make });
const cfpOf = (t: InitiatorTask, current: boolean): string => (current ? t.cfp : "old");

const bidFigures = fc.record({
  durationMs: fc.integer({ min: 0, max: 500 }),
  cost: fc.integer({ min: 0, max: 12 }),
  load: fc.double({ min: 0, max: 1, noNaN: true }),
  confidence: fc.double({ min: 0, max: 1, noNaN: true }),
  validMs: fc.constantFrom(0, 500, 2_000, 10_000),
});

const moves: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(agents, bidFigures, fc.boolean())
      .map(([from, over, now]) =>
        event((t) => ({ on: "bid", cfp: cfpOf(t, now), from, bid: makeBid(over) })),
      ),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(agents, reasons, fc.boolean(), fc.boolean())
      .map(([from, reason, award, now]) =>
        event((t) => ({
          on: "refusal",
          cfp: cfpOf(t, now),
          from,
          award,
          reason,
          freeInMs: undefined,
        })),
      ),
  },
  {
    weight: 2,
    arbitrary: fc.boolean().map((now) => event((t) => ({ on: "nobody", cfp: cfpOf(t, now) }))),
  },
  {
    weight: 8,
    arbitrary: fc.constantFrom<Move>(
      { advance: "due" },
      { advance: 1 },
      { advance: 100 },
      { advance: 3_000 },
      { advance: 20_000 },
    ),
  },
  { weight: 2, arbitrary: fc.constant(event(() => ({ on: "due" }))) },
  { weight: 2, arbitrary: fc.constant(event(() => ({ on: "recall" }))) },
  {
    weight: 4,
    arbitrary: fc.tuple(agents, small).map(([from, ahead]) =>
      event((t) => ({
        on: "contract",
        rev: t.rev + ahead,
        head: `h${t.rev + ahead}`,
        epoch: t.epoch + 1,
        from,
      })),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(codes, small).map(([code, ahead]) =>
      event((t) => ({
        on: "failure",
        rev: t.rev + ahead,
        head: "hf",
        epoch: t.live ? t.epoch + 1 : t.epoch,
        failure: failure(code),
      })),
    ),
  },
  { weight: 1, arbitrary: fc.constant(event((t) => ({ on: "outcome", rev: t.rev + 1 }))) },
  {
    weight: 1,
    arbitrary: small.map((ahead) =>
      event((t) => ({ on: "cancel", rev: t.rev + ahead, head: "hc", reason: "" })),
    ),
  },
  {
    weight: 1,
    arbitrary: small.map((ahead) =>
      event((t) => ({ on: "usurped", rev: t.rev + ahead, head: "hu" })),
    ),
  },
  { weight: 2, arbitrary: agents.map((from) => event(() => ({ on: "seen", from }))) },
  {
    weight: 2,
    arbitrary: small.map((ahead) =>
      event((t) => ({ on: "lost", epoch: t.epoch + ahead, why: "silence" })),
    ),
  },
  { weight: 2, arbitrary: fc.boolean().map((ok) => event(() => ({ on: "ended", ok }))) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom("open", "failed", "canceled", "none"), small)
      .map(([what, ahead]) =>
        event((t) => ({ on: "adopt", view: viewOf(t, what, t.rev + ahead) })),
      ),
  },
);

/** A view as a fold gives it, at this revision. */
function viewOf(t: InitiatorTask, what: string, rev: number): TaskView {
  const view = foldTask([]);
  view.spec = t.spec;
  view.rev = rev;
  view.head = `h${rev}`;
  view.epoch = t.epoch;
  if (what === "open" || what === "failed") {
    view.epoch = Math.max(1, t.epoch);
    view.contract = { contractor: "b.w", epoch: view.epoch } as TaskView["contract"];
    view.contractOpen = what === "open";
  }
  if (what === "failed") {
    view.failure = { failure: failure("E_HANDLER") } as TaskView["failure"];
  }
  if (what === "canceled") view.cancel = { reason: "stop" } as TaskView["cancel"];
  return view;
}

const specs: fc.Arbitrary<Partial<Spec>> = fc.record(
  {
    deadline: fc.constantFrom(WALL_AT_ZERO, WALL_AT_ZERO + 1_000, WALL_AT_ZERO + 60_000),
    to: fc.constantFrom("b.w"),
    only: fc.boolean(),
    exclude: fc.constant(["e.w"]),
    budget: fc.constantFrom(0, 6),
    retry: fc.record({ attempts: fc.integer({ min: 1, max: 4 }), backoffMs: fc.nat(500) }),
    award: fc.constantFrom({ policy: "fastest" }, { policy: "hybrid" }, { policy: "unknown" }),
    hints: fc.constant({ durationMs: 20 }),
  },
  { requiredKeys: ["deadline"] },
);

const fields = fc.constantFrom(0, 1, 4, 10, 20, 100).map((agents) => fieldOf(agents));

interface Seen {
  t: InitiatorTask;
  bench: Bench;
  before: { phase: string; rev: number; epoch: number; waiting: boolean };
  event: Event;
  effects: Effect[];
}

/** Plays the moves and hands every step to `check`. */
function play(
  start: "begin" | "adopt",
  live: boolean,
  spec: Partial<Spec>,
  field: Bench["field"],
  queueing: boolean,
  list: readonly Move[],
  check: (s: Seen) => void,
): void {
  const bench = new Bench(list.length);
  bench.field = field;
  bench.queueing = queueing;
  const t = bench.task(spec, live);
  const feed = (e: Event) => {
    const waiting = t.waitingSince !== 0;
    const before = { phase: t.phase, rev: t.rev, epoch: t.epoch, waiting };
    step(t, e, bench.context);
    check({ t, bench, before, event: e, effects: bench.taken() });
  };
  bench.advance(1);
  feed(start === "begin" ? { on: "begin" } : { on: "adopt", view: viewOf(t, "open", t.rev + 1) });
  for (const move of list) {
    if ("event" in move) {
      feed(move.event(t));
      continue;
    }
    const until = move.advance === "due" ? t.dueAt : bench.context.now + move.advance;
    if (until === Number.POSITIVE_INFINITY) continue;
    while (t.dueAt <= until) {
      bench.advance(Math.max(0, t.dueAt - bench.context.now));
      feed({ on: "due" });
    }
    bench.advance(Math.max(0, until - bench.context.now));
  }
}

function always(check: (s: Seen) => void, only?: { live: boolean }): void {
  const live = only === undefined ? fc.boolean() : fc.constant(only.live);
  fc.assert(
    fc.property(
      fc.constantFrom("begin", "adopt" as const),
      live,
      specs,
      fields,
      fc.boolean(),
      fc.array(moves, { maxLength: 40 }),
      (start, isLive, spec, field, queueing, list) => {
        play(isLive ? "begin" : start, isLive, spec, field, queueing, list, check);
      },
    ),
    { numRuns: 400 },
  );
}

const awardsOf = (effects: Effect[]) =>
  effects.filter((e): e is Extract<Effect, { do: "award" }> => e.do === "award");

describe("invariants of an initiator, in any sequence of events", () => {
  test("I1: the revision never goes back, so an award names the newest one it knows", () => {
    always(
      ({ t, before }) => {
        expect(t.rev).toBeGreaterThanOrEqual(before.rev);
      },
      { live: false },
    );
  });

  test("I2: the epoch never goes back, and an award is for the one after the last", () => {
    always(({ t, before, effects }) => {
      expect(t.epoch).toBeGreaterThanOrEqual(before.epoch);
      // The driver writes epoch + 1 into the award, so the machine may not count on by awarding.
      if (awardsOf(effects).length > 0) expect(t.epoch - before.epoch).toBeLessThanOrEqual(1);
    });
  });

  test("I3: a closed task emits no effect and stays closed", () => {
    always(({ t, before, effects }) => {
      if (before.phase !== "closed") return;
      expect(effects).toEqual([]);
      expect(t.phase).toBe("closed");
      expect(t.dueAt).toBe(Number.POSITIVE_INFINITY);
    });
  });

  test("I4: it ends only by outcome, deadline, cancel, attempts or rejection", () => {
    always(({ t, bench, event: e, effects }) => {
      for (const effect of effects) {
        if (effect.do === "close") expect(["outcome", "ended", "adopt"]).toContain(e.on);
        if (effect.do !== "end") continue;
        const { state } = effect;
        if (state === "expired") {
          expect(bench.context.wall).toBeGreaterThanOrEqual(t.spec.deadline);
        } else if (state === "canceled") {
          expect(["cancel", "adopt"]).toContain(e.on);
        } else if (state === "failed") {
          const spent = t.epoch >= (t.spec.retry?.attempts ?? 3);
          expect(spent || effect.failure?.retry === false).toBe(true);
        } else {
          expect(state).toBe("rejected");
          expect(t.spec.award?.policy === "unknown" || t.spec.only === true).toBe(true);
        }
      }
    });
  });

  test("at most one award, one call and one end come of one event", () => {
    always(({ effects }) => {
      const count = (what: Effect["do"]) => effects.filter((e) => e.do === what).length;
      for (const what of ["award", "call", "end", "close", "probe", "reread"] as const) {
        expect(count(what), what).toBeLessThanOrEqual(1);
      }
    });
  });

  test("an award goes to who may have it, within budget and validity", () => {
    always(({ t, bench, effects }) => {
      for (const { to, bid } of awardsOf(effects)) {
        if (t.spec.only === true && t.spec.to !== undefined) expect(to).toBe(t.spec.to);
        if (bid === undefined) {
          expect(to).toBe(t.spec.to);
          continue;
        }
        expect(t.spec.exclude ?? []).not.toContain(to);
        expect(bid.bid.cost).toBeLessThanOrEqual(t.spec.budget ?? Number.POSITIVE_INFINITY);
        expect(bench.context.now - bid.at).toBeLessThanOrEqual(bid.bid.validMs);
      }
    });
  });

  test("nobody stands in an order twice, and nobody answers a call twice", () => {
    always(({ t }) => {
      const names = t.order.map((b) => b.from);
      expect(new Set(names).size).toBe(names.length);
      expect(t.answers).toBeLessThanOrEqual(AGENTS.length);
    });
  });

  test("never forgotten: unless it ends, it wants to be stepped by its deadline", () => {
    always(({ t, bench }) => {
      if (t.phase === "closed" || t.phase === "ending") return;
      const deadline = bench.context.now + Math.max(0, t.spec.deadline - bench.context.wall);
      expect(t.dueAt).toBeLessThanOrEqual(deadline + CLAIM_TIMEOUT_MS / 2);
    });
  });

  test("entering and leaving the waiting room alternate", () => {
    always(({ t, before, effects }) => {
      let inside = before.waiting;
      for (const effect of effects) {
        if (effect.do !== "wait") continue;
        if (!effect.on) expect(inside).toBe(true);
        inside = effect.on;
      }
      expect(t.waitingSince !== 0).toBe(inside);
      if (t.phase === "running" && !t.live) expect(inside).toBe(false);
      if (t.phase === "closed" || t.phase === "backoff") expect(inside).toBe(false);
    });
  });

  test("a live task that was awarded is running, and ends in the caller's hands at once", () => {
    always(
      ({ t, effects }) => {
        if (awardsOf(effects).length > 0) expect(t.phase).toBe("running");
        expect(effects.some((e) => e.do === "reread")).toBe(false);
      },
      { live: true },
    );
  });
});

describe("liveness", () => {
  test("left alone, any task reaches its outcome soon after the deadline", () => {
    fc.assert(
      fc.property(
        specs,
        fields,
        fc.boolean(),
        fc.array(moves, { maxLength: 25 }),
        (spec, field, queueing, list) => {
          let last: Seen | undefined;
          const rest: Move[] = Array.from({ length: 60 }, () => ({ advance: 3_000 }));
          play("begin", false, spec, field, queueing, [...list, ...rest], (s) => {
            last = s;
          });
          // Ending: the outcome is being written; anything else would be a task that hangs.
          expect(["ending", "closed"]).toContain(last?.t.phase);
        },
      ),
      { numRuns: 300 },
    );
  });
});

test("calibration hears of failures and lost contractors", () => {
  const bench = new Bench();
  bench.field = fieldOf(1);
  const t = bench.task();
  step(t, { on: "begin" }, bench.context);
  step(t, { on: "bid", cfp: t.cfp, from: "b.w", bid: makeBid() }, bench.context);
  step(t, { on: "contract", rev: 2, head: "h2", epoch: 1, from: "b.w" }, bench.context);
  step(t, { on: "lost", epoch: 1, why: "silence" }, bench.context);
  const believed = bench.calibration.believe("b.w", makeSpec().capability, 10, 1).confidence;
  expect(believed).toBeLessThan(0.9);
});
