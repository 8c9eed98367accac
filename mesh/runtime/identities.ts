// Whose key is it? Cards answer: a principal's JWT vouches for its key, its signature on a card
// vouches for the agent's key. Unknown senders are asked for their card (`mesh.who`), which any
// bearer may pass on, since it proves itself.
import {
  KEYS_MAX,
  ParleyError,
  type Role,
  SIGNATURE_HEADER,
  whoSubject,
} from "../../contracts/index.ts";
import type { Clock, Signer, Transport, Trust } from "../ports/index.ts";
import { openCard } from "./cards.ts";
import type { Counters } from "./counters.ts";
import { Missing } from "./missing.ts";
import { digest } from "./signing.ts";

export interface AgentKey {
  publicKey: string;
  role: Role;
}

/** Own signatures remembered, each with the digest of what it covers. */
const SIGNED_MAX = 4_096;

const EMPTY = new Uint8Array(0);
const WHO_TIMEOUT_MS = 2_000;
/** Waiting messages per unknown sender: a burst of his own is all that may queue. */
const WAITERS_MAX = 1_000;

/** @param unread there is no key because what is stored could not be read now */
export type Found = (key: AgentKey | undefined, unread: boolean) => void;

export interface IdentitiesDependencies {
  transport: Transport;
  clock: Clock;
  counters: Counters;
  /** Absent: nothing is proven. */
  trust: Trust | undefined;
  /** Looks a card up where it is stored; for senders that have left. */
  stored?: (principal: string, agent: string) => Promise<StoredCard | undefined>;
}

export class Identities {
  readonly #d: IdentitiesDependencies;
  readonly #missing: Missing;
  #keys = new Map<string, AgentKey>();
  #signed = new Map<string, { publicKey: string; covers: string }>();
  #asking = new Map<string, Found[]>();

  constructor(dependencies: IdentitiesDependencies) {
    this.#d = dependencies;
    this.#missing = new Missing(dependencies.clock);
  }

  /** Is signing in force at all? */
  get on(): boolean {
    return this.#d.trust !== undefined;
  }

  verify(key: AgentKey, data: Uint8Array, signature: Uint8Array): boolean {
    const { trust } = this.#d;
    if (trust === undefined) return true;
    const own = this.#signed.get(Buffer.from(signature).toString("latin1"));
    if (own?.publicKey === key.publicKey && own.covers === digest(data)) return true;
    return trust.verify(key.publicKey, data, signature);
  }

  /** Signs, and remembers having signed: what comes back to this process needs no proof. */
  sign(signer: Signer, text: Buffer): Uint8Array {
    const signature = signer.sign(text);
    if (this.#signed.size >= SIGNED_MAX) {
      const oldest = this.#signed.keys().next().value;
      if (oldest !== undefined) this.#signed.delete(oldest);
    }
    const name = Buffer.from(signature).toString("latin1");
    this.#signed.set(name, { publicKey: signer.publicKey, covers: digest(text) });
    return signature;
  }

  known(address: string): AgentKey | undefined {
    return this.#keys.get(address);
  }

  learn(address: string, key: AgentKey): void {
    if (this.#keys.size >= KEYS_MAX && !this.#keys.has(address)) {
      const oldest = this.#keys.keys().next().value;
      if (oldest !== undefined) this.#keys.delete(oldest);
    }
    this.#keys.set(address, key);
    this.#missing.delete(address);
  }

  forget(address: string): void {
    this.#keys.delete(address);
  }

  /** The link is there again: who could not be found may be. */
  onReturn(): void {
    this.#missing.clear();
  }

  /**
   * Calls back at once when the key is known, later otherwise; undefined: cannot be proven.
   * @param stored for a read of what is stored: it holds its records anyway, however many wait, and
   * of whom was asked for in vain just now it asks no more. A sender that was missing a moment ago
   * is not missing when he sends.
   */
  resolve(principal: string, agent: string, then: Found, stored = false): void {
    const address = `${principal}.${agent}`;
    const key = this.#keys.get(address);
    if (key !== undefined) return then(key, false);
    const waiting = this.#asking.get(address);
    if (stored && waiting === undefined && this.#missing.has(address)) {
      return then(undefined, false);
    }
    if (waiting !== undefined) {
      if (stored || waiting.length < WAITERS_MAX) waiting.push(then);
      else then(undefined, true);
      return;
    }
    this.#asking.set(address, [then]);
    void this.#ask(principal, agent).then(({ key: answered, unread }) => {
      // Its card may have come meanwhile.
      const found = answered ?? this.#keys.get(address);
      const waiters = this.#asking.get(address) ?? [];
      this.#asking.delete(address);
      if (found !== undefined) this.learn(address, found);
      else this.#d.counters.add("identity.unresolved");
      for (const waiter of waiters) waiter(found, unread && found === undefined);
    });
  }

  async #ask(
    principal: string,
    agent: string,
  ): Promise<{ key: AgentKey | undefined; unread: boolean }> {
    let unread = false;
    const stored = await this.#d.stored?.(principal, agent).catch(() => {
      unread = true;
      return undefined;
    });
    const kept = stored && this.#open(principal, agent, stored.body, stored.seal);
    const key = kept ?? (await this.#askWho(principal, agent, unread));
    return { key, unread: unread && key === undefined };
  }

  async #askWho(principal: string, agent: string, unread: boolean): Promise<AgentKey | undefined> {
    try {
      const answer = await this.#d.transport.request(whoSubject(principal, agent), EMPTY, {
        timeoutMs: WHO_TIMEOUT_MS,
      });
      return this.#open(principal, agent, answer.data, answer.header(SIGNATURE_HEADER));
    } catch (error) {
      // Any other answer comes at once, and is worth asking for again.
      const silent = error instanceof ParleyError && error.code === "E_TIMEOUT";
      if (silent && !unread) this.#missing.add(`${principal}.${agent}`);
      return undefined;
    }
  }

  #open(
    principal: string,
    agent: string,
    body: Uint8Array,
    seal: string | undefined,
  ): AgentKey | undefined {
    const opened = openCard(principal, agent, body, seal, this.#d.trust, { atItsDate: true });
    if (opened?.principal === undefined) return undefined;
    return { publicKey: opened.card.publicKey, role: opened.principal.role };
  }
}

export interface StoredCard {
  body: Uint8Array;
  seal: string | undefined;
}
