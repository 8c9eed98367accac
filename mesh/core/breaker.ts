// Circuit breakers of one initiator: per capability, and per agent and capability.
// After Nygard, Release It! (2nd ed., 5.2): closed, open, half-open.
//
// Invariants
//   B1  BREAKER_FAILURES failures in a row open a breaker; a success closes it.
//   B2  An open breaker admits one trial per pause; pauses double up to BREAKER_TRIAL_MS_MAX.
//   B3  Losses within LOSSES_MERGED_MS count once: a process that dies takes many contracts along
//       and says little of what it was asked to do.
//   B4  What runs when a breaker opens goes on: breakers decide about awards, never about work.
//   B5  An agent that leaves awards unclaimed has a breaker for that alone, which its next claim
//       closes: nothing else that it does makes up for it, and it makes up for nothing else.
//   B6  Whoever is on trial does not count against the capability: others serve it well.
//   B7  A failure that no retry would mend says something of the task where other agents fail alike
//       or there are none; else it is held against its agent, and never against the capability.
//   B8  All agents of a principal have one breaker together, for tasks and for claims, which opens
//       at twice as many in a row: names are free.
import {
  type Address,
  BREAKER_FAILURES,
  BREAKER_TRIAL_MS,
  BREAKER_TRIAL_MS_MAX,
  BREAKER_WINDOW_MS,
  type FailureCode,
  principalOf,
} from "../../contracts/index.ts";

/** Failures that say something of the agent; the others say something of the task. */
const TELLING: readonly FailureCode[] = ["E_HANDLER", "E_OUTPUT", "E_LOST"];
/** Failures of which other agents' tasks tell what they say. */
const DOUBTFUL: readonly FailureCode[] = ["E_TERMINAL", "E_INPUT"];

export interface BreakerChange {
  capability: string;
  /** Absent: the capability's own breaker. */
  agent?: Address;
  /** All agents of this principal. */
  principal?: string;
  state: "open" | "closed";
  failures: number;
  /** The last failure, in words. */
  why: string;
}

/** Whom a breaker is about: a capability, one agent of it, all of a principal; or only claims. */
interface Subject {
  capability: string;
  agent?: Address;
  principal?: string;
  claims?: true;
}

/** In a row, of all agents of a principal. Guess. */
const PRINCIPAL_FAILURES = 2 * BREAKER_FAILURES;

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

/** Who did something last, and who else did so last. */
class Latest {
  #last: { agent: Address; at: number } | undefined;
  #other: { agent: Address; at: number } | undefined;

  note(agent: Address, at: number): void {
    if (this.#last?.agent === agent) {
      this.#last.at = at;
      return;
    }
    this.#other = this.#last;
    this.#last = { agent, at };
  }

  /** When anybody else did; undefined: never. */
  byOthers(agent: Address): number | undefined {
    return (this.#last?.agent === agent ? this.#other : this.#last)?.at;
  }
}

/** Do others fail alike, and none has done well since? */
function othersFail(
  { good, bad }: { good: Latest; bad: Latest },
  agent: Address,
  now: number,
): boolean {
  const failedAt = bad.byOthers(agent) ?? Number.NEGATIVE_INFINITY;
  if (now - failedAt > BREAKER_WINDOW_MS) return false;
  return failedAt >= (good.byOthers(agent) ?? Number.NEGATIVE_INFINITY);
}

export class Breakers {
  /** Openings and closings since somebody looked. */
  readonly changes: BreakerChange[] = [];
  #breakers = new Map<string, Breaker>();
  /** Of each capability, who did well last, and who failed so that no retry would help. */
  #peers = new Map<string, { good: Latest; bad: Latest }>();
  readonly #most: number;

  /** @param most breakers with a failure to remember; the oldest is forgotten */
  constructor(most = 50_000) {
    this.#most = most;
  }

  /** @param alone nobody else could show that it is the agent's fault */
  failed(
    capability: string,
    agent: Address | undefined,
    code: FailureCode,
    now: number,
    alone = false,
  ): void {
    const open = agent !== undefined && whom(capability, agent).some((w) => this.#of(w)?.open);
    if (DOUBTFUL.includes(code)) {
      if (agent === undefined) return;
      const peers = this.#known(capability);
      peers.bad.note(agent, now);
      // On trial it is its fault, whatever others do.
      if (!open && (alone || othersFail(peers, agent, now))) return;
    } else {
      if (!TELLING.includes(code)) return;
      if (!open || this.isOpen(capability)) this.#fail({ capability }, code, now);
    }
    if (agent !== undefined) for (const w of whom(capability, agent)) this.#fail(w, code, now);
  }

  succeeded(capability: string, agent: Address, now: number): void {
    // Mostly nobody has failed.
    if (this.#breakers.size > 0) this.#closeAll([{ capability }, ...whom(capability, agent)]);
    this.#known(capability).good.note(agent, now);
  }

  #known(capability: string): { good: Latest; bad: Latest } {
    let peers = this.#peers.get(capability);
    if (peers !== undefined) return peers;
    if (this.#peers.size >= this.#most) {
      this.#peers.delete(this.#peers.keys().next().value as string);
    }
    peers = { good: new Latest(), bad: new Latest() };
    this.#peers.set(capability, peers);
    return peers;
  }

  /** An award to this agent was followed by nothing. */
  unclaimed(capability: string, agent: Address, now: number): void {
    for (const w of whom(capability, agent, true)) {
      this.#fail(w, "its awards are not claimed", now);
    }
  }

  claimed(capability: string, agent: Address): void {
    if (this.#breakers.size > 0) this.#closeAll(whom(capability, agent, true));
  }

  /** Is the capability's breaker open, or this agent's, with no trial due? */
  blocked(capability: string, now: number, agent?: Address): boolean {
    const b = this.#breakers.get(capability);
    if (b?.open === true && now < b.trialAt) return true;
    return agent !== undefined && !this.trusts(capability, agent, now);
  }

  isOpen(capability: string): boolean {
    return this.#breakers.get(capability)?.open === true;
  }

  /** May an award of this capability go out? An open breaker's trial is used up by asking. */
  admit(capability: string, now: number): boolean {
    return this.#admit(this.#breakers.get(capability), now);
  }

  /** The same for one agent: closed, or a trial is due. */
  trusts(capability: string, agent: Address, now: number): boolean {
    // Mostly nobody has failed, and this is asked of every bid.
    if (this.#breakers.size === 0) return true;
    const due = (b?: Breaker): boolean => b === undefined || !b.open || now >= b.trialAt;
    return everything(capability, agent).every((w) => due(this.#of(w)));
  }

  /** An award goes to this agent: if it is on trial, the next one waits. */
  tries(capability: string, agent: Address, now: number): void {
    if (this.#breakers.size === 0) return;
    for (const w of everything(capability, agent)) this.#admit(this.#of(w), now);
  }

  #of(about: Subject): Breaker | undefined {
    return this.#breakers.get(keyOf(about));
  }

  #admit(b: Breaker | undefined, now: number): boolean {
    if (b === undefined || !b.open) return true;
    if (now < b.trialAt) return false;
    b.trialAt = now + b.pauseMs;
    b.onTrial = true;
    return true;
  }

  #fail(about: Subject, why: string, now: number): void {
    const key = keyOf(about);
    const b = this.#breakers.get(key) ?? this.#enter(key, now);
    if (why === "E_LOST") {
      if (now - b.lostAt < LOSSES_MERGED_MS) return;
      b.lostAt = now;
    }
    if (!b.open && now - b.lastAt > BREAKER_WINDOW_MS) b.failures = 0;
    b.failures++;
    b.lastAt = now;
    if (b.open) {
      if (!b.onTrial) return;
      b.onTrial = false;
      b.pauseMs = Math.min(BREAKER_TRIAL_MS_MAX, b.pauseMs * 2);
      b.trialAt = now + b.pauseMs;
      return;
    }
    if (b.failures < (about.principal === undefined ? BREAKER_FAILURES : PRINCIPAL_FAILURES))
      return;
    b.open = true;
    b.pauseMs = BREAKER_TRIAL_MS;
    b.trialAt = now + b.pauseMs;
    this.#tell(about, "open", b.failures, why);
  }

  #closeAll(subjects: readonly Subject[]): void {
    for (const about of subjects) this.#close(about);
  }

  #close(about: Subject): void {
    const b = this.#of(about);
    if (b === undefined) return;
    this.#breakers.delete(keyOf(about));
    const why = about.claims === true ? "an award was claimed" : "a task succeeded";
    if (b.open) this.#tell(about, "closed", b.failures, why);
  }

  #tell(
    { claims: _, ...about }: Subject,
    state: "open" | "closed",
    failures: number,
    why: string,
  ): void {
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

/** An agent, and all of its principal. */
function whom(capability: string, agent: Address, ofClaims = false): Subject[] {
  const claims = ofClaims ? ({ claims: true } as const) : {};
  return [
    { capability, agent, ...claims },
    { capability, principal: principalOf(agent), ...claims },
  ];
}

function everything(capability: string, agent: Address): Subject[] {
  return [...whom(capability, agent), ...whom(capability, agent, true)];
}

function keyOf({ capability, agent, principal, claims }: Subject): string {
  if (agent === undefined && principal === undefined) return capability;
  const who = agent ?? `${principal}.*`;
  return claims === true ? `${capability} ${who} claims` : `${capability} ${who}`;
}
