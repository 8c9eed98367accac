// Waiting tasks of one initiator, by capability, and the two ways out: a freed agent asks for work
// (node-available), or the most urgent few call again.
//
// Invariant: what nobody can do holds up nothing that somebody could. Tasks that ask for different
// things wait in different rows, and each row has its turn.
import {
  type Address,
  address,
  IdleSchema,
  OFFER_HOLD_MS,
  type Offer,
  parseIdleSubject,
  patterns,
  principalOf,
  RECALL_MS,
  RECALL_MS_MAX,
} from "../../contracts/index.ts";
import { Arrivals } from "../core/arrivals.ts";
import { type Event, pathOf } from "../core/initiator-task.ts";
import { asksNoMore, type Needs, needsKey, needsOf, refuses } from "../core/match.ts";
import { type OfferLimits, OpenOffers } from "../core/open-offers.ts";
import type { ScoredBid } from "../core/policy.ts";
import { type RefusalLimits, Refusals } from "../core/refusals.ts";
import {
  goesBefore,
  type Newcomer,
  urgency,
  type Waiter,
  WaitingRoom,
} from "../core/waiting-room.ts";
import type { Incoming } from "../ports/index.ts";
import type { Deps } from "./dependencies.ts";
import type { CardChange } from "./registry.ts";
import {
  every,
  first,
  type Offered,
  offeredTo,
  type Room,
  type Row,
  type WaitingEntry,
} from "./room.ts";

export type { WaitingEntry };

/** How urgent it is, and of equals which came first. */
export type OfferedAs = Pick<Offer, "urgency" | "since" | "specRev">;

interface Hooks<E> {
  offer(entry: E, to: Address, as: OfferedAs): void;
  /** Is what this bid offers given away already? */
  spokenFor(bid: ScoredBid): boolean;
  recall(entry: E): void;
  /** Is the breaker of the capability open, or of this agent, so that nothing is to be offered? */
  blocked(capability: string, agent?: Address): boolean;
}

/** Waiting tasks of one capability that may call again at a time. */
const RECALLED = 2;
/** Where others wait, a newcomer makes for a call this often without any slot left over, ms. */
const TRY_MS = 10;
/** Offers to one freed agent at a time. */
const OFFERS_MAX = 8;
/** Offers that an agent, and all agents of a principal, leave open and unanswered. Guesses: who has
 * many slots has many open; a principal of which nobody answers so many is deaf, or pretends. */
const OF_AGENT: OfferLimits = { open: 64, silent: 16, askers: 10_000 };
const OF_PRINCIPAL: OfferLimits = { open: Number.POSITIVE_INFINITY, silent: 256, askers: 10_000 };
/** Rows of one room; what asks for yet something else shares one more. Guess. */
const ROWS_MAX = 64;
const MIXED = "*";
/** What an agent refuses of a row, and of a task by its own judgement. Guess. */
const OF_ROW: RefusalLimits = { longestMs: 5_000, agents: 256 };
const OF_TASK: RefusalLimits = { longestMs: 80_000, agents: 64 };
/** Offers in a row of which an agent refuses one after the other. Guess. */
const CHAIN_MAX = 32;

/** Of the newest so many are looked at for one that nobody has seen. Guess. */
const UNSEEN_MAX = 64;

/** What nobody has taken for so long may be handed back, ms. Guess. */
const STUCK_MS = 5_000;

/** Whom a search is for. */
interface Search {
  /** An agent that asks for work. */
  to?: Address;
  /** Rank that they must have. */
  least?: number | undefined;
  /** Rows that count. */
  open?: (name: string, row: Row) => boolean;
}

export class WaitingRooms<E extends WaitingEntry> {
  readonly #d: Deps;
  readonly #hooks: Hooks<E>;
  #rooms = new Map<string, Room<E>>();
  /** Which room each waiting task is in: its capability may have changed since it came. */
  #where = new Map<string, string>();
  readonly #deaf: () => void;
  readonly #ofAgents = new OpenOffers(OF_AGENT);
  readonly #ofPrincipals = new OpenOffers(OF_PRINCIPAL);

  constructor(dependencies: Deps, hooks: Hooks<E>) {
    this.#d = dependencies;
    this.#hooks = hooks;
    this.#deaf = dependencies.registry.onChange((change) => this.#onCard(change));
  }

  /**
   * Does a newcomer have to queue behind others? Only behind those who could do with any agent that
   * it could. Now and then there is a call all the same, so that the room learns of slots that
   * nobody freed, those of agents long idle: by the newcomer where it would be the first in the
   * row, else by who is; where that one has called in vain, every other time by the newcomer.
   */
  queueing(newcomer: Newcomer): boolean {
    const waiting = this.#rooms.get(newcomer.capability);
    if (waiting === undefined) return false;
    const key = needsKey(newcomer);
    const before = (name: string, { needs }: Row): boolean =>
      name === key || (needs !== undefined && asksNoMore(needs, newcomer));
    if (![...waiting.rows].some(([name, row]) => before(name, row))) return false;
    const now = this.#d.clock.now();
    if (waiting.credit > 0) waiting.credit--;
    else if (now - waiting.triedAt < TRY_MS) return true;
    else waiting.triedAt = now;
    const [first] = this.#free(waiting, 1, { open: before });
    if (first === undefined || goesBefore(newcomer, first.w, this.#d.clocks.date)) return false;
    // Refused by judgement, it would be again: only the newcomer can tell who is idle.
    if (first.entry.refusedBy !== undefined) return false;
    if (first.entry.called && every(waiting, "own")) return false;
    waiting.instead = first.entry;
    return true;
  }

  /** Somebody has taken it, and not only bid for it among many: whoever else bid is offered what
   * waits, and so is the taker while its bid has more slots. */
  taken(entry: E): void {
    const { rung, waitingSince, order, next, spec } = entry.t;
    const newcomer = (waitingSince === 0 || entry.trying) && rung !== "directed";
    entry.trying = false;
    entry.since = undefined;
    const waiting = this.#rooms.get(spec.capability);
    if (waiting === undefined) return;
    // What never waited says nothing of those who ask for all sorts of things.
    const row = waiting.rows.get(waiting.room.get(pathOf(entry.t))?.row ?? needsKey(spec));
    if (row !== undefined) row.takenAt = this.#d.clock.now();
    if (this.#hooks.blocked(spec.capability)) return;
    const { capability } = spec;
    const spare = order
      .slice(Math.max(0, next - 1))
      .filter((bid) => !this.#hooks.spokenFor(bid) && !this.#hooks.blocked(capability, bid.from));
    if (spare.length === 0 && !newcomer) return;
    if (waiting.pauseMs > RECALL_MS) this.#armRecall(waiting, RECALL_MS);
    // Nobody else bid, but it found a slot that nobody had spoken of.
    if (spare.length === 0) return this.#recall(waiting, 1);
    waiting.credit = spare.length;
    for (const { from: to } of spare) waiting.credit -= this.#offer(waiting, 1, offeredTo(to));
    // Where there were slots for others there may be more.
    this.#recall(waiting, RECALLED);
  }

  enter(entry: E): void {
    const { spec } = entry.t;
    const id = pathOf(entry.t);
    if (this.#where.get(id) !== spec.capability) this.leave(entry);
    const waiting = this.#rooms.get(spec.capability) ?? this.#open(spec.capability);
    const { instead } = waiting;
    waiting.instead = undefined;
    entry.trying = false;
    // Its own call found nobody.
    if (entry.t.openedAt > 0) waiting.credit = 0;
    if (waiting.room.has(id)) return;
    this.#where.set(id, spec.capability);
    this.#d.counters.add("waits");
    waiting.entries.set(id, entry);
    entry.called = entry.t.openedAt > 0;
    (entry.called ? waiting.called : waiting.uncalled).add(entry);
    waiting.unseen.add(entry, waiting.entries.size);
    entry.since ??= this.#d.clocks.date;
    waiting.room.enter({
      task: id,
      row: this.#rowOf(waiting, spec),
      priority: spec.priority,
      since: entry.since,
      specRev: entry.specRev,
      deadline: spec.deadline,
      rank: spec.rank,
    });
    // It may have left, where the newcomer whose place it took did not enter at once.
    if (instead === undefined || !waiting.entries.has(pathOf(instead.t))) return;
    instead.trying = true;
    this.#call(waiting, instead);
  }

  #rowOf({ rows }: Room<E>, spec: Needs): string {
    const key = needsKey(spec);
    // What asks for nothing is never among those that ask for all sorts of things.
    const own = rows.has(key) || rows.size < ROWS_MAX || key === "";
    const name = own ? key : MIXED;
    const needs = own ? needsOf(spec) : undefined;
    const takenAt = this.#d.clock.now();
    const row: Row = rows.get(name) ?? { needs, most: 0, refusedBy: new Refusals(OF_ROW), takenAt };
    row.most = Math.max(row.most, spec.budget ?? Number.POSITIVE_INFINITY);
    rows.set(name, row);
    return name;
  }

  leave(entry: E): void {
    const id = pathOf(entry.t);
    const capability = this.#where.get(id) ?? "";
    this.#where.delete(id);
    const waiting = this.#rooms.get(capability);
    if (waiting === undefined || !waiting.entries.delete(id)) return;
    waiting.uncalled.delete(entry);
    waiting.called.delete(entry);
    const row = waiting.room.leave(id);
    if (row !== undefined) waiting.rows.delete(row);
    if (waiting.room.size === 0) return this.#close(capability);
  }

  /** Its breaker has closed: who asked for work before that was not heard. */
  wake(capability: string): void {
    const waiting = this.#rooms.get(capability);
    if (waiting !== undefined) this.#armRecall(waiting, RECALL_MS);
  }

  /** Who would not do it, and not for want of a slot, is not offered it again for a while. */
  heard(entry: E, answer: Event): void {
    if (answer.on !== "refusal" && answer.on !== "bid") return;
    const { spec } = entry.t;
    const id = pathOf(entry.t);
    const waiting = this.#rooms.get(this.#where.get(id) ?? "");
    if (waiting === undefined) return;
    const name = waiting.room.get(id)?.row ?? MIXED;
    // There what an agent refuses of one says nothing of the others.
    const row = name === MIXED ? undefined : waiting.rows.get(name);
    if (answer.on === "bid") {
      entry.refusedBy?.forget(answer.from);
      return void row?.refusedBy.forget(answer.from);
    }
    const { from, reason } = answer;
    if (reason !== "low_value" && reason !== "ineligible" && reason !== "over_budget") return;
    const now = this.#d.clock.now();
    const most = reason === "over_budget" && spec.budget !== undefined ? spec.budget : Infinity;
    // By its own judgement it may take the next one of the row.
    const ofRow = reason === "low_value" ? undefined : row?.refusedBy;
    if (ofRow === undefined) entry.refusedBy ??= new Refusals(OF_TASK);
    // Somebody has looked at it: who was never asked about goes before.
    if (waiting.uncalled.delete(entry)) waiting.uncalled.add(entry);
    (ofRow ?? entry.refusedBy)?.refused(from, now, most);
    const { offered } = entry;
    if (offered?.to !== from || entry.t.phase !== "waiting") return;
    // Its slot is still free: there may be something else for it.
    entry.offered = undefined;
    if (offered.nth >= CHAIN_MAX) return;
    const passed = reason === "over_budget" ? [...offered.passed, offered.row] : offered.passed;
    const next = { ...offered, nth: offered.nth + 1, passed };
    // Who waits for long has often been refused by others; who has just come has not.
    if (reason !== "low_value" || next.nth % 2 > 0 || !this.#offerUnseen(waiting, next)) {
      this.#offer(waiting, 1, next);
    }
  }

  #call(waiting: Room<E>, entry: E): void {
    entry.called = true;
    waiting.uncalled.delete(entry);
    waiting.called.delete(entry);
    waiting.called.add(entry);
    this.#hooks.recall(entry);
  }

  /** Of two, whoever never had a call, and every other time whoever is most urgent; of one, in turn
   * these and the others. */
  #recall(waiting: Room<E>, count: 1 | 2): void {
    const others = waiting.rows.size > 1 && every(waiting, "other");
    if (count === 1 && !others) return this.#callUrgent(waiting);
    const now = this.#d.clock.now();
    const free = (e: E): boolean => e.t.phase === "waiting" && e.offeredUntil <= now;
    const fresh = first(waiting.uncalled, free);
    const turn = fresh === undefined || every(waiting, "called");
    if (fresh !== undefined && (count === 2 || turn)) this.#call(waiting, fresh);
    if (count === 2 && turn) this.#callUrgent(waiting);
    if (fresh === undefined || !turn) this.#callOther(waiting, free);
  }

  #callUrgent(waiting: Room<E>): void {
    for (const { entry } of this.#free(waiting, 1)) this.#call(waiting, entry);
  }

  /** In turn who had no call for the longest, and the most urgent of the next row. */
  #callOther(waiting: Room<E>, free: (entry: E) => boolean): void {
    const longest = every(waiting, "longest") ? first(waiting.called, free) : undefined;
    if (longest !== undefined) return this.#call(waiting, longest);
    const [name] = waiting.rows.keys();
    const row = waiting.rows.get(name ?? "");
    if (name === undefined || row === undefined) return;
    waiting.rows.delete(name);
    waiting.rows.set(name, row);
    for (const { entry } of this.#free(waiting, 1, { open: (one) => one === name })) {
      this.#call(waiting, entry);
    }
  }

  /** So many at most of those whose like nobody has taken for long. */
  stuck(count: number): E[] {
    const found: E[] = [];
    const takenBefore = this.#d.clock.now() - STUCK_MS;
    for (const { called, uncalled, room, rows } of this.#rooms.values()) {
      for (const entries of [called, uncalled]) {
        for (const entry of entries) {
          if (found.length === count) return found;
          const row = rows.get(room.get(pathOf(entry.t))?.row ?? "");
          const isStuck = row !== undefined && row.takenAt < takenBefore;
          if (isStuck && entry.t.phase === "waiting" && !entry.t.live) found.push(entry);
        }
      }
    }
    return found;
  }

  /** Its card says something else now: what it was asked before it was asked as another. */
  #onCard({ change, principal, agent, card }: CardChange): void {
    if (change !== "changed" || card === undefined) return;
    const to = address(principal, agent);
    for (const { name, slots = card.slots } of card.capabilities) {
      const waiting = this.#rooms.get(name);
      if (waiting === undefined || this.#hooks.blocked(name, to)) continue;
      for (const { refusedBy } of waiting.rows.values()) refusedBy.forget(to);
      this.#offer(waiting, Math.min(slots, OFFERS_MAX), offeredTo(to));
    }
  }

  stop(): void {
    this.#deaf();
    for (const capability of [...this.#rooms.keys()]) this.#close(capability);
  }

  #open(capability: string): Room<E> {
    const entries = new Map<string, E>();
    const waiting: Room<E> = {
      room: new WaitingRoom(),
      rows: new Map(),
      uncalled: new Set(),
      unseen: new Arrivals((e) => e.refusedBy === undefined && entries.has(pathOf(e.t))),
      called: new Set(),
      entries,
      idle: this.#d.transport.subscribe(patterns.idle(capability), (m) => this.#onIdle(m)),
      recall: { cancel: () => undefined },
      pauseMs: RECALL_MS,
      credit: 0,
      triedAt: this.#d.clock.now(),
      instead: undefined,
      every: { own: false, other: false, called: false, longest: false },
    };
    this.#rooms.set(capability, waiting);
    this.#armRecall(waiting, RECALL_MS);
    return waiting;
  }

  #close(capability: string): void {
    const waiting = this.#rooms.get(capability);
    waiting?.recall.cancel();
    waiting?.idle.unsubscribe();
    this.#rooms.delete(capability);
  }

  #armRecall(waiting: Room<E>, pauseMs: number): void {
    waiting.pauseMs = pauseMs;
    waiting.recall.cancel();
    const jitter = 1 + this.#d.random.next() / 4;
    waiting.recall = this.#d.clock.after(pauseMs * jitter, () => {
      this.#recall(waiting, RECALLED);
      this.#armRecall(waiting, Math.min(RECALL_MS_MAX, pauseMs * 2));
    });
  }

  /** The most urgent that wait and are not on offer. */
  #free(waiting: Room<E>, count: number, search: Search = {}): { w: Waiter; entry: E }[] {
    const { fits, rowFits } = this.#filter(waiting, search);
    const picked = waiting.room.pick(count, fits, rowFits);
    return picked.map((w) => ({ w, entry: waiting.entries.get(w.task) as E }));
  }

  /** Who is meant by a search, and which rows of them. */
  #filter(waiting: Room<E>, { to, least = 0, open }: Search) {
    const now = this.#d.clock.now();
    const card = to === undefined ? undefined : this.#d.registry.card(to);
    const wants = (needs: Needs) => to === undefined || !refuses(needs, to, card);
    const willing = (by: Refusals | undefined, budget?: number): boolean =>
      to === undefined || by === undefined || by.mayAsk(to, now, budget);
    const fits = (w: Waiter): boolean => {
      const entry = waiting.entries.get(w.task);
      if (entry?.t.phase !== "waiting" || entry.offeredUntil > now) return false;
      if ((w.rank ?? 0) < least || !willing(entry.refusedBy)) return false;
      const { spec } = entry.t;
      return w.row === MIXED
        ? wants(spec)
        : willing(waiting.rows.get(w.row)?.refusedBy, spec.budget);
    };
    const rowFits = (name: string): boolean => {
      const row = waiting.rows.get(name);
      if (row === undefined || open?.(name, row) === false) return false;
      return row.needs === undefined || (willing(row.refusedBy, row.most) && wants(row.needs));
    };
    return { fits, rowFits };
  }

  /** The newest that nobody has looked at, for one slot. @returns false: there is none */
  #offerUnseen(waiting: Room<E>, how: Offered): boolean {
    const { fits, rowFits } = this.#filter(waiting, how);
    for (const entry of waiting.unseen.newest(UNSEEN_MAX)) {
      const w = waiting.room.get(pathOf(entry.t));
      if (w === undefined || !rowFits(w.row) || !fits(w)) continue;
      this.#give(entry, w, how);
      return true;
    }
    return false;
  }

  /** A freed agent asks for work: the most urgent waiting tasks are offered. */
  #onIdle(message: Incoming): void {
    const subject = parseIdleSubject(message.subject);
    const idle = this.#d.inbound.read("idle", IdleSchema, message);
    if (subject === undefined || idle === undefined) return;
    const waiting = this.#rooms.get(subject.capability);
    if (waiting === undefined) return;
    const to = address(subject.principal, subject.agent);
    if (this.#hooks.blocked(subject.capability, to)) return;
    const now = this.#d.clock.now();
    const own = this.#ofAgents.room(to, Math.min(idle.slots, OFFERS_MAX), now);
    const slots = this.#ofPrincipals.room(subject.principal, own, now);
    if (slots > 0) this.#offer(waiting, slots, offeredTo(to, idle.rank));
  }

  /** An agent answered a call or an offer of this initiator. */
  answered(from: { principal: string; agent: string } | undefined): void {
    if (from === undefined || this.#ofPrincipals.size === 0) return;
    this.#ofAgents.answered(address(from.principal, from.agent));
    this.#ofPrincipals.answered(from.principal);
  }

  /** The most urgent that wait, for so many slots of one agent. @returns how many there were */
  #offer(waiting: Room<E>, slots: number, how: Offered): number {
    const { to, least, passed } = how;
    const open = (name: string): boolean => !passed.includes(name);
    const offered = this.#free(waiting, slots, { to, least, open });
    if (offered.length === 0 && passed.length > 0) {
      return this.#offer(waiting, slots, { ...how, passed: [] });
    }
    for (const { w, entry } of offered) this.#give(entry, w, how);
    return offered.length;
  }

  #give(entry: E, w: Waiter, how: Offered): void {
    const now = this.#d.clock.now();
    entry.offeredUntil = now + OFFER_HOLD_MS;
    entry.offered = { ...how, row: w.row };
    this.#ofAgents.offered(how.to, now);
    this.#ofPrincipals.offered(principalOf(how.to), now);
    const urgent = urgency(w, this.#d.clocks.date);
    this.#hooks.offer(entry, how.to, { urgency: urgent, since: w.since, specRev: w.specRev });
  }
}
