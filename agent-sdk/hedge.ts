// Hedged calls (Dean and Barroso, The Tail at Scale, CACM 2013): a second agent is asked when the
// first takes longer than usual, under a cap, so that a slow mesh does not get twice the work.
import { TIMER_MS_MAX } from "../contracts/index.ts";

/** Share of the calls under way that may be hedged at a time; one always may. */
const CAP = 0.05;
/** Answer times remembered per capability, and how many tell what is usual. */
const TIMES_MAX = 200;
const TIMES_MIN = 20;
const USUAL = 0.95;

export interface HedgeCounts {
  add(name: string): void;
}

/** One of the two calls of a race; `exclude` is known for the second only. */
export type Start<T> = (signal: AbortSignal, exclude: string | undefined) => Begun<T>;

export interface Begun<T> {
  result: Promise<T>;
  /** Who has it now; undefined while nobody does. */
  contractor(): string | undefined;
}

export class Hedges {
  readonly #times = new Map<string, number[]>();
  #calls = 0;
  #hedged = 0;

  /** What 95 % of the last calls took at most, ms; undefined while too few are known. */
  usualMs(capability: string): number | undefined {
    const times = this.#times.get(capability);
    if (times === undefined || times.length < TIMES_MIN) return undefined;
    return times.toSorted((a, b) => a - b)[Math.floor(times.length * USUAL)];
  }

  learn(capability: string, ms: number): void {
    const times = this.#times.get(capability) ?? [];
    this.#times.set(capability, times);
    times.push(ms);
    if (times.length > TIMES_MAX) times.shift();
  }

  /** Every call counts towards the cap, hedged or not. */
  async counted<T>(capability: string, call: () => Promise<T>): Promise<T> {
    const began = performance.now();
    this.#calls++;
    try {
      const value = await call();
      this.learn(capability, performance.now() - began);
      return value;
    } finally {
      this.#calls--;
    }
  }

  /**
   * The first that succeeds; the other is aborted. Both failed: the first one's error.
   * @param afterMs undefined: what is usual, and no hedge while that is not known
   */
  async race<T>(
    capability: string,
    afterMs: number | undefined,
    signal: AbortSignal | undefined,
    counts: HedgeCounts,
    start: Start<T>,
  ): Promise<T> {
    const waitMs = afterMs ?? this.usualMs(capability);
    const aborts = [new AbortController(), new AbortController()] as const;
    const of = (i: 0 | 1) =>
      signal === undefined ? aborts[i].signal : AbortSignal.any([signal, aborts[i].signal]);
    const first = start(of(0), undefined);
    if (waitMs === undefined) return first.result;
    const settled = first.result.then(
      () => true,
      () => true,
    );
    if (await Promise.race([settled, pause(waitMs)])) return first.result;
    const contractor = first.contractor();
    // Nobody has it yet: a second call would only stand behind the first.
    if (contractor === undefined || !this.#take(counts)) return first.result;
    try {
      const second = start(of(1), contractor);
      const value = await Promise.any([
        first.result.then((v) => [0, v] as const),
        second.result.then((v) => [1, v] as const),
      ]);
      const [winner] = value;
      counts.add(winner === 1 ? "hedges.won" : "hedges.lost");
      aborts[winner === 0 ? 1 : 0].abort(new Error("another agent was quicker"));
      for (const begun of [first, second]) begun.result.catch(() => undefined);
      return value[1];
    } catch {
      return await first.result;
    } finally {
      this.#hedged--;
    }
  }

  #take(counts: HedgeCounts): boolean {
    if (this.#hedged >= Math.max(1, Math.floor(this.#calls * CAP))) {
      counts.add("hedges.capped");
      return false;
    }
    this.#hedged++;
    counts.add("hedges");
    return true;
  }
}

function pause(ms: number): Promise<false> {
  const atMost = Math.min(ms, TIMER_MS_MAX);
  return new Promise((resolve) => setTimeout(resolve, atMost, false as const).unref());
}
