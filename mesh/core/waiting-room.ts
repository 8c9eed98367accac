// Tasks that nobody had a free slot for, per capability, most urgent first.
//
// Urgency is priority plus age; since all tasks age at the same rate, the order of two tasks
// never changes and a plain heap keeps it (aging without re-sorting). Among equals the nearer
// deadline goes first.

import { AGING_MS } from "../../contracts/index.ts";
import { Heap } from "./heap.ts";

export interface Waiter {
  task: string;
  priority: number;
  /** When it began to wait, ms on the initiator's clock. */
  since: number;
  deadline: number;
}

/** Urgency at this moment: the priority, plus one level for every AGING_MS of waiting. */
export function urgency(w: Waiter, now: number): number {
  return w.priority + Math.max(0, now - w.since) / AGING_MS;
}

const DEADLINE_SCALE = 1e-14;
/** Entries of waiters that left, kept before the heap is rebuilt. */
const STALE_MAX = 64;

function keyOf(w: Waiter): number {
  return w.since / AGING_MS - w.priority + w.deadline * DEADLINE_SCALE;
}

export class WaitingRoom {
  #heap = new Heap<Waiter>();
  #waiters = new Map<string, Waiter>();

  get size(): number {
    return this.#waiters.size;
  }

  has(task: string): boolean {
    return this.#waiters.has(task);
  }

  enter(w: Waiter): void {
    this.#waiters.set(w.task, w);
    this.#heap.push(keyOf(w), w);
  }

  leave(task: string): void {
    this.#waiters.delete(task);
    if (this.#heap.size > 2 * this.#waiters.size + STALE_MAX) this.#compact();
  }

  /** Those who left stay in the heap until they come to its top: not for ever. */
  #compact(): void {
    this.#heap.clear();
    for (const w of this.#waiters.values()) this.#heap.push(keyOf(w), w);
  }

  /** The most urgent waiters, at most `count`, that `take` accepts. They stay in the room. */
  pick(count: number, take: (w: Waiter) => boolean): Waiter[] {
    const picked: Waiter[] = [];
    const aside: { key: number; w: Waiter }[] = [];
    while (picked.length < count) {
      const key = this.#heap.peekKey();
      const w = this.#heap.pop();
      if (key === undefined || w === undefined) break;
      if (this.#waiters.get(w.task) !== w) continue;
      aside.push({ key, w });
      if (take(w)) picked.push(w);
      // A long row of waiters that are all on offer already: look no further.
      if (aside.length >= count + 64) break;
    }
    for (const { key, w } of aside) this.#heap.push(key, w);
    return picked;
  }

  waiters(): IterableIterator<Waiter> {
    return this.#waiters.values();
  }
}
