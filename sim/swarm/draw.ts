// A run drawn from its number: who is there, what is asked of them, and what goes wrong meanwhile.
// Short and harsh: many seeds find more than one long run.
import { POLICIES } from "../../contracts/spec.ts";
import { createPrng, type Prng, pick } from "../../mesh/core/prng.ts";
import type { FaultPlan } from "../virtual/faults.ts";
import type { VirtualFlags } from "../virtual/flags.ts";

const RATES = ["crash", "initiatorCrash", "pause", "cut", "oneWay", "brokerRestart"] as const;
/** Each kind of fault plays a part in so many of the runs, up to so often a minute. */
const RATE_SHARE = 0.5;
const RATE_MAX = {
  crash: 90,
  initiatorCrash: 40,
  pause: 60,
  cut: 60,
  oneWay: 60,
  brokerRestart: 20,
};
const MESSAGES_SHARE = 0.3;
const LOSS_MAX = 0.02;
const DISORDER_MAX = 0.1;
/** Of all tasks; of all records. */
const SPECIAL_SHARE = 0.3;
const SPECIAL_MAX = {
  fail: 0.3,
  poison: 0.1,
  cancel: 0.2,
  exclude: 0.5,
  hasty: 0.3,
  insider: 0.2,
};
const NEEDS_MAX = 0.6;
/** Per minute. */
const SUBMITTER_MAX = 60;
const PARTS_MAX = 0.5;
const DRIFT_PPM_MAX = 500;
const CALM_SHARE = 0.1;
const SIGNING_SHARE = 0.1;

/** The same seed gives the same run. */
export function drawRun(seed: number): VirtualFlags {
  const prng = createPrng(seed).fork("swarm");
  const agents = between(prng, 2, 40);
  return {
    agents,
    tasks: between(prng, 20, 120),
    policy: pick(prng, POLICIES),
    pool: prng.next() < 0.5 ? "mixed" : "uniform",
    utilisation: round(0.3 + 1.2 * prng.next()),
    timeScale: round(0.02 + 0.2 * prng.next()),
    agentsPerHost: between(prng, 1, Math.min(8, agents)),
    initiators: between(prng, 1, 4),
    signing: prng.next() < SIGNING_SHARE,
    faults: {
      ...drawFaults(prng, prng.next() < CALM_SHARE),
      ...drawNeeds(prng.fork("needs")),
      ...drawSubmitter(prng.fork("submitter")),
      ...drawParts(prng.fork("parts")),
    },
    seed: String(seed),
  };
}

/** @param calm nobody dies or is cut off; tasks may still be special */
function drawFaults(prng: Prng, calm: boolean): FaultPlan {
  const plan: FaultPlan = {};
  for (const name of RATES) {
    const rate = round(RATE_MAX[name] * prng.next());
    if (prng.next() < RATE_SHARE && rate > 0 && !calm) plan[name] = rate;
  }
  if (prng.next() < MESSAGES_SHARE && !calm) {
    plan.loss = round(LOSS_MAX * prng.next());
    plan.duplicate = round(DISORDER_MAX * prng.next());
    plan.reorder = round(DISORDER_MAX * prng.next());
    plan.replay = round(DISORDER_MAX * prng.next());
  }
  for (const [name, most] of Object.entries(SPECIAL_MAX)) {
    const share = round(most * prng.next());
    if (prng.next() < SPECIAL_SHARE && share > 0) plan[name as keyof FaultPlan] = share;
  }
  if (prng.next() < MESSAGES_SHARE && !calm)
    plan.driftPpm = Math.round(DRIFT_PPM_MAX * prng.next());
  return plan;
}

/** From a fork of its own: the runs of older seeds stay what they were where it plays no part. */
function drawNeeds(prng: Prng): FaultPlan {
  const needs = round(NEEDS_MAX * prng.next());
  return prng.next() < SPECIAL_SHARE && needs > 0 ? { needs } : {};
}

function drawSubmitter(prng: Prng): FaultPlan {
  const submitter = round(SUBMITTER_MAX * prng.next());
  return prng.next() < RATE_SHARE && submitter > 0 ? { submitter } : {};
}

function drawParts(prng: Prng): FaultPlan {
  const parts = round(PARTS_MAX * prng.next());
  return prng.next() < SPECIAL_SHARE && parts > 0 ? { parts } : {};
}

function between(prng: Prng, least: number, most: number): number {
  return least + prng.int(most - least + 1);
}

/** Two digits, so that it can be typed. */
function round(value: number): number {
  return Number(value.toPrecision(2));
}
