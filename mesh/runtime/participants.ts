// Participants: answer calls for proposals, and offers of waiting work.
import {
  type Address,
  AGING_MS,
  type Bid,
  bidSubject,
  type Cfp,
  CfpSchema,
  OFFER_WINDOW_MS,
  OfferSchema,
  parseCfpSubject,
  parseDirected,
  principalOf,
  type RefusalReason,
  WINDOW_MS_MAX,
} from "../../contracts/index.ts";
import { FAIR } from "../core/waiting-room.ts";
import type { Incoming } from "../ports/index.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";
import type { HostedAgent } from "./hosted-agent.ts";

/** A free slot that took an offer and got no award asks again after this, ms. */
const ASK_AGAIN_MS = 25;
/** Where it refused all that it was offered, twice as long each time, ms at most. Guess. */
const ASK_AGAIN_MS_MAX = 800;
/** Above this many agents a call to all is answered in the order of rank. Guess. */
const CROWD = 64;
/** After so many offers of one initiator in a row, an agent waits for no second one. Guess. */
const ALONE = 16;

/** Work that an agent may bid for: offered to it, or called for while it collects offers. */
interface Chance {
  from: Address;
  capability: string;
  call: Cfp;
  urgency: number;
  since?: number | undefined;
  specRev?: number | undefined;
}

interface Asking {
  pauseMs: number;
  /** ms on the clock. */
  dueAt: number;
  timer: { cancel(): void } | undefined;
}

/** As in the waiting rooms (core/waiting-room.ts), over the offers of several initiators. */
function byRank({ call: a }: Chance, { call: b }: Chance): number {
  if (a.rank === undefined && b.rank === undefined) return 0;
  return b.priority - a.priority || (b.rank ?? -1) - (a.rank ?? -1);
}

/** By urgency, all at one moment: each offer tells it of its own, so that of equals whoever was
 * offered last would be the older. */
function olderFirst(date: number): (a: Chance, b: Chance) => number {
  const urgency = ({ urgency, since, call }: Chance) =>
    since === undefined ? urgency : call.priority + (date - since) / AGING_MS;
  return (a, b) => urgency(b) - urgency(a) || (a.specRev ?? 0) - (b.specRev ?? 0);
}

function consider(agent: HostedAgent, { from, capability, call }: Chance): Bid | RefusalReason {
  return agent.answer(capability, call, principalOf(from));
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

export class Participants {
  readonly #d: Deps;
  readonly #agents: ReadonlyMap<string, HostedAgent>;
  /** When agents ask again, and after how long; one moment for each. */
  #asking = new Map<string, Asking>();
  /** Of agents that collect offers. */
  #baskets = new Map<string, Chance[]>();
  /** Who offered something last, and how often in a row. */
  #source: { from: Address; times: number } = { from: "", times: 0 };
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
    if (agent.openSlots === 0) return window * (0.8 + this.#d.random.next() * 0.2);
    const rank = agent.slots.load(this.#d.clock.now());
    return window * 0.6 * Math.min(1, rank + this.#d.random.next() * 0.2);
  }

  #answer(agent: HostedAgent, capability: string, from: Address, call: Cfp): void {
    const chance = { from, capability, call, urgency: call.priority };
    // Answered at once it would take the slot from what others have offered.
    const basket = this.#baskets.get(agent.name);
    if (basket !== undefined) return void basket.push(chance);
    this.#tell(agent, chance, consider(agent, chance));
  }

  #tell(agent: HostedAgent, { from, call }: Chance, answer: Bid | RefusalReason): void {
    const refused = typeof answer === "string";
    const message = refused ? { v: 1, kind: "refusal", reason: answer } : answer;
    this.#d.transport.publish(bidSubject(from, call.cfp, agent.address), msgpackBytes(message));
    if (refused) return;
    this.#d.history?.note({ k: "obs", op: "bid", who: agent.address, to: from, id: call.cfp });
  }

  onOffer(message: Incoming): void {
    const subject = parseDirected("offer", message.subject);
    const offer = this.#d.inbound.read("offer", OfferSchema, message);
    if (subject === undefined || offer === undefined) return;
    const agent = this.#agents.get(subject.toAgent);
    if (agent === undefined) return;
    const from = `${subject.fromPrincipal}.${subject.fromAgent}`;
    agent.lastOfferAt = this.#d.clock.now();
    const chance = { from, ...offer };
    const single = this.#single(from);
    const basket = this.#baskets.get(agent.name);
    if (basket !== undefined) return void basket.push(chance);
    if (single) return this.#choose(agent, [chance]);
    this.#baskets.set(agent.name, [chance]);
    this.#d.clock.after(OFFER_WINDOW_MS, () => {
      const all = this.#baskets.get(agent.name) ?? [];
      this.#baskets.delete(agent.name);
      this.#choose(agent, all);
    });
  }

  /** Has nobody else offered anything for long? Then there is nobody to wait for. */
  #single(from: Address): boolean {
    const { times } = this.#source;
    this.#source = { from, times: this.#source.from === from ? times + 1 : 1 };
    return this.#source.times > ALONE;
  }

  /** Bids on the most urgent offers that it has slots for; the others learn that it is busy. */
  #choose(agent: HostedAgent, basket: Chance[]): void {
    const fair = this.#turn++ % FAIR === FAIR - 1;
    const byAge = olderFirst(this.#d.clocks.date);
    basket.sort((a, b) => (fair ? 0 : byRank(a, b)) || byAge(a, b));
    const before = agent.openSlots;
    let open = before;
    for (const chance of basket) {
      const answer = open > 0 ? consider(agent, chance) : "busy";
      if (typeof answer !== "string") open--;
      this.#tell(agent, chance, answer);
    }
    this.#askAgain(agent, before > 0 && open === before);
  }

  /** A slot that no offer filled asks again: an award may have gone elsewhere, or others wait. */
  #askAgain(agent: HostedAgent, refusedAll: boolean): void {
    const now = this.#d.clock.now();
    const before = this.#asking.get(agent.name);
    const last = before !== undefined && before.dueAt > now - ASK_AGAIN_MS_MAX ? before : undefined;
    const longer = Math.min(ASK_AGAIN_MS_MAX, 2 * (last?.pauseMs ?? ASK_AGAIN_MS));
    const pauseMs = refusedAll ? longer : ASK_AGAIN_MS;
    const dueAt = now + pauseMs;
    // Where messages come twice, each of two would ask, and be answered twice, and so on.
    if (last?.timer !== undefined && last.dueAt <= dueAt) return;
    last?.timer?.cancel();
    const asking: Asking = { pauseMs, dueAt, timer: undefined };
    asking.timer = this.#d.clock.after(pauseMs, () => {
      asking.timer = undefined;
      if (agent.openSlots > 0 && agent.wanted && !this.#baskets.has(agent.name)) {
        agent.askForWork();
      }
    });
    this.#asking.set(agent.name, asking);
  }
}
