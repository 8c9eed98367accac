// Award policies: code, never a model. Bids in, an order out; total and deterministic for a seed.
//
// Invariants
//   P1  The order holds every eligible bid exactly once.
//   P2  Two calls with the same bids, facts and draw give the same order.
//   P3  A policy sees calibrated figures, never the mere claim.
import type { Address, AwardWish, Bid, SeenBid } from "../../contracts/index.ts";
import type { Calibrated } from "./calibration.ts";

/** A bid with what the initiator believes of it. */
export interface ScoredBid {
  from: Address;
  bid: Bid;
  believed: Calibrated;
  /** When it arrived, ms on the initiator's clock; validity counts from here. */
  at: number;
  /** Lower is better. Infinity: not to be considered. */
  score: number;
}

export interface TaskFacts {
  /** Time left until the deadline, ms. */
  leftMs: number;
  budget: number | undefined;
  weights: AwardWish["weights"];
}

/** Scores every bid (lower is better, Infinity: never). Bids of one call, in order of arrival. */
export type Policy = (bids: readonly ScoredBid[], facts: TaskFacts) => number[];

/** Bids within this share of the best are near-equal: the seeded draw decides among them, so
 * that many initiators do not herd on one agent (Sugawara et al.; features page 3.4). */
export const NEAR_EQUAL = 0.02;

/** Finish from now, ms, with the risk of failing priced as a repetition of the work. */
function finishMs(b: ScoredBid): number {
  const risk = 1 / Math.max(0.05, b.believed.confidence);
  return b.bid.startMs + b.believed.durationMs * risk;
}

export const fastest: Policy = (bids) => bids.map(finishMs);

export const cheapest: Policy = (bids) =>
  bids.map((b) => b.bid.cost / Math.max(0.05, b.believed.confidence) + finishMs(b) * 1e-9);

/** How much a whole unit of load counts against the best finish. Simulated on the recorded
 * queue trace: below 2 the same agents win too often, above 8 slow agents get long tasks. */
const LOAD_WEIGHT = 4;

/** Finish relative to the best, plus the agent's share of busy time: spreads the work. */
export const balanced: Policy = (bids) => {
  const finishes = bids.map(finishMs);
  const best = Math.max(1, Math.min(...finishes));
  return bids.map((b, i) => finishes[i]! / best + LOAD_WEIGHT * Math.min(1, b.bid.load));
};

/** The cheapest that keeps the deadline with a margin; when none does, the fastest. */
export const deadline: Policy = (bids, facts) => {
  const safe = bids.map((b) => finishMs(b) * 1.2 <= facts.leftMs);
  if (!safe.some(Boolean)) return fastest(bids, facts);
  return bids.map((b, i) => (safe[i] ? b.bid.cost + finishMs(b) * 1e-9 : 1e12 + finishMs(b)));
};

/** A whole span goes at most so far above the best, as a multiple of it: or one bid that is far off
 * would make all others as good as one another. Guess. */
const SPAN_MAX = 10;

/** Weighted sum of spans scaled to [0, 1] over the bids of this call. */
export const hybrid: Policy = (bids, facts) => {
  const {
    time: wTime = 1,
    cost: wCost = 1,
    load: wLoad = 1,
    risk: wRisk = 1,
  } = facts.weights ?? {};
  const time = spread(bids.map(finishMs));
  const cost = spread(bids.map((b) => b.bid.cost));
  const load = bids.map((b) => Math.min(1, b.bid.load));
  return bids.map(
    (b, i) =>
      wTime * time[i]! + wCost * cost[i]! + wLoad * load[i]! + wRisk * (1 - b.believed.confidence),
  );
};

function spread(values: number[]): number[] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const span = (low > 0 ? Math.min(high, low * SPAN_MAX) : high) - low;
  return values.map((v) => (span > 0 ? Math.min(1, (v - low) / span) : 0));
}

export const NAMED: Readonly<Record<string, Policy>> = {
  fastest,
  cheapest,
  balanced,
  deadline,
  hybrid,
};

/**
 * Orders bids: best first, near-equal ones by the draw. Those over budget or with a score that
 * is not finite are left out.
 * @param draw in [0, 1), from a seeded generator; kept in the award so that anybody can recompute
 */
export function rank(
  bids: ScoredBid[],
  policy: Policy,
  facts: TaskFacts,
  draw: number,
): ScoredBid[] {
  const able =
    facts.budget === undefined ? bids : bids.filter((b) => b.bid.cost <= (facts.budget as number));
  if (able.length === 0) return [];
  guessUnknown(able);
  if (able.length === 1) {
    able[0]!.score = policy(able, facts)[0] ?? Number.POSITIVE_INFINITY;
    return Number.isFinite(able[0]!.score) ? [able[0]!] : [];
  }
  const scores = policy(able, facts);
  const order: ScoredBid[] = [];
  for (let i = 0; i < able.length; i++) {
    const score = scores[i];
    if (score === undefined || !Number.isFinite(score)) continue;
    able[i]!.score = score;
    order.push(able[i]!);
  }
  return drawn(order, draw);
}

/** Whoever says 0 ms does not know: it is taken to need what the others need, or it would win
 * whatever it is worth. */
function guessUnknown(bids: ScoredBid[]): void {
  if (bids.every((b) => b.bid.durationMs > 0)) return;
  const known = bids.filter((b) => b.bid.durationMs > 0).map((b) => b.believed.durationMs);
  known.sort((a, b) => a - b);
  const usual = known[Math.floor(known.length / 2)] ?? 1;
  for (const b of bids) {
    if (b.bid.durationMs === 0) b.believed = { ...b.believed, durationMs: usual };
  }
}

/** The worst score that is near-equal to this one. */
export function reachOf(score: number): number {
  return score + Math.abs(score) * NEAR_EQUAL;
}

/** Bids by their scores, but for the draw among those that are nearly as good as the best. */
export function drawn(order: ScoredBid[], draw: number): ScoredBid[] {
  order.sort((a, b) => a.score - b.score);
  const best = order[0];
  if (best === undefined) return [];
  const reach = reachOf(best.score);
  let near = 1;
  while (near < order.length && order[near]!.score <= reach) near++;
  if (near > 1) {
    const pick = Math.min(near - 1, Math.floor(draw * near));
    order[0] = order[pick]!;
    order[pick] = best;
  }
  return order;
}

/**
 * The bids that an award tells of, in their order: the first, and those by which the scores of all
 * are measured (the soonest and the latest, the cheapest and the dearest), or nobody could make
 * the scores again.
 */
export function toldOf(order: readonly ScoredBid[], most: number): readonly ScoredBid[] {
  if (order.length <= most) return order;
  const told = new Set<ScoredBid>();
  for (const figure of [finishMs, ({ bid }: ScoredBid) => bid.cost]) {
    told.add(order.reduce((a, b) => (figure(b) < figure(a) ? b : a)));
    told.add(order.reduce((a, b) => (figure(b) > figure(a) ? b : a)));
  }
  for (const b of order) if (told.size < most) told.add(b);
  return order.filter((b) => told.has(b));
}

export function seen(b: ScoredBid): SeenBid {
  return {
    from: b.from,
    startMs: b.bid.startMs,
    durationMs: b.bid.durationMs,
    cost: b.bid.cost,
    confidence: b.bid.confidence,
    load: b.bid.load,
    calibratedMs: b.believed.durationMs,
    calibratedConfidence: b.believed.confidence,
    score: b.score,
  };
}

/** A bid as it was scored, from what an award remembers of it. */
export function remembered(b: SeenBid): ScoredBid {
  return {
    from: b.from,
    bid: {
      v: 1,
      kind: "bid",
      startMs: b.startMs,
      durationMs: b.durationMs,
      cost: b.cost,
      confidence: b.confidence,
      load: b.load,
      slots: 1,
      validMs: 0,
    },
    believed: { durationMs: b.calibratedMs, confidence: b.calibratedConfidence },
    at: 0,
    score: 0,
  };
}

/** Recomputes a choice from what an award remembers: the same order, or a policy was ignored. */
export function recompute(bids: readonly SeenBid[], policy: Policy, facts: TaskFacts): number[] {
  return policy(bids.map(remembered), facts);
}
