// Calibrated bids: what an agent's claims have been worth so far.
//
// Each contract gives a pair (claimed, actual) of duration and a success or failure, kept per
// agent and capability. The initiator scores the calibrated figures, so a liar's next bid is
// scored by his last deeds. Shrinkage: a newcomer counts as PRIOR contracts of plain honesty, so
// one bad luck does not brand him; DECAY: old contracts fade, so he can mend his ways. The prior
// fades like any other, or a steady liar would keep a part of his lie for ever.
import type { Address } from "../../contracts/index.ts";

/** Contracts of honest behaviour that a newcomer is credited with. */
const PRIOR = 3;
/** Share of an old contract's weight that is left after a new one. */
const DECAY = 0.9;
/** Below this a duration says more about the clock than about the agent, ms. */
const DURATION_MS_MIN = 1;
/** A claim counts as at most this many times wrong, so one outlier does not drown the rest. */
const RATIO_MAX = 100;
/** Failures of a newcomer's prior record: a little doubt until he has shown something. */
const PRIOR_FAILURES = 0.1;

interface Record {
  /** Decayed number of contracts with a duration, prior included; sum of log(actual / claimed). */
  weight: number;
  logRatio: number;
  /** Decayed numbers of contracts ended well, and of all, prior included. */
  good: number;
  all: number;
}

export interface Calibrated {
  durationMs: number;
  confidence: number;
}

export class Calibration {
  #records = new Map<string, Record>();
  readonly #recordsMax: number;

  /** @param recordsMax pairs of agent and capability remembered; the oldest is forgotten. */
  constructor(recordsMax = 50_000) {
    this.#recordsMax = recordsMax;
  }

  /** A contract ended. `actualMs` is absent when it failed or nothing can be said of it. */
  learn(
    from: Address,
    capability: string,
    claimedMs: number,
    actualMs: number | undefined,
    good: boolean,
  ): void {
    const key = `${from} ${capability}`;
    const r = this.#records.get(key) ?? this.#admit(key);
    r.good = r.good * DECAY + (good ? 1 : 0);
    r.all = r.all * DECAY + 1;
    if (actualMs === undefined || claimedMs <= 0) return;
    const ratio = Math.max(actualMs, DURATION_MS_MIN) / Math.max(claimedMs, DURATION_MS_MIN);
    const bounded = Math.min(RATIO_MAX, Math.max(1 / RATIO_MAX, ratio));
    r.weight = r.weight * DECAY + 1;
    r.logRatio = r.logRatio * DECAY + Math.log(bounded);
  }

  /** What to believe when this agent claims this. */
  believe(from: Address, capability: string, claimedMs: number, confidence: number): Calibrated {
    const r = this.#records.get(`${from} ${capability}`);
    if (r === undefined) return { durationMs: claimedMs, confidence };
    const ratio = Math.exp(r.logRatio / r.weight);
    return { durationMs: claimedMs * ratio, confidence: Math.min(confidence, r.good / r.all) };
  }

  get size(): number {
    return this.#records.size;
  }

  #admit(key: string): Record {
    if (this.#records.size >= this.#recordsMax) {
      const oldest = this.#records.keys().next().value;
      if (oldest !== undefined) this.#records.delete(oldest);
    }
    const fresh: Record = {
      weight: PRIOR,
      logRatio: 0,
      good: PRIOR - PRIOR_FAILURES,
      all: PRIOR,
    };
    this.#records.set(key, fresh);
    return fresh;
  }
}
