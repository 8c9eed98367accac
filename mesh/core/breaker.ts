// Circuit breakers of one initiator: per capability, and per agent and capability.
// After Nygard, Release It! (2nd ed., 5.2): closed, open, half-open.
//
// Invariants
//   B1  BREAKER_FAILURES failures in a row open a breaker; a success closes it.
//   B2  An open breaker admits one trial per pause; pauses double up to BREAKER_TRIAL_MS_MAX.
//   B3  Losses within LOSSES_MERGED_MS count once for the capability: a process that dies takes
//       many contracts along and says little of what it was asked to do.
//   B4  What runs when a breaker opens goes on: breakers decide about awards, never about work.
import {
  type Address,
  BREAKER_FAILURES,
  BREAKER_TRIAL_MS,
  BREAKER_TRIAL_MS_MAX,
  BREAKER_WINDOW_MS,
  type FailureCode,
} from "../../contracts/index.ts";

/** Failures that say something of the agent; the others say something of the task. */
const TELLING: readonly FailureCode[] = ["E_HANDLER", "E_OUTPUT", "E_LOST"];

export interface BreakerChange {
  capability: string;
  /** Absent: the capability's own breaker. */
  agent?: Address;
  state: "open" | "closed";
  failures: number;
  /** The last failure, in words. */
  why: string;
}

const LOSSES_MERGED_MS = 1_000;

interface Breaker {
  failures: number;
  lastAt: number;
  lostAt: number;
  open: boolean;
  /** When the next trial may pass. */
  trialAt: number;
  pauseMs: number;
  onTrial: boolean;
}

export class Breakers {
  /** Openings and closings since somebody looked. */
  readonly changes: BreakerChange[] = [];
  #breakers = new Map<string, Breaker>();
  readonly #most: number;

  /** @param most breakers with a failure to remember; the oldest is forgotten */
  constructor(most = 50_000) {
    this.#most = most;
  }

  failed(capability: string, agent: Address | undefined, code: FailureCode, now: number): void {
    if (!TELLING.includes(code)) return;
    const last = this.#breakers.get(capability);
    const merged = code === "E_LOST" && last !== undefined && now - last.lostAt < LOSSES_MERGED_MS;
    if (!merged) this.#fail(capability, undefined, code, now);
    if (agent !== undefined) this.#fail(capability, agent, code, now);
  }

  succeeded(capability: string, agent: Address): void {
    this.#close(capability, undefined);
    this.#close(capability, agent);
  }

  /** Is the capability's breaker open, with no trial due? */
  blocked(capability: string, now: number): boolean {
    const b = this.#breakers.get(capability);
    return b?.open === true && now < b.trialAt;
  }

  isOpen(capability: string): boolean {
    return this.#breakers.get(capability)?.open === true;
  }

  /** May an award of this capability go out? An open breaker's trial is used up by asking. */
  admit(capability: string, now: number): boolean {
    return this.#admit(this.#breakers.get(capability), now);
  }

  /** The same for one agent, whom nobody but others' bids replaces. */
  trusts(capability: string, agent: Address, now: number): boolean {
    const b = this.#breakers.get(`${capability} ${agent}`);
    return b === undefined || !b.open || now >= b.trialAt;
  }

  /** An award goes to this agent: if it is on trial, the next one waits. */
  tries(capability: string, agent: Address, now: number): void {
    this.#admit(this.#breakers.get(`${capability} ${agent}`), now);
  }

  #admit(b: Breaker | undefined, now: number): boolean {
    if (b === undefined || !b.open) return true;
    if (now < b.trialAt) return false;
    b.trialAt = now + b.pauseMs;
    b.onTrial = true;
    return true;
  }

  #fail(capability: string, agent: Address | undefined, why: string, now: number): void {
    const key = agent === undefined ? capability : `${capability} ${agent}`;
    const b = this.#breakers.get(key) ?? this.#enter(key, now);
    if (!b.open && now - b.lastAt > BREAKER_WINDOW_MS) b.failures = 0;
    b.failures++;
    b.lastAt = now;
    if (why === "E_LOST") b.lostAt = now;
    if (b.open) {
      if (!b.onTrial) return;
      b.onTrial = false;
      b.pauseMs = Math.min(BREAKER_TRIAL_MS_MAX, b.pauseMs * 2);
      b.trialAt = now + b.pauseMs;
      return;
    }
    if (b.failures < BREAKER_FAILURES) return;
    b.open = true;
    b.pauseMs = BREAKER_TRIAL_MS;
    b.trialAt = now + b.pauseMs;
    this.#tell(capability, agent, "open", b.failures, why);
  }

  #close(capability: string, agent: Address | undefined): void {
    const key = agent === undefined ? capability : `${capability} ${agent}`;
    const b = this.#breakers.get(key);
    if (b === undefined) return;
    this.#breakers.delete(key);
    if (b.open) this.#tell(capability, agent, "closed", b.failures, "a task succeeded");
  }

  #tell(
    capability: string,
    agent: Address | undefined,
    state: "open" | "closed",
    failures: number,
    why: string,
  ): void {
    const about = agent === undefined ? { capability } : { capability, agent };
    this.changes.push({ ...about, state, failures, why });
  }

  #enter(key: string, now: number): Breaker {
    if (this.#breakers.size >= this.#most) {
      const oldest = this.#breakers.keys().next().value;
      if (oldest !== undefined) this.#breakers.delete(oldest);
    }
    const fresh: Breaker = {
      failures: 0,
      lastAt: now,
      lostAt: Number.NEGATIVE_INFINITY,
      open: false,
      trialAt: 0,
      pauseMs: BREAKER_TRIAL_MS,
      onTrial: false,
    };
    this.#breakers.set(key, fresh);
    return fresh;
  }
}
