// What lies on an initiator's desk.
import {
  ACK_WAIT_MS,
  type Address,
  type Failure,
  type TerminalState,
} from "../../contracts/index.ts";
import type { InitiatorTask } from "../core/initiator-task.ts";
import type { Spoken } from "../core/spoken-for.ts";
import type { Receipt, Signer, SpecDelivery } from "../ports/index.ts";
import type { Deps } from "./dependencies.ts";
import type { Policies } from "./policies.ts";
import { digest } from "./signing.ts";
import type { WaitingEntry } from "./waiting-rooms.ts";

/** Between two looks at which specs the server hears of, ms. It hears of each twice in its
 * `ack_wait`, and once where this process stood still for as long as half of it. */
export const SWEEP_MS = ACK_WAIT_MS / 6;

/** Who wants to know how a live call of this peer goes. */
export interface LiveObserver {
  /** @param attempts how many agents took it */
  ended(state: TerminalState, failure: Failure | undefined, attempts: number): void;
}

export interface Entry extends WaitingEntry {
  /** Of a durable task: that it is this peer's to supervise. */
  receipt: Receipt | undefined;
  specBytes: Uint8Array;
  specDigest: string;
  observer: LiveObserver | undefined;
  /** Earliest moment queued in the deadline heap. */
  queuedAt: number;
  /** Are its records being read, and is it to be done once more after that? */
  reading: "not" | "once" | "again";
  /** When the server was last told that the spec is in hand. */
  toldAt: number;
  probing: boolean;
  /** When the spec was submitted, by its author's clock and by the server's, ms since the epoch;
   * absent for a live call. */
  submitted: { at: number; storedAt: number } | undefined;
  /** Its award that went out last. */
  spoken: Spoken | undefined;
}

export interface InitiatorOptions {
  agent: Address;
  signer: Signer | undefined;
  policies: Policies;
  shortTaskMs?: number;
  silenceMs?: number;
  leaseMs?: number;
  windowMs?: number;
}

/** The date by the clock that set the task's deadline, as far as is known. */
export function wallOf({ clock, clocks }: Pick<Deps, "clock" | "clocks">, e: Entry): number {
  const { submitted } = e;
  const aheadMs = submitted === undefined ? 0 : clocks.aheadOf(submitted.at, submitted.storedAt);
  return clock.wall() - aheadMs;
}

/** Tasks that a full desk hands back at a time. Guess. */
const HANDED_BACK_MAX = 128;
/** What was handed back comes again after this share of the time that it has waited, so that
 * it is late by no more than that once somebody takes it; at least and at most, ms. Guess. */
const AWAY_SHARE = 1 / 4;
const AWAY_MS = 30_000;
const AWAY_MS_MAX = 300_000;
/** At its deadline; at least, so that it is not handed out at once, ms. */
const AWAY_MS_MIN = 1_000;

/** How long others go before it, on a full desk, ms: its deadline is kept. */
function awayMs(d: Pick<Deps, "clock" | "clocks">, entry: Entry): number {
  const waitedMs = d.clock.wall() - (entry.submitted?.storedAt ?? 0);
  const pauseMs = Math.min(Math.max(AWAY_MS, waitedMs * AWAY_SHARE), AWAY_MS_MAX);
  const leftMs = entry.t.spec.deadline - wallOf(d, entry);
  return Math.max(AWAY_MS_MIN, Math.min(pauseMs, leftMs));
}

/** A full desk hands back what nobody takes: nothing behind it would be seen, nor ended. */
export function makeRoom(
  d: Pick<Deps, "clock" | "clocks" | "counters">,
  rooms: { stuck(count: number): Entry[] },
  giveBack: (entry: Entry, afterMs: number) => void,
): void {
  // Whoever's clock is wrong has no room either, and hands everything back.
  if (d.clocks.off) return;
  for (const entry of rooms.stuck(HANDED_BACK_MAX)) {
    d.counters.add("initiator.handed-back");
    giveBack(entry, awayMs(d, entry));
  }
}

/** The slot that it was awarded is taken, or refused: its agent's next bid knows. */
export function answered({ spoken }: Entry): void {
  if (spoken !== undefined) spoken.open = false;
}

/** Tells the server which specs are in hand: a message each, so no more often than it needs, which
 * is with every third look. */
export function signalProgress(entries: Iterable<Entry>, now: number): void {
  for (const entry of entries) {
    if (entry.receipt === undefined || now - entry.toldAt < 2.5 * SWEEP_MS) continue;
    entry.toldAt = now;
    entry.receipt.working();
  }
}

export function newEntry(
  { clock, clocks }: Pick<Deps, "clock" | "clocks">,
  t: InitiatorTask,
  specBytes: Uint8Array,
  stored?: SpecDelivery,
  observer?: LiveObserver,
): Entry {
  return {
    t,
    receipt: stored?.receipt,
    submitted: stored && { at: t.spec.at, storedAt: stored.storedAt },
    since: stored?.storedAt ?? clocks.date,
    specRev: stored?.rev,
    // A copy: the bytes that came are a view of all that came with them.
    specBytes: new Uint8Array(specBytes),
    specDigest: digest(specBytes),
    observer,
    queuedAt: Number.POSITIVE_INFINITY,
    reading: "not",
    toldAt: clock.now(),
    offeredUntil: 0,
    probing: false,
    spoken: undefined,
    trying: false,
    called: false,
    offered: undefined,
    refusedBy: undefined,
  };
}
