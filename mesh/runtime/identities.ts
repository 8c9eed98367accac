// Whose key is it? Cards answer: a principal's JWT vouches for its key, its signature on a card
// vouches for the agent's key. Unknown senders are asked for their card (`mesh.who`), which any
// bearer may pass on, since it proves itself.
import { KEYS_MAX, type Role, SIGNATURE_HEADER, whoSubject } from "../../contracts/index.ts";
import type { Signer, Transport, Trust } from "../ports/index.ts";
import { openCard } from "./cards.ts";
import type { Counters } from "./counters.ts";
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

export class Identities {
  readonly #transport: Transport;
  readonly #trust: Trust | undefined;
  readonly #counters: Counters;
  /** Looks a card up where it is stored; for senders that have left. */
  readonly #stored:
    | ((principal: string, agent: string) => Promise<StoredCard | undefined>)
    | undefined;
  #keys = new Map<string, AgentKey>();
  #signed = new Map<string, { publicKey: string; covers: string }>();
  #asking = new Map<string, Found[]>();

  constructor(
    transport: Transport,
    trust: Trust | undefined,
    counters: Counters,
    stored?: (principal: string, agent: string) => Promise<StoredCard | undefined>,
  ) {
    this.#transport = transport;
    this.#trust = trust;
    this.#counters = counters;
    this.#stored = stored;
  }

  /** Is signing in force at all? */
  get on(): boolean {
    return this.#trust !== undefined;
  }

  verify(key: AgentKey, data: Uint8Array, signature: Uint8Array): boolean {
    if (this.#trust === undefined) return true;
    const own = this.#signed.get(Buffer.from(signature).toString("latin1"));
    if (own?.publicKey === key.publicKey && own.covers === digest(data)) return true;
    return this.#trust.verify(key.publicKey, data, signature);
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
  }

  forget(address: string): void {
    this.#keys.delete(address);
  }

  /** Calls back at once when the key is known, later otherwise; undefined: cannot be proven. */
  resolve(principal: string, agent: string, then: Found): void {
    const address = `${principal}.${agent}`;
    const key = this.#keys.get(address);
    if (key !== undefined) return then(key, false);
    const waiting = this.#asking.get(address);
    if (waiting !== undefined) {
      if (waiting.length < WAITERS_MAX) waiting.push(then);
      else then(undefined, true);
      return;
    }
    this.#asking.set(address, [then]);
    void this.#ask(principal, agent).then(({ key: found, unread }) => {
      const waiters = this.#asking.get(address) ?? [];
      this.#asking.delete(address);
      if (found !== undefined) this.learn(address, found);
      else this.#counters.add("identity.unresolved");
      for (const waiter of waiters) waiter(found, unread);
    });
  }

  async #ask(
    principal: string,
    agent: string,
  ): Promise<{ key: AgentKey | undefined; unread: boolean }> {
    let unread = false;
    const stored = await this.#stored?.(principal, agent).catch(() => {
      unread = true;
      return undefined;
    });
    const kept = stored && this.#open(principal, agent, stored.body, stored.seal);
    const key = kept ?? (await this.#askWho(principal, agent));
    return { key, unread: unread && key === undefined };
  }

  async #askWho(principal: string, agent: string): Promise<AgentKey | undefined> {
    try {
      const answer = await this.#transport.request(whoSubject(principal, agent), EMPTY, {
        timeoutMs: WHO_TIMEOUT_MS,
      });
      return this.#open(principal, agent, answer.data, answer.header(SIGNATURE_HEADER));
    } catch {
      return undefined;
    }
  }

  #open(
    principal: string,
    agent: string,
    body: Uint8Array,
    seal: string | undefined,
  ): AgentKey | undefined {
    const opened = openCard(principal, agent, body, seal, this.#trust);
    if (opened?.principal === undefined) return undefined;
    return { publicKey: opened.card.publicKey, role: opened.principal.role };
  }
}

export interface StoredCard {
  body: Uint8Array;
  seal: string | undefined;
}
