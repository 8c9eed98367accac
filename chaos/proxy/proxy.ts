// A TCP proxy between NATS clients and a server that knows where a message begins and ends, and
// makes links fail by rules and a seed. For loopback: no TLS (such a stream passes unread), no
// WebSocket, no cluster routes.
import { createServer, type Server, type Socket, connect as tcpConnect } from "node:net";
import { createPrng, type Prng } from "../../mesh/core/prng.ts";
import { Lane } from "./lane.ts";
import { type Counts, cuts, newLaneCounts, type Rules } from "./rules.ts";

export interface ProxyOptions {
  /** `host:port` of the server, or its `nats://` address. */
  to: string;
  seed: string | number;
}

export interface FrameProxy {
  /** What clients connect to: `nats://127.0.0.1:<port>`. */
  readonly url: string;
  readonly port: number;
  readonly counts: Counts;
  readonly rules: Rules;
  /** Replaces all rules. Settles when they hold (a refusing proxy has stopped listening). */
  set(rules: Rules): Promise<void>;
  /** No rules any more; what a cut held back goes on. */
  heal(): Promise<void>;
  close(): Promise<void>;
}

export async function startProxy(o: ProxyOptions): Promise<FrameProxy> {
  const to = new URL(o.to.includes("://") ? o.to : `nats://${o.to}`);
  const proxy = new LinkProxy(to.hostname, Number(to.port || 4222), createPrng(o.seed));
  await proxy.listen(0);
  return proxy;
}

interface Link {
  client: Socket;
  server: Socket | undefined;
  up: Lane | undefined;
  down: Lane | undefined;
  forgotten: boolean;
  number: number;
}

/** An end of a stream is passed on by the lane that read it, behind what it still holds. */
const OPEN = { pauseOnConnect: true, noDelay: true, allowHalfOpen: true };

class LinkProxy implements FrameProxy {
  readonly #host: string;
  readonly #port: number;
  readonly #prng: Prng;
  #listener: Server | undefined;
  #links = new Set<Link>();
  #next = 0;
  #closed = false;
  port = 0;
  rules: Rules = {};
  readonly counts: Counts = {
    connections: 0,
    open: 0,
    reset: 0,
    forgotten: 0,
    unread: 0,
    up: newLaneCounts(),
    down: newLaneCounts(),
  };

  constructor(host: string, port: number, prng: Prng) {
    this.#host = host;
    this.#port = port;
    this.#prng = prng;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const listener = createServer(OPEN, (socket) => this.#accept(socket));
      this.#listener = listener;
      listener.once("error", reject);
      listener.listen(port, "127.0.0.1", () => {
        const address = listener.address();
        if (address !== null && typeof address === "object") this.port = address.port;
        resolve();
      });
    });
  }

  async set(rules: Rules): Promise<void> {
    this.rules = rules;
    if (rules.reset === true) {
      for (const link of [...this.#links]) this.#reset(link);
    }
    if (rules.forget === true) {
      for (const link of this.#links) if (link.server !== undefined) this.#forget(link);
    }
    for (const link of this.#links) {
      link.up?.setRules(rules);
      link.down?.setRules(rules);
      this.#dial(link);
    }
    if (rules.refuse === true && this.#listener !== undefined) {
      const listener = this.#listener;
      this.#listener = undefined;
      // Its end comes only with that of its connections: not waited for.
      listener.close();
    } else if (rules.refuse !== true && this.#listener === undefined && !this.#closed) {
      await this.listen(this.port);
    }
  }

  heal(): Promise<void> {
    return this.set({});
  }

  #accept(client: Socket): void {
    const link: Link = {
      client,
      server: undefined,
      up: undefined,
      down: undefined,
      forgotten: false,
      number: this.#next++,
    };
    this.#links.add(link);
    this.counts.connections++;
    this.counts.open++;
    client.on("error", () => undefined);
    client.on("close", (failed) => this.#end(link, link.server, failed));
    this.#dial(link);
  }

  /** Connects to the server, unless the link is cut: then `set` comes back to it. */
  #dial(link: Link): void {
    if (link.server !== undefined || link.forgotten || link.client.destroyed) return;
    if (cuts(this.rules, "up") || cuts(this.rules, "down")) return;
    const server = tcpConnect({ ...OPEN, host: this.#host, port: this.#port });
    link.server = server;
    server.on("error", () => undefined);
    server.on("close", (failed) => this.#end(link, link.client, failed));
    const draw = this.#prng.fork(link.number);
    const onUnread = () => {
      this.counts.unread++;
    };
    const { client } = link;
    link.up = new Lane({
      from: client,
      to: server,
      direction: "up",
      draw: draw.fork("up"),
      counts: this.counts.up,
      rules: this.rules,
      onUnread,
    });
    link.down = new Lane({
      from: server,
      to: client,
      direction: "down",
      draw: draw.fork("down"),
      counts: this.counts.down,
      rules: this.rules,
      onUnread,
    });
  }

  #forget(link: Link): void {
    if (link.forgotten) return;
    link.forgotten = true;
    this.counts.forgotten++;
    link.up?.forget();
    link.down?.forget();
  }

  /** One side failed: so does the other, unless nobody is to know. */
  #end(link: Link, other: Socket | undefined, failed: boolean): void {
    const gone = link.client.destroyed && (link.server?.destroyed ?? true);
    if (gone) {
      if (this.#links.delete(link)) this.counts.open--;
      link.up?.close();
      link.down?.close();
      return;
    }
    if (failed && !link.forgotten) other?.destroy();
  }

  #reset(link: Link): void {
    this.counts.reset++;
    link.up?.close();
    link.down?.close();
    link.client.resetAndDestroy();
    link.server?.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const listener = this.#listener;
    this.#listener = undefined;
    for (const link of this.#links) {
      link.up?.close();
      link.down?.close();
      link.client.destroy();
      link.server?.destroy();
    }
    if (listener === undefined) return;
    await new Promise<void>((resolve) => listener.close(() => resolve()));
  }
}
