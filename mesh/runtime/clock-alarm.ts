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
/** Looks remembered. A notice may have lain in a queue, here or on its way, and then shows an
 * earlier time than the server's: the latest time of the last few counts. */
const LOOKS = 3;
/** A peer whose awards were claimed within this has no wrong date, ms. */
const GOOD_MS = 10_000;
/** So many agents must have refused: one may be wrong itself. */
const REFUSERS = 2;
/** How long a peer with the wrong date hands out nothing before it tries again, ms. */
const PAUSE_MS = 60_000;
const LIMIT = `more than ${CLOCK_SKEW_MS / 1_000} s apart: set both by NTP (parley doctor)`;

export class ClockAlarm {
  readonly #d: Pick<Deps, "clock" | "log" | "counters">;
  #saidAt = Number.NEGATIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** The server's date minus this machine's monotonic clock, as the last notices had it, ms: not
   * minus its date, which may be set at any time. */
  #bases: number[] = [];
  /** The latest of them. */
  #base: number | undefined;
  #refusers = new Set<Address>();
  #claimedAt = Number.NEGATIVE_INFINITY;
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
    this.#bases = [at - clock.now(), ...this.#bases].slice(0, LOOKS);
    this.#base = Math.max(...this.#bases);
    if (Math.abs(this.#offMs()) <= CLOCK_SKEW_MS) this.#until = 0;
  }

  /** This date minus the server's, ms; 0 while nothing was heard. */
  #offMs(): number {
    if (this.#base === undefined) return 0;
    const { clock } = this.#d;
    return clock.wall() - clock.now() - this.#base;
  }

  /** The server's date, ms since the epoch; this machine's while nothing was heard. */
  get date(): number {
    const { clock } = this.#d;
    return this.#base === undefined ? clock.wall() : clock.now() + this.#base;
  }

  /** How far this clock is ahead of one that showed `at` when the server's showed `storedAt`, ms; 0
   * where they are no further apart than clocks may be. */
  aheadOf(at: number, storedAt: number): number {
    const ms = this.#offMs() - (at - storedAt);
    return Math.abs(ms) > CLOCK_SKEW_MS ? ms : 0;
  }

  /** An award was claimed: its date was good enough. */
  claimed(): void {
    this.#claimedAt = this.#d.clock.now();
    this.#refusers.clear();
  }

  /** An award to this agent was refused for its date. True: the fault is found to be here. */
  refusedBy(agent: Address): boolean {
    this.#say(agent, "an agent refused an award for its date");
    const now = this.#d.clock.now();
    this.#refusers.add(agent);
    const offMs = this.#offMs();
    const right = now - this.#claimedAt < GOOD_MS || Math.abs(offMs) <= CLOCK_SKEW_MS;
    if (right || this.#refusers.size < REFUSERS || this.off) return false;
    this.#until = now + PAUSE_MS;
    this.#d.counters.add("clock.off");
    this.#d.log.error(
      { offMs: Math.round(offMs) },
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
