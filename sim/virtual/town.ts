// Who lives in a simulated world: initiators, submitters, and hosts of agents, drawn from the pool.
import { OPEN_TASKS_MAX } from "../../contracts/index.ts";
import type { HistoryEvent } from "../../mesh/ports/index.ts";
import type { Peer } from "../../mesh/runtime/peer.ts";
import type { Execution } from "../live/messages.ts";
import { simDefinition } from "../live/sim-agent.ts";
import type { SimAgent, SimPool } from "../pool.ts";
import type { Broker } from "./broker/broker.ts";
import { COMPOSE, composer } from "./composers.ts";
import { type HostOptions, VirtualHost } from "./hosts.ts";
import { FORGER, INSIDER_AGENT, LIAR } from "./insiders.ts";
import type { LinkQuality } from "./network.ts";
import { keyOf, VirtualTrust } from "./trust.ts";
import type { World } from "./world.ts";

/** Time between the starts of two hosts, ms: a fleet is never started all at once. */
const STAGGER_MS = 1;

/** A few, to be there for each other; more where they have to be: one for half as many busy agents
 * as its desk holds tasks, since they have 1.3 slots on average. Each hears of all agents. */
const INITIATORS_MAX = 4;
const BUSY_AN_INITIATOR = OPEN_TASKS_MAX / 2;

/** How many initiators a fleet has where nobody says. */
export function initiatorsFor(agents: number, utilisation: number): number {
  const few = Math.min(INITIATORS_MAX, Math.max(2, Math.ceil(agents / 250)));
  return Math.max(few, Math.ceil((agents * utilisation) / BUSY_AN_INITIATOR));
}

export interface TownOptions {
  pool: SimPool;
  seed: string | number;
  agentsPerHost: number;
  initiators: number;
  submitters: number;
  signing: boolean;
  /** Hosts of agents that have tasks done in parts (composers.ts). */
  composers: number;
  /** Two hosts more, whose agents are not to be trusted (insiders.ts). */
  insiders: boolean;
  quality?: LinkQuality | undefined;
  history?: ((process: string, event: HistoryEvent) => void) | undefined;
  /** Told of every execution when it is over. */
  ended: (execution: Execution) => void;
  /** A submitter has a new process: the old one and all that it knew is gone. */
  returned?: ((submitter: VirtualHost) => void) | undefined;
  /** For all peers alike. */
  peers?: Pick<HostOptions, "silenceMs" | "leaseMs" | "shortTaskMs" | "cardTtlS" | "policies">;
}

export class Town {
  readonly initiators: VirtualHost[] = [];
  readonly submitters: VirtualHost[] = [];
  readonly contractors: VirtualHost[] = [];
  readonly composers: VirtualHost[] = [];
  readonly insiders: VirtualHost[] = [];
  /** Public keys by principal, of a world that signs. */
  readonly keys: Record<string, string> = {};
  /** Starts that failed: who, and why. */
  readonly failed: string[] = [];
  readonly #world: World;
  readonly #broker: Broker;
  readonly #o: TownOptions;
  readonly #trust = new VirtualTrust();
  readonly #names: readonly string[];

  constructor(world: World, broker: Broker, options: TownOptions) {
    this.#world = world;
    this.#broker = broker;
    this.#o = options;
    const { pool, agentsPerHost, initiators, submitters } = options;
    this.#names = [...new Set(pool.agents.flatMap((agent) => agent.capabilities))];
    for (let i = 0; i < initiators; i++) this.initiators.push(this.#host(`i${i}`, "initiator"));
    for (let i = 0; i < submitters; i++) this.submitters.push(this.#submitter(`s${i}`));
    for (let at = 0; at < pool.agents.length; at += agentsPerHost) {
      const share = pool.agents.slice(at, at + agentsPerHost);
      this.contractors.push(this.#agentsHost(`h${this.contractors.length}`, share));
    }
    for (let i = 0; i < options.composers; i++) this.composers.push(this.#composer(`b${i}`));
    if (options.insiders) this.insiders.push(this.#insider(LIAR), this.#insider(FORGER));
  }

  get all(): VirtualHost[] {
    const { initiators, submitters, contractors, composers, insiders } = this;
    return [...initiators, ...submitters, ...contractors, ...composers, ...insiders];
  }

  #host(name: string, role: HostOptions["role"], more: Partial<HostOptions> = {}): VirtualHost {
    const { signing, seed, quality, history, peers } = this.#o;
    const identity: Partial<HostOptions> = {};
    if (signing) {
      identity.signer = keyOf(seed, name);
      identity.trust = this.#trust;
      this.keys[name] = identity.signer.publicKey;
      this.#trust.add(name, identity.signer.publicKey, role, more.capabilities ?? []);
    }
    return new VirtualHost(this.#world, this.#broker, {
      name,
      role,
      ...identity,
      ...peers,
      ...(quality === undefined ? {} : { quality }),
      ...(history === undefined || name.startsWith(LIAR) ? {} : { history }),
      ...more,
    });
  }

  #submitter(name: string): VirtualHost {
    const furnish = (_: Peer, host: VirtualHost): void => {
      if (host.lives > 1) this.#o.returned?.(host);
    };
    return this.#host(name, "submitter", { furnish });
  }

  #composer(name: string): VirtualHost {
    const furnish = (peer: Peer, host: VirtualHost): void => {
      peer.host(composer(name, peer, host));
    };
    return this.#host(name, "agent", { capabilities: [COMPOSE], furnish });
  }

  #insider(name: string): VirtualHost {
    const agent = { slots: 1, speed: 1, costPerSecond: 1, claimFactor: 0.5 };
    const share = [{ ...agent, name: INSIDER_AGENT, capabilities: this.#names }];
    return this.#agentsHost(name, share, name === FORGER);
  }

  #agentsHost(name: string, agents: readonly SimAgent[], declines = false): VirtualHost {
    const furnish = (peer: Peer, host: VirtualHost): void => {
      const time = {
        wall: () => host.clock.wall(),
        sleep: (ms: number, signal: AbortSignal) => host.sleep(ms, signal),
      };
      for (const agent of agents) {
        const definition = simDefinition(agent, name, undefined, this.#o.ended, time);
        // For tasks that ask for one or the other (arrivals.ts).
        definition.attributes = { even: Number(agent.name.slice(1)) % 2 === 0 };
        const never = definition.services.map((s) => ({ ...s, bid: () => undefined }));
        peer.host(declines ? { ...definition, services: never } : definition);
      }
    };
    return this.#host(name, "contractor", { capabilities: this.#names, furnish });
  }

  /** Starts everybody, those who read the registry first: they hear of all others. */
  start(): void {
    this.all.forEach((host, at) => {
      this.#world.after(at * STAGGER_MS, () => this.begin(host));
    });
  }

  /** Starts one host; a failed start is remembered, as an operator would see it. */
  begin(host: VirtualHost): void {
    host.start().catch((error: unknown) => void this.failed.push(`${host.name}: ${String(error)}`));
  }

  /** Agents that every living initiator knows. */
  known(capability: string): number {
    const counts = this.initiators
      .filter((host) => host.alive)
      .map((host) => host.peer?.registry.capabilities().get(capability) ?? 0);
    return counts.length === 0 ? 0 : Math.min(...counts);
  }

  /** Messages sent by all, and their counters added up. */
  tally(): { sent: number; counters: Record<string, number> } {
    const counters: Record<string, number> = {};
    let sent = 0;
    for (const host of this.all) {
      sent += host.sent;
      for (const [name, count] of Object.entries(host.counters())) {
        counters[name] = (counters[name] ?? 0) + count;
      }
    }
    return { sent, counters };
  }
}
