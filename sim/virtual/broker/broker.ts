// The broker of a simulated world: connections, subscriptions, routing, permissions, and the store
// behind it. What it does to a message happens in one event; the lanes do the waiting.
import { patterns, type Role } from "../../../contracts/index.ts";
import type { Prng } from "../../../mesh/core/prng.ts";
import type { LinkPair } from "../network.ts";
import type { World } from "../world.ts";
import { Interest, type Interested, type Matches, tokensOf } from "./interest.ts";
import { JetStream } from "./jetstream.ts";
import { type Headers, statusMessage, VirtualMessage } from "./message.ts";
import { Rights } from "./permissions.ts";

/** The server's notice that a connection ended comes after this, ms (architecture section 4). */
const DISCONNECT_MS = 3;
/** Pings of the server, ms, and how many may stay without an answer (server-config.ts). */
const PING_MS = 10_000;
const PINGS_MAX = 2;
const PAYLOAD_MAX = 1024 * 1024;

/** A subscription at the client's end: what it is handed back with each message. */
export interface Receiver {
  readonly sid: number;
}

/** The client's end of a connection. Calls reach it through its lane. */
export interface Client {
  deliver(to: Receiver, message: VirtualMessage): void;
  /** An asynchronous refusal, with the subject that it is about. */
  refused(subject: string, operation: "publish" | "subscription"): void;
  /** The server ended the connection, or is gone. */
  ended(): void;
}

export interface ConnectOptions {
  name: string;
  role: Role;
  capabilities: readonly string[];
  /** The user's public key, as disconnect notices show it. */
  user: string;
  link: LinkPair;
  client: Client;
}

interface ServerSub extends Interested {
  readonly connection: Connection;
  readonly to: Receiver;
}

export class Connection {
  readonly id: number;
  readonly user: string;
  readonly link: LinkPair;
  readonly client: Client;
  readonly rights: Rights;
  readonly subs = new Map<number, ServerSub>();
  /** Of the lane to the client. */
  readonly era: number;
  open = true;

  constructor(id: number, o: ConnectOptions) {
    this.id = id;
    this.user = o.user;
    this.link = o.link;
    this.era = o.link.down.era;
    this.client = o.client;
    this.rights = new Rights(o.role, o.name, o.capabilities);
  }
}

export interface BrokerOptions {
  /** Time that the store takes before it acknowledges, ms. Origin: guess, one write on NVMe. */
  storeMs?: number | undefined;
  /** Overrides the mesh's own. */
  ackWaitMs?: number | undefined;
  /** False: everybody may do everything. Default true. */
  permissions?: boolean | undefined;
}

export class Broker {
  readonly payloadMax = PAYLOAD_MAX;
  readonly store: JetStream;
  readonly #world: World;
  readonly #prng: Prng;
  readonly #interest = new Interest<ServerSub>();
  readonly #connections = new Set<Connection>();
  readonly #permissions: boolean;
  readonly #storeMs: number;
  #ids = 0;
  #up = true;
  /** Messages in and out, as a server counts them. */
  received = 0;
  sent = 0;
  /** Messages that nobody wanted. */
  unheard = 0;

  constructor(world: World, options: BrokerOptions = {}) {
    this.#world = world;
    this.#prng = world.random.fork("broker");
    this.#permissions = options.permissions !== false;
    this.#storeMs = options.storeMs ?? 0.05;
    const wire = {
      emit: (subject: string, message: VirtualMessage) =>
        this.#emit(subject, message, this.#storeMs),
      hears: (subject: string) => this.#hears(subject.split(".")),
    };
    this.store = new JetStream(world, wire, { ackWaitMs: options.ackWaitMs });
  }

  get isUp(): boolean {
    return this.#up;
  }

  get connections(): number {
    return this.#connections.size;
  }

  // ---- connections ----------------------------------------------------------------------------

  /** Undefined while the server is away: nobody listens on its port. */
  connect(options: ConnectOptions): Connection | undefined {
    if (!this.#up) return undefined;
    const connection = new Connection(++this.#ids, options);
    this.#connections.add(connection);
    return connection;
  }

  /** The client is gone, as its end of the socket tells. */
  leave(connection: Connection, reason = "Client Closed"): void {
    if (!connection.open) return;
    this.#close(connection);
    if (this.#up) this.#tellGone(connection, reason);
  }

  /** A link was cut on its way here: after its pings the server gives the connection up. */
  suspect(connection: Connection): void {
    const since = PING_MS * (PINGS_MAX + this.#prng.next());
    this.#world.after(since, () => {
      if (connection.open && connection.link.up.isCut) this.leave(connection, "Stale Connection");
    });
  }

  #close(connection: Connection): void {
    connection.open = false;
    this.#connections.delete(connection);
    for (const sub of connection.subs.values()) this.#interest.remove(sub);
    connection.subs.clear();
  }

  #tellGone(connection: Connection, reason: string): void {
    const text = JSON.stringify({ client: { user: connection.user }, reason });
    this.#world.after(DISCONNECT_MS, () => {
      const subject = patterns.disconnects;
      if (this.#up) this.#emit(subject, new VirtualMessage(subject, Buffer.from(text)), 0);
    });
  }

  /** Kills the server: every connection ends at once, what is stored stays. */
  kill(): void {
    if (!this.#up) return;
    this.#up = false;
    this.store.killed();
    for (const connection of [...this.#connections]) {
      this.#close(connection);
      connection.link.down.sendSurely(() => connection.client.ended());
    }
  }

  start(): void {
    this.#up = true;
  }

  // ---- subscriptions --------------------------------------------------------------------------

  subscribe(connection: Connection, to: Receiver, pattern: string, queue?: string): void {
    if (!connection.open) return;
    if (this.#permissions && !connection.rights.maySubscribe(tokensOf(pattern))) {
      return this.#refuse(connection, pattern, "subscription");
    }
    const sub: ServerSub = { connection, to, pattern, queue, place: 0 };
    connection.subs.set(to.sid, sub);
    this.#interest.add(sub);
  }

  unsubscribe(connection: Connection, sid: number): void {
    const sub = connection.subs.get(sid);
    if (sub === undefined) return;
    connection.subs.delete(sid);
    this.#interest.remove(sub);
  }

  #refuse(connection: Connection, subject: string, operation: "publish" | "subscription"): void {
    connection.link.down.sendSurely(() => connection.client.refused(subject, operation));
  }

  // ---- messages -------------------------------------------------------------------------------

  publish(
    connection: Connection,
    subject: string,
    data: Uint8Array,
    reply: string | undefined,
    headers: Headers | undefined,
  ): void {
    if (!connection.open) return;
    this.received++;
    const tokens = subject.split(".");
    if (this.#permissions && !connection.rights.mayPublish(tokens)) {
      return this.#refuse(connection, subject, "publish");
    }
    let heard = false;
    if (tokens[0] === "$JS") {
      heard =
        tokens[1] === "ACK" ? this.store.answer(tokens, data) : this.store.api(tokens, data, reply);
    } else {
      const message = new VirtualMessage(subject, data, reply, headers);
      heard = this.#route(tokens, message, 0);
      if (this.store.capture(subject, tokens, data, headers, reply)) heard = true;
    }
    if (heard) return;
    this.unheard++;
    if (reply !== undefined) this.#nobody(connection, reply);
  }

  /** No responders: said to the asker alone, on its reply subject. */
  #nobody(connection: Connection, reply: string): void {
    const found: Matches<ServerSub> = { plain: [], groups: [] };
    this.#interest.match(reply.split("."), found);
    for (const list of [found.plain, ...found.groups]) {
      for (const sub of list) {
        if (sub.connection !== connection) continue;
        return this.#deliver(sub, statusMessage(reply, 503), 0);
      }
    }
  }

  #emit(subject: string, message: VirtualMessage, extraMs: number): void {
    this.#route(subject.split("."), message, extraMs);
  }

  #hears(tokens: readonly string[]): boolean {
    const found: Matches<ServerSub> = { plain: [], groups: [] };
    this.#interest.match(tokens, found);
    return found.plain.length + found.groups.length > 0;
  }

  /** True when somebody wants it. */
  #route(tokens: readonly string[], message: VirtualMessage, extraMs: number): boolean {
    const found: Matches<ServerSub> = { plain: [], groups: [] };
    this.#interest.match(tokens, found);
    for (const sub of found.plain) this.#deliver(sub, message, extraMs);
    for (const group of found.groups) {
      this.#deliver(group[this.#prng.int(group.length)] as ServerSub, message, extraMs);
    }
    return found.plain.length + found.groups.length > 0;
  }

  #deliver(sub: ServerSub, message: VirtualMessage, extraMs: number): void {
    const { connection, to } = sub;
    this.sent++;
    const { down } = connection.link;
    // The client gave this connection up, and the server does not know it yet.
    if (down.era !== connection.era) return;
    down.send(() => connection.client.deliver(to, message), extraMs);
  }
}
