// The mesh as one process sees it: serves capabilities under one address, calls and submits.
import {
  type Address,
  type AgentCard,
  type Attributes,
  ParleyError,
  type Requirements,
  type Role,
} from "../contracts/index.ts";
import {
  type OpenOptions,
  type OpenPeer,
  openPeer,
  type Policy,
  type Service,
} from "../mesh/index.ts";
import type { Log } from "../mesh/ports/index.ts";
import { Board } from "./board.ts";
import {
  announced,
  type Capability,
  checkDefined,
  type InputOf,
  type OutputOf,
} from "./capability.ts";
import { type Handler, runHandler, type SubTask, type SubTasks } from "./context.ts";
import { Definitions } from "./definitions.ts";
import { cancelOn, endingHandleOf, handleOf, type TaskHandle } from "./handle.ts";
import { Hedges } from "./hedge.ts";
import { type Access, rejoin } from "./nats.ts";
import {
  type CallOptions,
  checkOptions,
  inherit,
  type SubmitOptions,
  taskOptions,
  UNDOES,
} from "./options.ts";
import { checkServe, type ServeOptions } from "./serve-options.ts";
import { validate } from "./standard-schema.ts";
import { Triggers } from "./triggers.ts";

export interface MeshOptions {
  name: string;
  /** Second token of the address; unique among the processes of one principal. */
  agent: string;
  log: Log;
  description?: string;
  /** Tasks at a time over all capabilities; without it each capability has its own slots. */
  slots?: number;
  attributes?: Attributes;
  policies?: Readonly<Record<string, Policy>>;
  roles?: NonNullable<OpenOptions["use"]>;
  tuning?: Pick<OpenOptions, "silenceMs" | "leaseMs" | "shortTaskMs" | "cardTtlS" | "seed">;
}

export interface AgentQuery {
  capability?: Capability | string;
  requires?: Requirements;
}

const MAY: Readonly<Record<"serve" | "call" | "submit" | "agents", readonly Role[]>> = {
  serve: ["contractor", "agent", "admin"],
  call: ["submitter", "initiator", "agent", "admin"],
  submit: ["submitter", "contractor", "agent", "admin"],
  agents: ["initiator", "agent", "admin"],
};

/** Time for what runs to end, ms, before it is aborted and offered to others. */
const DRAIN_MS = 25_000;
/** Time for a start that is under way to come to its end, ms, before it is given up. */
const OPEN_MS = 2_000;
/** A call that nobody could answer is mentioned in the log after this, ms. */
const MENTION_MS = 3_000;

export class Mesh implements AsyncDisposable {
  readonly #access: Access;
  readonly #o: MeshOptions;
  readonly #subTasks: SubTasks;
  /** Slots of each capability that is served, or about to be. */
  #served = new Map<string, number>();
  #hosted: ReturnType<OpenPeer["peer"]["host"]> | undefined;
  #opening: Promise<OpenPeer> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #closed = false;
  readonly #giveUp = new AbortController();
  readonly #hedges = new Hedges();
  #onClosed: (() => void)[] = [];

  /** Use `join`. */
  constructor(access: Access, options: MeshOptions) {
    this.#access = access;
    this.#o = options;
    this.#subTasks = {
      call: (capability, input, o, parent) => this.#call(capability, input, o, parent),
      submit: async (capability, input, o, parent) => {
        const { tracker, open } = await this.#begin("submit", capability, input, o, parent);
        return endingHandleOf(capability, tracker, () => open.peer.watchOwn());
      },
      find: async (capability, owner, task, { purse }) => {
        const tracker = await (await this.#ready()).peer.submitters.follow(owner, task);
        tracker?.outcome().then(
          ({ cost }) => purse.spend(cost ?? 0),
          () => undefined,
        );
        return tracker && endingHandleOf(capability, tracker);
      },
    };
  }

  /** `<principal>.<agent>`: what `to` names. */
  get address(): Address {
    return `${this.#access.principal}.${this.#o.agent}`;
  }

  get principal(): string {
    return this.#access.principal;
  }

  /** What is counted here: messages, bids, refusals by reason; empty before the first use. */
  async counters(): Promise<Record<string, number>> {
    return this.#opening === undefined ? {} : (await this.#opening).peer.counters.snapshot();
  }

  /** Connects, which `serve`, `call` and the rest do by themselves. */
  async open(): Promise<void> {
    await this.#ready();
  }

  /**
   * Offers a capability. Resolved: callers reach it from now on.
   * @throws ParleyError E_PERMISSION or E_ROLE when the credentials do not cover it.
   */
  async serve<C extends Capability>(
    capability: C,
    handler: Handler<C>,
    options: ServeOptions = {},
  ): Promise<void> {
    this.#may("serve");
    checkDefined(capability, "serve");
    const { name } = capability;
    if (typeof handler !== "function") {
      const way = "serve(capability, async (input, context) => output)";
      throw new ParleyError("E_SCHEMA", `${name} needs a handler: ${way}`);
    }
    checkServe(name, options);
    const slots = options.slots ?? 1;
    if (this.#served.has(name)) {
      throw new ParleyError("E_SCHEMA", `this agent serves ${name} already; one handler each`);
    }
    this.#served.set(name, slots);
    try {
      const open = await this.#covering(name);
      const shared = this.#o.slots !== undefined && options.slots === undefined;
      this.#host(open, {
        capability: announced(capability, { ...options, ...(shared ? {} : { slots }) }),
        ...(options.bid === undefined ? {} : { bid: options.bid as Service["bid"] & object }),
        ...(options.limitMs === undefined ? {} : { limitMs: options.limitMs }),
        run: (run) =>
          runHandler(capability, handler, run, this.address, this.#subTasks, this.#o.log),
      });
      await open.transport.established();
    } catch (error) {
      this.#served.delete(name);
      throw error;
    }
  }

  #host(open: OpenPeer, service: Service): void {
    const total = this.#o.slots ?? [...this.#served.values()].reduce((sum, n) => sum + n, 0);
    if (this.#hosted !== undefined) {
      this.#hosted.serve(service, total);
      return open.peer.announce(this.#hosted);
    }
    const { description, attributes, agent } = this.#o;
    this.#hosted = open.peer.host({
      name: agent,
      slots: total,
      services: [service],
      ...(description === undefined ? {} : { description }),
      ...(attributes === undefined ? {} : { attributes }),
    });
  }

  /**
   * A live call: put out to tender, nothing stored. Gives the validated output.
   * @throws ParleyError with the failure's code; the signal's reason when aborted.
   */
  call<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options: CallOptions = {},
  ): Promise<OutputOf<C>> {
    return this.#call(capability, input, options, undefined);
  }

  /** A durable task: resolved once it is stored; from then on the mesh finishes it. */
  submit<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options: SubmitOptions = {},
  ): Promise<TaskHandle<OutputOf<C>>> {
    return this.#submit(capability, input, options);
  }

  async #call<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options: CallOptions,
    parent: SubTask | undefined,
  ): Promise<OutputOf<C>> {
    checkDefined(capability, "call");
    checkOptions(options);
    const { hedge, signal, exclude = [] } = options;
    const { name } = capability;
    return this.#hedges.counted(name, async () => {
      if (hedge === undefined || hedge === false) {
        return this.#one(capability, input, options, parent);
      }
      const { peer } = await this.#ready();
      const afterMs = hedge === true ? undefined : hedge.afterMs;
      return this.#hedges.race(name, afterMs, signal, peer.counters, (own, other) => {
        let path: string | undefined;
        const more = other === undefined ? { exclude } : { exclude: [...exclude, other] };
        return {
          result: this.#one(
            capability,
            input,
            { ...options, ...more, signal: own },
            parent,
            (t) => {
              path = `${t.owner}.${t.task}`;
            },
          ),
          contractor: () => (path === undefined ? undefined : peer.initiators.contractorOf(path)),
        };
      });
    });
  }

  async #one<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options: CallOptions,
    parent: SubTask | undefined,
    begun?: (task: { owner: string; task: string }) => void,
  ): Promise<OutputOf<C>> {
    const { tracker, signal, open } = await this.#begin("call", capability, input, options, parent);
    begun?.(tracker);
    const { onEvent } = options;
    const told = onEvent === undefined ? undefined : this.#tell(tracker, onEvent);
    const mention = setTimeout(() => {
      const { peer } = open;
      const { unknown, offering } = peer.deps.fields.of(capability.name, undefined);
      if (unknown || offering > 0) return;
      this.#o.log.warn(
        { capability: capability.name, task: tracker.task },
        "no agent offers this capability so far; the call waits for one until its deadline",
      );
    }, MENTION_MS);
    mention.unref();
    try {
      return await handleOf(capability, tracker).result(signal);
    } catch (error) {
      // The cancel may have come back before the signal did.
      const isCanceled = error instanceof ParleyError && error.code === "E_CANCELED";
      throw isCanceled && signal?.aborted === true ? signal.reason : error;
    } finally {
      clearTimeout(mention);
      // Every event is told before the end is, but who gave up waits for nothing.
      if (signal?.aborted !== true) await told;
    }
  }

  async #submit<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options: SubmitOptions,
  ): Promise<TaskHandle<OutputOf<C>>> {
    const { tracker, open } = await this.#begin("submit", capability, input, options, undefined);
    return handleOf(capability, tracker, () => open.peer.watchOwn());
  }

  async #begin<C extends Capability>(
    how: "call" | "submit",
    capability: C,
    input: InputOf<C>,
    options: CallOptions & SubmitOptions,
    parent: SubTask | undefined,
  ) {
    this.#may(how);
    checkDefined(capability, how);
    checkOptions(options);
    const signals = [options.signal, parent?.signal].filter((s) => s !== undefined);
    const signal = signals.length < 2 ? signals[0] : AbortSignal.any(signals);
    signal?.throwIfAborted();
    const told = taskOptions(options, Date.now());
    await validate(capability.input, input, "E_INPUT", `the input of ${capability.name}`);
    const open = await this.#ready();
    const grant = parent?.purse.promise(options.budget, options[UNDOES]);
    if (grant?.budget !== undefined) told.budget = grant.budget;
    if (capability.version !== "") told.version = capability.version;
    const task =
      parent === undefined ? told : inherit(told, parent.from, Date.now(), how === "call");
    try {
      const tracker = await open.peer.submitters[how](capability.name, input, task);
      if (grant !== undefined) {
        tracker.outcome().then(
          (o) => grant.settle(o.cost ?? 0),
          () => grant.settle(0),
        );
      }
      cancelOn(signal, capability, tracker, this.#o.log, how === "submit" && parent !== undefined);
      return { tracker, signal, open };
    } catch (error) {
      grant?.settle(0);
      throw asInputError(error, capability.name);
    }
  }

  async #tell(
    tracker: Awaited<ReturnType<OpenPeer["peer"]["submitters"]["call"]>>,
    onEvent: NonNullable<CallOptions["onEvent"]>,
  ): Promise<void> {
    try {
      for await (const event of tracker.events()) await onEvent(event);
    } catch (error) {
      this.#o.log.error({ task: tracker.task, error: String(error) }, "onEvent threw");
    }
  }

  /** Agents that serve something, as this peer's registry knows them now. */
  async agents(query: AgentQuery = {}): Promise<AgentCard[]> {
    this.#may("agents");
    const { registry, options } = (await this.#ready()).peer;
    if (!options.roles.initiator) {
      const why = "it joined with roles.initiator: false, and so does not follow the cards";
      throw new ParleyError("E_ROLE", `"${this.address}" knows no agents: ${why}`);
    }
    const { capability, requires } = query;
    if (capability !== undefined) {
      return registry.find(typeof capability === "string" ? capability : capability.name, requires);
    }
    const names = [...registry.capabilities().keys()];
    return [...new Set(names.flatMap((name) => registry.find(name, requires)))];
  }

  /** What agents share on purpose under a topic. @throws ParleyError E_SCHEMA */
  async board(topic: string): Promise<Board> {
    return new Board((await this.#ready()).buckets.board, topic);
  }

  /** Definitions of workflows, stored by version. */
  async definitions(): Promise<Definitions> {
    return new Definitions((await this.#ready()).buckets.workflows, this.principal);
  }

  /** What begins tasks of this principal by itself: moments, cron, events. */
  async triggers(): Promise<Triggers> {
    const { buckets, events } = await this.#ready();
    const { principal } = this;
    const ports = { bucket: buckets.triggers, events, principal, log: this.#o.log };
    return new Triggers(ports, this);
  }

  /**
   * Leaves the mesh: no more tasks are taken, what runs may end, then the connection is closed.
   * @param graceMs what still runs after this is aborted and goes to others
   */
  drain(graceMs = DRAIN_MS): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  /** Leaves at once: what runs is aborted and goes to others. A drain under way goes on. */
  close(): Promise<void> {
    return this.drain(0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  onClosed(run: () => void): void {
    this.#onClosed.push(run);
  }

  async #close(graceMs: number): Promise<void> {
    try {
      // A server that went away during the start may never come back.
      const late = setTimeout(() => this.#giveUp.abort(), Math.max(graceMs, OPEN_MS));
      const open = await this.#opening?.catch(() => undefined);
      clearTimeout(late);
      await open?.close(graceMs);
    } finally {
      this.#closed = true;
      for (const run of this.#onClosed.splice(0)) run();
    }
  }

  #may(what: keyof typeof MAY): void {
    if (this.#closing !== undefined && what === "serve") this.#gone();
    const { role, principal } = this.#access;
    if (MAY[what].includes(role)) return;
    throw new ParleyError(
      "E_ROLE",
      `"${principal}" has the role ${role}, which may not ${what}; ` +
        `roles that may: ${MAY[what].join(", ")} (parley identity add NAME --role …)`,
    );
  }

  #gone(): never {
    throw new ParleyError("E_DRAINING", "this agent left the mesh: join again");
  }

  /** While it drains, handlers that still run may make sub-tasks. */
  #ready(): Promise<OpenPeer> {
    if (this.#closed) this.#gone();
    if (this.#opening === undefined) {
      if (this.#closing !== undefined) this.#gone();
      const opening = this.#connect();
      this.#opening = opening;
      opening.catch(() => {
        this.#opening = undefined;
      });
    }
    return this.#opening;
  }

  async #connect(): Promise<OpenPeer> {
    const { name, agent, log, roles, policies, tuning } = this.#o;
    const open = await openPeer({
      ...this.#access.connection(),
      name,
      principal: this.#access.principal,
      agent,
      role: this.#access.role,
      log,
      signal: this.#giveUp.signal,
      ...tuning,
      ...(roles === undefined ? {} : { use: roles }),
      ...(policies === undefined ? {} : { policies }),
    });
    // Each connection may be made under credentials that were renewed.
    open.transport.onState((state) => {
      const { jwt } = this.#access.connection();
      if (state === "up" && jwt !== undefined) open.peer.options.jwt = jwt;
    });
    return open;
  }

  /** A connection whose permissions cover the capability; one change of identity at a time. */
  #covering(name: string): Promise<OpenPeer> {
    const turn = this.#turn.then(async () => {
      const has = this.#access.capabilities;
      if (!has.includes(name)) {
        // What others are about to serve comes along, so that one reconnect does for all.
        await this.#access.grow(this.#access.grows ? [...this.#served.keys()] : [name]);
        if (this.#opening !== undefined) {
          await rejoin(await this.#opening, this.#access.connection().jwt);
        }
      }
      return this.#ready();
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}

/** What cannot be written as JSON is the caller's mistake, and is said in his words. */
function asInputError(error: unknown, capability: string): unknown {
  if (error instanceof ParleyError || !(error instanceof Error)) return error;
  if (error.name !== "EncodeError" && !(error instanceof TypeError)) return error;
  return new ParleyError("E_INPUT", `the input of ${capability} is not JSON: ${error.message}`, {
    cause: error,
  });
}
