// A host process of the live simulation: some hundred agents on one connection, or each on a
// connection and with credentials of its own, and one initiator. Started by hosts.ts over IPC;
// ends when its parent does, by whatever death.
import { defaultLog, type OpenOptions, type OpenPeer, openPeer } from "../../mesh/index.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import type { Creds } from "../../mesh/nats/identity/creds.ts";
import { generateKey, keyFromSeed } from "../../mesh/nats/identity/keys.ts";
import { jwtTrust } from "../../mesh/nats/trust.ts";
import type { Trust } from "../../mesh/ports/index.ts";
import type { Execution, Order, Report, StartOrder, Tally } from "./messages.ts";
import { simDefinition } from "./sim-agent.ts";

/** Connections opened at a time: enough to fill the server's time, too few to time out. */
const CONNECTING_MAX = 50;
const TALLY_MS = 500;
/** How long the agents may take to show in the registry, ms. */
const MEET_MS_MAX = 15_000;

const WARM_AGENT = {
  name: "warm",
  speed: 1,
  slots: 64,
  costPerSecond: 0,
  claimFactor: 1,
};

const log = defaultLog();

class Host {
  readonly #start: StartOrder;
  readonly #trust: Trust | undefined;
  readonly #peers: OpenPeer[] = [];
  #ended: Execution[] = [];
  #warm: OpenPeer | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(start: StartOrder) {
    this.#start = start;
    const { trust } = start;
    // One for all peers of this process: it remembers which JWTs it has proven.
    this.#trust = trust === undefined ? undefined : jwtTrust(trust, () => Date.now());
  }

  async open(): Promise<void> {
    const { principal, connections, creds, seed, role } = this.#start;
    const shared = connections === "shared";
    const first = await this.#join(creds, {
      principal,
      agent: "main",
      role: role ?? (shared ? "agent" : "initiator"),
      seed: `${seed}/${principal}`,
    });
    this.#peers.push(first);
    await this.#warmUp();
    if (shared) this.#hostAll();
    else await this.#hostEach();
    await Promise.all(this.#peers.map((open) => open.transport.flush()));
    this.#timer = setInterval(() => send({ is: "tally", tally: this.tally() }), TALLY_MS);
  }

  /** One agent with room for many tasks; whatever they call is compiled for all. */
  async #warmUp(): Promise<void> {
    const { warmUp } = this.#start;
    if (warmUp === undefined) return;
    const { principal, creds, capability } = warmUp;
    const seed = `${this.#start.seed}/${principal}`;
    this.#warm = await this.#join(creds, { principal, agent: "main", role: "contractor", seed });
    const agent = { ...WARM_AGENT, capabilities: [capability] };
    this.#warm.peer.host(simDefinition(agent, principal, undefined, () => undefined));
  }

  /** Only what was started for good stays. */
  async begin(): Promise<void> {
    await this.#warm?.close(0).catch(() => undefined);
    this.#warm = undefined;
  }

  async #join(
    creds: Creds,
    own: Pick<OpenOptions, "principal" | "agent" | "role" | "seed">,
  ): Promise<OpenPeer> {
    const trust = this.#trust;
    return openPeer({
      ...own,
      servers: this.#start.servers,
      name: `parley sim ${own.principal}`,
      authenticator: credsAuth(creds),
      log,
      ...(trust === undefined ? {} : { trust, signer: keyFromSeed(creds.seed), jwt: creds.jwt }),
    });
  }

  /** Every agent with a key of its own; its card is vouched for by the principal. */
  #hostAll(): void {
    const { agents, principal } = this.#start;
    const [main] = this.#peers;
    for (const agent of agents) {
      const signer = this.#trust === undefined ? undefined : generateKey("user");
      main?.peer.host(simDefinition(agent, principal, signer, (e) => this.#ended.push(e)));
    }
  }

  async #hostEach(): Promise<void> {
    const { agents, agentCreds, suffix } = this.#start;
    let next = 0;
    const connect = async (): Promise<void> => {
      for (let at = next++; at < agents.length; at = next++) {
        const [agent, creds] = [agents[at], agentCreds[at]];
        if (agent === undefined || creds === undefined) throw new Error("an agent has no creds");
        const principal = agent.name + suffix;
        const own = { principal, agent: agent.name, role: "contractor" } as const;
        const open = await this.#join(creds, own);
        this.#peers.push(open);
        open.peer.host(simDefinition(agent, principal, undefined, (e) => this.#ended.push(e)));
      }
    };
    await Promise.all(Array.from({ length: CONNECTING_MAX }, connect));
  }

  /** Resolves when the initiator knows so many agents, or after a while with those it knows. */
  async meet(agents: number): Promise<number> {
    const { capability } = this.#start;
    const registry = this.#peers[0]?.peer.registry;
    const known = (): number => registry?.capabilities().get(capability) ?? 0;
    if (known() >= agents) return known();
    await new Promise<void>((resolve) => {
      const stop = (): void => {
        clearTimeout(timer);
        unwatch?.();
        resolve();
      };
      const timer = setTimeout(stop, MEET_MS_MAX);
      const unwatch = registry?.onChange(() => {
        if (known() >= agents) stop();
      });
    });
    return known();
  }

  tally(): Tally {
    const executions = this.#ended;
    this.#ended = [];
    const counters: Record<string, number> = {};
    let sent = 0;
    let running = 0;
    for (const { peer, transport } of this.#peers) {
      sent += transport.sent;
      running += peer.contractors.running;
      for (const [name, count] of Object.entries(peer.counters.snapshot())) {
        counters[name] = (counters[name] ?? 0) + count;
      }
    }
    return { executions, running, sent, counters };
  }

  async drain(graceMs: number): Promise<Tally> {
    clearInterval(this.#timer);
    await Promise.all(this.#peers.map((open) => open.peer.drain(graceMs)));
    const tally = this.tally();
    await this.begin();
    await Promise.all(this.#peers.map((open) => open.close(0).catch(() => undefined)));
    return tally;
  }
}

let host: Host | undefined;

function send(report: Report): void {
  if (process.connected) process.send?.(report);
}

async function obey(order: Order): Promise<void> {
  if (order.do === "start") {
    host = new Host(order);
    await host.open();
    return send({ is: "hosted" });
  }
  if (host === undefined) throw new Error(`"${order.do}" before "start"`);
  if (order.do === "meet") return send({ is: "met", agents: await host.meet(order.agents) });
  if (order.do === "begin") {
    await host.begin();
    return send({ is: "begun" });
  }
  if (order.do === "tally") return send({ is: "tally", tally: host.tally() });
  send({ is: "drained", tally: await host.drain(order.graceMs) });
}

process.on("message", (order: Order) => {
  obey(order).catch((error: unknown) => {
    send({ is: "failed", reason: error instanceof Error ? error.message : String(error) });
    process.exitCode = 1;
  });
});
// The parent is gone, or done with us.
process.on("disconnect", () => process.exit());
// A terminal sends Ctrl-C to the whole group: the parent decides what comes of it.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);
