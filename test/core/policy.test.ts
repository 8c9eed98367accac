import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  NAMED,
  NEAR_EQUAL,
  type Policy,
  rank,
  recompute,
  type ScoredBid,
  seen,
  type TaskFacts,
  toldOf,
} from "../../mesh/core/policy.ts";
import { createPrng } from "../../mesh/core/prng.ts";
import { makeScored } from "../support/core.ts";

const facts = (over: Partial<TaskFacts> = {}): TaskFacts => ({
  leftMs: 60_000,
  budget: undefined,
  weights: undefined,
  ...over,
});

const figure = fc.record({
  startMs: fc.integer({ min: 0, max: 1_000 }),
  durationMs: fc.integer({ min: 0, max: 10_000 }),
  cost: fc.integer({ min: 0, max: 100 }),
  confidence: fc.double({ min: 0, max: 1, noNaN: true }),
  load: fc.double({ min: 0, max: 1, noNaN: true }),
});
const calls = fc
  .array(figure, { maxLength: 20 })
  .map((list) => list.map((over, i) => makeScored(`p${i}.w`, over)));
const policies = fc.constantFrom(...Object.keys(NAMED));
const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const budgets = fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined });

const from = (order: readonly ScoredBid[]): string[] => order.map((b) => b.from);
const copy = (bids: readonly ScoredBid[]): ScoredBid[] => bids.map((b) => ({ ...b }));

function win(name: string, bids: ScoredBid[], f = facts(), draw = 0): string | undefined {
  return rank(bids, NAMED[name] as Policy, f, draw)[0]?.from;
}

describe("invariants", () => {
  test("P1: the order holds every eligible bid exactly once", () => {
    fc.assert(
      fc.property(calls, policies, draws, budgets, (bids, name, draw, budget) => {
        const order = rank(copy(bids), NAMED[name] as Policy, facts({ budget }), draw);
        const eligible = bids.filter((b) => budget === undefined || b.bid.cost <= budget);
        expect(from(order).sort()).toEqual(from(eligible).sort());
      }),
    );
  });

  test("P1: scores that are no numbers put a bid out, not the call", () => {
    const odd: Policy = () => [Number.NaN, 2, Number.POSITIVE_INFINITY, 1];
    const bids = ["a.w", "b.w", "c.w", "d.w", "e.w"].map((name) => makeScored(name));
    expect(from(rank(bids, odd, facts(), 0))).toEqual(["d.w", "b.w"]);
    expect(rank([makeScored("a.w")], odd, facts(), 0)).toEqual([]);
  });

  test("P2: the same bids, facts and draw give the same order", () => {
    fc.assert(
      fc.property(calls, policies, draws, budgets, (bids, name, draw, budget) => {
        const policy = NAMED[name] as Policy;
        const f = facts({ budget });
        expect(from(rank(copy(bids), policy, f, draw))).toEqual(
          from(rank(copy(bids), policy, f, draw)),
        );
      }),
    );
  });

  test("P3: a policy sees calibrated figures, never the mere claim", () => {
    const claims = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 10_000 }), fc.double({ min: 0, max: 1, noNaN: true })),
      {
        minLength: 20,
        maxLength: 20,
      },
    );
    fc.assert(
      fc.property(calls, claims, policies, draws, (bids, other, name, draw) => {
        const policy = NAMED[name] as Policy;
        const boasting = copy(bids).map((b, i) => {
          const [claimedMs, confidence] = other[i] as [number, number];
          const durationMs = b.bid.durationMs === 0 ? 0 : claimedMs;
          return { ...b, bid: { ...b.bid, durationMs, confidence } };
        });
        expect(from(rank(boasting, policy, facts(), draw))).toEqual(
          from(rank(copy(bids), policy, facts(), draw)),
        );
      }),
    );
  });

  test("who says 0 ms, and so does not know, is taken to need what the others need", () => {
    const bids = [makeScored("new.w", { durationMs: 0 }), makeScored("a.w", { durationMs: 10 })];
    bids.push(makeScored("b.w", { durationMs: 30 }), makeScored("c.w", { durationMs: 90 }));
    expect(from(rank(bids, NAMED.fastest as Policy, facts(), 0))[0]).toBe("a.w");
    expect(bids[0]?.believed.durationMs).toBe(30);
    const strangers = [
      makeScored("fails.w", { durationMs: 0, confidence: 0.3 }),
      makeScored("well.w", { durationMs: 0 }),
    ];
    for (const name of ["fastest", "balanced", "cheapest"]) {
      expect(win(name, copy(strangers))).toBe("well.w");
    }
  });

  test("the first is the best, or within the near-equal band of it", () => {
    fc.assert(
      fc.property(calls, policies, draws, (bids, name, draw) => {
        const order = rank(bids, NAMED[name] as Policy, facts(), draw);
        const first = order[0];
        if (first === undefined) return;
        const best = Math.min(...order.map((b) => b.score));
        expect(first.score).toBeLessThanOrEqual(best + Math.abs(best) * NEAR_EQUAL);
      }),
    );
  });
});

describe("what each policy is for", () => {
  const fast = makeScored("fast.w", { durationMs: 10, cost: 9, load: 0.9 });
  const cheap = makeScored("cheap.w", { durationMs: 500, cost: 1, load: 0.5 });
  const idle = makeScored("idle.w", { durationMs: 14, cost: 5, load: 0 });
  const all = () => copy([fast, cheap, idle]);

  test("fastest: the earliest finish, waiting included", () => {
    expect(win("fastest", all())).toBe("fast.w");
    const late = makeScored("late.w", { startMs: 100, durationMs: 1 });
    expect(win("fastest", [late, idle])).toBe("idle.w");
  });

  test("fastest: the risk of failing is priced as a repetition", () => {
    const shaky = makeScored("shaky.w", { durationMs: 10, confidence: 0.4 });
    expect(win("fastest", [shaky, idle])).toBe("idle.w");
  });

  test("cheapest: the lowest cost; among equal costs the faster", () => {
    expect(win("cheapest", all())).toBe("cheap.w");
    const twin = makeScored("twin.w", { durationMs: 20, cost: 0 });
    const slow = makeScored("slow.w", { durationMs: 900, cost: 0 });
    expect(win("cheapest", [slow, twin])).toBe("twin.w");
  });

  test("balanced: a little slower but idle beats fast and busy, not at any price", () => {
    expect(win("balanced", all())).toBe("idle.w");
    const snail = makeScored("snail.w", { durationMs: 100, load: 0 });
    expect(win("balanced", [fast, snail])).toBe("fast.w");
  });

  test("deadline: the cheapest that keeps it with a fifth to spare", () => {
    expect(win("deadline", all(), facts({ leftMs: 700 }))).toBe("cheap.w");
    expect(win("deadline", all(), facts({ leftMs: 510 }))).toBe("idle.w");
    expect(win("deadline", all(), facts({ leftMs: 14 }))).toBe("fast.w");
  });

  test("deadline: when none keeps it, the fastest", () => {
    expect(win("deadline", all(), facts({ leftMs: 5 }))).toBe("fast.w");
  });

  test("hybrid: the weights decide", () => {
    const none = { time: 0, cost: 0, load: 0, risk: 0 };
    const by = (weights: object) =>
      win("hybrid", all(), facts({ weights: { ...none, ...weights } }));
    expect(by({ time: 1 })).toBe("fast.w");
    expect(by({ cost: 1 })).toBe("cheap.w");
    expect(by({ load: 1 })).toBe("idle.w");
    const sure = makeScored("sure.w", { durationMs: 900, cost: 50, load: 1, confidence: 1 });
    const risky = makeScored("risky.w", { confidence: 0.5 });
    const weights = { ...none, risk: 1 };
    expect(win("hybrid", [risky, sure], facts({ weights }))).toBe("sure.w");
  });

  test("hybrid: one bid that is far off does not make the others as good as one another", () => {
    const far = makeScored("far.w", { durationMs: 1e14, cost: 1e14 });
    const slow = makeScored("slow.w", { durationMs: 60_000, cost: 1_000, load: 0, confidence: 1 });
    const fair = makeScored("fair.w", { durationMs: 10, cost: 1, load: 0.5, confidence: 0.9 });
    expect(win("hybrid", [far, slow, fair])).toBe("fair.w");
    const free = makeScored("free.w", { durationMs: 60_000, cost: 0, load: 0, confidence: 1 });
    expect(win("hybrid", [far, free, fair])).toBe("fair.w");
  });

  test("hybrid: without weights all four count", () => {
    expect(win("hybrid", all())).toBe("idle.w");
  });
});

describe("budget", () => {
  test("what costs more is not considered, whatever its merits", () => {
    const dear = makeScored("dear.w", { cost: 6, durationMs: 1 });
    const fair = makeScored("fair.w", { cost: 5, durationMs: 900 });
    expect(from(rank([dear, fair], NAMED.fastest as Policy, facts({ budget: 5 }), 0))).toEqual([
      "fair.w",
    ]);
    expect(rank([dear], NAMED.fastest as Policy, facts({ budget: 5 }), 0)).toEqual([]);
  });
});

describe("near-equal bids", () => {
  const twins = () =>
    Array.from({ length: 4 }, (_, i) => makeScored(`p${i}.w`, { durationMs: 1_000 + i }));
  const worse = makeScored("worse.w", { durationMs: 1_100 });

  test("the draw decides among them, and only among them", () => {
    const winners = [0, 0.25, 0.5, 0.75, 0.999].map((draw) =>
      win("fastest", [...twins(), worse], facts(), draw),
    );
    expect(winners).toEqual(["p0.w", "p1.w", "p2.w", "p3.w", "p3.w"]);
  });

  test("many initiators with seeds of their own spread over them evenly", () => {
    const wins = new Map<string, number>();
    const prng = createPrng("herd");
    for (let i = 0; i < 4_000; i++) {
      const winner = win("fastest", [...twins(), worse], facts(), prng.next()) as string;
      wins.set(winner, (wins.get(winner) ?? 0) + 1);
    }
    expect([...wins.keys()].sort()).toEqual(["p0.w", "p1.w", "p2.w", "p3.w"]);
    for (const count of wins.values()) expect(Math.abs(count - 1_000)).toBeLessThan(120);
  });

  test("the others keep their places behind the winner", () => {
    const order = from(rank([...twins(), worse], NAMED.fastest as Policy, facts(), 0.5));
    expect(order[0]).toBe("p2.w");
    expect(order.at(-1)).toBe("worse.w");
  });
});

test("of many bids so few are told that the scores can be made again, the first among them", () => {
  const many = fc
    .array(figure, { minLength: 6, maxLength: 60 })
    .map((list) => list.map((over, i) => makeScored(`p${i}.w`, over)));
  fc.assert(
    fc.property(
      many,
      policies,
      draws,
      fc.integer({ min: 5, max: 16 }),
      (bids, name, draw, most) => {
        const policy = NAMED[name] as Policy;
        const order = rank(copy(bids), policy, facts(), draw);
        const told = toldOf(order, most);
        expect(told).toHaveLength(Math.min(order.length, most));
        expect(told.slice(0, most - 4)).toEqual(order.slice(0, most - 4));
        expect(order.filter((b) => told.includes(b))).toEqual(told);
        const again = recompute(told.map(seen), policy, facts());
        for (const [i, { score }] of told.entries()) expect(again[i]).toBeCloseTo(score, 9);
      },
    ),
  );
});

test("a choice can be recomputed from what the award remembers of it", () => {
  fc.assert(
    fc.property(calls, policies, draws, (bids, name, draw) => {
      const policy = NAMED[name] as Policy;
      const remembered = rank(bids, policy, facts(), draw).map(seen);
      expect(recompute(remembered, policy, facts())).toEqual(remembered.map((b) => b.score));
    }),
  );
});
