// Tasks that nobody had a free slot for, per capability, most urgent first.
//
// Steps of workflows carry a rank, the longest way to the end (upward rank: Topcuoglu et al., IEEE
// TPDS 13(3), 2002). Of equal priority they go by rank and before what has none, but every
// FAIR-th turn is for whoever is most urgent by age: nobody waits for ever.
//
// Urgency is priority plus age; since all tasks age at the same rate, the order of two tasks
// never changes and a plain heap keeps it (aging without re-sorting). Among equals the nearer
// deadline goes first.

import { AGING_MS, type Spec } from "../../contracts/index.ts";
import { Heap } from "./heap.ts";

export interface Waiter {
  task: string;
  priority: number;
  /** When it began to wait, ms on the initiator's clock. */
  since: number;
  deadline: number;
  /** Undefined: no step of a workflow. */
  rank?: number | undefined;
}

/** One turn in so many goes by urgency alone. Guess. */
export const FAIR = 8;

/** Urgency at this moment: the priority, plus one level for every AGING_MS of waiting. */
export function urgency(w: Waiter, now: number): number {
  return w.priority + Math.max(0, now - w.since) / AGING_MS;
}

export type Newcomer = Pick<Spec, "capability" | "priority" | "rank">;

/** Would it be before this one in the row? */
export function goesBefore(newcomer: Newcomer, w: Waiter, now: number): boolean {
  const plain = newcomer.rank === undefined && w.rank === undefined;
  if (plain || newcomer.priority !== w.priority) return newcomer.priority > urgency(w, now);
  return (newcomer.rank ?? -1) > (w.rank ?? -1);
}

const DEADLINE_SCALE = 1e-14;
/** Entries of waiters that left, kept before the heap is rebuilt. */
const STALE_MAX = 64;

function keyOf(w: Waiter): number {
  return w.since / AGING_MS - w.priority + w.deadline * DEADLINE_SCALE;
}

export class WaitingRoom {
  #heap = new Heap<Waiter>();
  #ranked = new Heap<Waiter>();
  #turn = 0;
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
    if (w.rank !== undefined) this.#ranked.push(-w.rank, w);
  }

  leave(task: string): void {
    this.#waiters.delete(task);
    const most = 2 * this.#waiters.size + STALE_MAX;
    if (this.#heap.size > most || this.#ranked.size > most) this.#compact();
  }

  /** Those who left stay in the heap until they come to its top: not for ever. */
  #compact(): void {
    this.#heap.clear();
    this.#ranked.clear();
    for (const w of this.#waiters.values()) {
      this.#heap.push(keyOf(w), w);
      if (w.rank !== undefined) this.#ranked.push(-w.rank, w);
    }
  }

  /** The most urgent waiters, at most `count`, that `take` accepts. They stay in the room. */
  pick(count: number, take: (w: Waiter) => boolean): Waiter[] {
    const picked: Waiter[] = [];
    const aside: { heap: Heap<Waiter>; key: number; w: Waiter }[] = [];
    const seen = new Set<Waiter>();
    while (picked.length < count) {
      const heap = this.#next();
      const key = heap.peekKey();
      const w = heap.pop();
      if (key === undefined || w === undefined) break;
      aside.push({ heap, key, w });
      if (seen.has(w)) continue;
      seen.add(w);
      if (take(w)) {
        picked.push(w);
        this.#turn++;
      }
      // A long row of waiters that are all on offer already: look no further.
      if (seen.size >= count + 64) break;
    }
    for (const { heap, key, w } of aside) heap.push(key, w);
    return picked;
  }

  /** Which row is served next: the longest ways, or whoever is most urgent. */
  #next(): Heap<Waiter> {
    const urgent = this.#top(this.#heap);
    const ranked = this.#top(this.#ranked);
    if (ranked === undefined || urgent === undefined) return this.#heap;
    if (this.#turn % FAIR === FAIR - 1 || urgent.priority > ranked.priority) return this.#heap;
    return this.#ranked;
  }

  /** The first of a row that is still in the room. */
  #top(heap: Heap<Waiter>): Waiter | undefined {
    for (;;) {
      const w = heap.peek();
      if (w === undefined || this.#waiters.get(w.task) === w) return w;
      heap.pop();
    }
  }

  waiters(): IterableIterator<Waiter> {
    return this.#waiters.values();
  }
}
