// The submitter's side: so many tasks at a time, what was accepted, and how each one ended.
import { randomUUID } from "node:crypto";
import { ParleyError } from "../../contracts/index.ts";
import type { Tracker } from "../../mesh/index.ts";
import type { ChaosInput } from "./orders.ts";
import { CAPABILITY, type World } from "./world.ts";

export interface LoadPlan {
  /** Tasks open at a time. */
  concurrency: number;
  /** Ends after so many accepted tasks; without it, at `stop`. */
  tasks?: number;
  /** Length of a task, ms; drawn from it when it is a function. */
  input: (n: number) => ChaosInput;
  capability?: (n: number) => string;
  attempts?: number;
  timeoutMs?: number;
}

/** Time between two tries of a submission that the store did not take, ms. */
const AGAIN_MS = 200;

export class Load {
  readonly world: World;
  readonly plan: LoadPlan;
  readonly ended = new Map<string, number>();
  accepted = 0;
  refused = 0;
  open = 0;
  /** When each accepted task ended, ms of performance.now(), and how long it took. */
  readonly ends: { at: number; tookMs: number; state: string }[] = [];
  #n = 0;
  #stopping = false;
  #waiters: (() => void)[] = [];

  constructor(world: World, plan: LoadPlan) {
    this.world = world;
    this.plan = plan;
  }

  /** Submits until the plan is done or `stop`; resolves when all accepted tasks have ended. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.plan.concurrency }, () => this.#lane()));
  }

  stop(): void {
    this.#stopping = true;
  }

  get done(): number {
    return this.ends.length;
  }

  /** Resolves when so many tasks have ended since the start. */
  async reach(tasks: number): Promise<void> {
    while (this.done < tasks && !this.#stopping) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  async #lane(): Promise<void> {
    const { tasks = Number.POSITIVE_INFINITY } = this.plan;
    while (!this.#stopping && this.#n < tasks) await this.one(this.#n++);
  }

  /** One task to its end; submitted again under the same id until it is accepted. */
  async one(n: number): Promise<string> {
    const since = performance.now();
    const tracker = await this.#accept(n);
    if (tracker === undefined) return "refused";
    this.open++;
    const outcome = await tracker.outcome();
    this.open--;
    const { state } = outcome;
    this.ended.set(state, (this.ended.get(state) ?? 0) + 1);
    const now = performance.now();
    this.ends.push({ at: now, tookMs: now - since, state });
    for (const wake of this.#waiters.splice(0)) wake();
    return state;
  }

  /** A task that kills whoever runs it; resolves at its end, which is not counted as ours. */
  async poison(): Promise<void> {
    const input: ChaosInput = { ms: 1, as: "crash" };
    const options = { timeoutMs: 60_000, retry: { attempts: 3, backoffMs: 50 } };
    const { submitters } = this.world.load.peer;
    const tracker = await submitters.submit(CAPABILITY, input, options).catch(() => undefined);
    await tracker?.outcome();
  }

  async #accept(n: number): Promise<Tracker | undefined> {
    const { input, capability, attempts = 20, timeoutMs = 120_000 } = this.plan;
    const task = `t${randomUUID()}`;
    while (!this.#stopping) {
      try {
        const tracker = await this.world.load.peer.submitters.submit(
          capability?.(n) ?? CAPABILITY,
          input(n),
          { task, timeoutMs, retry: { attempts, backoffMs: 50 } },
        );
        this.accepted++;
        return tracker;
      } catch (error) {
        if (!(error instanceof ParleyError)) throw error;
        this.refused++;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
    return undefined;
  }
}
