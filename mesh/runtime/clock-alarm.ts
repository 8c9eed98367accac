// Clocks that are too far apart: who has the wrong date is told so, and hands out no tasks.
//
// Peers that agree with one another work, whatever the date is. Only where an award was refused
// for its date does the server's clock decide who of the two is wrong. Deadlines are read by the
// submitter's clock, whatever that is.
import { type Address, CLOCK_SKEW_MS } from "../../contracts/index.ts";
import type { Incoming } from "../ports/index.ts";
import type { Deps } from "./dependencies.ts";

/** Said so often at most, ms: every award would be a reason. */
const AGAIN_MS = 60_000;
/** Between two looks at the server's clock, ms. */
const LOOK_MS = 1_000;
/** Looks in a row that found this clock ahead: one notice may have lain in a queue. */
const LOOKS = 3;
/** How long a peer with the wrong date hands out nothing before it tries again, ms. */
const PAUSE_MS = 60_000;
const LIMIT = `more than ${CLOCK_SKEW_MS / 1_000} s apart: set both by NTP (parley doctor)`;

export class ClockAlarm {
  readonly #d: Pick<Deps, "clock" | "log" | "counters">;
  #saidAt = Number.NEGATIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** This clock minus the server's, ms, when last looked; and looks in a row that were too far. */
  #offMs = 0;
  #far = 0;
  #until = 0;

  constructor(dependencies: Pick<Deps, "clock" | "log" | "counters">) {
    this.#d = dependencies;
  }

  /** Is this clock known to be wrong, so that awards by it are refused? */
  get off(): boolean {
    return this.#until > this.#d.clock.now();
  }

  /** A notice of what the server has just stored. */
  heard(notice: Incoming): void {
    const { clock } = this.#d;
    if (clock.now() - this.#lookedAt < LOOK_MS) return;
    const at = Date.parse(notice.header("Nats-Time-Stamp") ?? "");
    if (!Number.isFinite(at)) return;
    this.#lookedAt = clock.now();
    this.#offMs = clock.wall() - at;
    this.#far = Math.abs(this.#offMs) > CLOCK_SKEW_MS ? this.#far + 1 : 0;
    if (this.#far === 0) this.#until = 0;
  }

  /** How far this clock is ahead of one that showed `at` when the server's showed `storedAt`, ms; 0
   * where they are no further apart than clocks may be. */
  aheadOf(at: number, storedAt: number): number {
    const ms = this.#offMs - (at - storedAt);
    return Math.abs(ms) > CLOCK_SKEW_MS ? ms : 0;
  }

  /** An award to this agent was refused for its date. True: the fault is found to be here. */
  refusedBy(agent: Address): boolean {
    this.#say(agent, "an agent refused an award for its date");
    // What comes from the future did not lie in a queue.
    const wrong = this.#far >= (this.#offMs < 0 ? 1 : LOOKS);
    if (!wrong || this.off) return false;
    this.#until = this.#d.clock.now() + PAUSE_MS;
    this.#d.counters.add("clock.off");
    this.#d.log.error(
      { offMs: Math.round(this.#offMs) },
      "this clock is wrong by the server's, and agents refuse awards by it: this peer hands out " +
        "no tasks until it is set (timedatectl set-ntp true, parley doctor)",
    );
    return true;
  }

  /** An award by this initiator was refused for its date. */
  refused(initiator: Address): void {
    this.#say(initiator, "an award was refused for its date");
  }

  #say(other: Address, what: string): void {
    const now = this.#d.clock.now();
    this.#d.counters.add("clock.apart");
    if (now - this.#saidAt < AGAIN_MS) return;
    this.#saidAt = now;
    this.#d.log.warn({ other }, `${what}: its clock and this one are ${LIMIT}`);
  }
}
