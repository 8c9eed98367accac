// A graph on the mesh in a simulated world: each task is submitted when those before it have ended,
// and tendered like any other.
import { parseRecordSubject, TASKS_STREAM } from "../../contracts/index.ts";
import type { AgentDefinition } from "../../mesh/index.ts";
import type { Run, Service } from "../../mesh/runtime/hosted-agent.ts";
import { gini } from "../metrics.ts";
import { Broker } from "../virtual/broker/broker.ts";
import { VirtualHost } from "../virtual/hosts.ts";
import { World } from "../virtual/world.ts";
import { durationOn } from "./references.ts";
import { type GraphTask, type GraphWorkload, graphOfParents } from "./workload.ts";

export interface GraphPlan {
  /** Agents of a workflow; a shop has its own. */
  agents: number;
  policy: string;
  seed: string | number;
  /** Asked now and then: ends the play early, with what it has so far. */
  stop?: () => boolean;
}

export interface GraphRun {
  makespanMs: number;
  giniOfBusyTime: number;
  completed: number;
  messagesPerDecision: number;
  bidsPerDecision: number;
}

const CAPABILITY = "op";
const AGENTS_PER_HOST = 50;
const MEET_MS = 2_000;
/** Most that a machine of a shop lets wait before it. */
const QUEUE_MAX = 10_000;
/** Operations that become ready together are asked for one after the other, ms: bids to the next
 * know of the one before. Small beside a time unit of a shop. */
const APART_MS = 5;
/** Values of one requirement. */
const NAMED_MAX = 64;
const DEADLINE_MS = 20 * 24 * 3_600_000;

/** One agent: what it will have done when, and what it has done, ms. */
interface Machine {
  freeAt: number;
  busyMs: number;
}

export async function playGraph(w: GraphWorkload, plan: GraphPlan): Promise<GraphRun> {
  return new GraphPlay(w, plan).play();
}

class GraphPlay {
  readonly #w: GraphWorkload;
  readonly #plan: GraphPlan;
  readonly #world: World;
  readonly #broker: Broker;
  readonly #machines: Machine[];
  readonly #after: number[][];
  readonly #waits: number[];
  readonly #initiator: VirtualHost;
  readonly #submitter: VirtualHost;
  readonly #hosts: VirtualHost[] = [];
  #ready: number[] = [];
  #releasing = false;
  #ended = 0;
  #lastMs = 0;

  constructor(w: GraphWorkload, plan: GraphPlan) {
    this.#w = w;
    this.#plan = plan;
    this.#world = new World({ seed: plan.seed });
    this.#broker = new Broker(this.#world);
    const count = w.machines ?? plan.agents;
    this.#machines = Array.from({ length: count }, () => ({ freeAt: 0, busyMs: 0 }));
    this.#after = graphOfParents(w.tasks).after;
    this.#waits = w.tasks.map((t) => t.parents.length);
    this.#initiator = new VirtualHost(this.#world, this.#broker, { name: "i0", role: "initiator" });
    this.#submitter = new VirtualHost(this.#world, this.#broker, { name: "s0", role: "submitter" });
    for (let from = 0; from < count; from += AGENTS_PER_HOST) {
      this.#hosts.push(this.#host(from, Math.min(count, from + AGENTS_PER_HOST)));
    }
    this.#broker.store.unwatch("janitor");
    this.#broker.store.onStored((stream, { subject }) => {
      if (stream !== TASKS_STREAM) return;
      const key = parseRecordSubject(subject);
      if (key?.kind === "outcome") this.#over(Number(key.task.slice(1)));
    });
  }

  #host(from: number, to: number): VirtualHost {
    return new VirtualHost(this.#world, this.#broker, {
      name: `h${this.#hosts.length}`,
      role: "contractor",
      capabilities: [CAPABILITY],
      furnish: (peer, host) => {
        for (let m = from; m < to; m++) peer.host(this.#agent(m, host));
      },
    });
  }

  /** Of a shop: takes what it is given and does one after the other, and bids with its wait. */
  #agent(m: number, host: VirtualHost): AgentDefinition {
    const machine = this.#machines[m] as Machine;
    const slots = this.#w.kind === "shop" ? QUEUE_MAX : 1;
    const now = () => this.#world.now;
    const bid: Service["bid"] = (call, usual) => {
      const durationMs = durationOn(this.#task(call.task), m);
      if (!Number.isFinite(durationMs)) return undefined;
      const waitMs = Math.max(0, machine.freeAt - now());
      // Initiators learn what a claim is worth from the contract to its end: that holds the wait.
      const cost = durationMs / 1_000;
      return { ...usual, durationMs: waitMs + durationMs, cost, confidence: 1 };
    };
    const run = async ({ spec, signal }: Run) => {
      const durationMs = durationOn(this.#task(spec.task), m);
      const start = Math.max(now(), machine.freeAt);
      machine.freeAt = start + durationMs;
      machine.busyMs += durationMs;
      await host.sleep(start + durationMs - now(), signal);
      return { output: {} };
    };
    const capability = { name: CAPABILITY, version: "1.0.0", slots };
    return {
      name: `m${m}`,
      slots,
      attributes: { machine: m },
      services: [{ capability, bid, run }],
    };
  }

  #task(id: string): GraphTask {
    return this.#w.tasks[Number(id.slice(1))] as GraphTask;
  }

  async play(): Promise<GraphRun> {
    const hosts = [this.#initiator, this.#submitter, ...this.#hosts];
    hosts.forEach((host, i) => {
      this.#world.after(i, () => void host.start());
    });
    const known = () => this.#initiator.peer?.registry.capabilities().get(CAPABILITY) ?? 0;
    await this.#world.run({
      untilMs: MEET_MS + hosts.length,
      until: () => known() >= this.#machines.length,
    });
    const before = this.#tally();
    const begun = this.#world.now;
    for (const machine of this.#machines) machine.freeAt = begun;
    this.#release(this.#w.tasks.flatMap((_, i) => (this.#waits[i] === 0 ? [i] : [])));
    const { stop } = this.#plan;
    await this.#world.run({
      until: () => this.#ended === this.#w.tasks.length,
      ...(stop === undefined ? {} : { stop }),
    });
    const after = this.#tally();
    const decisions = this.#w.tasks.length;
    return {
      makespanMs: this.#lastMs - begun,
      giniOfBusyTime: gini(this.#machines.map((m) => m.busyMs)),
      completed: this.#ended,
      messagesPerDecision: (after.sent - before.sent) / decisions,
      bidsPerDecision: (after.bids - before.bids) / decisions,
    };
  }

  #tally(): { sent: number; bids: number } {
    const hosts = [this.#initiator, this.#submitter, ...this.#hosts];
    return {
      sent: hosts.reduce((n, h) => n + h.sent, 0),
      bids: this.#initiator.counters().bids ?? 0,
    };
  }

  #over(i: number): void {
    this.#ended++;
    this.#lastMs = this.#world.now;
    const ready: number[] = [];
    for (const next of this.#after[i] ?? []) {
      this.#waits[next] = (this.#waits[next] ?? 0) - 1;
      if (this.#waits[next] === 0) ready.push(next);
    }
    if (ready.length > 0) this.#release(ready);
  }

  /** Longest way to the end first. */
  #release(tasks: readonly number[]): void {
    const rank = (i: number) => this.#w.tasks[i]?.rank ?? 0;
    this.#ready.push(...tasks);
    this.#ready.sort((a, b) => rank(b) - rank(a));
    if (this.#w.kind === "workflow") {
      for (const i of this.#ready.splice(0)) this.#submit(i);
      return;
    }
    if (this.#releasing) return;
    this.#releasing = true;
    // After all that happens at this very moment.
    this.#world.after(1, () => this.#next());
  }

  #next(): void {
    const i = this.#ready.shift();
    if (i === undefined) {
      this.#releasing = false;
      return;
    }
    this.#submit(i);
    this.#world.after(APART_MS, () => this.#next());
  }

  #submit(i: number): void {
    const { ms, rank, on } = this.#w.tasks[i] as GraphTask;
    this.#submitter.run(() => {
      void this.#submitter.peer?.submitters.submit(
        CAPABILITY,
        {},
        {
          task: `t${i}`,
          timeoutMs: DEADLINE_MS,
          rank,
          hints: { durationMs: ms },
          award: { policy: this.#plan.policy },
          // Of more than a requirement may name, those that are not able refuse.
          ...(on === undefined || on.size > NAMED_MAX
            ? {}
            : { requires: { machine: { in: [...on.keys()] } } }),
        },
      );
    });
  }
}
