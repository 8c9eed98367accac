// Participants: answer calls for proposals, and offers of waiting work.
import {
  type Address,
  bidSubject,
  type Cfp,
  CfpSchema,
  OFFER_WINDOW_MS,
  type Offer,
  OfferSchema,
  parseCfpSubject,
  parseDirected,
  WINDOW_MS_MAX,
} from "../../contracts/index.ts";
import { FAIR } from "../core/waiting-room.ts";
import type { Incoming } from "../ports/index.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";
import type { HostedAgent } from "./hosted-agent.ts";

/** A free slot that took an offer and got no award asks again after this, ms. */
const ASK_AGAIN_MS = 25;
/** Above this many agents a call to all is answered in the order of rank. Guess. */
const CROWD = 64;
/** So long after offers of different initiators, an agent waits for more than one, ms. */
const SOURCE_MS = 10_000;

/** As in the waiting rooms (core/waiting-room.ts), over the offers of several initiators. */
function byRank(a: Offer, b: Offer): number {
  if (a.rank === undefined && b.rank === undefined) return 0;
  return b.call.priority - a.call.priority || (b.rank ?? -1) - (a.rank ?? -1);
}

function byUrgency(a: { offer: Offer }, b: { offer: Offer }): number {
  return b.offer.urgency - a.offer.urgency;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

type Basket = { from: Address; offer: Offer }[];

export class Participants {
  readonly #d: Deps;
  readonly #agents: ReadonlyMap<string, HostedAgent>;
  #baskets = new Map<string, Basket>();
  #lastSource: Address | undefined;
  /** When an offer last came from another initiator than the one before it. */
  #mixedAt = Number.NEGATIVE_INFINITY;
  #turn = 0;
  /** The call heard last, and who heard it. A call to all comes once for every agent here: it is
   * read once, or a large one would hold up the process for as many readings as it has agents. */
  #heard: { data: Uint8Array; call: Cfp | undefined; by: Set<HostedAgent> } | undefined;

  constructor(dependencies: Deps, agents: ReadonlyMap<string, HostedAgent>) {
    this.#d = dependencies;
    this.#agents = agents;
  }

  onCall(agent: HostedAgent, capability: string, rung: string, message: Incoming): void {
    const subject = parseCfpSubject(message.subject);
    const call = this.#read(agent, message);
    if (subject === undefined || call === undefined) return;
    const initiator = `${subject.fromPrincipal}.${subject.fromAgent}`;
    const delay = rung === "all" ? this.#delay(agent, call) : 0;
    if (delay < 1) return this.#answer(agent, capability, initiator, call);
    this.#d.clock.after(delay, () => this.#answer(agent, capability, initiator, call));
  }

  #read(agent: HostedAgent, message: Incoming): Cfp | undefined {
    const { data } = message;
    const heard = this.#heard;
    // Whoever hears the same again hears another message: it counts for itself.
    const again = heard === undefined || heard.by.has(agent) || message.hasHeaders;
    if (!again && sameBytes(heard.data, data)) {
      heard.by.add(agent);
      return heard.call;
    }
    const call = this.#d.inbound.read("cfp", CfpSchema, message);
    // With headers it may have been refused for them.
    if (!message.hasHeaders) this.#heard = { data, call, by: new Set([agent]) };
    return call;
  }

  /** In a crowd bids come in the order of their rank, and refusals after them (storm control). */
  #delay(agent: HostedAgent, call: Cfp): number {
    const crowd = call.crowd ?? 0;
    if (crowd <= CROWD) return 0;
    const window = Math.min(call.windowMs, WINDOW_MS_MAX);
    if (agent.slots.free === 0) return window * (0.8 + this.#d.random.next() * 0.2);
    const rank = agent.slots.load(this.#d.clock.now());
    return window * 0.6 * Math.min(1, rank + this.#d.random.next() * 0.2);
  }

  #answer(agent: HostedAgent, capability: string, initiator: Address, call: Cfp): void {
    const answer = agent.answer(capability, call);
    const subject = bidSubject(initiator, call.cfp, agent.address);
    if (typeof answer === "string") {
      this.#d.transport.publish(subject, msgpackBytes({ v: 1, kind: "refusal", reason: answer }));
      return;
    }
    this.#d.transport.publish(subject, msgpackBytes(answer));
    this.#note(agent, initiator, call);
  }

  #note(agent: HostedAgent, initiator: Address, call: Cfp): void {
    this.#d.history?.note({ k: "obs", op: "bid", who: agent.address, to: initiator, id: call.cfp });
  }

  onOffer(message: Incoming): void {
    const subject = parseDirected("offer", message.subject);
    const offer = this.#d.inbound.read("offer", OfferSchema, message);
    if (subject === undefined || offer === undefined) return;
    const agent = this.#agents.get(subject.toAgent);
    if (agent === undefined) return;
    const from = `${subject.fromPrincipal}.${subject.fromAgent}`;
    agent.lastOfferAt = this.#d.clock.now();
    const single = this.#single(from);
    const basket = this.#baskets.get(agent.name);
    if (basket !== undefined) return void basket.push({ from, offer });
    if (single) return this.#choose(agent, [{ from, offer }]);
    this.#baskets.set(agent.name, [{ from, offer }]);
    this.#d.clock.after(OFFER_WINDOW_MS, () => {
      const all = this.#baskets.get(agent.name) ?? [];
      this.#baskets.delete(agent.name);
      this.#choose(agent, all);
    });
  }

  /** Has nobody else offered anything for a while? Then there is nobody to wait for. */
  #single(from: Address): boolean {
    const now = this.#d.clock.now();
    if (this.#lastSource !== undefined && this.#lastSource !== from) this.#mixedAt = now;
    this.#lastSource = from;
    return now - this.#mixedAt > SOURCE_MS;
  }

  /** Bids on the most urgent offers that it has slots for; the others learn that it is busy. */
  #choose(agent: HostedAgent, basket: Basket): void {
    const fair = this.#turn++ % FAIR === FAIR - 1;
    basket.sort((a, b) => (fair ? 0 : byRank(a.offer, b.offer)) || byUrgency(a, b));
    let free = agent.slots.free;
    for (const { from, offer } of basket) {
      const subject = bidSubject(from, offer.call.cfp, agent.address);
      const answer = free > 0 ? agent.answer(offer.capability, offer.call) : "busy";
      if (typeof answer !== "string") {
        free--;
        this.#note(agent, from, offer.call);
      }
      this.#d.transport.publish(
        subject,
        msgpackBytes(
          typeof answer === "string" ? { v: 1, kind: "refusal", reason: answer } : answer,
        ),
      );
    }
    // A slot that none of these filled asks again: an award may have gone elsewhere.
    this.#d.clock.after(ASK_AGAIN_MS, () => {
      if (agent.slots.free > 0 && agent.wanted && !this.#baskets.has(agent.name)) {
        agent.askForWork();
      }
    });
  }
}
