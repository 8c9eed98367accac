// What an initiator remembers of one task, what can happen to it, and what it wants done.
import {
  type Address,
  type Bid,
  type CallRung,
  type Failure,
  type RefusalReason,
  type Sample,
  type Spec,
  type TerminalState,
  taskPath,
} from "../../contracts/index.ts";
import type { Answers } from "./answers.ts";
import type { Breakers } from "./breaker.ts";
import type { Calibration } from "./calibration.ts";
import type { Policy, ScoredBid } from "./policy.ts";
import type { SpokenFor } from "./spoken-for.ts";
import type { TaskView } from "./task-view.ts";
import type { Newcomer } from "./waiting-room.ts";

export type Phase =
  | "calling"
  | "awarding"
  | "running"
  | "waiting"
  | "backoff"
  | "ending"
  | "closed";

export type Rung = CallRung | "directed";

export interface InitiatorTask {
  readonly id: string;
  readonly owner: string;
  readonly submitter: Address;
  /** As submitted. */
  readonly origin: Spec;
  /** As the tier in force reads it. */
  spec: Spec;
  /** 0: as asked for; n: the n-th alternative. */
  tier: number;
  /** Epoch before the first of this tier: attempts are counted from here. */
  tierBase: number;
  /** Contracts that were handed back by agents that stopped: these are no attempts. */
  left: number;
  /** How the tiers before this one ended, in words. */
  fallen: string[];
  readonly live: boolean;
  rev: number;
  head: string;
  epoch: number;
  phase: Phase;
  cfp: string;
  rung: Rung;
  openedAt: number;
  lastAnswerAt: number;
  answers: number;
  refusals: number;
  /** Why somebody who answered could not have done it, free slots or not. */
  unfit: "ineligible" | "over_budget" | undefined;
  /** Who answered this call: each counts once. */
  answered: Address[];
  expected: number;
  extensions: number;
  bids: ScoredBid[];
  order: ScoredBid[];
  next: number;
  /** Rounds of calls since the last contract. */
  rounds: number;
  contractor: Address | undefined;
  awarded: ScoredBid | undefined;
  /** Bidders left out of the last ranking: their breaker is open, or they are among those that left
   * an award of this task unclaimed. */
  distrusted: Address[];
  /** Bidders passed over since the last ranking: their slots were given away. */
  spoken: Address[];
  /** The draw that decided among near-equal bids, in [0, 1). */
  draw: number;
  /** Time left when the bids were last ranked, ms. */
  leftMs: number;
  /** When its contractor was last heard of, or it was last awarded; the observer's time, ms. */
  lastSeenAt: number;
  waitingSince: number;
  /** When its contract began, as far as was seen; the observer's time, ms. */
  runsSince: number;
  failure: Failure | undefined;
  /** Whose attempts failed, of this tier, the last one at the end: others are better. */
  failed: Address[];
  /** Whose awards of this task were followed by nothing, since its last contract. */
  unclaimed: Address[];
  /** Did any agent at all answer a call of this task? Decides the words of an expiry. */
  heard: boolean;
  /** When this task wants to be stepped with `due`; Infinity: never. */
  dueAt: number;
}

/** A record of a failed attempt, or a live contractor's word of one. */
export interface FailureEvent {
  on: "failure";
  rev: number;
  head: string;
  epoch: number;
  failure: Failure;
  leaving?: boolean;
}

export type Event =
  | { on: "begin" }
  | { on: "adopt"; view: TaskView }
  | { on: "bid"; cfp: string; from: Address; bid: Bid }
  | {
      on: "refusal";
      cfp: string;
      from: Address;
      award: boolean;
      reason: RefusalReason;
      freeInMs: number | undefined;
    }
  | { on: "nobody"; cfp: string }
  | { on: "due" }
  /** The desk lets this waiting task call again: the most urgent ones only, now and then. */
  | { on: "recall" }
  | { on: "contract"; rev: number; head: string; epoch: number; from: Address }
  | FailureEvent
  | { on: "outcome"; rev: number }
  /** A record that does not fit: its author had no right to it, or a notice was missed. */
  | { on: "usurped"; rev: number; head: string }
  | { on: "cancel"; rev: number; head: string; reason: string }
  | { on: "seen"; from: Address }
  /** `rev`, `head`: where the task was when its records were read; absent for live calls. */
  | { on: "lost"; epoch: number; why: string; rev?: number; head?: string }
  /** The contractor wrote something under its contract that changes nothing here. */
  | { on: "moved"; rev: number; head: string }
  /** The outcome that this initiator wrote: stored, or somebody else was quicker. */
  | { on: "ended"; ok: boolean };

export type Effect =
  | { do: "call"; rung: CallRung }
  | { do: "award"; to: Address; bid: ScoredBid | undefined; order: ScoredBid[] }
  | { do: "wait"; on: boolean }
  | { do: "probe"; contractor: Address }
  /** `over`: the task has ended; else somebody else goes on with it. */
  | { do: "withdraw"; contractor: Address; epoch: number; reason: string; over: boolean }
  | { do: "end"; state: TerminalState; failure: Failure | undefined }
  | { do: "reread" }
  /** The tier before is given up. */
  | { do: "fallback"; from: string; failure: Failure }
  | { do: "close" };

/** What is known of who could answer a call. */
export interface Field {
  /** Agents that offer the capability and meet the requirements. */
  agents: number;
  /** Agents that offer the capability at all. */
  offering: number;
  /** Queue groups with a member, of each sample. */
  groups: Readonly<Record<Sample, number>>;
  /** Nobody told: the figures are a guess. */
  unknown?: true;
}

export interface Context {
  now: number;
  /** Time that this observer was really looking, ms (awareness.ts): what silence is measured on. */
  aware: number;
  /** Wall clock at `now`: deadlines are absolute. */
  wall: number;
  draw: () => number;
  newCfp: () => string;
  field: (t: InitiatorTask) => Field;
  policy: (name: string) => Policy | undefined;
  answers: Answers;
  calibration: Calibration;
  spoken: SpokenFor;
  breakers: Breakers;
  /** Tasks of this length and below are worth only two bids, ms. */
  shortTaskMs: number;
  silenceMs: number;
  /** Does somebody wait for this capability who goes first? Then a newcomer enters the row. */
  queueing: (newcomer: Newcomer) => boolean;
  out: Effect[];
}

/** Whose answer to an award is waited for. */
export function awardeeOf(t: InitiatorTask): Address | undefined {
  return t.rung === "directed" ? t.spec.to : t.awarded?.from;
}

export function newTask(
  spec: Spec,
  submitter: Address,
  live: boolean,
  rev: number,
  head: string,
): InitiatorTask {
  return {
    id: spec.task,
    owner: spec.owner,
    submitter,
    origin: spec,
    spec,
    tier: 0,
    tierBase: 0,
    left: 0,
    fallen: [],
    live,
    rev,
    head,
    epoch: 0,
    phase: "calling",
    cfp: "",
    rung: "s8",
    openedAt: 0,
    lastAnswerAt: 0,
    answers: 0,
    refusals: 0,
    unfit: undefined,
    answered: [],
    expected: 0,
    extensions: 0,
    bids: [],
    order: [],
    next: 0,
    rounds: 0,
    contractor: undefined,
    awarded: undefined,
    distrusted: [],
    spoken: [],
    draw: 0,
    leftMs: 0,
    lastSeenAt: 0,
    waitingSince: 0,
    runsSince: 0,
    failure: undefined,
    failed: [],
    unclaimed: [],
    heard: false,
    dueAt: Number.POSITIVE_INFINITY,
  };
}

/** What the task is known by among all owners. */
export function pathOf(t: InitiatorTask): string {
  return taskPath(t.owner, t.id);
}
