// Tasks that nobody had a free slot for, per capability, most urgent first.
//
// Steps of workflows carry a rank, the longest way to the end (upward rank: Topcuoglu et al., IEEE
// TPDS 13(3), 2002). Of equal priority they go by rank and before what has none, but every
// FAIR-th turn is for whoever is most urgent by age: nobody waits for ever.
//
// Whoever asks for something that others do not (attributes, a version, a price, one agent) waits
// in a row of its own, so that what nobody can do holds up nothing else.
//
// Urgency is priority plus age; since all tasks age at the same rate, the order of two tasks
// never changes and a plain heap keeps it (aging without re-sorting). Among equals the nearer
// deadline goes first, then the spec that was stored first: hundreds may come at one moment, and
// some of them call before they wait.

import { AGING_MS, type Spec } from "../../contracts/index.ts";
import { Heap } from "./heap.ts";
import type { Needs } from "./match.ts";

export interface Waiter {
  task: string;
  priority: number;
  /** From when its age counts, ms on the server's clock. */
  since: number;
  /** Its spec's revision: of two of one moment the store took the lower first. Absent: whoever
   * entered first. */
  specRev?: number | undefined;
  deadline: number;
  /** Undefined: no step of a workflow. */
  rank?: number | undefined;
  /** The row that it waits in. */
  row: string;
}

/** One turn in so many goes by urgency alone. Guess. */
export const FAIR = 8;

/** Urgency at this moment: the priority, plus one level for every AGING_MS of waiting. */
export function urgency(w: Waiter, now: number): number {
  return w.priority + Math.max(0, now - w.since) / AGING_MS;
}

export type Newcomer = Needs & Pick<Spec, "capability" | "priority" | "rank">;

/** Would it be before this one in the row? */
export function goesBefore(newcomer: Newcomer, w: Waiter, now: number): boolean {
  const plain = newcomer.rank === undefined && w.rank === undefined;
  if (plain || newcomer.priority !== w.priority) return newcomer.priority > urgency(w, now);
  return (newcomer.rank ?? -1) > (w.rank ?? -1);
}

const DEADLINE_SCALE = 1e-14;
/** Entries of waiters that left, kept before the heap is rebuilt. */
const STALE_MAX = 64;
/** Waiters of a row, and of all, that are looked at and not picked before a search leaves the row,
 * or is given up. Guess. */
const LOOK_MAX = 256;
const LOOK_ALL_MAX = 1_024;

/** Waiters that ask for the same: by urgency, and those of workflows by rank as well. */
class Row {
  readonly urgent = new Heap<Waiter>();
  readonly ranked = new Heap<Waiter>();
  size = 0;

  push(w: Waiter, key: number): void {
    this.urgent.push(key, w, w.specRev);
    if (w.rank !== undefined) this.ranked.push(-w.rank, w, w.specRev);
  }
}

type Kind = "urgent" | "ranked";

export class WaitingRoom {
  #rows = new Map<string, Row>();
  #turn = 0;
  #waiters = new Map<string, Waiter>();
  /** Ages are counted from the first one's: a date's digits would leave none for the deadline. */
  #base: number | undefined;
  /** Where searches that were given up go on, so that the last is found as well. */
  #around: Iterator<Waiter, unknown> | undefined;

  get size(): number {
    return this.#waiters.size;
  }

  has(task: string): boolean {
    return this.#waiters.has(task);
  }

  get(task: string): Waiter | undefined {
    return this.#waiters.get(task);
  }

  enter(w: Waiter): void {
    this.leave(w.task);
    this.#waiters.set(w.task, w);
    const row = this.#rows.get(w.row) ?? new Row();
    this.#rows.set(w.row, row);
    row.push(w, this.#keyOf(w));
    row.size++;
  }

  #keyOf(w: Waiter): number {
    this.#base ??= w.since;
    return (w.since - this.#base) / AGING_MS - w.priority + w.deadline * DEADLINE_SCALE;
  }

  /** @returns the row that nobody waits in any more */
  leave(task: string): string | undefined {
    const w = this.#waiters.get(task);
    const row = w && this.#rows.get(w.row);
    if (w === undefined || row === undefined) return undefined;
    this.#waiters.delete(task);
    row.size--;
    if (row.size === 0) {
      this.#rows.delete(w.row);
      return w.row;
    }
    const most = 2 * row.size + STALE_MAX;
    if (row.urgent.size > most || row.ranked.size > most) this.#compact(w.row);
    return undefined;
  }

  /** Those who left stay in the heap until they come to its top: not for ever. */
  #compact(name: string): void {
    const row = new Row();
    for (const w of this.#waiters.values()) {
      if (w.row !== name) continue;
      row.push(w, this.#keyOf(w));
      row.size++;
    }
    this.#rows.set(name, row);
  }

  /** The most urgent waiters, at most `count`, that `take` accepts, of the rows that `open` does.
   * They stay in the room. */
  pick(
    count: number,
    take: (w: Waiter) => boolean,
    open: (row: string) => boolean = () => true,
  ): Waiter[] {
    const rows: Row[] = [];
    for (const [name, row] of this.#rows) if (open(name)) rows.push(row);
    const picked: Waiter[] = [];
    const aside: { heap: Heap<Waiter>; key: number; w: Waiter }[] = [];
    const seen = new Set<Waiter>();
    const vain = new Map<string, number>();
    while (picked.length < count && seen.size - picked.length < LOOK_ALL_MAX) {
      const heap = this.#next(rows);
      const key = heap?.peekKey();
      const w = heap?.pop();
      if (heap === undefined || key === undefined || w === undefined) break;
      aside.push({ heap, key, w });
      if (seen.has(w)) continue;
      seen.add(w);
      if (take(w)) {
        picked.push(w);
        this.#turn++;
        continue;
      }
      const looks = (vain.get(w.row) ?? 0) + 1;
      vain.set(w.row, looks);
      // A long row of waiters that are all on offer already, or were refused.
      if (looks === LOOK_MAX) rows.splice(rows.indexOf(this.#rows.get(w.row) as Row), 1);
    }
    for (const { heap, key, w } of aside) heap.push(key, w, w.specRev);
    const more = picked.length < count && seen.size - picked.length >= LOOK_MAX;
    return more ? [...picked, ...this.#further(count - picked.length, seen, take, open)] : picked;
  }

  /** From where the last search ended on, in the order of their coming. */
  #further(
    count: number,
    seen: ReadonlySet<Waiter>,
    take: (w: Waiter) => boolean,
    open: (row: string) => boolean,
  ): Waiter[] {
    const picked: Waiter[] = [];
    for (let looks = 0; looks < LOOK_MAX && picked.length < count; looks++) {
      this.#around ??= this.#waiters.values();
      const { value: w, done } = this.#around.next();
      if (done === true) {
        this.#around = undefined;
        break;
      }
      if (!seen.has(w as Waiter) && open((w as Waiter).row) && take(w as Waiter)) {
        picked.push(w as Waiter);
      }
    }
    return picked;
  }

  /** Who is served next: the longest ways, or whoever is most urgent. */
  #next(rows: readonly Row[]): Heap<Waiter> | undefined {
    const urgent = this.#first(rows, "urgent");
    const ranked = this.#first(rows, "ranked");
    const [most, longest] = [urgent?.peek(), ranked?.peek()];
    if (longest === undefined || most === undefined) return urgent;
    if (this.#turn % FAIR === FAIR - 1 || most.priority > longest.priority) return urgent;
    return ranked;
  }

  /** Of the rows, the one whose first waiter comes before the others' first. */
  #first(rows: readonly Row[], kind: Kind): Heap<Waiter> | undefined {
    let first: Heap<Waiter> | undefined;
    for (const { [kind]: heap } of rows) {
      const key = this.#top(heap);
      if (key !== undefined && key < (first?.peekKey() ?? Number.POSITIVE_INFINITY)) first = heap;
    }
    return first;
  }

  /** The key of the first of a row that is still in the room. */
  #top(heap: Heap<Waiter>): number | undefined {
    for (;;) {
      const w = heap.peek();
      if (w === undefined || this.#waiters.get(w.task) === w) return heap.peekKey();
      heap.pop();
    }
  }

  waiters(): IterableIterator<Waiter> {
    return this.#waiters.values();
  }
}
