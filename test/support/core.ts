// What tests of the pure core need: bids, specs and a context without any clock but the test's.
import { type Bid, SAMPLES, type Spec } from "../../contracts/index.ts";
import { Answers } from "../../mesh/core/answers.ts";
import { Breakers } from "../../mesh/core/breaker.ts";
import { Calibration } from "../../mesh/core/calibration.ts";
import {
  type Context,
  type Effect,
  type Field,
  type InitiatorTask,
  newTask,
} from "../../mesh/core/initiator-task.ts";
import { NAMED, type ScoredBid } from "../../mesh/core/policy.ts";
import { createPrng } from "../../mesh/core/prng.ts";
import { SpokenFor } from "../../mesh/core/spoken-for.ts";

/** Wall clock at the tests' moment 0, ms since the epoch. */
export const WALL_AT_ZERO = 1_800_000_000_000;

export function makeBid(over: Partial<Bid> = {}): Bid {
  return {
    v: 1,
    kind: "bid",
    startMs: 0,
    durationMs: 10,
    cost: 1,
    confidence: 0.99,
    load: 0,
    slots: 1,
    validMs: 2_000,
    ...over,
  };
}

export function makeScored(from: string, over: Partial<Bid> = {}, at = 0): ScoredBid {
  const bid = makeBid(over);
  const { durationMs, confidence } = bid;
  return { from, bid, believed: { durationMs, confidence }, at, score: 0 };
}

export function makeSpec(over: Partial<Spec> = {}): Spec {
  return {
    v: 1,
    kind: "spec",
    task: "t1",
    owner: "sue",
    capability: "sum",
    input: { n: 1 },
    deadline: WALL_AT_ZERO + 60_000,
    priority: 5,
    at: WALL_AT_ZERO,
    ...over,
  };
}

/** So many agents, who sit in as many groups as they can. */
export function fieldOf(agents: number, offering = agents): Field {
  const { s2, s4, s8 } = SAMPLES;
  const among = (groups: number): number => Math.min(groups, offering);
  return { agents, offering, groups: { s2: among(s2), s4: among(s4), s8: among(s8) } };
}

/** An initiator's task with everything around it, at a moment that the test moves. */
export class Bench {
  readonly out: Effect[] = [];
  readonly calibration = new Calibration();
  readonly spoken = new SpokenFor();
  readonly answers = new Answers();
  readonly breakers = new Breakers();
  field: Field = fieldOf(20);
  queueing = false;
  #cfps = 0;
  readonly context: Context;

  constructor(seed: string | number = 1) {
    const prng = createPrng(seed);
    this.context = {
      now: 0,
      get aware() {
        return this.now;
      },
      wall: WALL_AT_ZERO,
      draw: () => prng.next(),
      newCfp: () => `c${++this.#cfps}`,
      field: () => this.field,
      policy: (name) => NAMED[name],
      answers: this.answers,
      calibration: this.calibration,
      spoken: this.spoken,
      breakers: this.breakers,
      shortTaskMs: 50,
      silenceMs: 5_000,
      queueing: () => this.queueing,
      out: this.out,
    };
  }

  advance(ms: number): void {
    this.context.now += ms;
    this.context.wall += ms;
  }

  taken(): Effect[] {
    return this.out.splice(0);
  }

  task(over: Partial<Spec> = {}, live = false): InitiatorTask {
    return newTask(makeSpec(over), "sue.main", live, live ? 0 : 1, live ? "" : "h1");
  }
}
