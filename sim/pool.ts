// The simulated agents: drawn from a seed, each from its own fork, so that agent 17 is the same
// agent in a pool of 20 and in one of 5,000.
import { createPrng, type Prng } from "../mesh/core/prng.ts";
import { lognormal, weightedIndex } from "./draw.ts";
import { CAPABILITY_DEFAULT } from "./workload/task.ts";

export type PoolProfile = "uniform" | "mixed";

export interface SimAgent {
  /** One subject token, unique in the pool: `a0000`, `a0001`, ... */
  readonly name: string;
  /** A task takes service / speed. 1 is the speed that service times are stated for. */
  readonly speed: number;
  /** Tasks at a time, each at full speed. */
  readonly slots: number;
  /** Price of one second of one slot; 1 is average. */
  readonly costPerSecond: number;
  /** Claimed over true duration: 1 is honest, 0.5 claims half of what it will take. */
  readonly claimFactor: number;
  readonly capabilities: readonly string[];
}

export interface SimPool {
  readonly profile: PoolProfile;
  readonly agents: readonly SimAgent[];
}

export interface PoolOptions {
  readonly profile: PoolProfile;
  /** How many agents, at least 1. */
  readonly agents: number;
  readonly seed: string | number;
  /** What the pool can do between them. Default: the trace's one capability. */
  readonly capabilities?: readonly string[];
}

// The mixed pool. Origin of all its numbers: guesses at a fleet of rented machines of a few
// generations; none is measured.
/** Spread of the logarithm of speed: two thirds of the agents lie within a quarter of 1. */
const SPEED_SIGMA = 0.25;
const SPEED_MIN = 0.4;
const SPEED_MAX = 2.5;
/** Share of agents with 1, 2, 3 and 4 slots. */
const SLOT_SHARES = [0.8, 0.12, 0.05, 0.03];
/** Spread of the logarithm of the price of one unit of work. */
const COST_SIGMA = 0.3;
/** Share of agents that claim less than they will take, and the range of what they claim. */
const OVERCONFIDENT_SHARE = 0.15;
const CLAIM_MIN = 0.4;
const CLAIM_MAX = 0.8;
/** Chance that an agent can do a capability besides the one that is its own. */
const EXTRA_CAPABILITY_SHARE = 0.6;

/** Throws RangeError unless there is at least one agent and one capability. */
export function drawPool(options: PoolOptions): SimPool {
  const { profile, agents: count, seed, capabilities = [CAPABILITY_DEFAULT] } = options;
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`${count} agents: give a whole number of at least 1`);
  }
  if (capabilities.length === 0) throw new RangeError("a pool needs at least one capability");
  const prng = createPrng(seed).fork("pool");
  const agents = Array.from({ length: count }, (_, index) => {
    const name = `a${String(index).padStart(4, "0")}`;
    if (profile === "uniform") {
      return { name, speed: 1, slots: 1, costPerSecond: 1, claimFactor: 1, capabilities };
    }
    return drawAgent(prng.fork(index), name, capabilitiesOf(prng, index, count, capabilities));
  });
  return { profile, agents };
}

/** Slots in all, of the agents that can do `capability` (default: of all agents). */
export function slotsOf(pool: SimPool, capability?: string): number {
  return able(pool, capability).reduce((total, agent) => total + agent.slots, 0);
}

/** Work that the pool does per unit of time: the sum of slots x speed. */
export function capacityOf(pool: SimPool, capability?: string): number {
  return able(pool, capability).reduce((total, agent) => total + agent.slots * agent.speed, 0);
}

/** The agent's own estimate of a task: what it says in a bid, true or not. */
export function claimedMs(agent: SimAgent, serviceMs: number): number {
  return (serviceMs / agent.speed) * agent.claimFactor;
}

function able(pool: SimPool, capability: string | undefined): readonly SimAgent[] {
  if (capability === undefined) return pool.agents;
  return pool.agents.filter((agent) => agent.capabilities.includes(capability));
}

function drawAgent(prng: Prng, name: string, capabilities: readonly string[]): SimAgent {
  const drawn = lognormal(prng.fork("speed"), 1, SPEED_SIGMA);
  const speed = Math.min(Math.max(drawn, SPEED_MIN), SPEED_MAX);
  const honesty = prng.fork("honesty");
  const overconfident = honesty.next() < OVERCONFIDENT_SHARE;
  const claim = CLAIM_MIN + (CLAIM_MAX - CLAIM_MIN) * honesty.next();
  return {
    name,
    speed,
    slots: weightedIndex(prng.fork("slots"), SLOT_SHARES) + 1,
    // A unit of work costs about the same anywhere, so a fast agent's second costs more.
    costPerSecond: speed * lognormal(prng.fork("cost"), 1, COST_SIGMA),
    claimFactor: overconfident ? claim : 1,
    capabilities,
  };
}

/** Every capability has an agent: capability c is the own one of agent c modulo the count. */
function capabilitiesOf(
  prng: Prng,
  index: number,
  count: number,
  capabilities: readonly string[],
): string[] {
  const draw = prng.fork(index).fork("capabilities");
  return capabilities.filter((_, at) => {
    const extra = draw.next() < EXTRA_CAPABILITY_SHARE;
    return extra || index % capabilities.length === at || at % count === index;
  });
}
