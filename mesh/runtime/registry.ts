// This peer's view of who is here, from the server's announcements of cards (republish) plus a
// snapshot. It tells how many could answer a call and what they need; it never tells who is free.
import {
  type Address,
  AGENTS_BUCKET,
  AGENTS_STREAM,
  type AgentCard,
  AgentCardSchema,
  address,
  CLOCK_SKEW_MS,
  parseCardSubject,
  type Requirements,
  SAMPLE_RUNGS,
  SAMPLES,
  type Sample,
  SIGNATURE_HEADER,
} from "../../contracts/index.ts";
import type { Field } from "../core/initiator-task.ts";
import { attributesOf, groupOf, meets } from "../core/match.ts";
import type { Incoming, Principal, StoredCardEntry, Trust } from "../ports/index.ts";
import { openCard, readCard } from "./cards.ts";
import type { ClockAlarm } from "./clock-alarm.ts";
import type { Counters } from "./counters.ts";
import type { Identities } from "./identities.ts";
import { readShared } from "./inbound.ts";

interface Seat {
  card: AgentCard;
  /** Whose connection it is, where that is proven. */
  who: Principal | undefined;
  seal: string;
  /** The store's revision of what was heard last, and the reading during or after which. */
  rev: number;
  round: number;
}

interface Offering {
  /** Agents by address, with the capability's index in their card. */
  agents: Map<string, number>;
  /** How many of them sit in each queue group. */
  members: Readonly<Record<Sample, Uint32Array>>;
  /** How many groups have a member. */
  groups: Record<Sample, number>;
}

export interface CardChange {
  change: "joined" | "changed" | "left" | "expired";
  principal: string;
  agent: string;
  card: AgentCard | undefined;
}

export class Registry {
  readonly #trust: Trust | undefined;
  readonly #identities: Identities;
  readonly #counters: Counters;
  readonly #clocks: Pick<ClockAlarm, "heard" | "date"> | undefined;
  #seats = new Map<string, Seat>();
  #offerings = new Map<string, Offering>();
  #watchers = new Set<(change: CardChange) => void>();
  #round = 0;
  /** Who left since the last reading began, with the revision: an older card is none. */
  #gone = new Map<string, number>();

  constructor(
    trust: Trust | undefined,
    identities: Identities,
    counters: Counters,
    clocks?: Pick<ClockAlarm, "heard" | "date">,
  ) {
    this.#trust = trust;
    this.#identities = identities;
    this.#counters = counters;
    this.#clocks = clocks;
  }

  onChange(watcher: (change: CardChange) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** A notice on `mesh.card.<P>.<A>`: a card, a leave, or an expiry. */
  onNotice(message: Incoming): void {
    const who = parseCardSubject(message.subject);
    if (who === undefined) return;
    // A client can have the server deliver other messages here; only the bucket's own count.
    const key = `$KV.${AGENTS_BUCKET}.${who.principal}.${who.agent}`;
    if (message.header("Nats-Stream") !== AGENTS_STREAM || message.header("Nats-Subject") !== key) {
      return this.#counters.add("refused.card.E_FORGED_PATH");
    }
    const rev = Number(message.header("Nats-Sequence")) || 0;
    const name = address(who.principal, who.agent);
    const known = this.#revOf(name);
    if (rev < known) return this.#counters.add("refused.card.late");
    const gone = message.data.length === 0 || message.header("KV-Operation") !== undefined;
    if (gone) {
      const expired = message.header("Nats-Marker-Reason") === "MaxAge";
      this.#gone.delete(name);
      if (this.#gone.size >= GONE_MAX) {
        this.#gone.delete(this.#gone.keys().next().value as string);
      }
      this.#gone.set(name, rev);
      return this.remove(who.principal, who.agent, expired ? "expired" : "left");
    }
    const seal = message.header(SIGNATURE_HEADER);
    this.admit(who.principal, who.agent, message.data, seal, rev, (body) =>
      readShared(message, AgentCardSchema, () => readCard(body)),
    );
    // Whoever has an old notice sent again, or one of a card that does not count, sets no clock.
    if (rev > known && this.#seats.get(name)?.rev === rev) this.#clocks?.heard(message);
  }

  /** The newest revision heard of an agent since the last reading began: notices may overtake each
   * other, and a store that was made anew counts from 1 again. */
  #revOf(name: string): number {
    const seat = this.#seats.get(name);
    const seen = seat?.round === this.#round ? seat.rev : 0;
    return Math.max(seen, this.#gone.get(name) ?? 0);
  }

  /** A reading of the whole store begins. */
  begin(): number {
    this.#gone.clear();
    return ++this.#round;
  }

  /** A card as the reading found it, unless a notice was newer. */
  admitStored(e: StoredCardEntry): void {
    if (e.rev < this.#revOf(address(e.principal, e.agent))) return;
    this.admit(e.principal, e.agent, e.body, e.seal, e.rev);
  }

  /** The reading was complete: whom it did not find and nobody announced meanwhile is gone. */
  finish(round: number): void {
    for (const [name, { card, round: seen }] of this.#seats) {
      if (seen >= round) continue;
      this.#counters.add("view.removed");
      this.remove(card.principal, card.agent, "expired");
      this.#gone.delete(name);
    }
  }

  admit(
    principal: string,
    agent: string,
    body: Uint8Array,
    seal: string | undefined,
    rev = 0,
    read = readCard,
  ): void {
    const name = address(principal, agent);
    const seat = this.#seats.get(name);
    if (seat !== undefined) {
      seat.rev = rev;
      seat.round = this.#round;
    }
    // Renewals repeat the very same card: nothing to prove again.
    if (seat !== undefined && seat.seal === seal && seal !== undefined && seal.length > 20) return;
    const opened = openCard(principal, agent, body, seal, this.#trust, { read });
    if (opened === undefined) return this.#counters.add("refused.card");
    // One that is not signed is read each time, and is as it was.
    const same = seat?.card.at === opened.card.at && seat.card.instance === opened.card.instance;
    if (seat !== undefined) {
      const isOlder = opened.card.at < seat.card.at && !this.#isFuture(seat.card.at);
      if (isOlder) return this.#counters.add("refused.card.older");
      this.#unseat(name, seat.card);
    }
    this.#seats.set(name, {
      card: opened.card,
      who: opened.principal,
      seal: seal ?? "",
      rev,
      round: this.#round,
    });
    this.#seat(name, opened.card);
    if (opened.principal !== undefined) {
      this.#identities.learn(name, {
        publicKey: opened.card.publicKey,
        role: opened.principal.role,
      });
    }
    if (same) return;
    this.#tell({
      change: seat === undefined ? "joined" : "changed",
      principal,
      agent,
      card: opened.card,
    });
  }

  /** The date of a card whose agent's clock was ahead: what it announces since is no older. */
  #isFuture(at: number): boolean {
    return this.#clocks !== undefined && at > this.#clocks.date + CLOCK_SKEW_MS;
  }

  remove(principal: string, agent: string, change: "left" | "expired"): void {
    const name = address(principal, agent);
    const seat = this.#seats.get(name);
    if (seat === undefined) return;
    this.#seats.delete(name);
    this.#unseat(name, seat.card);
    this.#tell({ change, principal, agent, card: seat.card });
  }

  get size(): number {
    return this.#seats.size;
  }

  card(name: string): AgentCard | undefined {
    return this.#seats.get(name)?.card;
  }

  /** Agents behind the connection of a user key: whom its loss may concern. */
  behind(connection: string): Set<Address> {
    const found = new Set<Address>();
    for (const [name, seat] of this.#seats) if (seat.who?.publicKey === connection) found.add(name);
    return found;
  }

  /** Was this agent granted the capability? Of whom no card is known, anything may be true. */
  mayOffer(name: string, capability: string): boolean {
    return this.#seats.get(name)?.who?.capabilities.includes(capability) !== false;
  }

  cards(): AgentCard[] {
    return [...this.#seats.values()].map((s) => s.card);
  }

  /** Agents that offer a capability and meet the requirements. */
  find(capability: string, requires?: Requirements): AgentCard[] {
    const offering = this.#offerings.get(capability);
    if (offering === undefined) return [];
    const found: AgentCard[] = [];
    for (const [name, index] of offering.agents) {
      const card = this.#seats.get(name)?.card;
      const entry = card?.capabilities[index];
      if (card === undefined || entry === undefined) continue;
      if (meets(requires, attributesOf(card.attributes, entry))) found.push(card);
    }
    return found;
  }

  field(capability: string, requires: Requirements | undefined): Field {
    const o = this.#offerings.get(capability);
    if (o === undefined) return { agents: 0, offering: 0, groups: noGroups() };
    const agents = requires === undefined ? o.agents.size : this.find(capability, requires).length;
    return {
      agents,
      offering: o.agents.size,
      groups: o.groups,
    };
  }

  capabilities(): Map<string, number> {
    return new Map([...this.#offerings].map(([name, o]) => [name, o.agents.size]));
  }

  #seat(name: string, card: AgentCard): void {
    card.capabilities.forEach((c, index) => {
      let o = this.#offerings.get(c.name);
      if (o === undefined) {
        o = { agents: new Map(), members: newMembers(), groups: noGroups() };
        this.#offerings.set(c.name, o);
      }
      // A card may name it twice.
      if (!o.agents.has(name)) count(o, name, 1);
      o.agents.set(name, index);
    });
  }

  #unseat(name: string, card: AgentCard): void {
    for (const c of card.capabilities) {
      const o = this.#offerings.get(c.name);
      if (o === undefined || !o.agents.delete(name)) continue;
      count(o, name, -1);
      if (o.agents.size === 0) this.#offerings.delete(c.name);
    }
  }

  #tell(change: CardChange): void {
    for (const watcher of this.#watchers) watcher(change);
  }
}

/** Departures remembered between two readings. */
const GONE_MAX = 10_000;

function newMembers(): Offering["members"] {
  const { s2, s4, s8 } = SAMPLES;
  return { s2: new Uint32Array(s2), s4: new Uint32Array(s4), s8: new Uint32Array(s8) };
}

function noGroups(): Record<Sample, number> {
  return { s2: 0, s4: 0, s8: 0 };
}

/** An agent came to its queue groups, or left them. */
function count(o: Offering, agent: string, by: 1 | -1): void {
  for (const sample of SAMPLE_RUNGS) {
    const members = o.members[sample];
    const group = groupOf(agent, SAMPLES[sample]);
    const before = members[group]!;
    members[group] = before + by;
    if (Math.min(before, before + by) === 0) o.groups[sample] += by;
  }
}
