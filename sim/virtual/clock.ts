// The clock of one host: its own beginning, its own idea of the date, and its own speed.
import type { Clock, Timer } from "../../mesh/ports/index.ts";
import type { World } from "./world.ts";

/** The date on which every world begins: 2026-01-01, in UTC. */
export const EPOCH_MS = Date.UTC(2026, 0, 1);
/** As in Node: no timer is shorter, ms. It also keeps rounding from stopping the world's clock. */
const TIMER_MS_MIN = 1;

export interface ClockOptions {
  /** What its monotonic clock shows when the world begins, ms. */
  startMs?: number;
  /** How far its date is off, ms. */
  offsetMs?: number;
  /** Its milliseconds in one of the world's: 1.0001 is 0.1 ms a second too fast. */
  rate?: number;
}

export class VirtualClock implements Clock {
  readonly #world: World;
  readonly #run: (event: () => void) => void;
  readonly #startMs: number;
  #offsetMs: number;
  #rate: number;
  /** World time and own time, ms, when the rate was last changed. */
  #since = 0;
  #base = 0;

  /** @param run how a due timer reaches its host: at once, later, or never */
  constructor(world: World, run: (event: () => void) => void, options: ClockOptions = {}) {
    this.#world = world;
    this.#run = run;
    this.#startMs = options.startMs ?? 0;
    this.#offsetMs = options.offsetMs ?? 0;
    this.#rate = options.rate ?? 1;
  }

  #own(): number {
    return this.#base + (this.#world.now - this.#since) * this.#rate;
  }

  now(): number {
    return this.#startMs + this.#own();
  }

  wall(): number {
    return EPOCH_MS + this.#offsetMs + this.#own();
  }

  after(ms: number, run: () => void): Timer {
    const timer = new VirtualTimer(run, this.#run);
    this.#world.after(Math.max(TIMER_MS_MIN, ms) / this.#rate, timer.due);
    return timer;
  }

  /** From here on it runs at this speed; timers that are set already keep theirs. */
  drift(rate: number): void {
    this.#base = this.#own();
    this.#since = this.#world.now;
    this.#rate = rate;
  }

  /** Moves its date, not its monotonic clock: what an operator or a time service does. */
  step(ms: number): void {
    this.#offsetMs += ms;
  }
}

/** One of hundreds of thousands: it holds little, and nothing once it is canceled. */
class VirtualTimer implements Timer {
  #armed: (() => void) | undefined;
  readonly #run: (event: () => void) => void;

  constructor(armed: () => void, run: (event: () => void) => void) {
    this.#armed = armed;
    this.#run = run;
  }

  cancel(): void {
    this.#armed = undefined;
  }

  readonly due = (): void => {
    if (this.#armed !== undefined) this.#run(() => this.#fire());
  };

  #fire(): void {
    const then = this.#armed;
    this.#armed = undefined;
    then?.();
  }
}
