// One queue of due moments over the clock: a single timer is armed, for the earliest.
//
// Invariant: what is not due any more is let go of within ARM_MS_MAX, however far off its moment
// was, and is queued once.
import { Heap } from "../core/heap.ts";
import type { Clock, Timer } from "../ports/index.ts";

/** Nothing is queued for later than this from now, ms: it is queued again then. */
const ARM_MS_MAX = 60_000;

export interface Due {
  /** Infinity: never. */
  readonly t: { readonly dueAt: number };
  /** Earliest moment that it is queued for. */
  queuedAt: number;
}

export class Deadlines<T extends Due> {
  readonly #clock: Clock;
  readonly #fire: (item: T) => void;
  #heap = new Heap<T>();
  #timer: Timer | undefined;
  #armedFor = Number.POSITIVE_INFINITY;
  #stopped = false;

  /** @param fire called for each item once it is due; the item may be added again */
  constructor(clock: Clock, fire: (item: T) => void) {
    this.#clock = clock;
    this.#fire = fire;
  }

  /** For the moment that it says now, unless it is queued for an earlier one. */
  add(item: T): void {
    const { dueAt } = item.t;
    if (dueAt === Number.POSITIVE_INFINITY) return;
    const at = Math.min(dueAt, this.#clock.now() + ARM_MS_MAX);
    if (at >= item.queuedAt) return;
    item.queuedAt = at;
    this.#heap.push(at, item);
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#heap.clear();
  }

  #arm(): void {
    const next = this.#heap.peekKey();
    if (next === undefined || next >= this.#armedFor || this.#stopped) return;
    this.#timer?.cancel();
    this.#armedFor = next;
    this.#timer = this.#clock.after(Math.max(0, next - this.#clock.now()), () => this.#run());
  }

  #run(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    for (;;) {
      const at = this.#heap.peekKey();
      if (at === undefined || at > now) break;
      const item = this.#heap.pop();
      if (item !== undefined) this.#come(item, now);
      if (this.#stopped) return;
    }
    this.#arm();
  }

  #come(item: T, now: number): void {
    // Queued for a later moment since.
    if (now < item.queuedAt) return;
    item.queuedAt = Number.POSITIVE_INFINITY;
    if (item.t.dueAt > now) this.add(item);
    else this.#fire(item);
  }
}
