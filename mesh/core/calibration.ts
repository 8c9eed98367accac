// Calibrated bids: what an agent's claims have been worth so far.
//
// Each contract gives a pair (claimed, actual) of duration and a success or failure, kept per
// agent and capability. The initiator scores the calibrated figures, so a liar's next bid is
// scored by his last deeds. Shrinkage: a newcomer counts as PRIOR contracts of plain honesty, so
// one bad luck does not brand him; DECAY: old contracts fade, so he can mend his ways. The prior
// fades like any other, or a steady liar would keep a part of his lie for ever.
import type { Address } from "../../contracts/index.ts";
import type { InitiatorTask } from "./initiator-task.ts";

/** Contracts of honest behaviour that a newcomer is credited with. */
const PRIOR = 3;
/** Share of an old contract's weight that is left after a new one. */
const DECAY = 0.9;
/** Below this a duration says more about the clock than about the agent, ms. */
const DURATION_MS_MIN = 1;
/** One contract counts as at most a hundred times off what was believed before it, so that one
 * outlier does not drown the rest; a steady lie is found out however large it is. */
const STEP_MAX = Math.log(100);
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

/** Of what an observer saw of a contract so much may be anything but work: this, and a share. */
const SLACK_MS = 500;
const WORK_SHARE = 0.75;

/**
 * How long a contract that ends now took: by the contractor's word, and by no less than was seen of
 * it. A live one may have been accepted before its slot was free.
 * @param aware the observer's time, ms
 */
export function actualOf(
  { phase, live, runsSince }: Pick<InitiatorTask, "phase" | "live" | "runsSince">,
  toldMs: number | undefined,
  aware: number,
): number | undefined {
  if (live || phase !== "running") return toldMs;
  const leastMs = (aware - runsSince - SLACK_MS) * WORK_SHARE;
  return leastMs > 0 ? Math.max(toldMs ?? 0, leastMs) : toldMs;
}

/** Nothing is claimed by 0. */
function sound(claimedMs: number): number {
  return claimedMs > 0 ? Math.max(claimedMs, DURATION_MS_MIN) : 0;
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
    const ratio = Math.log(Math.max(actualMs, DURATION_MS_MIN) / sound(claimedMs));
    const believed = r.logRatio / r.weight;
    // By claims that are too large nobody gains more than a hundredfold for when he lies.
    const least = Math.max(-STEP_MAX, believed - STEP_MAX);
    const bounded = Math.min(believed + STEP_MAX, Math.max(least, ratio));
    r.weight = r.weight * DECAY + 1;
    r.logRatio = r.logRatio * DECAY + bounded;
  }

  /** What to believe when this agent claims this. */
  believe(from: Address, capability: string, claimedMs: number, confidence: number): Calibrated {
    const r = this.#records.get(`${from} ${capability}`);
    if (r === undefined) return { durationMs: sound(claimedMs), confidence };
    const ratio = Math.exp(r.logRatio / r.weight);
    return {
      durationMs: sound(claimedMs) * ratio,
      confidence: Math.min(confidence, r.good / r.all),
    };
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
