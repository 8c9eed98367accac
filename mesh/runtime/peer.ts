// One peer: a connection under one principal, and every role that it plays there.
//
// Life: start (subscribe, snapshot, announce, pull) -> drain (leave, finish) -> stop.
import {
  type Address,
  type AgentCard,
  address,
  BeatSchema,
  CARD_RENEW_MS,
  CARD_TTL_S,
  failure as failureOf,
  liveSubject,
  type Message,
  MessageSchema,
  NOTICE_BYTES_MAX,
  ParleyError,
  PROGRESS_BYTES_MAX,
  parseDirected,
  parseLookSubject,
  patterns,
  SIGNATURE_HEADER,
  taskPath,
} from "../../contracts/index.ts";
import type { Policy } from "../core/policy.ts";
import { foldTask } from "../core/task-view.ts";
import type {
  Artefacts,
  CardStore,
  Clock,
  History,
  Incoming,
  Ledger,
  Log,
  Random,
  Signer,
  Subscription,
  Supervision,
  Transport,
  Trust,
} from "../ports/index.ts";
import { OwnAwards } from "./awards.ts";
import { fitted, type SealedCard, sealCard } from "./cards.ts";
import { ClockAlarm } from "./clock-alarm.ts";
import { Contractors } from "./contractors.ts";
import { Counters } from "./counters.ts";
import type { Deps } from "./dependencies.ts";
import { onDisconnect } from "./disconnects.ts";
import { Door } from "./door.ts";
import { Fields } from "./fields.ts";
import { HandedSpecs } from "./handed-specs.ts";
import type { AgentDefinition, HostedAgent } from "./hosted-agent.ts";
import { Identities } from "./identities.ts";
import { Inbound } from "./inbound.ts";
import { Initiators } from "./initiators.ts";
import { Micro } from "./micro.ts";
import { Policies } from "./policies.ts";
import { type ProvenRecord, Records } from "./records.ts";
import { Registry } from "./registry.ts";
import { liveOutcome } from "./results.ts";
import { StrayCancels } from "./stray-cancels.ts";
import { Submitters } from "./submitters.ts";
import { View } from "./view.ts";

/** Slices in which all cards are renewed once. */
const RENEWALS = 50;
const NO_OUTCOME = "what the agent answered is no outcome of this call";
/** Of one report, with what is around it. */
const REPORT_BYTES_MAX = PROGRESS_BYTES_MAX + 16 * 1024;
const NOTICE_LIMITS = { bytesMax: NOTICE_BYTES_MAX, depthMax: 32, keysMax: 10_000 };

export interface PeerPorts {
  transport: Transport;
  ledger: Ledger;
  artefacts: Artefacts;
  cards: CardStore;
  clock: Clock;
  random: Random;
  log: Log;
  history?: History;
  /** Absent: this peer initiates no durable tasks of others. */
  supervision?: Supervision;
}

export interface PeerOptions {
  principal: string;
  /** This peer's own agent name: the initiator and submitter of its tasks. */
  agent: string;
  signer?: Signer;
  jwt?: string;
  /** Absent: signatures are neither made nor checked. */
  trust?: Trust;
  roles: { contractor: boolean; initiator: boolean; submitter: boolean; intake: boolean };
  policies?: Readonly<Record<string, Policy>>;
  version?: string;
  silenceMs?: number;
  /** Lease of the contracts awarded by this peer, ms; a contractor cut off for longer stops. */
  leaseMs?: number;
  shortTaskMs?: number;
  cardTtlS?: number;
}

export class Peer {
  readonly address: Address;
  readonly counters = new Counters();
  readonly registry: Registry;
  readonly initiators: Initiators;
  readonly #strays: StrayCancels;
  readonly contractors: Contractors;
  readonly submitters: Submitters;
  readonly deps: Deps;
  readonly options: PeerOptions;
  readonly #ports: PeerPorts;
  readonly #door: Door;
  readonly #micro: Micro;
  readonly #instance: string;
  readonly #view: View;
  #downAt = 0;
  /** Set while the link ends and comes back because its owner asked for it: that is no news. */
  renewing = false;
  #subs: Subscription[] = [];
  #cards = new Map<string, SealedCard>();
  #toRenew: string[] = [];
  /** Cards due for renewal by now, in part. */
  #owed = 0;
  #renewal: { cancel(): void } | undefined;
  #state: "new" | "running" | "draining" | "stopped" = "new";

  constructor(ports: PeerPorts, options: PeerOptions) {
    this.#ports = ports;
    this.options = options;
    this.address = address(options.principal, options.agent);
    this.#instance = ports.random.id();
    const { transport, ledger, clock, random, log, history } = ports;
    const { counters } = this;
    const shared = { transport, ledger, clock, random, log, history, counters };
    const inbound = new Inbound(counters);
    const readsCards = options.roles.initiator || options.roles.submitter;
    const identities = new Identities({
      ...shared,
      trust: options.trust,
      ...(readsCards && { stored: (p: string, a: string) => ports.cards.get(p, a) }),
    });
    const ownAwards = new OwnAwards();
    const records = new Records({
      ...shared,
      identities,
      inbound,
      ownAwards,
      supervises: options.roles.initiator,
    });
    const clocks = new ClockAlarm(shared);
    const registry = new Registry(options.trust, identities, counters, clocks);
    this.registry = registry;
    const fields = new Fields({ ...shared, inbound, registry }, options.roles.initiator);
    this.#view = new View({ ...ports, counters }, registry);
    const own = { inbound, identities, records, registry, fields, clocks, ownAwards };
    this.deps = { ...shared, ...own };
    const { silenceMs, leaseMs, shortTaskMs } = options;
    const initiator = {
      agent: this.address,
      signer: options.signer,
      policies: new Policies(options.policies),
      ...(silenceMs === undefined ? {} : { silenceMs }),
      ...(leaseMs === undefined ? {} : { leaseMs }),
      ...(shortTaskMs === undefined ? {} : { shortTaskMs }),
    };
    this.initiators = new Initiators(this.deps, initiator);
    this.#strays = new StrayCancels(this.deps, initiator);
    this.contractors = new Contractors(this.deps, options.principal, ports.artefacts);
    this.submitters = new Submitters(
      this.deps,
      {
        agent: this.address,
        principal: options.principal,
        signer: options.signer,
        mayRead: this.deps.ledger.mayRead,
      },
      ports.artefacts,
      this.initiators,
    );
    this.#door = new Door(this.deps, this.submitters);
    this.#micro = new Micro(this.deps, this.contractors, {
      version: options.version ?? "0.1.0",
      startedAt: new Date(ports.clock.wall()),
    });
  }

  async start(): Promise<void> {
    if (this.#state !== "new") throw new ParleyError("E_DRAINING", "this peer was started before");
    this.#state = "running";
    const { transport } = this.#ports;
    const { roles, principal } = this.options;
    this.#announceSelf();
    this.#listen(patterns.who(principal), (m) => this.#onWho(m));
    this.#listen(patterns.messages(principal), (m) => this.#onMessage(m));
    this.#listen(patterns.recordsToMe(principal), (m) => this.#onRecord(m));
    if (roles.submitter) {
      this.#listen(patterns.claimsOfMine(principal), (m) => this.submitters.onClaim(m));
    }
    if (roles.initiator || roles.submitter) {
      this.#listen(patterns.bids(principal), (m) => this.initiators.onBid(m));
      this.#listen(patterns.beats(principal), (m) => this.#onBeat(m));
    }
    if (roles.contractor) {
      this.#listen(patterns.offers(principal), (m) => this.contractors.onOffer(m));
      this.contractors.start();
      this.#micro.open();
    }
    if (roles.initiator) {
      this.#listen(patterns.cancelsToAnybody, (m) => this.#onRecord(m));
      this.#listen(patterns.cards, (m) => this.registry.onNotice(m));
      this.#listen(patterns.disconnects, (m) => {
        onDisconnect(this.deps, m, (agents) => this.#onConnectionLost(agents));
      });
      this.#listen(patterns.look, (m) => void this.#onLook(m), "look");
      this.#listen(patterns.field, (m) => this.deps.fields.onQuery(m), "field");
      this.#strays.open();
      await this.#view.refresh();
    }
    if (roles.initiator || roles.submitter) this.initiators.start();
    if (roles.initiator) {
      const specs = new HandedSpecs(this.deps, this.initiators);
      await this.#ports.supervision?.start(
        (spec) => specs.on(spec),
        (urgency) => this.initiators.room(urgency),
      );
    }
    // Who may not write specs could only refuse at the door.
    if (roles.intake && roles.submitter) this.#door.open();
    transport.onState((state) => {
      if (state === "down") this.#onLost();
      if (state === "up" && this.#state === "running") this.#onReconnect();
    });
    await transport.established();
    if (!this.#isRunning()) return;
    // Peers that came together would renew together: a thousand cards in two seconds (measured).
    this.#owed = this.#ports.random.next();
    const renew = () => {
      this.#renew();
      this.#renewal = this.#ports.clock.after(this.#renewMs(), renew);
    };
    this.#renewal = this.#ports.clock.after(this.#renewMs(), renew);
  }

  #isRunning(): boolean {
    return this.#state === "running";
  }

  /** Time between two slices of renewals. */
  #renewMs(): number {
    const most = Math.min(CARD_RENEW_MS, this.#ttlS() * 400);
    return (most / RENEWALS) * (0.8 + 0.2 * this.#ports.random.next());
  }

  #listen(pattern: string, handler: (m: Incoming) => void, queue?: string): void {
    this.#subs.push(
      this.#ports.transport.subscribe(pattern, handler, queue === undefined ? {} : { queue }),
    );
  }

  /** Hosts an agent: it takes its seats and announces its card. */
  host(definition: AgentDefinition): HostedAgent {
    const agent = this.contractors.host(definition, this.options.signer);
    // By its own name: another process of this principal must not hear what is meant for this one,
    // or the server could never say that nobody is there.
    const { principal } = this.options;
    this.#listen(patterns.awards(principal, agent.name), (m) => this.contractors.onAward(m));
    this.#listen(liveSubject(principal, agent.name), (m) => this.contractors.notices.onProbe(m));
    agent.seat();
    this.announce(agent);
    agent.askForWork();
    return agent;
  }

  /** Publishes an agent's card, after its capabilities changed too. */
  announce(agent: HostedAgent): void {
    const { principal, jwt, signer } = this.options;
    const key = agent.signer?.publicKey ?? signer?.publicKey ?? UNSIGNED_KEY;
    this.#publish(agent.name, agent.card(principal, key, jwt, this.#instance));
  }

  /** Who only observes writes nothing that would have to be proven. */
  #announceSelf(): void {
    const { principal, agent, jwt, signer, roles } = this.options;
    if (!roles.contractor && !roles.initiator && !roles.submitter) return;
    this.#publish(agent, {
      v: 1,
      kind: "card",
      principal,
      agent,
      publicKey: signer?.publicKey ?? UNSIGNED_KEY,
      capabilities: [],
      slots: 0,
      instance: this.#instance,
      at: Math.round(this.#ports.clock.wall()),
      ...(jwt === undefined ? {} : { jwt }),
    });
  }

  #publish(agent: string, whole: AgentCard): void {
    const { principal, signer, jwt } = this.options;
    const { card, without } = fitted(whole);
    const about = { agent, without };
    if (without.length > 0) this.#ports.log.warn(about, "the card is too large for these schemas");
    const sealed = sealCard(card, signer);
    this.#cards.set(agent, sealed);
    if (signer !== undefined && this.options.trust !== undefined) {
      const role = this.options.trust.principal(principal, jwt)?.role;
      if (role !== undefined) {
        this.deps.identities.learn(address(principal, agent), { publicKey: card.publicKey, role });
      }
    }
    this.#ports.cards.announce(principal, agent, sealed.body, sealed.seal, this.#ttlS());
  }

  #ttlS(): number {
    return this.options.cardTtlS ?? CARD_TTL_S;
  }

  /** A slice of the cards at a time: hundreds at once would hold up everything else. */
  #renew(): void {
    this.#owed += this.#cards.size / RENEWALS;
    for (; this.#owed >= 1; this.#owed--) {
      if (this.#toRenew.length === 0) this.#toRenew = [...this.#cards.keys()];
      const agent = this.#toRenew.pop() as string;
      const card = this.#cards.get(agent);
      if (card === undefined) continue;
      this.#ports.cards.announce(this.options.principal, agent, card.body, card.seal, this.#ttlS());
    }
  }

  #onLost(): void {
    this.#downAt = this.#ports.clock.now();
    if (this.renewing) return;
    this.#ports.log.warn({}, "the server is gone; looking for it again and again");
  }

  #onReconnect(): void {
    this.deps.counters.add("reconnects");
    this.deps.identities.onReturn();
    const awayMs = Math.round(this.#ports.clock.now() - this.#downAt);
    if (!this.renewing) this.#ports.log.warn({ awayMs }, "the server is there again");
    this.submitters.refresh();
    if (this.options.roles.initiator) void this.#view.refresh();
    // Away for so long, our cards may have expired: all of them are due now.
    if (this.#ports.clock.now() - this.#downAt > this.#ttlS() * 300) this.#owed = this.#cards.size;
    for (const agent of this.contractors.agents.values()) agent.askForWork();
  }

  #onRecord(message: Incoming): void {
    const then = (record: ProvenRecord): void => {
      this.initiators.onRecord(record);
      this.submitters.onRecord(record);
    };
    this.deps.records.onNotice(message, then, (key) => this.submitters.lookAt(key));
  }

  #onMessage(message: Incoming): void {
    const subject = parseDirected("msg", message.subject);
    if (subject === undefined) return void this.deps.inbound.reject("msg", "E_KIND");
    const m = this.deps.inbound.read<Message>("msg", MessageSchema, message, NOTICE_LIMITS);
    if (m === undefined) return;
    const from = `${subject.fromPrincipal}.${subject.fromAgent}`;
    const path = taskPath(m.owner, m.task);
    switch (m.kind) {
      case "progress":
        if (message.data.length > REPORT_BYTES_MAX) {
          return void this.deps.inbound.reject("msg", "E_TOO_LARGE");
        }
        this.initiators.watch.onSeen(from, m.owner, m.task, m.epoch);
        return this.submitters.onProgress(from, m);
      case "done":
        return this.initiators.onDone(path, from, m.rev, m.workedMs);
      case "live":
        return this.#onLive(path, from, m);
      case "cancel":
        return this.contractors.notices.onCancel(path, m.epoch, from, m.reason, m.over === true);
      case "fenced":
        return this.contractors.notices.onFenced(path, m.epoch, from);
      case "answer":
        return this.contractors.notices.onAnswer(from, m);
    }
  }

  #onLive(path: string, from: Address, m: Extract<Message, { kind: "live" }>): void {
    const outcome = m.failure === undefined && m.outcome && liveOutcome(this.deps.inbound, m);
    if (outcome) {
      if (!this.initiators.onLiveOutcome(path, from, m.workedMs)) return;
      return this.submitters.onLiveOutcome(path, outcome);
    }
    // What cannot be read has failed: somebody else may do it.
    const failure = m.failure ?? { ...failureOf("E_OUTPUT", NO_OUTCOME), retry: true };
    const { epoch, leaving = false } = m;
    this.initiators.onLiveFailure(path, from, { epoch, failure, leaving });
  }

  #onConnectionLost(agents: ReadonlySet<Address>): void {
    if (this.#isRunning()) this.initiators.onConnectionLost(agents);
  }

  #onBeat(message: Incoming): void {
    const subject = parseDirected("beat", message.subject);
    const beat = this.deps.inbound.read("beat", BeatSchema, message);
    if (subject === undefined || beat === undefined) return;
    this.initiators.watch.onBeat(subject.fromPrincipal, subject.fromAgent, beat.tasks);
  }

  #onWho(message: Incoming): void {
    const agent = message.subject.split(".")[3] ?? "";
    const card = this.#cards.get(agent);
    const reply = this.deps.inbound.replyTo("who", message);
    if (card === undefined || reply === undefined) return;
    this.#ports.transport.publish(reply, card.body, {
      headers: { [SIGNATURE_HEADER]: card.seal },
    });
  }

  async #onLook(message: Incoming): Promise<void> {
    const asked = parseLookSubject(message.subject);
    if (asked === undefined) return void this.deps.inbound.reject("look", "E_KIND");
    const reply = this.deps.inbound.replyTo("look", message);
    if (reply === undefined) return;
    try {
      const { owner, task } = asked;
      const page = await this.deps.records.pack(owner, task, message.data);
      this.#ports.transport.publish(reply, page);
    } catch {
      this.deps.counters.add("look.failed");
    }
  }

  /** Does a proven outcome end this task? Only for roles that may read the store. */
  async isFinished(owner: string, task: string, rev?: number): Promise<boolean> {
    const view = foldTask(await this.deps.records.read(owner, task));
    return view.outcome !== undefined && (rev === undefined || rev === view.outcomeRev);
  }

  /** Watches every record of this principal's own tasks, for the events of its handles. */
  watchOwn(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#listen(patterns.recordsOfMine(this.options.principal), (m) => {
      this.deps.records.onNotice(m, (record) => this.submitters.onRecord(record));
    });
  }

  #watching = false;

  /** Leaves the registry, takes no more work, and waits until what runs has ended. */
  async drain(graceMs = 25_000): Promise<void> {
    if (this.#state !== "running") return;
    this.#state = "draining";
    this.#renewal?.cancel();
    this.#door.close();
    await this.#ports.supervision?.stop();
    for (const agent of this.#cards.keys()) {
      this.#ports.cards.leave(this.options.principal, agent);
    }
    await this.contractors.drain(graceMs);
    await this.#ports.transport.flush().catch(() => undefined);
  }

  /** Drains, then lets go of everything; open specs go to other peers at once. */
  async stop(graceMs?: number): Promise<void> {
    if (this.#state === "stopped") return;
    await this.drain(graceMs);
    this.#state = "stopped";
    this.initiators.stop();
    this.#strays.stop();
    this.submitters.stop();
    this.contractors.stop();
    this.#view.stop();
    this.#micro.close();
    for (const sub of this.#subs) sub.unsubscribe();
    await this.#ports.transport.flush().catch(() => undefined);
  }
}

/** Stands in a card where signing is off and there is no key. */
const UNSIGNED_KEY = `U${"A".repeat(55)}`;
