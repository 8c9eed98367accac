// The card store on NATS: presence through the ingest stream (with TTL), keys for good.

import {
  AGENTS_BUCKET,
  AGENTS_STREAM,
  KEYS_STREAM,
  keySubject,
  registrationSubject,
  SIGNATURE_HEADER,
} from "../../contracts/index.ts";
import type { CardStore, Clock, Incoming, StoredCardEntry } from "../ports/index.ts";
import { directGetAll } from "./direct-get.ts";
import type { Link } from "./link.ts";
import { placeOf } from "./put-ack.ts";

const EMPTY = new Uint8Array(0);

export class NatsCards implements CardStore {
  readonly #transport: Link;
  readonly #clock: Clock;
  readonly #principal: string | undefined;
  /** Seals under which each key is stored, by the stream's word: unchanged cards are not written
   * again. */
  #kept = new Map<string, string>();

  constructor(transport: Link, clock: Clock, principal?: string) {
    this.#transport = transport;
    this.#clock = clock;
    this.#principal = principal;
    transport.onState((state) => {
      if (state === "up") this.#kept = new Map();
    });
  }

  announce(principal: string, agent: string, body: Uint8Array, seal: string, ttlS: number): void {
    this.#transport.publish(registrationSubject(principal, agent), body, {
      headers: { "Nats-TTL": `${ttlS}s`, [SIGNATURE_HEADER]: seal },
    });
    if (this.#kept.get(`${principal}.${agent}`) === seal) return;
    void this.#keep(principal, agent, body, seal);
  }

  /** Without the stream's word it may be lost: the next renewal writes it again. */
  async #keep(principal: string, agent: string, body: Uint8Array, seal: string): Promise<void> {
    // An answer of before the link was lost tells nothing of the server behind the next one.
    const kept = this.#kept;
    try {
      const answer = await this.#transport.ask(keySubject(principal, agent), body, {
        timeoutMs: KEPT_MS,
        headers: { [SIGNATURE_HEADER]: seal },
      });
      placeOf(answer, KEYS_STREAM, `the key of ${principal}.${agent}`, { fenced: false });
      kept.set(`${principal}.${agent}`, seal);
    } catch {
      // Refused, lost, or nobody leads the stream just now.
    }
  }

  leave(principal: string, agent: string): void {
    this.#transport.publish(registrationSubject(principal, agent), EMPTY, {
      headers: { "KV-Operation": "DEL", "Nats-TTL": "60s" },
    });
  }

  /** In pages, since one multi-get answers at most 1,024 subjects. */
  async snapshot(): Promise<StoredCardEntry[]> {
    const all = await directGetAll(
      this.#transport,
      this.#clock,
      this.#principal,
      AGENTS_STREAM,
      `$KV.${AGENTS_BUCKET}.>`,
      TIMEOUT_MS,
    );
    const newestAt = all.reduce((newest, m) => Math.max(newest, storedAt(m)), 0);
    return all
      .filter((m) => m.data.length > 0 && m.header("KV-Operation") === undefined)
      .filter((m) => endsAt(m) >= newestAt)
      .flatMap(entryOf);
  }

  async get(principal: string, agent: string): Promise<StoredCardEntry | undefined> {
    const m = await this.#transport.request(
      `$JS.API.DIRECT.GET.${KEYS_STREAM}.${keySubject(principal, agent)}`,
      EMPTY,
      { timeoutMs: 2_000 },
    );
    if (m.status !== 0 || m.data.length === 0) return undefined;
    return { principal, agent, body: m.data, seal: m.header(SIGNATURE_HEADER), rev: 0 };
  }
}

function storedAt(m: Incoming): number {
  return Date.parse(m.header("Nats-Time-Stamp") ?? "") || 0;
}

/** A server that was killed may bring cards back that had expired, and then keeps them for good
 * (seen, 2.15.1). By its own clock they are over once anything was stored after their end. */
function endsAt(m: Incoming): number {
  const ttl = /^(\d+)s$/.exec(m.header("Nats-TTL") ?? "");
  return ttl === null ? Number.POSITIVE_INFINITY : storedAt(m) + Number(ttl[1]) * 1_000 + LATE_MS;
}

function entryOf(m: Incoming): StoredCardEntry[] {
  const [, , principal, agent, ...more] = (m.header("Nats-Subject") ?? "").split(".");
  if (principal === undefined || agent === undefined || more.length > 0) return [];
  const rev = Number(m.header("Nats-Sequence"));
  return [{ principal, agent, body: m.data, seal: m.header(SIGNATURE_HEADER), rev }];
}

/** The server looks for what has expired about once a second. */
const LATE_MS = 2_000;
const TIMEOUT_MS = 10_000;
/** A stream answers a write within ms; one that takes so long has no leader. */
const KEPT_MS = 5_000;
