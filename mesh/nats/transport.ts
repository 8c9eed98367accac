// The transport port on NATS.
import { randomBytes } from "node:crypto";
import {
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  PermissionViolationError,
  type Subscription as Sub,
} from "@nats-io/nats-core";
import { ParleyError } from "../../contracts/index.ts";
import type { Incoming, PublishOptions, Subscription } from "../ports/index.ts";
import type { Link } from "./link.ts";
import { LinkStatus } from "./link-status.ts";
import { LinkWatch, redialAtOnce } from "./link-watch.ts";
import { type AskOptions, Requests } from "./requests.ts";
import { systemClock } from "./system.ts";

/** The server appends these behind what the author sent: of two, its own is the last. Of all
 * others the first one counts, as it does for the server. */
const BY_SERVER: ReadonlySet<string> = new Set([
  "Nats-Stream",
  "Nats-Subject",
  "Nats-Sequence",
  "Nats-Time-Stamp",
  "Nats-Last-Sequence",
  "Nats-Num-Pending",
]);

/** Header lines by name, read once; the client's own reader costs three times as much. */
function readHeaders(m: Msg): RawHeaders | undefined {
  const inner = m as unknown as { _rdata?: Uint8Array; _msg?: { hdr?: number } };
  const length = inner._msg?.hdr;
  if (length === undefined || inner._rdata === undefined) return viaClient(m.headers);
  if (length < 0) return undefined;
  const text = Buffer.from(inner._rdata.buffer, inner._rdata.byteOffset, length).toString("utf8");
  const lines = text.split("\r\n");
  const status = Number((lines[0] as string).slice(8, 12)) || 0;
  const values = new Map<string, string>();
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] as string;
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const name = line.slice(0, colon);
    if (!values.has(name) || BY_SERVER.has(name)) values.set(name, line.slice(colon + 1).trim());
  }
  return { status, values };
}

interface RawHeaders {
  status: number;
  values: Map<string, string>;
}

function viaClient(h: MsgHdrs | undefined): RawHeaders | undefined {
  if (h === undefined) return undefined;
  const pick = (name: string) => (BY_SERVER.has(name) ? h.last(name) : h.get(name));
  return { status: h.code, values: new Map(h.keys().map((name) => [name, pick(name)])) };
}

class NatsMessage implements Incoming {
  readonly #m: Msg;
  #headers: RawHeaders | undefined;
  #read = false;

  constructor(m: Msg) {
    this.#m = m;
  }

  get subject(): string {
    return this.#m.subject;
  }

  get data(): Uint8Array {
    return this.#m.data;
  }

  get reply(): string | undefined {
    const reply = this.#m.reply;
    return reply === undefined || reply === "" ? undefined : reply;
  }

  #all(): RawHeaders | undefined {
    if (!this.#read) {
      this.#read = true;
      this.#headers = readHeaders(this.#m);
    }
    return this.#headers;
  }

  get hasHeaders(): boolean {
    return this.#all() !== undefined;
  }

  get status(): number {
    return this.#all()?.status ?? 0;
  }

  header(name: string): string | undefined {
    const value = this.#all()?.values.get(name);
    return value === "" ? undefined : value;
  }
}

/**
 * Headers for a publish. The client only asks them for their bytes; its own class spends more
 * time on canonical names and lists than the whole rest of a publish (measured), and our names
 * and values are tokens, numbers and base64 that need no such care.
 */
export function toHeaders(values: Readonly<Record<string, string>>): MsgHdrs {
  let text = "NATS/1.0\r\n";
  for (const name of Object.keys(values)) {
    const value = values[name] as string;
    if (UNSAFE.test(value)) throw new ParleyError("E_SCHEMA", `header ${name} holds a line break`);
    text += `${name}: ${value}\r\n`;
  }
  const bytes = Buffer.from(`${text}\r\n`);
  return { encode: () => bytes } as unknown as MsgHdrs;
}

const UNSAFE = /[\r\n]/;

/** A connection whose last write carried so many messages is under load. */
const CROWD = 4;
/** Turns of the event loop that a write waits for company, and company enough, messages. */
const TURNS_MAX = 4;
const COMPANY = 48;

/**
 * Bytes that a link may owe before more is dropped instead: on a link that takes nothing, memory
 * would grow until it is noticed. A healthy loopback owes none; 32 MiB is a third of a second of
 * a full gigabit.
 */
const BACKLOG_BYTES_MAX = 32 * 1024 * 1024;

export class NatsTransport extends LinkStatus implements Link {
  readonly connection: NatsConnection;
  readonly #watch: LinkWatch;
  readonly #requests: Requests;
  /** Messages not sent because the connection was down, or its link full. */
  dropped = 0;
  sent = 0;
  received = 0;
  /** Messages of this turn of the event loop: handed to the client together, so that they leave
   * in one write. Without it every settled promise costs a system call (measured: 16 % of CPU). */
  #outbox: { subject: string; data: Uint8Array; options: PublishOptions | undefined }[] = [];
  #scheduled = false;
  #turns = 0;
  #lastBatch = 0;

  constructor(connection: NatsConnection) {
    super();
    this.connection = connection;
    this.#requests = new Requests({
      inbox: () => `${prefixOf(connection)}.${unguessable()}`,
      subscribe: (pattern, handler) => this.subscribe(pattern, handler),
      send: (subject, data, options) => {
        this.#drain();
        this.sent++;
        this.#send(subject, data, options);
      },
      after: systemClock.after,
      token: unguessable,
    });
    this.#watch = new LinkWatch(connection, () => this.become("down"));
    this.#watch.start();
    void this.#follow();
    void connection.closed().then(() => {
      this.#watch.stop();
      this.become("closed");
      this.#requests.close();
    });
  }

  get payloadMax(): number {
    return this.connection.info?.max_payload ?? 1024 * 1024;
  }

  /** Connects anew, for the server to see new credentials. */
  renew(): void {
    redialAtOnce(this.connection);
    void this.connection.reconnect().catch(() => undefined);
  }

  async #follow(): Promise<void> {
    for await (const s of this.connection.status()) {
      switch (s.type) {
        case "disconnect":
        case "staleConnection":
        case "forceReconnect":
          this.#watch.stop();
          this.become("down");
          break;
        case "reconnect":
          this.#watch.start();
          this.become("up");
          break;
        case "error":
          if (!this.#isRefusal(s.error)) this.report(s.error);
          break;
        default:
          break;
      }
    }
  }

  #isRefusal(error: Error): boolean {
    if (!(error instanceof PermissionViolationError) || error.operation !== "publish") return false;
    return this.#requests.refused(error.subject);
  }

  publish(subject: string, data: Uint8Array, options?: PublishOptions): void {
    if (this.state() !== "up") {
      this.dropped++;
      return;
    }
    this.#outbox.push({ subject, data, options });
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  /** Under load a write waits a few turns of the event loop for company: half of all CPU time
   * went into writes of one or two messages each (measured). A lone message does not wait. */
  #turn = (): void => {
    const busy = this.#lastBatch >= CROWD;
    if (busy && this.#turns < TURNS_MAX && this.#outbox.length < COMPANY) {
      this.#turns++;
      setImmediate(this.#turn);
      return;
    }
    this.#lastBatch = this.#outbox.length;
    this.#drain();
  };

  #drain = (): void => {
    this.#scheduled = false;
    this.#turns = 0;
    const outbox = this.#outbox;
    this.#outbox = [];
    // Draining, the client throws, and here nobody could catch it. Down, it would keep what it is
    // given until it is up again: bids, beats and awards from before, which nobody wants any more.
    if (
      this.state() !== "up" ||
      this.connection.isClosed() ||
      this.connection.isDraining() ||
      this.#watch.backlog > BACKLOG_BYTES_MAX
    ) {
      this.dropped += outbox.length;
      return;
    }
    for (const { subject, data, options } of outbox) {
      // What the client refuses (more bytes, headers included, than a message may have) must
      // neither end the process nor take the messages behind it along.
      try {
        this.#send(subject, data, options);
        this.sent++;
      } catch (fault) {
        this.dropped++;
        this.report(fault as Error);
      }
    }
  };

  #send(subject: string, data: Uint8Array, options: PublishOptions | undefined): void {
    if (options === undefined) return this.connection.publish(subject, data);
    const { reply, headers } = options;
    const o: { reply?: string; headers?: MsgHdrs } = {};
    if (reply !== undefined) o.reply = reply;
    if (headers !== undefined) o.headers = toHeaders(headers);
    this.connection.publish(subject, data, o);
  }

  subscribe(
    pattern: string,
    handler: (message: Incoming) => void,
    options?: { queue?: string },
  ): Subscription {
    // After the last connection nothing is heard any more; whoever frees a slot need not care.
    if (this.connection.isClosed()) return { unsubscribe: () => undefined };
    const sub: Sub = this.connection.subscribe(pattern, {
      callback: (error, m) => {
        if (error !== null) {
          return this.report(error);
        }
        this.received++;
        // The client would end the whole connection over an exception in here.
        try {
          handler(new NatsMessage(m));
        } catch (fault) {
          this.report(fault as Error);
        }
      },
      ...(options?.queue === undefined ? {} : { queue: options.queue }),
    });
    return { unsubscribe: () => sub.unsubscribe() };
  }

  inbox(principal?: string): string {
    const owner = principal === undefined ? "" : `${principal}.`;
    return `_INBOX.${owner}${unguessable()}`;
  }

  request(
    subject: string,
    data: Uint8Array,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Incoming> {
    return this.#request(subject, data, options);
  }

  ask(
    subject: string,
    data: Uint8Array,
    options: { timeoutMs: number; headers: Readonly<Record<string, string>> },
  ): Promise<Incoming> {
    return this.#request(subject, data, options);
  }

  async #request(subject: string, data: Uint8Array, options: AskOptions): Promise<Incoming> {
    options.signal?.throwIfAborted();
    this.#needLink(subject);
    try {
      return await this.#requests.ask(subject, data, options);
    } catch (error) {
      throw error === options.signal?.reason ? error : asParleyError(error, subject);
    }
  }

  /** Without a link nobody can answer: said at once instead of after the whole timeout. */
  #needLink(subject: string): void {
    if (this.state() === "up") return;
    throw new ParleyError(
      "E_CONNECTION",
      `no connection to the server for ${subject}; it is being restored, try again`,
    );
  }

  async requestMany(
    subject: string,
    data: Uint8Array,
    options: { timeoutMs: number; stallMs: number },
  ): Promise<Incoming[]> {
    const found: Incoming[] = [];
    this.#needLink(subject);
    this.#drain();
    try {
      const answers = await this.connection.requestMany(subject, data, {
        strategy: "stall",
        maxWait: options.timeoutMs,
        stall: options.stallMs,
      });
      for await (const m of answers) found.push(new NatsMessage(m));
    } catch (error) {
      const mapped = asParleyError(error, subject);
      if (mapped.code !== "E_NO_CAPABILITY") throw mapped;
    }
    return found;
  }

  async flush(): Promise<void> {
    this.#drain();
    await this.connection.flush();
  }

  async close(): Promise<void> {
    this.#drain();
    if (this.connection.isClosed()) return;
    // Without a server there is nothing to drain to, and draining would fail or wait for one.
    if (this.state() === "up") await this.connection.drain().catch(() => undefined);
    if (!this.connection.isClosed()) await this.connection.close();
  }
}

/** Where the server lets this connection hear answers. */
function prefixOf(connection: NatsConnection): string {
  const { options } = connection as unknown as { options?: { inboxPrefix?: string } };
  return options?.inboxPrefix ?? "_INBOX";
}

/** 128 bits. */
function unguessable(): string {
  return randomBytes(16).toString("base64url");
}

/** The client's errors in our words. */
export function asParleyError(error: unknown, subject: string): ParleyError {
  if (error instanceof ParleyError) return error;
  const e = error as { name?: string; message?: string; cause?: { name?: string } };
  const names = `${e.name ?? ""} ${e.cause?.name ?? ""} ${e.message ?? ""}`;
  if (/NoResponders|no responders/i.test(names)) {
    return new ParleyError("E_NO_CAPABILITY", `nobody answers on ${subject}`, { cause: error });
  }
  if (/Permission/i.test(names)) {
    return new ParleyError(
      "E_PERMISSION",
      `this identity may not use ${subject}; see: parley identity ls`,
      { cause: error },
    );
  }
  if (/Timeout/i.test(names)) {
    return new ParleyError("E_TIMEOUT", `no answer on ${subject} in time`, { cause: error });
  }
  return new ParleyError("E_CONNECTION", e.message ?? String(error), { cause: error });
}
