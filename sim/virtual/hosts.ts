// A host of a simulated world: one process with one peer, many hosted agents, a clock and a link.
// It can die without a word, stand still, come back, and drift.
//
// The peer is the real one, and so are the adapters under it (mesh/nats): only what lies below
// their publishes and subscriptions is simulated.
import type { Role } from "../../contracts/index.ts";
import type { Prng } from "../../mesh/core/prng.ts";
import type { NatsLedger } from "../../mesh/nats/ledger.ts";
import type { History, HistoryEvent, Log, Signer, Trust } from "../../mesh/ports/index.ts";
import { Peer, type PeerOptions } from "../../mesh/runtime/peer.ts";
import type { Broker } from "./broker/broker.ts";
import { type ClockOptions, VirtualClock } from "./clock.ts";
import { LinkPair, type LinkQuality } from "./network.ts";
import { openPorts } from "./ports.ts";
import type { VirtualTransport } from "./transport.ts";
import type { World } from "./world.ts";

export const SILENT: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

type Tuning = Pick<PeerOptions, "policies" | "silenceMs" | "leaseMs" | "shortTaskMs" | "cardTtlS">;

export interface HostOptions extends Tuning {
  /** Its principal. */
  name: string;
  /** Its own agent's name. Default `main`. */
  agent?: string;
  role: Role;
  capabilities?: readonly string[];
  /** Which of the role's rights it uses; all when absent. */
  use?: Partial<PeerOptions["roles"]>;
  /** Absent: nothing is signed. Both or none. */
  signer?: Signer;
  trust?: Trust;
  clock?: ClockOptions;
  quality?: LinkQuality;
  log?: Log;
  /** Told what its processes do and see; `process` names one life of the host. */
  history?: (process: string, event: HistoryEvent) => void;
  /** Called in each life once the peer has started: hosts its agents. */
  furnish?: (peer: Peer, host: VirtualHost) => void;
}

/** From one start of the process to its end. */
interface Life {
  readonly peer: Peer;
  readonly transport: VirtualTransport;
  readonly ledger: NatsLedger;
  over: boolean;
}

export class VirtualHost {
  readonly name: string;
  readonly options: HostOptions;
  readonly clock: VirtualClock;
  readonly link: LinkPair;
  readonly #world: World;
  readonly #broker: Broker;
  readonly #prng: Prng;
  #life: Life | undefined;
  #lives = 0;
  #paused = false;
  #waiting: (() => void)[] = [];
  /** Which life a timer or message belongs to: of an earlier one it is void. */
  #era = 0;
  /** Messages sent in earlier lives. */
  #sentBefore = 0;
  #countedBefore: Record<string, number> = {};

  constructor(world: World, broker: Broker, options: HostOptions) {
    this.name = options.name;
    this.options = options;
    this.#world = world;
    this.#broker = broker;
    this.#prng = world.random.fork("host").fork(options.name);
    this.link = new LinkPair(world, this.#prng.fork("link"), options.quality);
    const startMs = Math.floor(this.#prng.fork("clock").next() * 1e6);
    this.clock = new VirtualClock(world, (event) => this.run(event), {
      startMs,
      ...options.clock,
    });
  }

  /** Undefined while it is dead. */
  get peer(): Peer | undefined {
    return this.#life?.peer;
  }

  get transport(): VirtualTransport | undefined {
    return this.#life?.transport;
  }

  get ledger(): NatsLedger | undefined {
    return this.#life?.ledger;
  }

  get alive(): boolean {
    return this.#life !== undefined;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  /** Processes that it has had. */
  get lives(): number {
    return this.#lives;
  }

  /** Messages sent in all its lives. */
  get sent(): number {
    return this.#sentBefore + (this.#life?.transport.sent ?? 0);
  }

  /** Counters of all its lives. */
  counters(): Record<string, number> {
    const sum = { ...this.#countedBefore };
    for (const [name, count] of Object.entries(this.#life?.peer.counters.snapshot() ?? {})) {
      sum[name] = (sum[name] ?? 0) + count;
    }
    return sum;
  }

  /** Runs something in this process: now, once it goes on, or never. */
  run(event: () => void): void {
    const era = this.#era;
    if (this.#paused) return void this.#waiting.push(() => era === this.#era && event());
    event();
  }

  /** Starts its process and resolves once it has joined. @throws ParleyError E_CONNECTION */
  async start(): Promise<Peer> {
    if (this.#life !== undefined) throw new RangeError(`host ${this.name} runs already`);
    const life = this.#open(this.#prng.fork("life").fork(++this.#lives));
    this.#life = life;
    await life.peer.start();
    if (!life.over) this.options.furnish?.(life.peer, this);
    return life.peer;
  }

  #open(prng: Prng): Life {
    const { options: o } = this;
    const era = ++this.#era;
    const here = (event: () => void): void => {
      if (era === this.#era) this.run(event);
    };
    const clock = {
      now: () => this.clock.now(),
      wall: () => this.clock.wall(),
      after: (ms: number, run: () => void) =>
        this.clock.after(ms, () => {
          if (era === this.#era) run();
        }),
    };
    const roles = { ...rolesOf(o.role), ...o.use };
    const awake = (): boolean => era === this.#era && !this.#paused;
    const place = { broker: this.#broker, link: this.link, clock, prng, run: here, awake };
    const { supervision, ...ports } = openPorts(place, {
      name: o.name,
      role: o.role,
      capabilities: o.capabilities ?? [],
      ...(o.signer === undefined ? {} : { user: o.signer.publicKey }),
    });
    const { history } = o;
    const name = `${o.name}.${this.#lives}`;
    const noted: History | undefined = history && {
      note: (event) => era === this.#era && history(name, event),
    };
    const peer = new Peer(
      {
        ...ports,
        clock,
        log: o.log ?? SILENT,
        ...(noted === undefined ? {} : { history: noted }),
        ...(roles.initiator ? { supervision } : {}),
      },
      { principal: o.name, agent: o.agent ?? "main", roles, ...tuningOf(o) },
    );
    return { peer, transport: ports.transport, ledger: ports.ledger, over: false };
  }

  /** As after `kill -9`: no farewell, nothing handed back. */
  crash(): void {
    const life = this.#life;
    if (life === undefined) return;
    life.over = true;
    this.#sentBefore = this.sent;
    this.#countedBefore = this.counters();
    this.#life = undefined;
    this.#era++;
    this.#waiting = [];
    this.#paused = false;
    life.transport.kill();
  }

  /** Ends in good order; agents that still work after `graceMs` are told to stop. */
  async stop(graceMs?: number): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    await life.peer.stop(graceMs);
    life.ledger.stop();
    await life.transport.close();
    this.crash();
  }

  /** A new process with a new peer, as after a crash or instead of the old one. */
  restart(): Promise<Peer> {
    this.crash();
    return this.start();
  }

  /** As after SIGSTOP: timers and messages wait, its clocks go on. */
  pause(): void {
    if (this.#life !== undefined) this.#paused = true;
  }

  /** All that waited happens at once, in its order. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    for (const event of this.#waiting.splice(0)) this.#world.after(0, () => this.run(event));
  }

  /** Cuts its link: both ways, or one. What is on its way already arrives. */
  cut(which: "both" | "up" | "down" = "both"): void {
    if (which !== "down") this.link.up.cut();
    if (which !== "up") this.link.down.cut();
    this.#life?.transport.linkChanged();
  }

  mend(): void {
    this.link.up.mend();
    this.link.down.mend();
  }

  /** A handler's sleep: true when the time has passed, false when it was cut short. */
  sleep(ms: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    const era = this.#era;
    return new Promise((resolve) => {
      const abort = (): void => {
        timer.cancel();
        resolve(false);
      };
      const timer = this.clock.after(Math.round(ms), () => {
        if (era !== this.#era) return;
        signal.removeEventListener("abort", abort);
        resolve(true);
      });
      signal.addEventListener("abort", abort, { once: true });
    });
  }
}

/** As mesh/index.ts has it. */
function rolesOf(role: Role): PeerOptions["roles"] {
  const agent = role === "agent" || role === "admin";
  return {
    contractor: agent || role === "contractor",
    initiator: agent || role === "initiator",
    submitter: agent || role === "submitter",
    intake: agent || role === "initiator",
  };
}

function tuningOf(o: HostOptions): Tuning & Pick<PeerOptions, "signer" | "trust"> {
  const { policies, silenceMs, leaseMs, shortTaskMs, cardTtlS, signer, trust } = o;
  return {
    ...(policies && { policies }),
    ...(silenceMs !== undefined && { silenceMs }),
    ...(leaseMs !== undefined && { leaseMs }),
    ...(shortTaskMs !== undefined && { shortTaskMs }),
    ...(cardTtlS !== undefined && { cardTtlS }),
    ...(signer && { signer }),
    ...(trust && { trust }),
  };
}
