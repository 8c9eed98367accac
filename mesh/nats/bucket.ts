// Shared buckets on NATS: plain key-value, readable and writable with the stock `nats kv` too.
// Writes are compare-and-set on the key's revision; whoever watches hears the stream's
// republished messages, so nobody needs a consumer.
import { FENCE_HEADER } from "../../contracts/index.ts";
import type { Bucket, BucketEntry, Clock, Incoming } from "../ports/index.ts";
import { directGet } from "./direct-get.ts";
import type { Link } from "./link.ts";
import { placeOf } from "./put-ack.ts";

const TIMEOUT_MS = 5_000;
const EMPTY = new Uint8Array(0);

export class NatsBucket implements Bucket {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #principal: string;
  readonly #stream: string;
  readonly #head: string;
  readonly #echo: string;

  /** @param echo first tokens under which the stream republishes: `mesh.board.` */
  constructor(link: Link, clock: Clock, principal: string, bucket: string, echo: string) {
    this.#link = link;
    this.#clock = clock;
    this.#principal = principal;
    this.#stream = `KV_${bucket}`;
    this.#head = `$KV.${bucket}.`;
    this.#echo = echo;
  }

  async get(key: string): Promise<BucketEntry | undefined> {
    const subject = `$JS.API.DIRECT.GET.${this.#stream}.${this.#head}${key}`;
    const m = await this.#link.request(subject, EMPTY, { timeoutMs: TIMEOUT_MS });
    return m.status === 404 ? undefined : this.#entry(m);
  }

  #entry(m: Incoming): BucketEntry {
    const subject = m.header("Nats-Subject") ?? "";
    return {
      key: subject.slice(this.#head.length),
      value: isGone(m) ? undefined : m.data,
      rev: Number(m.header("Nats-Sequence")),
    };
  }

  put(key: string, value: Uint8Array, o: { rev?: number; ttlS?: number } = {}): Promise<number> {
    const headers: Record<string, string> = {};
    if (o.rev !== undefined) headers[FENCE_HEADER] = String(o.rev);
    if (o.ttlS !== undefined) headers["Nats-TTL"] = `${Math.max(1, Math.ceil(o.ttlS))}s`;
    return this.#write(key, value, headers);
  }

  async remove(key: string, rev?: number): Promise<void> {
    const headers: Record<string, string> = { "KV-Operation": "DEL" };
    if (rev !== undefined) headers[FENCE_HEADER] = String(rev);
    await this.#write(key, EMPTY, headers);
  }

  async #write(key: string, value: Uint8Array, headers: Record<string, string>): Promise<number> {
    const m = await this.#link.ask(`${this.#head}${key}`, value, {
      timeoutMs: TIMEOUT_MS,
      headers,
    });
    return placeOf(m, this.#stream, `"${key}"`, { fenced: true });
  }

  async list(pattern: string): Promise<BucketEntry[]> {
    const wanted = { multi_last: [`${this.#head}${pattern}`] };
    const found = await directGet(
      this.#link,
      this.#clock,
      this.#principal,
      this.#stream,
      wanted,
      TIMEOUT_MS,
    );
    return found.filter((m) => !isGone(m)).map((m) => this.#entry(m));
  }

  watch(pattern: string, then: (entry: BucketEntry) => void): () => void {
    const sub = this.#link.subscribe(`${this.#echo}${pattern}`, (m) => {
      // Said by the server's stream alone: anybody could say it on the bare subject.
      if (m.header("Nats-Stream") !== this.#stream) return;
      then(this.#entry(m));
    });
    return () => sub.unsubscribe();
  }
}

function isGone(m: Incoming): boolean {
  return m.header("KV-Operation") !== undefined || m.header("Nats-Marker-Reason") !== undefined;
}
