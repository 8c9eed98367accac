// Time and order of a simulated world: one queue of events, one clock that jumps from each to the
// next. Everything else happens because of an event.
import { createPrng, type Prng } from "../../mesh/core/prng.ts";
import { canDrainNow, drainNow, PromiseWatch } from "./drain.ts";
import { EventQueue, onGrid, type VirtualEvent } from "./queue.ts";

/** How long a run keeps the process to itself before signals are heard, ms of real time. */
const SLICE_MS = 50;
/** Events between two looks at the real clock. */
const SLICE_EVENTS = 2_048;

/** Why a run ended: its time was up, its condition was met, or nothing is left to happen. */
export type RunEnd = "time" | "met" | "idle";

export interface RunLimits {
  /** World time, ms. */
  untilMs?: number;
  /** Looked at after every event. */
  until?: () => boolean;
  /** Looked at now and then, in real time; true ends the run as if its time were up. */
  stop?: () => boolean;
}

export interface WorldOptions {
  seed: string | number;
  /** How promises are drained. `turns` is for tests; the order of events is the same. */
  drain?: "now" | "turns";
}

export class World {
  /** The root of all randomness here; every user takes a fork. */
  readonly random: Prng;
  /** World time, ms since the world began. */
  now = 0;
  /** Events that have happened. */
  events = 0;
  readonly #queue = new EventQueue();
  readonly #turns: boolean;

  constructor(options: WorldOptions) {
    this.random = createPrng(options.seed);
    this.#turns = options.drain === "turns";
  }

  /** Events to come. */
  get pending(): number {
    return this.#queue.size;
  }

  /** Adds an event; in the past means now. */
  at(ms: number, event: VirtualEvent): void {
    this.#queue.push(Math.max(this.now, onGrid(ms)), event);
  }

  after(ms: number, event: VirtualEvent): void {
    this.at(this.now + ms, event);
  }

  /** One run at a time. Rejects with whatever an event throws. */
  run(limits: RunLimits = {}): Promise<RunEnd> {
    return new Promise((resolve, reject) => {
      let watch: PromiseWatch | undefined;
      const slice = (): void => {
        try {
          const end = watch === undefined ? this.#slice(limits) : this.#turn(limits, watch);
          if (end === undefined) return void setImmediate(slice);
          watch?.stop();
          resolve(end);
        } catch (error) {
          watch?.stop();
          reject(error);
        }
      };
      setImmediate(() => {
        if (this.#turns || !canDrainNow()) watch = new PromiseWatch();
        slice();
      });
    });
  }

  /** Events for a while. Runs outside of any promise reaction. */
  #slice(limits: RunLimits): RunEnd | undefined {
    drainNow();
    const began = performance.now();
    for (let n = 1; ; n++) {
      const end = this.#next(limits);
      if (end !== undefined) return end;
      drainNow();
      if (n % SLICE_EVENTS !== 0) continue;
      if (limits.stop?.() === true) return "time";
      if (performance.now() - began > SLICE_MS) return undefined;
    }
  }

  /** The same with one turn of the event loop wherever a promise was touched. */
  #turn(limits: RunLimits, watch: PromiseWatch): RunEnd | undefined {
    for (let n = 0; n < SLICE_EVENTS; n++) {
      if (watch.take()) return undefined;
      const end = this.#next(limits);
      if (end !== undefined) return end;
    }
    return limits.stop?.() === true ? "time" : undefined;
  }

  #next({ until, untilMs = Number.POSITIVE_INFINITY }: RunLimits): RunEnd | undefined {
    if (until?.() === true) return "met";
    const at = this.#queue.next();
    if (at === undefined) return "idle";
    if (at > untilMs) {
      this.now = Math.max(this.now, untilMs);
      return "time";
    }
    this.now = at;
    this.events++;
    this.#queue.pop()?.();
    return undefined;
  }
}
