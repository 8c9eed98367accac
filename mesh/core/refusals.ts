// Who would not do something, and not for want of a slot: he is not asked again for a while, unless
// there is more to be had for it.
import type { Address } from "../../contracts/index.ts";

/** The first refusal stands for so long, ms. Guess. */
const STANDS_MS = 5_000;

interface Refusal {
  until: number;
  pauseMs: number;
  /** What it was refused for, at most. */
  most: number;
}

export interface RefusalLimits {
  /** Each further refusal stands twice as long as the last, at most so long, ms. */
  longestMs: number;
  /** Agents that are remembered: the one that refused the longest ago is forgotten first. */
  agents: number;
}

export class Refusals {
  readonly #limits: RefusalLimits;
  readonly #by = new Map<Address, Refusal>();

  constructor(limits: RefusalLimits) {
    this.#limits = limits;
  }

  /**
   * What was refused for more a moment ago stands, and no longer for what was refused for less.
   * @param budget what was offered for it; Infinity: whatever there might be
   */
  refused(agent: Address, now: number, budget: number): void {
    const last = this.#by.get(agent);
    if (last !== undefined && last.until > now && last.most > budget) return;
    const { longestMs, agents } = this.#limits;
    const pauseMs = last === undefined ? STANDS_MS : Math.min(2 * last.pauseMs, longestMs);
    this.#by.delete(agent);
    const [oldest] = this.#by.size >= agents ? this.#by.keys() : [];
    if (oldest !== undefined) this.#by.delete(oldest);
    this.#by.set(agent, { until: now + pauseMs, pauseMs, most: budget });
  }

  /** It has bid for it since, or is another than it was. */
  forget(agent: Address): void {
    this.#by.delete(agent);
  }

  /** May it be asked, for so much? */
  mayAsk(agent: Address, now: number, budget = Number.POSITIVE_INFINITY): boolean {
    const refusal = this.#by.get(agent);
    return refusal === undefined || refusal.until <= now || budget > refusal.most;
  }
}
