// Work for slots that are about to be free: an agent whose task has its end in sight asks for the
// next one, and the award waits for the slot (P8.7). Nothing is claimed before the slot is free.
//
// Invariant: of each capability no more awards are held than tasks have their end in sight.
import type { RefusalReason } from "../../contracts/index.ts";
import { Foresight } from "../core/foresight.ts";
import type { Clock } from "../ports/index.ts";

/** A task that runs. */
interface Expected {
  capability: string;
  foretoldMs: number;
  /** Longest way from its end on, where it is a step of a workflow, ms. */
  behindMs: number;
  /** ms on the clock. */
  endsAt: number;
  inSight: boolean;
  timer: { cancel(): void } | undefined;
}

/** An award that waits for a slot. */
export interface Held {
  capability: string;
  claim(): void;
  refuse(reason: RefusalReason): void;
}

/** What the end of a step enables shows within this, ms. Guess: some round trips. */
export const HEIR_MS = 10;
/** Tasks that take longer than so many leads gain nothing from it. Guess: 2 % of their time. */
const WORTH = 50;
/** Longer than this between asking and an award: nobody had work. Guess. */
const ASK_MS_MAX = 200;

export class Ahead {
  readonly #clock: Clock;
  readonly #ask: () => void;
  readonly #foresight = new Foresight();
  #expected = new Map<object, Expected>();
  #held: Held[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;

  /** @param ask asks for work, where somebody may have some */
  constructor(clock: Clock, ask: () => void) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** Slots about to be free that no award waits for: one capability's, or all. */
  soon(capability?: string): number {
    const counts = (one: { capability: string }) =>
      capability === undefined || one.capability === capability;
    let count = 0;
    for (const e of this.#expected.values()) if (e.inSight && counts(e)) count++;
    for (const held of this.#held) if (counts(held)) count--;
    return Math.max(0, count);
  }

  /** Until the first of them is free, ms. */
  startMs(capability: string): number {
    let first = Number.POSITIVE_INFINITY;
    for (const e of this.#expected.values()) {
      if (e.inSight && e.capability === capability) first = Math.min(first, e.endsAt);
    }
    return Number.isFinite(first) ? Math.max(0, first - this.#clock.now()) : 0;
  }

  /** What comes behind a task that ends soon may begin then: less critical work must not have its
   * place by that time. */
  rank(capability: string): number | undefined {
    let rank = 0;
    for (const e of this.#expected.values()) {
      if (e.inSight && e.capability === capability) rank = Math.max(rank, e.behindMs);
    }
    return rank > 0 ? rank : undefined;
  }

  asked(): void {
    this.#askedAt = this.#clock.now();
  }

  /** An award came. */
  awarded(): void {
    const tookMs = this.#clock.now() - this.#askedAt;
    if (tookMs <= ASK_MS_MAX) this.#foresight.asked(tookMs);
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }

  /** A task begins that is said to take so long. @param rank of a step of a workflow */
  begins(task: object, capability: string, foretoldMs: number, rank = 0): void {
    const endsAt = this.#clock.now() + foretoldMs;
    const behindMs = Math.max(0, rank - foretoldMs);
    const about = { capability, foretoldMs, behindMs, endsAt };
    const e: Expected = { ...about, inSight: false, timer: undefined };
    this.#expected.set(task, e);
    const { leadMs } = this.#foresight;
    if (leadMs === undefined || foretoldMs <= leadMs || foretoldMs > leadMs * WORTH) return;
    e.timer = this.#clock.after(foretoldMs - leadMs, () => {
      e.inSight = true;
      e.timer = this.#clock.after(2 * leadMs, () => this.#late(e));
      this.#ask();
    });
  }

  /** Keeps an award for a slot that is about to be free. False: there is none. */
  hold(held: Held): boolean {
    if (this.soon(held.capability) === 0) return false;
    this.#held.push(held);
    return true;
  }

  /**
   * A slot is free, and goes to an award that waits for it.
   * @param workedMs undefined: it failed
   * @returns what may be enabled by the end of this task, as a rank; undefined: nothing that is
   * worth waiting for
   */
  freed(task: object, capability: string, workedMs: number | undefined): number | undefined {
    const e = this.#expected.get(task);
    e?.timer?.cancel();
    this.#expected.delete(task);
    if (e !== undefined && workedMs !== undefined) this.#foresight.ran(e.foretoldMs, workedMs);
    const next = this.#held.findIndex((held) => held.capability === capability);
    if (next >= 0) this.#held.splice(next, 1)[0]?.claim();
    this.#trim("busy");
    if (e === undefined || e.behindMs === 0 || e.foretoldMs < HEIR_MS * WORTH) return undefined;
    return e.behindMs;
  }

  /** Nothing more is taken. */
  leave(): void {
    for (const e of this.#expected.values()) {
      e.timer?.cancel();
      e.inSight = false;
    }
    this.#trim("draining");
  }

  #late(e: Expected): void {
    e.inSight = false;
    this.#trim("busy");
  }

  /** Refuses what no slot is in sight for any more, the newest first. */
  #trim(reason: RefusalReason): void {
    const inSight = new Map<string, number>();
    for (const e of this.#expected.values()) {
      if (e.inSight) inSight.set(e.capability, (inSight.get(e.capability) ?? 0) + 1);
    }
    const kept: Held[] = [];
    for (const held of this.#held.splice(0)) {
      const left = inSight.get(held.capability) ?? 0;
      inSight.set(held.capability, left - 1);
      if (left > 0) kept.push(held);
      else held.refuse(reason);
    }
    this.#held = kept;
  }
}
