// The transport of a simulated host: the client's side of a connection, with the manners of the
// real one (mesh/nats/transport.ts, link-watch.ts, connect.ts): what it notices, how soon, and how
// it comes back.
import { ParleyError, type Role } from "../../contracts/index.ts";
import type { Prng } from "../../mesh/core/prng.ts";
import type { Link } from "../../mesh/nats/link.ts";
import { LinkStatus } from "../../mesh/nats/link-status.ts";
import { type AskOptions, Requests } from "../../mesh/nats/requests.ts";
import type {
  Clock,
  Incoming,
  PublishOptions,
  Subscription,
  Timer,
} from "../../mesh/ports/index.ts";
import type { Broker, Client, Connection, Receiver } from "./broker/broker.ts";
import type { VirtualMessage } from "./broker/message.ts";
import { LinkCheck } from "./link-check.ts";
import type { LinkPair } from "./network.ts";

/** Waits between two attempts to connect, ms: least, and what is drawn on top (connect.ts). */
const REDIAL_MS = 100;
const REDIAL_JITTER_MS = 500;
/** An attempt that gets no answer is given up after this, ms (connect.ts). */
const DIAL_MS = 3_000;
/** After a connection that lasted so long the first attempt starts at once, ms. */
const LONG_MS = 600;

/** Where a process stands: its link, its clock, its server. */
export interface Place {
  broker: Broker;
  link: LinkPair;
  clock: Clock;
  /** This process's own; a fork for each life. */
  prng: Prng;
  /** How what arrives reaches the process: at once, later, or never. */
  run: (event: () => void) => void;
  /** Would that be at once? */
  awake: () => boolean;
}

export interface TransportOptions {
  name: string;
  role: Role;
  capabilities: readonly string[];
  user: string;
}

interface ClientSub extends Receiver {
  /** Nobody unsubscribed it; looked at with every message, where a table would cost more. */
  open: boolean;
  pattern: string;
  queue: string | undefined;
  handler: (message: Incoming) => void;
}

export class VirtualTransport extends LinkStatus implements Link {
  readonly payloadMax: number;
  readonly #broker: Broker;
  readonly #link: LinkPair;
  readonly #clock: Clock;
  readonly #prng: Prng;
  readonly #options: TransportOptions;
  /** How what arrives reaches this process: at once, later, or never. */
  readonly #run: (event: () => void) => void;
  readonly #awake: () => boolean;
  readonly #check: LinkCheck;
  #connection: Connection | undefined;
  #connectedAt = 0;
  #subs = new Set<ClientSub>();
  #sids = 0;
  #inboxes = 0;
  readonly #requests: Requests;
  #redial: Timer | undefined;
  #attempts = 0;
  #pongs = new Set<(error?: Error) => void>();
  dropped = 0;
  sent = 0;
  received = 0;

  /** Connects at once. @throws ParleyError E_CONNECTION when the server is away */
  constructor(place: Place, options: TransportOptions) {
    super();
    const { broker, link, clock, prng } = place;
    this.payloadMax = broker.payloadMax;
    this.#broker = broker;
    this.#link = link;
    this.#clock = clock;
    this.#prng = prng;
    this.#run = place.run;
    this.#awake = place.awake;
    this.#options = options;
    this.#requests = new Requests({
      inbox: () => this.inbox(options.name),
      subscribe: (pattern, handler) => this.subscribe(pattern, handler),
      send: (subject, data, about) => this.publish(subject, data, about),
      after: (ms, run) => clock.after(ms, run),
      token: () => (this.#inboxes++).toString(36),
    });
    this.#check = new LinkCheck(link, clock, () => this.#giveUp());
    this.#connection = this.#dial();
    if (this.#connection === undefined) {
      throw new ParleyError("E_CONNECTION", "the server of this world is away");
    }
    this.#connectedAt = clock.now();
  }

  // ---- the connection -------------------------------------------------------------------------

  #dial(): Connection | undefined {
    const client: Client = {
      deliver: (to, message) => {
        if (connection === undefined || connection !== this.#connection) return;
        this.#check.heard();
        const sub = to as ClientSub;
        if (this.#awake()) this.#deliver(sub, message);
        else this.#run(() => this.#deliver(sub, message));
      },
      refused: (subject, operation) =>
        this.#arrive(connection, () => this.#refused(subject, operation)),
      ended: () => this.#arrive(connection, () => this.#disconnected()),
    };
    const connection = this.#broker.connect({ ...this.#options, link: this.#link, client });
    return connection;
  }

  /** Of an earlier connection nothing arrives any more. */
  #arrive(connection: Connection | undefined, event: () => void): void {
    if (connection === undefined || connection !== this.#connection) return;
    this.#check.heard();
    this.#run(event);
  }

  #up(event: (connection: Connection) => void): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#link.up.send(() => event(connection));
  }

  #surely(event: (connection: Connection) => void): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#link.up.sendSurely(() => event(connection));
  }

  /** The link became worse or better: from here on it is watched, as pings would. */
  linkChanged(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    if (this.#link.up.isCut) this.#broker.suspect(connection);
    if (!this.#link.isOpen) this.#check.start();
  }

  /** Nothing came back for too long: the socket is reset. */
  #giveUp(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#disconnected();
    // The reset itself has to get there.
    this.#link.up.sendEnd(() => this.#broker.leave(connection, "Read Error"));
  }

  #disconnected(): void {
    this.#check.stop();
    this.#connection = undefined;
    this.#link.up.reset();
    this.#link.down.reset();
    for (const pong of [...this.#pongs]) pong(new Error("the connection ended"));
    const wait = this.#clock.now() - this.#connectedAt > LONG_MS ? 0 : this.#wait();
    this.become("down");
    this.#later(wait);
  }

  #wait(): number {
    return REDIAL_MS + this.#prng.next() * REDIAL_JITTER_MS;
  }

  #later(ms: number): void {
    if (this.state() === "closed") return;
    this.#redial = this.#clock.after(ms, () => this.#again());
  }

  /** One attempt: it needs both ways, and somebody at the other end. */
  #again(): void {
    if (!this.#link.isOpen) {
      const began = this.#clock.now();
      // Lost packets are repeated after 1 s: a link that heals meanwhile is found then.
      this.#redial = this.#clock.after(DIAL_MS / 3, () => {
        if (this.#link.isOpen) return this.#again();
        const left = DIAL_MS - (this.#clock.now() - began);
        this.#later(Math.max(0, left) + this.#wait());
      });
      return;
    }
    // There, back, and there again with the credentials; on a link that is cut meanwhile, never.
    const attempt = ++this.#attempts;
    this.#link.up.sendSurely(() =>
      this.#link.down.sendSurely(() => this.#run(() => this.#arrived(attempt))),
    );
    this.#redial = this.#clock.after(DIAL_MS, () => {
      this.#attempts++;
      this.#link.up.reset();
      this.#link.down.reset();
      this.#later(this.#wait());
    });
  }

  #arrived(attempt: number): void {
    if (this.state() !== "down" || attempt !== this.#attempts) return;
    this.#redial?.cancel();
    const connection = this.#dial();
    if (connection === undefined) return this.#later(this.#wait());
    this.#connection = connection;
    this.#connectedAt = this.#clock.now();
    for (const sub of this.#subs) {
      this.#surely((c) => this.#broker.subscribe(c, sub, sub.pattern, sub.queue));
    }
    this.become("up");
    if (!this.#link.isOpen) this.linkChanged();
  }

  // ---- messages -------------------------------------------------------------------------------

  publish(subject: string, data: Uint8Array, options?: PublishOptions): void {
    if (this.state() !== "up") {
      this.dropped++;
      return;
    }
    if (!fits(data, options?.headers, this.payloadMax)) {
      this.dropped++;
      return;
    }
    this.sent++;
    this.#up((c) => this.#broker.publish(c, subject, data, options?.reply, options?.headers));
  }

  subscribe(
    pattern: string,
    handler: (message: Incoming) => void,
    options?: { queue?: string },
  ): Subscription {
    if (this.state() === "closed") return { unsubscribe: () => undefined };
    const sid = ++this.#sids;
    const queue = options?.queue;
    const sub: ClientSub = { sid, open: true, pattern, queue, handler };
    this.#subs.add(sub);
    this.#surely((c) => this.#broker.subscribe(c, sub, pattern, queue));
    return {
      unsubscribe: () => {
        sub.open = false;
        if (this.#subs.delete(sub)) this.#surely((c) => this.#broker.unsubscribe(c, sid));
      },
    };
  }

  #deliver(sub: ClientSub, message: VirtualMessage): void {
    if (!sub.open) return;
    this.received++;
    try {
      sub.handler(message);
    } catch (fault) {
      this.report(fault as Error);
    }
  }

  #refused(subject: string, operation: "publish" | "subscription"): void {
    if (operation === "publish" && this.#requests.refused(subject)) return;
    this.report(new Error(`Permissions Violation for ${operation} to "${subject}"`));
  }

  // ---- requests -------------------------------------------------------------------------------

  inbox(principal?: string): string {
    const owner = principal === undefined ? "" : `${principal}.`;
    return `_INBOX.${owner}i${(this.#inboxes++).toString(36)}`;
  }

  #needLink(subject: string): void {
    if (this.state() === "up") return;
    throw new ParleyError(
      "E_CONNECTION",
      `no connection to the server for ${subject}; it is being restored, try again`,
    );
  }

  async request(subject: string, data: Uint8Array, options: AskOptions): Promise<Incoming> {
    options.signal?.throwIfAborted();
    this.#needLink(subject);
    return this.#requests.ask(subject, data, options);
  }

  ask(subject: string, data: Uint8Array, options: AskOptions): Promise<Incoming> {
    return this.request(subject, data, options);
  }

  async requestMany(
    subject: string,
    data: Uint8Array,
    options: { timeoutMs: number; stallMs: number },
  ): Promise<Incoming[]> {
    this.#needLink(subject);
    const inbox = this.inbox(this.#options.name);
    const found: Incoming[] = [];
    return new Promise((resolve) => {
      const end = (): void => {
        whole.cancel();
        stall.cancel();
        sub.unsubscribe();
        resolve(found);
      };
      const whole = this.#clock.after(options.timeoutMs, end);
      let stall: Timer = { cancel: () => undefined };
      const sub = this.subscribe(inbox, (m) => {
        if (m.status === 503) return end();
        found.push(m);
        stall.cancel();
        if (m.data.length === 0) return end();
        stall = this.#clock.after(options.stallMs, end);
      });
      this.publish(subject, data, { reply: inbox });
    });
  }

  flush(): Promise<void> {
    if (this.state() === "closed") return Promise.resolve();
    const client = this.#connection;
    if (client === undefined) return Promise.reject(new Error("there is no connection"));
    return new Promise((resolve, reject) => {
      const pong = (error?: Error): void => {
        if (!this.#pongs.delete(pong)) return;
        if (error === undefined) resolve();
        else reject(error);
      };
      this.#pongs.add(pong);
      this.#surely(() => this.#link.down.sendSurely(() => this.#arrive(client, () => pong())));
    });
  }

  async close(): Promise<void> {
    if (this.state() === "closed") return;
    if (this.state() === "up") await this.flush().catch(() => undefined);
    this.become("closed");
    this.kill();
    for (const pong of [...this.#pongs]) pong(new Error("the connection was closed"));
  }

  /** The process is gone, and nobody in it is told; the operating system closes the socket. */
  kill(): void {
    const connection = this.#connection;
    this.vanish();
    this.#redial?.cancel();
    this.#check.stop();
    this.#connection = undefined;
    if (connection === undefined) return;
    this.#link.up.sendEnd(() => this.#broker.leave(connection));
    this.#link.up.orphan();
    this.#link.down.reset();
  }
}

/** As the client counts: headers are part of the payload. */
function fits(data: Uint8Array, headers: PublishOptions["headers"], most: number): boolean {
  if (data.length * 2 < most) return true;
  let bytes = data.length;
  if (headers !== undefined) bytes += "NATS/1.0\r\n\r\n".length;
  for (const [name, value] of Object.entries(headers ?? {}))
    bytes += name.length + value.length + 4;
  return bytes <= most;
}
