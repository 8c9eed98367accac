// One agent hosted by this peer: its card, its slots, its seats in the queue groups, its bids.
import {
  type Address,
  type AgentCard,
  type Attributes,
  address,
  BID_VALID_MS,
  type Bid,
  type Capability,
  type Cfp,
  type Failure,
  type FailureCode,
  idleSubject,
  patterns,
  principalOf,
  type RefusalReason,
  SAMPLE_RUNGS,
  SAMPLES,
  type Sample,
  type Spec,
} from "../../contracts/index.ts";
import { attributesOf, groupOf, meets, versionMeets } from "../core/match.ts";
import { OwnConfidence } from "../core/own-confidence.ts";
import { Promises } from "../core/promises.ts";
import { Slots, UsualDuration } from "../core/slots.ts";
import { TokenBuckets } from "../core/token-bucket.ts";
import type { Incoming, Signer, Subscription } from "../ports/index.ts";
import { Ahead, HEIR_MS } from "./ahead.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";
import type { RunJournal } from "./journal.ts";

/** An offer keeps an agent asking for this long, ms. Guess: a few awards' time. */
const WANTED_MS = 1_000;

/** What a participant says of itself in a bid; the rest of the bid is filled in. */
export type BidTerms = Pick<Bid, "startMs" | "durationMs" | "cost" | "confidence">;

/** Counts of one agent and capability since it was hosted; `workedMs` is their sum. */
export interface Tally {
  calls: number;
  bids: number;
  refusals: Partial<Record<RefusalReason, number>>;
  contracts: number;
  failures: number;
  workedMs: number;
  lastError: string;
}

/** What a handler gets. */
export interface Run {
  readonly spec: Spec;
  /** The spec's input, also where it travelled by reference. */
  readonly input: unknown;
  /** What the bid asked for; undefined where there was none (a directed award). */
  readonly price: number | undefined;
  readonly epoch: number;
  readonly attempt: number;
  readonly submitter: Address;
  readonly signal: AbortSignal;
  readonly live: boolean;
  progress(report: { done?: number; note?: string; partial?: unknown }): void;
  /** Absent in a live call: nothing of it is kept. */
  readonly journal: RunJournal | undefined;
}

export interface RunResult {
  output: unknown;
  cost?: number;
}

/** One capability that an agent serves. */
export interface Service {
  capability: Capability;
  /** The agent's own bid; undefined: no bid. The default is given as a start. */
  bid?: (call: Cfp, usual: BidTerms) => BidTerms | undefined;
  run(run: Run): Promise<RunResult>;
  /** Longest that one attempt may take, ms: then its signal is aborted and it has failed. */
  limitMs?: number;
}

/** What an agent holds of one of its capabilities: together, since every call asks for most. */
interface Post {
  service: Service;
  usual: UsualDuration;
  confidence: OwnConfidence;
  rates: TokenBuckets | undefined;
  /** Contracts under way. */
  busy: number;
  /** Its queue groups, while it has a free slot. */
  seats: Subscription[];
  tally: Tally;
}

function newTally(): Tally {
  return {
    calls: 0,
    bids: 0,
    refusals: {},
    contracts: 0,
    failures: 0,
    workedMs: 0,
    lastError: "",
  };
}

/** Failures that say something of the next task too. */
const OF_THE_HANDLER: ReadonlySet<FailureCode> = new Set(["E_HANDLER", "E_OUTPUT", "E_TERMINAL"]);

export interface AgentDefinition {
  name: string;
  slots: number;
  services: Service[];
  description?: string;
  attributes?: Attributes;
  /** The agent's own key; the principal's when absent. */
  signer?: Signer;
}

interface Group {
  sample: Sample;
  queue: string;
}

/** The queue groups of each sample, the same objects for every agent that sits in them. */
const GROUPS: readonly Group[][] = SAMPLE_RUNGS.map((sample) =>
  Array.from({ length: SAMPLES[sample] }, (_, i) => ({ sample, queue: `g${i}` })),
);

export class HostedAgent {
  readonly address: Address;
  readonly name: string;
  readonly slots: Slots;
  readonly signer: Signer | undefined;
  readonly definition: AgentDefinition;
  readonly ahead: Ahead;
  readonly #d: Deps;
  /** Its queue group in each sample. */
  readonly #groups: readonly Group[];
  #posts = new Map<string, Post>();
  #open: Subscription[] = [];
  #onCall: (agent: HostedAgent, capability: string, rung: string, m: Incoming) => void;
  readonly #promises = new Promises();
  draining = false;
  /** When an initiator last had something waiting for this agent, ms. */
  lastOfferAt = Number.NEGATIVE_INFINITY;
  /** Until when it was promised to ask for work again, ms. */
  #askingAt = Number.POSITIVE_INFINITY;

  constructor(
    dependencies: Deps,
    principal: string,
    definition: AgentDefinition,
    signer: Signer | undefined,
    onCall: (agent: HostedAgent, capability: string, rung: string, m: Incoming) => void,
  ) {
    this.#d = dependencies;
    this.definition = definition;
    this.name = definition.name;
    this.address = address(principal, definition.name);
    this.#groups = GROUPS.map((of) => of[groupOf(this.address, of.length)]!);
    this.slots = new Slots(definition.slots, dependencies.clock.now());
    this.signer = definition.signer ?? signer;
    this.#onCall = onCall;
    this.ahead = new Ahead(dependencies.clock, () => {
      if (this.wanted) this.askForWork();
    });
    for (const service of definition.services) this.add(service);
  }

  add(service: Service): void {
    const { name, rate } = service.capability;
    const usual = new UsualDuration();
    const rates = rate === undefined ? undefined : new TokenBuckets(rate);
    const held = this.#posts.get(name) ?? { busy: 0, seats: [], tally: newTally() };
    const confidence = new OwnConfidence();
    this.#posts.set(name, { ...held, service, usual, confidence, rates });
  }

  /** Offers one more capability while it runs; announce the card afterwards. */
  serve(service: Service, slotsTotal: number): void {
    this.add(service);
    this.slots.resize(slotsTotal, this.#d.clock.now());
    this.#listen(service.capability.name);
    this.#sit();
    this.askForWork();
  }

  service(capability: string): Service | undefined {
    return this.#posts.get(capability)?.service;
  }

  capabilities(): Capability[] {
    return [...this.#posts.values()].map(({ service }) => service.capability);
  }

  /** Takes its seats: the plain subscription to every call, and the queue groups while free. */
  seat(): void {
    for (const capability of this.#posts.keys()) this.#listen(capability);
    this.#sit();
  }

  #listen(capability: string): void {
    this.#open.push(
      this.#d.transport.subscribe(patterns.cfp(capability, "all"), (m) =>
        this.#onCall(this, capability, "all", m),
      ),
    );
  }

  /** Slots free for one capability: the agent's, and the capability's own where it has some. */
  free(capability: string): number {
    const post = this.#posts.get(capability);
    const own = post?.service.capability.slots;
    const { free } = this.slots;
    return post === undefined || own === undefined ? free : Math.min(free, own - post.busy);
  }

  /** Slots to bid with: those that are free, and those about to be. */
  open(capability: string): number {
    return Math.max(0, this.free(capability)) + this.ahead.soon(capability);
  }

  /** Rank that a task must have where only slots that are about to be free are left. */
  #least(capability: string): number | undefined {
    return this.free(capability) > 0 ? undefined : this.ahead.rank(capability);
  }

  /** The same of all its capabilities. */
  get openSlots(): number {
    return this.slots.free + this.ahead.soon();
  }

  #sit(): void {
    if (this.draining || this.slots.free === 0) return;
    for (const [capability, post] of this.#posts) {
      if (post.seats.length > 0 || this.free(capability) <= 0) continue;
      post.seats = this.#groups.map(({ sample, queue }) =>
        this.#d.transport.subscribe(
          patterns.cfp(capability, sample),
          (m) => this.#onCall(this, capability, sample, m),
          { queue },
        ),
      );
    }
  }

  /** Leaves the groups of every capability that has no free slot. */
  #stand(): void {
    for (const [capability, post] of this.#posts) {
      if (!this.draining && this.free(capability) > 0) continue;
      for (const seat of post.seats) seat.unsubscribe();
      post.seats = [];
    }
  }

  /** Takes a slot for a contract; at capacity the agent leaves its groups. */
  take(capability: string): boolean {
    const post = this.#posts.get(capability);
    if (post === undefined || this.draining || this.free(capability) <= 0) return false;
    if (!this.slots.take(this.#d.clock.now())) return false;
    post.busy++;
    if (this.free(capability) <= 0) this.#stand();
    return true;
  }

  /** Is this within the rate at which the agent may be used? `spend`: this one counts. */
  withinRate(capability: string, owner: string, spend: boolean): boolean {
    const { rates: buckets, service } = this.#posts.get(capability) ?? {};
    if (buckets === undefined) return true;
    const now = this.#d.clock.now();
    const key = service?.capability.rate?.per === "owner" ? owner : "";
    const waitMs = buckets.waitMs(key, now);
    if (waitMs > 0) this.#askIn(waitMs);
    return spend ? buckets.take(key, now) : waitMs === 0;
  }

  /** What was turned away for its rate waits somewhere: ask for it when there is room again. */
  #askIn(waitMs: number): void {
    const at = this.#d.clock.now() + waitMs;
    if (at >= this.#askingAt) return;
    this.#askingAt = at;
    this.#d.clock.after(waitMs, () => {
      this.#askingAt = Number.POSITIVE_INFINITY;
      this.askForWork();
    });
  }

  /** How long a task is likely to take here, ms; undefined: nobody knows. */
  foretell({ capability, hints }: Spec): number | undefined {
    return hints?.durationMs ?? this.#posts.get(capability)?.usual.estimateMs(hints?.size ?? 1);
  }

  /** Frees a task's slot: for an award that waits for it; else an agent that was at capacity sits
   * down again and asks for waiting work. @param workedMs undefined: it failed */
  release(task: object, capability: string, workedMs?: number): void {
    const full = this.free(capability) <= 0;
    this.slots.release(this.#d.clock.now());
    const post = this.#posts.get(capability);
    if (post !== undefined) post.busy = Math.max(0, post.busy - 1);
    const rank = this.ahead.freed(task, capability, workedMs);
    if (this.draining) return;
    if (full) this.#sit();
    if (!full && !this.wanted) return;
    this.askForWork(rank);
    // Less critical work has its turn when what this end enabled has shown.
    if (rank !== undefined) this.#d.clock.after(HEIR_MS, () => this.askForWork());
  }

  /** Did somebody have work waiting a moment ago? Then every free slot is worth announcing. */
  get wanted(): boolean {
    return this.#d.clock.now() - this.lastOfferAt < WANTED_MS;
  }

  /**
   * Node-available (Smith 1980): heard only by initiators that have tasks waiting.
   * @param rank that the work must have
   */
  askForWork(rank?: number): void {
    if (this.draining || this.openSlots === 0) return;
    for (const capability of this.#posts.keys()) {
      const slots = this.open(capability);
      if (slots <= 0) continue;
      this.ahead.asked();
      const least = rank ?? this.#least(capability);
      const idle = { v: 1, kind: "idle", slots, ...(least === undefined ? {} : { rank: least }) };
      this.#d.transport.publish(idleSubject(capability, this.address), msgpackBytes(idle));
    }
  }

  leave(): void {
    this.draining = true;
    this.ahead.leave();
    this.#stand();
    for (const sub of this.#open) sub.unsubscribe();
    this.#open = [];
  }

  /** A contract of one of its capabilities begins. */
  began(capability: string, { initiator }: { initiator: Address }): void {
    this.tally(capability).contracts++;
    this.#promises.kept(principalOf(initiator));
  }

  /** Contracts of one capability that are under way. */
  busy(capability: string): number {
    return this.#posts.get(capability)?.busy ?? 0;
  }

  /** What this agent has done with one of its capabilities. */
  tally(capability: string): Tally {
    // Others name capabilities; only our own are remembered.
    return this.#posts.get(capability)?.tally ?? newTally();
  }

  /** Bid, or the reason for none. @param caller the principal whose call it is */
  answer(capability: string, call: Cfp, caller: string): Bid | RefusalReason {
    const answer = this.#consider(capability, call, caller);
    const tally = this.tally(capability);
    tally.calls++;
    if (typeof answer !== "string") tally.bids++;
    else tally.refusals[answer] = (tally.refusals[answer] ?? 0) + 1;
    return answer;
  }

  #consider(capability: string, call: Cfp, caller: string): Bid | RefusalReason {
    const post = this.#posts.get(capability);
    if (post === undefined || call.exclude?.includes(this.address)) return "ineligible";
    if (this.draining) return "draining";
    const c = post.service.capability;
    if (!versionMeets(call.version, c.version)) return "ineligible";
    if (
      call.requires !== undefined &&
      !meets(call.requires, attributesOf(this.definition.attributes, c))
    )
      return "ineligible";
    if (!this.withinRate(capability, call.owner ?? "", false)) return "rate";
    const open = this.open(capability);
    const now = this.#d.clock.now();
    if (open === 0 || this.#promises.full(open, now)) return "busy";
    const least = this.#least(capability);
    if (least !== undefined && (call.rank ?? 0) < least) return "busy";
    const bid = this.#bid(post, call);
    if (typeof bid !== "string") this.#promises.made(caller, this.slots.total, now);
    return bid;
  }

  #bid({ service, usual, confidence: own }: Post, call: Cfp): Bid | RefusalReason {
    const c = service.capability;
    const confidence = own.value;
    const usualMs = usual.estimateMs(call.hints?.size ?? 1);
    const durationMs = usualMs ?? call.hints?.durationMs ?? c.durationMs ?? 0;
    const startMs = this.free(c.name) > 0 ? 0 : this.ahead.startMs(c.name);
    const usualBid: BidTerms = { startMs, durationMs, cost: c.cost ?? 0, confidence };
    const terms = service.bid === undefined ? usualBid : this.#ownBid(service, call, usualBid);
    if (terms === undefined) return "low_value";
    if (call.costMax !== undefined && terms.cost > call.costMax) return "over_budget";
    return {
      v: 1,
      kind: "bid",
      ...terms,
      load: this.slots.load(this.#d.clock.now()),
      slots: this.open(c.name),
      validMs: BID_VALID_MS,
    };
  }

  /** An author's function may throw or answer nonsense; that costs him the bid, nobody else. */
  #ownBid(service: Service, call: Cfp, own: BidTerms): BidTerms | undefined {
    try {
      const terms = service.bid?.(call, own);
      if (terms === undefined) return undefined;
      if (terms instanceof Promise) {
        terms.catch(() => undefined);
        throw new Error("it gave a promise: a bid is made at once");
      }
      const { startMs, durationMs, cost, confidence } = { ...own, ...terms };
      const sound = [startMs, durationMs, cost, confidence].every((n) => n >= 0 && n < 1e15);
      if (sound && confidence <= 1) return { startMs, durationMs, cost, confidence };
      this.#d.log.warn({ agent: this.address, terms }, "the bid function gave no usable bid");
    } catch (error) {
      this.#d.log.warn({ agent: this.address, error: String(error) }, "the bid function threw");
    }
    this.#d.counters.add("bid.own.unusable");
    return undefined;
  }

  /** Learns how long a task really took. */
  learn(spec: Spec, workedMs: number): void {
    const post = this.#posts.get(spec.capability);
    if (post === undefined) return;
    post.tally.workedMs += workedMs;
    post.usual.learn(workedMs, spec.hints?.size ?? 1);
    post.confidence.ended(true);
  }

  /** An attempt failed. @param takenBack before that, so that it says nothing of the next task */
  failed(capability: string, { code, message }: Failure, takenBack: boolean): void {
    const post = this.#posts.get(capability);
    if (post === undefined) return;
    post.tally.failures++;
    post.tally.lastError = message;
    if (!takenBack && OF_THE_HANDLER.has(code)) post.confidence.ended(false);
  }

  card(principal: string, publicKey: string, jwt: string | undefined, instance: string): AgentCard {
    const { definition } = this;
    return {
      v: 1,
      kind: "card",
      principal,
      agent: this.name,
      publicKey,
      capabilities: this.capabilities(),
      slots: this.slots.total,
      instance,
      at: Math.round(this.#d.clock.wall()),
      ...(jwt === undefined ? {} : { jwt }),
      ...(definition.description === undefined ? {} : { description: definition.description }),
      ...(definition.attributes === undefined ? {} : { attributes: definition.attributes }),
    };
  }
}
