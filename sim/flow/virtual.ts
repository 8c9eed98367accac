// Recorded workflows in virtual time: the workflow capability of the SDK, on hosts of a simulated
// world, its steps tendered one by one like any other task.
import { conduct } from "../../agent-sdk/conduct.ts";
import {
  ATTEMPTS_MAX,
  type Outcome,
  ParleyError,
  parseRecordSubject,
  type Spec,
  TASKS_STREAM,
  taskGuard,
  WORKFLOW,
} from "../../contracts/index.ts";
import type { AgentDefinition } from "../../mesh/index.ts";
import type { Run } from "../../mesh/runtime/hosted-agent.ts";
import type { Peer } from "../../mesh/runtime/peer.ts";
import { exponential } from "../draw.ts";
import { Broker } from "../virtual/broker/broker.ts";
import { calmCollector } from "../virtual/heap.ts";
import { SILENT, VirtualHost } from "../virtual/hosts.ts";
import { World } from "../virtual/world.ts";
import type { LiveFlowOptions, LiveFlowResult, Placed } from "./live.ts";

export interface VirtualFlowOptions
  extends Pick<LiveFlowOptions, "flows" | "pool" | "seed" | "signal" | "say"> {
  /** Hosts that die without a word, and come back, per minute of the world. Default 0. */
  crashesPerMinute?: number;
  /** Workflows under way at a time. Default: all. */
  atOnce?: number;
}

export interface VirtualFlowResult extends LiveFlowResult {
  /** Steps whose completion stands in the store exactly once. */
  recorded: number;
  crashes: number;
  messages: number;
}

const AGENTS_PER_HOST = 50;
/** Workflow contractors, which are initiators too: each can take over from the others. */
const BOSSES = 3;
const MEET_MS = 10_000;
const DEADLINE_MS = 25 * 24 * 3_600_000;
/** What a finished workflow has in the store leaves it after so long, ms of the world: longer than
 * whoever comes back may want to read it. */
const KEEP_MS = 60_000;
/** Away after a crash, ms: least, and the mean of what comes on top. */
const AWAY_MS = [200, 3_000] as const;
/** A host that dies takes an attempt of all that it had. */
const RETRY = { attempts: ATTEMPTS_MAX, backoffMs: 50 };
const OWNER = "s0";

/** Rejects when the workflows do not end, with how far they came. */
export async function runVirtualFlows(o: VirtualFlowOptions): Promise<VirtualFlowResult> {
  calmCollector();
  return new FlowWorld(o).play();
}

class FlowWorld {
  readonly #o: VirtualFlowOptions;
  readonly #world: World;
  readonly #broker: Broker;
  readonly #bosses: VirtualHost[] = [];
  /** Ends what a dead process was waiting for: its timers stay in the queue until they are due, up
   * to the deadline, and would keep all of it. */
  readonly #lives = new Map<string, AbortController>();
  readonly #hosts: VirtualHost[] = [];
  readonly #submitter: VirtualHost;
  readonly #placed: Placed[] = [];
  readonly #states: string[];
  /** Completions by task. */
  readonly #recorded = new Map<string, number>();
  /** Steps' tasks of each workflow under way. */
  readonly #parts = new Map<string, string[]>();
  #next = 0;
  #ended = 0;
  #crashes = 0;
  #begunMs = 0;

  constructor(o: VirtualFlowOptions) {
    this.#o = o;
    this.#world = new World({ seed: o.seed });
    this.#broker = new Broker(this.#world);
    this.#states = o.flows.map(() => "open");
    this.#submitter = this.#host(OWNER, "submitter");
    for (let i = 0; i < BOSSES; i++) this.#bosses.push(this.#boss(`b${i}`));
    for (let from = 0; from < o.pool.length; from += AGENTS_PER_HOST) {
      this.#hosts.push(this.#contractor(from));
    }
    this.#broker.store.unwatch("janitor");
    this.#broker.store.onStored((stream, { subject, data }) => {
      if (stream === TASKS_STREAM) this.#stored(subject, data);
    });
  }

  #host(
    name: string,
    role: "submitter" | "agent" | "contractor",
    capabilities: readonly string[] = [],
    furnish?: (peer: Peer, host: VirtualHost) => void,
  ): VirtualHost {
    const more = furnish === undefined ? {} : { furnish };
    return new VirtualHost(this.#world, this.#broker, { name, role, capabilities, ...more });
  }

  #boss(name: string): VirtualHost {
    return this.#host(name, "agent", [WORKFLOW], (peer, host) => {
      const own = { peer, contractor: `${name}.main`, clock: host.clock, log: SILENT };
      const life = new AbortController();
      this.#lives.set(name, life);
      const run = (r: Run) =>
        conduct(own, { ...r, signal: AbortSignal.any([r.signal, life.signal]) });
      const slots = Math.max(1, this.#o.atOnce ?? this.#o.flows.length);
      const capability = { name: WORKFLOW, version: "1.0.0", slots };
      peer.host({ name: "main", slots, services: [{ capability, run }] });
    });
  }

  #contractor(from: number): VirtualHost {
    const pool = this.#o.pool.slice(from, from + AGENTS_PER_HOST);
    const capabilities = [...new Set(pool.flat())];
    return this.#host(`h${this.#hosts.length}`, "contractor", capabilities, (peer, host) => {
      pool.forEach((own, i) => {
        peer.host(this.#agent(`a${from + i}`, own, host));
      });
    });
  }

  #agent(name: string, capabilities: readonly string[], host: VirtualHost): AgentDefinition {
    const run = async ({ input, signal }: Run) => {
      const { ms, flow, id } = input as { ms: number; flow: number; id: string };
      const startMs = this.#world.now - this.#begunMs;
      if (await host.sleep(ms, signal)) {
        const endMs = this.#world.now - this.#begunMs;
        this.#placed.push({ flow, step: id, agent: `${host.name}.${name}`, startMs, endMs });
      }
      return { output: null };
    };
    const services = capabilities.map((c) => ({ capability: { name: c, version: "1.0.0" }, run }));
    return { name, slots: 1, services };
  }

  #stored(subject: string, data: Uint8Array): void {
    const key = parseRecordSubject(subject);
    if (key?.kind === "spec") return this.#begun(key.task, data);
    if (key?.kind !== "outcome") return;
    const { state, failure } = JSON.parse(Buffer.from(data).toString()) as Outcome;
    const flow = /^f(\d+)$/.exec(key.task)?.[1];
    if (flow === undefined) {
      if (state === "completed") {
        this.#recorded.set(key.task, (this.#recorded.get(key.task) ?? 0) + 1);
      }
      return;
    }
    this.#states[Number(flow)] = state;
    if (failure !== undefined) this.#o.say(`workflow ${flow}: ${failure.message}`);
    this.#ended++;
    this.#world.after(KEEP_MS, () => this.#purge(key.task));
    this.#submitter.run(() => this.#submit());
  }

  #begun(task: string, data: Uint8Array): void {
    const { parent } = JSON.parse(Buffer.from(data).toString()) as Spec;
    if (parent === undefined) this.#parts.set(task, []);
    else this.#parts.get(parent.task)?.push(task);
  }

  #purge(flow: string): void {
    const tasks = this.#broker.store.stream(TASKS_STREAM);
    for (const task of [flow, ...(this.#parts.get(flow) ?? [])]) {
      tasks.purge(taskGuard(OWNER, task));
    }
    this.#parts.delete(flow);
  }

  async play(): Promise<VirtualFlowResult> {
    const all = [...this.#bosses, this.#submitter, ...this.#hosts];
    all.forEach((host, i) => {
      this.#world.after(i, () => void host.start());
    });
    const known = () => Math.min(...this.#bosses.map((b) => b.peer?.registry.size ?? 0));
    await this.#world.run({
      untilMs: MEET_MS + all.length,
      until: () => known() >= this.#o.pool.length + all.length,
    });
    const sentBefore = all.reduce((n, host) => n + host.sent, 0);
    this.#begunMs = this.#world.now;
    const { atOnce = this.#o.flows.length } = this.#o;
    for (let i = 0; i < atOnce; i++) this.#submitter.run(() => this.#submit());
    const rate = this.#o.crashesPerMinute ?? 0;
    if (rate > 0) this.#crashLater(rate);
    const steps = this.#o.flows.reduce((n, f) => n + f.steps.length, 0);
    let said = performance.now();
    await this.#world.run({
      untilMs: this.#begunMs + DEADLINE_MS,
      until: () => this.#ended >= this.#o.flows.length,
      stop: () => {
        if (performance.now() - said > 5_000) {
          said = performance.now();
          this.#o.say(`${this.#recorded.size} of ${steps} steps, ${this.#ended} workflows ended`);
        }
        return this.#o.signal.aborted;
      },
    });
    this.#o.signal.throwIfAborted();
    return {
      placed: this.#placed,
      states: this.#states,
      makespanMs: this.#placed.reduce((end, p) => Math.max(end, p.endMs), 0),
      messages: all.reduce((n, host) => n + host.sent, 0) - sentBefore,
      recorded: [...this.#recorded.values()].filter((n) => n === 1).length,
      crashes: this.#crashes,
    };
  }

  /** The next workflow, if there is one. */
  #submit(): void {
    const flow = this.#next++;
    const next = this.#o.flows[flow];
    if (next === undefined) return;
    const steps = next.steps.map((s) => ({
      ...s,
      retry: RETRY,
      input: { ...(s.input as object), flow, id: s.id },
    }));
    const definition = { v: 1, kind: "workflow", name: next.name, version: "1.0.0", steps };
    void this.#submitter.peer?.submitters.submit(
      WORKFLOW,
      { definition },
      { task: `f${flow}`, timeoutMs: DEADLINE_MS, retry: RETRY },
    );
  }

  /** Anybody but the submitter, who could not tell what he has asked for. */
  #crashLater(perMinute: number): void {
    const prng = this.#world.random.fork("crashes");
    const next = (): void => {
      this.#world.after((exponential(prng) * 60_000) / perMinute, () => {
        if (this.#ended >= this.#o.flows.length) return;
        const hosts = [...this.#bosses, ...this.#hosts].filter((host) => host.alive);
        const host = hosts[prng.int(hosts.length)];
        if (host !== undefined) {
          this.#crashes++;
          host.crash();
          this.#lives.get(host.name)?.abort(new ParleyError("E_LOST", "its process died"));
          const awayMs = AWAY_MS[0] + exponential(prng) * AWAY_MS[1];
          this.#world.after(awayMs, () => void host.start().catch(() => undefined));
        }
        next();
      });
    };
    next();
  }
}
