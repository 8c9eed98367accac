// Says that two machines' clocks are too far apart for one to believe the other's awards.
import { type Address, CLOCK_SKEW_MS } from "../../contracts/index.ts";
import type { Deps } from "./dependencies.ts";

/** Said so often at most, ms: every award would be a reason. */
const AGAIN_MS = 60_000;

export class ClockAlarm {
  readonly #d: Pick<Deps, "clock" | "log" | "counters">;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(dependencies: Pick<Deps, "clock" | "log" | "counters">) {
    this.#d = dependencies;
  }

  /** @param what with whom, as a sentence that the advice follows */
  ring(other: Address, what: string): void {
    const now = this.#d.clock.now();
    this.#d.counters.add("clock.apart");
    if (now - this.#saidAt < AGAIN_MS) return;
    this.#saidAt = now;
    const limit = `more than ${CLOCK_SKEW_MS / 1_000} s apart: set both by NTP (parley doctor)`;
    this.#d.log.warn({ other }, `${what}: its clock and this one are ${limit}`);
  }
}
