// Waiting tasks of one initiator, by capability, and the two ways out: a freed agent asks for work
// (node-available), or the most urgent few call again.
import {
  type Address,
  address,
  IdleSchema,
  OFFER_HOLD_MS,
  parseIdleSubject,
  patterns,
  RECALL_MS,
  RECALL_MS_MAX,
  taskPath,
} from "../../contracts/index.ts";
import type { InitiatorTask } from "../core/initiator-task.ts";
import type { ScoredBid } from "../core/policy.ts";
import {
  goesBefore,
  type Newcomer,
  urgency,
  type Waiter,
  WaitingRoom,
} from "../core/waiting-room.ts";
import type { Incoming, Subscription } from "../ports/index.ts";
import type { Deps } from "./dependencies.ts";

export interface WaitingEntry {
  t: InitiatorTask;
  /** On offer to somebody until then. */
  offeredUntil: number;
  /** Waits, and calls because a newcomer came: to learn of slots that nobody freed. */
  trying: boolean;
}

interface Hooks<E> {
  offer(entry: E, capability: string, to: Address, urgent: number): void;
  /** Is what this bid offers given away already? */
  spokenFor(bid: ScoredBid): boolean;
  recall(entry: E): void;
  /** Is the breaker of the capability open, or of this agent, so that nothing is to be offered? */
  blocked(capability: string, agent?: Address): boolean;
}

interface Room<E> {
  room: WaitingRoom;
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
}

/** Waiting tasks of one capability that may call again at a time. */
const RECALLED = 2;
/** Where others wait, a newcomer makes for a call this often without any slot left over, ms. */
const TRY_MS = 10;
/** Offers to one freed agent at a time. */
const OFFERS_MAX = 8;

export class WaitingRooms<E extends WaitingEntry> {
  readonly #d: Deps;
  readonly #hooks: Hooks<E>;
  #rooms = new Map<string, Room<E>>();
  /** Which room each waiting task is in: its capability may have changed since it came. */
  #where = new Map<string, string>();

  constructor(dependencies: Deps, hooks: Hooks<E>) {
    this.#d = dependencies;
    this.#hooks = hooks;
  }

  /**
   * Does a newcomer have to queue behind others? Now and then there is a call all the same, so that
   * the room learns of slots that nobody freed, those of agents long idle: by the newcomer where it
   * would be the first in the row, else by who is.
   */
  queueing(newcomer: Newcomer): boolean {
    const waiting = this.#rooms.get(newcomer.capability);
    if (waiting === undefined) return false;
    const now = this.#d.clock.now();
    if (waiting.credit > 0) waiting.credit--;
    else if (now - waiting.triedAt < TRY_MS) return true;
    else waiting.triedAt = now;
    const [first] = this.#free(waiting, 1);
    if (first === undefined || goesBefore(newcomer, first.w, now)) return false;
    waiting.instead = first.entry;
    return true;
  }

  /** Somebody has taken it, and not only bid for it among many: whoever else bid is offered what
   * waits, and so is the taker while its bid has more slots. */
  taken(entry: E): void {
    const { rung, waitingSince, order, next, spec } = entry.t;
    const newcomer = (waitingSince === 0 || entry.trying) && rung !== "directed";
    entry.trying = false;
    const waiting = this.#rooms.get(spec.capability);
    if (waiting === undefined || this.#hooks.blocked(spec.capability)) return;
    const { capability } = spec;
    const spare = order
      .slice(Math.max(0, next - 1))
      .filter((bid) => !this.#hooks.spokenFor(bid) && !this.#hooks.blocked(capability, bid.from));
    if (spare.length === 0 && !newcomer) return;
    if (waiting.pauseMs > RECALL_MS) this.#armRecall(waiting, RECALL_MS);
    // Nobody else bid, but it found a slot that nobody had spoken of.
    if (spare.length === 0) return this.#recall(waiting, 1);
    waiting.credit = spare.length;
    for (const { from } of spare) waiting.credit -= this.#offer(waiting, from, 1);
    // Where there were slots for others there may be more.
    this.#recall(waiting, RECALLED);
  }

  enter(entry: E): void {
    const { spec } = entry.t;
    const id = taskPath(entry.t.owner, entry.t.id);
    if (this.#where.get(id) !== spec.capability) this.leave(entry);
    const waiting = this.#rooms.get(spec.capability) ?? this.#open(spec.capability);
    const { instead } = waiting;
    waiting.instead = undefined;
    entry.trying = false;
    // Its own call found nobody.
    if (entry.t.rounds > 0) waiting.credit = 0;
    if (waiting.room.has(id)) return;
    this.#where.set(id, spec.capability);
    this.#d.counters.add("waits");
    waiting.entries.set(id, entry);
    waiting.room.enter({
      task: id,
      priority: spec.priority,
      since: this.#d.clock.now(),
      deadline: spec.deadline,
      rank: spec.rank,
    });
    if (instead === undefined) return;
    instead.trying = true;
    this.#hooks.recall(instead);
  }

  leave(entry: E): void {
    const id = taskPath(entry.t.owner, entry.t.id);
    const capability = this.#where.get(id) ?? "";
    this.#where.delete(id);
    const waiting = this.#rooms.get(capability);
    if (waiting === undefined || !waiting.entries.delete(id)) return;
    waiting.room.leave(id);
    if (waiting.room.size === 0) return this.#close(capability);
  }

  /** Its breaker has closed: who asked for work before that was not heard. */
  wake(capability: string): void {
    const waiting = this.#rooms.get(capability);
    if (waiting !== undefined) this.#armRecall(waiting, RECALL_MS);
  }

  #recall(waiting: Room<E>, count: number): void {
    for (const { entry } of this.#free(waiting, count)) {
      this.#hooks.recall(entry);
    }
  }

  stop(): void {
    for (const capability of [...this.#rooms.keys()]) this.#close(capability);
  }

  #open(capability: string): Room<E> {
    const waiting: Room<E> = {
      room: new WaitingRoom(),
      entries: new Map(),
      idle: this.#d.transport.subscribe(patterns.idle(capability), (m) => this.#onIdle(m)),
      recall: { cancel: () => undefined },
      pauseMs: RECALL_MS,
      credit: 0,
      triedAt: this.#d.clock.now(),
      instead: undefined,
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
  #free(waiting: Room<E>, count: number, least = 0): { w: Waiter; entry: E }[] {
    const now = this.#d.clock.now();
    const picked = waiting.room.pick(count, (w) => {
      const entry = waiting.entries.get(w.task);
      const enough = (w.rank ?? 0) >= least;
      return enough && entry?.t.phase === "waiting" && entry.offeredUntil <= now;
    });
    return picked.map((w) => ({ w, entry: waiting.entries.get(w.task) as E }));
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
    this.#offer(waiting, to, Math.min(idle.slots, OFFERS_MAX), idle.rank);
  }

  /**
   * The most urgent that wait, for so many slots of one agent.
   * @param least rank that they must have
   * @returns how many there were
   */
  #offer(waiting: Room<E>, to: Address, slots: number, least = 0): number {
    const now = this.#d.clock.now();
    const offered = this.#free(waiting, slots, least);
    for (const { w, entry } of offered) {
      entry.offeredUntil = now + OFFER_HOLD_MS;
      this.#hooks.offer(entry, entry.t.spec.capability, to, urgency(w, now));
    }
    return offered.length;
  }
}
