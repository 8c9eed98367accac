// One queue of due moments over the clock: a single timer is armed, for the earliest.
import { Heap } from "../core/heap.ts";
import type { Clock, Timer } from "../ports/index.ts";

export class Deadlines<T> {
  readonly #clock: Clock;
  readonly #fire: (item: T) => void;
  #heap = new Heap<T>();
  #timer: Timer | undefined;
  #armedFor = Number.POSITIVE_INFINITY;
  #stopped = false;

  /** @param fire called for each item once its moment has come; the item may be added again */
  constructor(clock: Clock, fire: (item: T) => void) {
    this.#clock = clock;
    this.#fire = fire;
  }

  add(at: number, item: T): void {
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
      if (item !== undefined) this.#fire(item);
      if (this.#stopped) return;
    }
    this.#arm();
  }
}
