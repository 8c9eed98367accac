// One capability's waiting tasks, as an initiator keeps them (waiting-rooms.ts).
import type { Address } from "../../contracts/index.ts";
import type { Arrivals } from "../core/arrivals.ts";
import type { InitiatorTask } from "../core/initiator-task.ts";
import type { Needs } from "../core/match.ts";
import type { Refusals } from "../core/refusals.ts";
import type { WaitingRoom } from "../core/waiting-room.ts";
import type { Subscription } from "../ports/index.ts";

export interface WaitingEntry {
  t: InitiatorTask;
  /** From when its age counts, ms on the server's clock; undefined once it had a contract, until it
   * waits again. */
  since: number | undefined;
  /** Its spec's revision; undefined for a live call. */
  specRev: number | undefined;
  /** On offer to somebody until then. */
  offeredUntil: number;
  offered: (Offered & { row: string }) | undefined;
  /** Waits, and calls because a newcomer came: to learn of slots that nobody freed. */
  trying: boolean;
  /** Has it called in vain since it waits? */
  called: boolean;
  refusedBy: Refusals | undefined;
}

/** Whom a task was offered to, and how that search goes on where it is refused. */
export interface Offered {
  to: Address;
  least: number;
  /** How many it was offered one after the other. */
  nth: number;
  /** Rows whose first it refused for the price: others have their turn before the next of these. */
  passed: readonly string[];
}

/** Tasks that ask for the same. */
export interface Row {
  /** Undefined: they ask for all sorts of things. */
  needs: Needs | undefined;
  /** The most that one of them would pay. */
  most: number;
  refusedBy: Refusals;
  /** When one of them, or one like them, was last taken, or the first of them came. */
  takenAt: number;
}

export interface Room<E> {
  room: WaitingRoom;
  /** In the order of their turns. */
  rows: Map<string, Row>;
  /** Those that have not called yet, since others were before them. */
  uncalled: Set<E>;
  /** Those that nobody has refused by judgement. */
  unseen: Arrivals<E>;
  /** Those that called in vain, the longest ago first. */
  called: Set<E>;
  entries: Map<string, E>;
  idle: Subscription;
  recall: { cancel(): void };
  pauseMs: number;
  /** How many newcomers make for a call each, of whoever is first in the row: slots that were left
   * over. None once a call found nobody. */
  credit: number;
  triedAt: number;
  /** Calls once the newcomer that made for it has entered. */
  instead: E | undefined;
  /** Every other time of each: a newcomer makes its own call, the most urgent is not the one who
   * calls, who has not called yet is not asked first, who called the longest ago is. */
  every: Record<"own" | "other" | "called" | "longest", boolean>;
}

export function first<E>(entries: Iterable<E>, free: (entry: E) => boolean): E | undefined {
  for (const entry of entries) if (free(entry)) return entry;
  return undefined;
}

export function offeredTo(to: Address, least = 0): Offered {
  return { to, least, nth: 1, passed: [] };
}

export function every<E>({ every: turns }: Room<E>, what: keyof Room<E>["every"]): boolean {
  turns[what] = !turns[what];
  return turns[what];
}
