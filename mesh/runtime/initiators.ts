// The desk of an initiator: many tasks, one table. Feeds events to the pure machine and carries
// out its effects.
import {
  type Address,
  bidSubject,
  directedSubject,
  type Failure,
  OPEN_TASKS_MAX,
  type Outcome,
  ParleyError,
  parseBidSubject,
  SILENCE_MS,
  type Spec,
  type TerminalState,
  taskPath,
  urgencyOf,
} from "../../contracts/index.ts";
import { roomFor } from "../core/admission.ts";
import { Answers } from "../core/answers.ts";
import { Breakers } from "../core/breaker.ts";
import { actualOf, Calibration } from "../core/calibration.ts";
import { step } from "../core/initiator.ts";
import { spokenFor } from "../core/initiator-choice.ts";
import {
  awardeeOf,
  type Context,
  type Effect,
  type Event,
  type FailureEvent,
  type InitiatorTask,
  newTask,
  pathOf,
} from "../core/initiator-task.ts";
import type { ScoredBid } from "../core/policy.ts";
import { SpokenFor } from "../core/spoken-for.ts";
import { isSpoiled, type ReadRecord } from "../core/task-view.ts";
import type { HistoryEvent, Incoming, SpecDelivery } from "../ports/index.ts";
import { sealAward } from "./awards.ts";
import { cfpTokens } from "./cfp-tokens.ts";
import { choiceOf } from "./choice.ts";
import { Confirmations } from "./confirmations.ts";
import { Deadlines } from "./deadlines.ts";
import type { Deps } from "./dependencies.ts";
import {
  answered,
  type Entry,
  type InitiatorOptions,
  type LiveObserver,
  makeRoom,
  newEntry,
  SWEEP_MS,
  signalProgress,
  wallOf,
} from "./desk.ts";
import { lawfulEvent } from "./lawful.ts";
import type { ProvenRecord } from "./records.ts";
import { absent, misdates, readReply } from "./replies.ts";
import { outcomeKey, refuseSpec, storeEnd, viewOf, workOf } from "./tender.ts";
import { Voice } from "./voice.ts";
import { type OfferedAs, WaitingRooms } from "./waiting-rooms.ts";
import { Watch } from "./watch.ts";

/** Until records are read once more that moved while they were read, ms; doubled each time. */
const REREAD_MS = 10;
const REREAD_MS_MAX = 2_000;

export class Initiators {
  readonly #d: Deps;
  readonly #o: InitiatorOptions;
  readonly calibration = new Calibration();
  readonly #answers = new Answers();
  readonly #breakers = new Breakers();
  #entries = new Map<string, Entry>();
  #calls = new Map<string, Entry>();
  readonly #rooms: WaitingRooms<Entry>;
  readonly #confirmations: Confirmations;
  /** Beats and reports are signs of life. */
  readonly watch: Watch;
  readonly #voice: Voice;
  #deadlines: Deadlines<Entry>;
  #out: Effect[] = [];
  #context: Context;
  #sweep: { cancel(): void } | undefined;

  constructor(dependencies: Deps, options: InitiatorOptions) {
    this.#d = dependencies;
    this.#o = options;
    this.#confirmations = new Confirmations(dependencies);
    const due = (entry: Entry) => this.#feed(entry, { on: "due" });
    this.#deadlines = new Deadlines(dependencies.clock, due);
    this.#rooms = new WaitingRooms(dependencies, {
      offer: (entry, to, as) => this.#offer(entry, to, as),
      spokenFor: (bid) => spokenFor(bid, this.#context),
      recall: (entry) => this.#feed(entry, { on: "recall" }),
      blocked: (capability, agent) =>
        this.#breakers.blocked(capability, dependencies.clock.now(), agent),
    });
    this.#voice = new Voice(dependencies, options);
    this.watch = new Watch(dependencies, options.agent, options.silenceMs ?? SILENCE_MS, {
      entry: (path) => this.#entries.get(path),
      seen: (entry, from, aware) => {
        this.#context.aware = aware;
        step(entry.t, { on: "seen", from }, this.#context);
      },
      gone: (entry, epoch, why, rev) => void this.#lost(entry, epoch, why, rev),
    });
    this.#context = {
      now: 0,
      aware: 0,
      wall: 0,
      draw: () => dependencies.random.next(),
      newCfp: cfpTokens(dependencies.random),
      field: (t) => dependencies.fields.of(t.spec.capability, t.spec.requires),
      policy: (name) => options.policies.get(name),
      answers: this.#answers,
      calibration: this.calibration,
      spoken: new SpokenFor(),
      breakers: this.#breakers,
      shortTaskMs: options.shortTaskMs ?? 50,
      silenceMs: options.silenceMs ?? SILENCE_MS,
      queueing: (newcomer) => this.#rooms.queueing(newcomer),
      out: this.#out,
    };
  }

  get open(): number {
    return this.#entries.size;
  }

  /** How many more tasks of an urgency class this peer would take. */
  room(urgency: 0 | 1 | 2): number {
    return this.#d.clocks.off ? 0 : roomFor(urgency, this.#entries.size, OPEN_TASKS_MAX);
  }

  start(): void {
    this.watch.start();
    const turn = () => {
      if (this.room(2) === 0) makeRoom(this.#d, this.#rooms, (e, ms) => this.#giveBack(e, ms));
      signalProgress(this.#entries.values(), this.#d.clock.now());
      this.#sweep = this.#d.clock.after(SWEEP_MS, turn);
    };
    this.#sweep = this.#d.clock.after(SWEEP_MS, turn);
  }

  stop(): void {
    this.#sweep?.cancel();
    this.#deadlines.stop();
    this.#confirmations.stop();
    this.#rooms.stop();
    this.watch.stop();
    for (const entry of this.#entries.values()) entry.receipt?.release(0);
    this.#entries.clear();
    this.#calls.clear();
  }

  /** A spec from the supervision consumer, proven. */
  accept(record: ReadRecord, delivery: SpecDelivery): void {
    const spec = record.body as Spec;
    const held = this.#entries.get(taskPath(spec.owner, spec.task));
    if (held !== undefined) {
      // Our own silence made the server hand it out again: go on where we are.
      held.receipt = delivery.receipt;
      return this.#reread(held);
    }
    if (delivery.key.owner !== spec.owner) return this.#turnAway(delivery);
    if (this.#d.clocks.off) return delivery.receipt.release(1_000);
    const entry = this.#enter(
      newTask(spec, record.from, false, record.rev, record.digest),
      delivery.body,
      delivery,
      undefined,
    );
    if (delivery.deliveries > 1) {
      this.#d.counters.add("initiator.adopted");
      this.#note(entry.t, "adopt", {});
      return this.#reread(entry);
    }
    this.#feed(entry, { on: "begin" });
  }

  #turnAway(delivery: SpecDelivery): void {
    this.#d.inbound.reject("record.spec", "E_SCHEMA");
    delivery.receipt.ack();
  }

  /** A spec that is proven and may not be carried out: its submitter learns why. */
  refuse(record: ReadRecord, delivery: SpecDelivery, failure: Failure): void {
    const { owner } = record.body as Spec;
    if (delivery.key.owner !== owner) return this.#turnAway(delivery);
    refuseSpec(this.#d, this.#o, record, delivery, failure);
  }

  /** A live call of this peer's own: nothing is stored. @throws ParleyError E_OVERLOAD */
  call(spec: Spec, specBytes: Uint8Array, observer: LiveObserver): void {
    if (this.room(urgencyOf(spec.priority)) === 0) {
      this.#d.counters.add("refused.call.E_OVERLOAD");
      throw new ParleyError("E_OVERLOAD");
    }
    const t = newTask(spec, this.#o.agent, true, 0, "");
    const entry = this.#enter(t, specBytes, undefined, observer);
    this.#feed(entry, { on: "begin" });
  }

  /** Who works on a task of this desk; undefined while nobody does. */
  contractorOf(path: string): Address | undefined {
    const t = this.#entries.get(path)?.t;
    return t?.phase === "running" ? t.contractor : undefined;
  }

  cancelLive(path: string, reason: string): void {
    const entry = this.#entries.get(path);
    if (entry?.t.live) this.#feed(entry, { on: "cancel", rev: 0, head: "", reason });
  }

  #enter(
    t: InitiatorTask,
    specBytes: Uint8Array,
    stored: SpecDelivery | undefined,
    observer: LiveObserver | undefined,
  ): Entry {
    const entry = newEntry(this.#d, t, specBytes, stored, observer);
    this.#entries.set(pathOf(t), entry);
    return entry;
  }

  /** A record addressed to this initiator, or an outcome that it heard of. */
  onRecord(record: ProvenRecord): void {
    const entry = this.#entries.get(taskPath(record.key.owner, record.key.task));
    if (entry === undefined || entry.t.live) return;
    const { rev, digest: head } = record;
    const event = lawfulEvent(entry.t, record);
    if (event?.on === "contract") {
      this.#d.counters.add("initiator.contracts");
      this.#d.clocks.claimed();
      this.#rooms.taken(entry);
    }
    if (event?.on === "outcome") this.#credit(entry.t, ...workOf(record.body as Outcome));
    if (event !== undefined) return this.#feed(entry, event);
    this.#d.counters.add(`refused.unlawful.${record.kind}`);
    this.#feed(entry, { on: "usurped", rev, head });
  }

  /** The contractor says that the outcome is stored: looked up before the task is let go. */
  onDone(path: string, from: Address, rev: number, workedMs: number | undefined): void {
    const entry = this.#entries.get(path);
    if (entry === undefined || entry.t.contractor !== from) return;
    const { t } = entry;
    const { epoch } = t;
    this.#confirmations.ask(outcomeKey(t, from), (stored) => {
      if (this.#entries.get(path) !== entry || t.contractor !== from || t.epoch !== epoch) return;
      if (!stored) {
        this.#d.counters.add("refused.done");
        return this.#reread(entry);
      }
      this.#credit(t, workedMs, true);
      this.#feed(entry, { on: "outcome", rev });
    });
  }

  /** A live contractor's last word. */
  onLiveFailure(path: string, from: Address, how: Omit<FailureEvent, "on" | "rev" | "head">): void {
    const entry = this.#entries.get(path);
    if (entry?.t.live && entry.t.contractor === from)
      this.#feed(entry, { on: "failure", rev: 0, head: "", ...how });
  }

  onLiveOutcome(path: string, from: Address, workedMs: number | undefined): boolean {
    const entry = this.#entries.get(path);
    if (entry === undefined || !entry.t.live || entry.t.contractor !== from) return false;
    this.#credit(entry.t, workedMs, true);
    this.#feed(entry, { on: "outcome", rev: 0 });
    return true;
  }

  /** A connection was lost: whoever holds a contract behind it is asked at once, and whoever was
   * awarded one and has not claimed it is not waited for. */
  onConnectionLost(lost: ReadonlySet<Address>): void {
    for (const entry of this.#entries.values()) {
      const { phase, contractor = "", cfp } = entry.t;
      if (phase === "running" && lost.has(contractor)) this.#suspect(entry, contractor);
      const from = awardeeOf(entry.t);
      if (phase !== "awarding" || from === undefined || !lost.has(from)) continue;
      this.#feed(entry, absent(cfp, from));
    }
  }

  /** Bids, refusals, and the server's word that nobody is there. */
  onBid(message: Incoming): void {
    const subject = parseBidSubject(message.subject);
    if (subject === undefined) return void this.#d.inbound.reject("bid", "E_KIND");
    // Processes of one principal hear each other's bids, and count their calls alike.
    if (`${subject.toPrincipal}.${subject.toAgent}` !== this.#o.agent) return;
    this.#rooms.answered(subject.from);
    const entry = this.#calls.get(subject.cfp);
    if (entry === undefined) return this.#d.counters.add("bid.late");
    const event = readReply(this.#d, subject, message, entry.t.spec.capability);
    if (event === undefined) return;
    if (misdates(entry.t, event) && this.#d.clocks.refusedBy(event.from)) this.#handBack();
    entry.offeredUntil = 0;
    this.#rooms.heard(entry, event);
    this.#feed(entry, event);
  }

  #offer(entry: Entry, to: Address, as: OfferedAs): void {
    this.#calls.set(entry.t.cfp, entry);
    this.#voice.offer(entry.t, to, as);
  }

  #feed(entry: Entry, event: Event): void {
    const c = this.#context;
    c.now = this.#d.clock.now();
    c.aware = this.watch.aware();
    c.wall = wallOf(this.#d, entry);
    const cfpBefore = entry.t.cfp;
    step(entry.t, event, c);
    if (entry.t.phase !== "awarding") answered(entry);
    if (entry.t.cfp !== cfpBefore) {
      this.#calls.delete(cfpBefore);
      this.#calls.set(entry.t.cfp, entry);
    }
    if (this.#out.length > 0) {
      const effects = this.#out.splice(0);
      for (const effect of effects) this.#carryOut(entry, effect);
    }
    for (const change of this.#breakers.changes.splice(0)) {
      this.#voice.breaker(change);
      if (change.state === "closed") this.#rooms.wake(change.capability);
    }
    this.#deadlines.add(entry);
  }

  #carryOut(entry: Entry, effect: Effect): void {
    const { t } = entry;
    switch (effect.do) {
      case "call":
        this.#note(t, "cfp", { id: t.cfp });
        return this.#voice.call(t, effect.rung);
      case "award":
        return this.#award(entry, effect.to, effect.bid, effect.order);
      case "wait":
        if (effect.on) this.#note(t, "wait", {});
        return effect.on ? this.#rooms.enter(entry) : this.#rooms.leave(entry);
      case "probe":
        return this.#suspect(entry, effect.contractor);
      case "withdraw":
        return this.#voice.withdraw(t, effect);
      case "end":
        return this.#end(entry, effect.state, effect.failure);
      case "reread":
        return this.#reread(entry);
      case "fallback":
        this.#d.counters.add("fallbacks");
        return this.#d.log.info(
          { task: t.id, from: effect.from, to: t.spec.capability, why: effect.failure.message },
          "an alternative is tried",
        );
      case "close":
        return this.#close(entry);
    }
  }

  /** A live call leaves nothing that a judge could compare. */
  #note(t: InitiatorTask, op: string, more: Partial<HistoryEvent>): void {
    if (t.live || this.#d.history === undefined) return;
    const about = { task: pathOf(t), e: t.epoch, who: this.#o.agent };
    this.#d.history.note({ k: "obs", op, ...about, ...more });
  }

  #award(entry: Entry, to: Address, bid: ScoredBid | undefined, order: readonly ScoredBid[]): void {
    const { t } = entry;
    const choice = choiceOf(this.#d, this.#o, entry, to, bid === undefined ? [] : order);
    this.#d.counters.add("awards");
    this.#note(t, "award", { to, e: choice.terms.epoch, rev: choice.terms.rev, id: t.cfp });
    answered(entry);
    entry.spoken = this.#context.spoken.add(to, this.#d.clock.now());
    // Nothing is stored that could tell when it is taken.
    if (t.live) {
      answered(entry);
      this.#rooms.taken(entry);
    }
    const sealed = sealAward(choice, entry.specBytes, this.#o.signer, this.#d.identities);
    if (!t.live) this.#d.ownAwards.add(choice.terms, sealed.terms);
    // Where nobody hears it, the server says so in the name of whom it was for.
    const reply = bidSubject(this.#o.agent, t.cfp, to);
    const subject = directedSubject("award", to, this.#o.agent);
    this.#d.transport.publish(subject, sealed.message, { reply });
  }

  #suspect(entry: Entry, contractor: Address): void {
    if (!entry.probing) this.#note(entry.t, "suspect", { to: contractor });
    this.watch.probe(entry, contractor);
  }

  /** Nobody works on it: unless the records say that it went on meanwhile, it is lost. */
  async #lost(entry: Entry, epoch: number, why: string, last = 0): Promise<void> {
    const { contractor = "" } = entry.t;
    if (entry.t.live) return this.#feed(entry, { on: "lost", epoch, why });
    const view = await this.#readView(entry);
    // Read from a copy that lags.
    if (view === undefined) return;
    if (view.rev < last) return this.watch.again(entry, contractor, epoch);
    if (view.contractOpen && view.epoch === epoch && !isSpoiled(view)) {
      this.watch.revoked(pathOf(entry.t), epoch);
      this.#note(entry.t, "lost", { to: contractor, e: epoch, rev: view.rev, note: why });
      return this.#feed(entry, { on: "lost", epoch, why, rev: view.rev, head: view.head });
    }
    this.#feed(entry, { on: "adopt", view });
  }

  async #readView(entry: Entry) {
    try {
      return await viewOf(this.#d, entry.t);
    } catch (error) {
      this.#d.log.warn(
        { task: entry.t.id, error: String(error) },
        "the records of this task cannot be read now; trying again",
      );
      this.#d.clock.after(1_000, () => {
        if (this.#entries.get(pathOf(entry.t)) === entry) this.#reread(entry);
      });
      return undefined;
    }
  }

  /** One read at a time: what asks for another meanwhile is answered by the next, later each
   * time, or whoever writes junk makes for as many reads. */
  #reread(entry: Entry, times = 0): void {
    if (this.#entries.get(pathOf(entry.t)) !== entry) return;
    const idle = entry.reading === "not" || times > 0;
    entry.reading = idle ? "once" : "again";
    if (!idle) return;
    void this.#readView(entry).then((view) => {
      const pauseMs = Math.min(REREAD_MS_MAX, REREAD_MS * 2 ** times);
      if (entry.reading === "once") entry.reading = "not";
      else this.#d.clock.after(pauseMs, () => this.#reread(entry, times + 1));
      if (view === undefined) return;
      // Nothing stored: it was purged. A spec that cannot be proven now: somebody may later.
      if (view.spec === undefined)
        return view.rev !== 0 ? this.#giveBack(entry) : this.#close(entry);
      this.#feed(entry, { on: "adopt", view });
    });
  }

  #giveBack(entry: Entry, afterMs = 1_000): void {
    entry.receipt?.release(afterMs);
    entry.receipt = undefined;
    this.#close(entry);
  }

  /** Others can award what nobody has claimed yet; awards by this clock are refused. */
  #handBack(): void {
    for (const entry of [...this.#entries.values()]) {
      const { phase, live } = entry.t;
      if (!live && phase !== "running" && phase !== "ending") this.#giveBack(entry);
    }
  }

  #end(entry: Entry, state: TerminalState, failure: Failure | undefined): void {
    const { t } = entry;
    this.#d.counters.add(`ended.${state}`);
    if (t.live) {
      entry.observer?.ended(state, failure, t.epoch - t.left);
      return this.#feed(entry, { on: "ended", ok: true });
    }
    storeEnd(this.#d, this.#o, t, state, failure, (ok) => {
      if (this.#entries.get(pathOf(t)) === entry) this.#feed(entry, { on: "ended", ok });
    });
  }

  #close(entry: Entry): void {
    // Given back or ended: nothing that is still under way moves it any more.
    entry.t.phase = "closed";
    entry.t.dueAt = Number.POSITIVE_INFINITY;
    this.#rooms.leave(entry);
    answered(entry);
    entry.receipt?.ack();
    this.#calls.delete(entry.t.cfp);
    this.#d.ownAwards.forget(pathOf(entry.t));
    if (this.#entries.get(pathOf(entry.t)) === entry) this.#entries.delete(pathOf(entry.t));
  }

  /** What the claim of the winning bid was worth. */
  #credit(t: InitiatorTask, workedMs: number | undefined, good: boolean): void {
    if (good && t.contractor !== undefined) {
      this.#breakers.succeeded(t.spec.capability, t.contractor, this.#d.clock.now());
      // A live award is claimed by doing it.
      if (t.live) this.#breakers.claimed(t.spec.capability, t.contractor);
    }
    if (t.awarded === undefined) return;
    const { from, bid } = t.awarded;
    const tookMs = actualOf(t, workedMs, this.watch.aware());
    this.calibration.learn(from, t.spec.capability, bid.durationMs, tookMs, good);
  }
}
