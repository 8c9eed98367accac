// Events in the order of their moments; those of one moment in the order in which they came.
import { Heap } from "../../mesh/core/heap.ts";

export type VirtualEvent = () => void;

/** Moments lie on this grid, 1/1024 ms, so that adding up never rounds. */
const STEPS_PER_MS = 1_024;

/** The first moment of the grid that is not before `ms`. */
export function onGrid(ms: number): number {
  return Math.ceil(ms * STEPS_PER_MS) / STEPS_PER_MS;
}

export class EventQueue {
  readonly #heap = new Heap<VirtualEvent>();

  get size(): number {
    return this.#heap.size;
  }

  push(at: number, event: VirtualEvent): void {
    this.#heap.push(at, event);
  }

  /** When the next event is due, ms; undefined when there is none. */
  next(): number | undefined {
    return this.#heap.peekKey();
  }

  pop(): VirtualEvent | undefined {
    return this.#heap.pop();
  }
}
