// One small task every so often, whatever became of those before: shows for how long the store took
// no write, and what a submitter was told meanwhile.
import { ParleyError } from "../../contracts/index.ts";
import { CAPABILITY, type World } from "./world.ts";

export interface PulsePlan {
  everyMs: number;
  /** Length of a task, ms, and how much later than that it may end. */
  serviceMs: number;
  slackMs: number;
}

export interface Refusal {
  at: number;
  tookMs: number;
  code: string;
}

export class Pulse {
  readonly #world: World;
  readonly #plan: PulsePlan;
  /** When the store acknowledged a write, ms of performance.now(), in order. */
  readonly acks: number[] = [];
  /** When the acknowledged writes were asked for, ms of performance.now(). */
  readonly asked: number[] = [];
  readonly refusals: Refusal[] = [];
  /** Accepted tasks by how they ended. */
  readonly ends = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #running = new Set<Promise<void>>();

  constructor(world: World, plan: PulsePlan) {
    this.#world = world;
    this.#plan = plan;
  }

  start(): void {
    this.#timer = setInterval(() => {
      const one = this.#one();
      this.#running.add(one);
      void one.finally(() => this.#running.delete(one));
    }, this.#plan.everyMs);
  }

  /** Resolves when every accepted task has ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** The longest time without an acknowledged write that touches this stretch, ms. */
  gap(from: number, to: number): number {
    let longest = 0;
    let last = this.acks.findLast((at) => at <= from) ?? from;
    for (const at of this.acks) {
      if (at <= from) continue;
      longest = Math.max(longest, at - last);
      last = at;
      if (at > to) return longest;
    }
    return Math.max(longest, to - last);
  }

  /** Resolves when a write that was asked for after `since` is acknowledged. */
  async next(since: number, limitMs: number): Promise<number> {
    const end = performance.now() + limitMs;
    for (;;) {
      const at = this.acks.findLast((ack) => ack > since);
      if (at !== undefined || performance.now() > end) return at ?? Number.POSITIVE_INFINITY;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  get accepted(): number {
    return this.acks.length;
  }

  get ended(): number {
    return [...this.ends.values()].reduce((a, b) => a + b, 0);
  }

  async #one(): Promise<void> {
    const { serviceMs, slackMs } = this.#plan;
    const begun = performance.now();
    try {
      const tracker = await this.#world.load.peer.submitters.submit(
        CAPABILITY,
        { ms: serviceMs },
        { timeoutMs: serviceMs + slackMs, retry: { attempts: 20, backoffMs: 50 } },
      );
      this.acks.push(performance.now());
      this.asked.push(begun);
      const { state } = await tracker.outcome();
      this.ends.set(state, (this.ends.get(state) ?? 0) + 1);
    } catch (error) {
      if (!(error instanceof ParleyError)) throw error;
      const at = performance.now();
      this.refusals.push({ at, tookMs: at - begun, code: error.code });
    }
  }
}
