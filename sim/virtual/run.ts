// One virtual run: a town, a workload, faults, until every task has its outcome or time is up;
// then the same report as that of the live simulation.
import { createHash, type Hash } from "node:crypto";
import type { HistoryLine } from "../../check/format.ts";
import {
  CARD_TTL_S,
  DEADLINE_MS_MAX,
  parseRecordSubject,
  TASKS_STREAM,
  taskGuard,
} from "../../contracts/index.ts";
import type { HistoryEvent } from "../../mesh/ports/index.ts";
import { Judge } from "../live/judge.ts";
import type { Execution } from "../live/messages.ts";
import { capacityOf, drawPool, type SimPool } from "../pool.ts";
import { buildReport, type ExecutionRow, type TaskRow } from "../report.ts";
import { generate } from "../workload/generate.ts";
import { lengthOf, stretch, UTILISATION_DEFAULT } from "../workload/stretch.ts";
import { CAPABILITY_DEFAULT, type WorkloadTask } from "../workload/task.ts";
import { Arrivals } from "./arrivals.ts";
import { Broker } from "./broker/broker.ts";
import type { Stored } from "./broker/stream.ts";
import { COMPOSERS } from "./composers.ts";
import { type FaultPlan, MIXES, Nemesis } from "./faults.ts";
import type { VirtualHost } from "./hosts.ts";
import { Insiders, isForged } from "./insiders.ts";
import { type EventJudge, Invariants } from "./invariants.ts";
import { JudgeThread } from "./judge-thread.ts";
import { Parts } from "./parts.ts";
import type { Progress, VirtualOptions, VirtualRun } from "./run-types.ts";
import { Told } from "./told.ts";
import { initiatorsFor, Town } from "./town.ts";
import { keyOf } from "./trust.ts";
import { workLeftMs } from "./work-left.ts";
import { type RunEnd, World } from "./world.ts";

interface Tally {
  messages: number;
  bids: number;
  refusals: Record<string, number>;
}

/** Agents of a host, and of so many agents this part where that is more. */
const AGENTS_PER_HOST = 50;
const HOST_SHARE = 100;
/** A card lives a second for each so many agents of the fleet, where that is longer than usual. */
const AGENTS_A_TTL_S = 200;
/** How long the agents may take to be known to all initiators, ms of world time. */
const MEET_MS = 60_000;
/** Least deadline of a task, ms; as in the live simulation. */
const TIMEOUT_MS_MIN = 60_000;
/** With faults: longer than a writer may take to find out what became of its record. */
const KEEP_MS = 60_000;
const KEEP_CALM_MS = 2_000;
const PENDING_SAID = 20;
/** After the last fault submitters are connected again within 1 s and ask; whom they ask may be
 * gone without the server's knowing, perhaps twice. Where messages are lost they know nothing of
 * it, and look every 15 s. Milliseconds of the world. */
const TOLD_MS = 8_000;
const TOLD_LOSSY_MS = 30_000;
const NOTHING_TOLD = { wrong: [], late: [], latestMs: 0 };
/** Faults go on after the last arrival, ms. */
const AFTER_MS = 2_000;

/** Resolves with what came of it, also when tasks are left open; rejects on a fault in the code. */
export async function runVirtual(options: VirtualOptions): Promise<VirtualRun> {
  return new Run(options).play();
}

class Run {
  readonly #o: VirtualOptions;
  readonly #world: World;
  readonly #broker: Broker;
  readonly #pool: SimPool;
  readonly #tasks: readonly WorkloadTask[];
  readonly #timeScale: number;
  readonly #town: Town;
  readonly #nemesis: Nemesis;
  readonly #judges = new Map<string, Judge>();
  readonly #executions: Execution[] = [];
  #arrivals: Arrivals;
  readonly #keepMs: number;
  #invariants: EventJudge | undefined;
  #insiders: Insiders | undefined;
  /** Where somebody looks, or submitters suffer. */
  readonly #told: Told;
  readonly #lossy: boolean;
  readonly #parts = new Parts();
  #hash: Hash | undefined;
  #lines = 0;
  #counts = new Map<string, number>();
  #saidAt = performance.now();
  #stopped = false;

  constructor(options: VirtualOptions) {
    this.#o = options;
    const { seed, agents, signing = false, quality, peers } = options;
    const drain = options.drain === undefined ? {} : { drain: options.drain };
    this.#world = new World({ seed, ...drain });
    this.#broker = new Broker(this.#world, { permissions: options.permissions });
    this.#pool = drawPool({ profile: options.pool ?? "mixed", agents, seed });
    this.#timeScale = options.timeScale ?? 1;
    this.#tasks = this.#plan();
    if (options.history !== undefined) this.#hash = createHash("sha256");
    const { faults = "none" } = options;
    const plan: FaultPlan = typeof faults === "string" ? MIXES[faults] : faults;
    const { insider = 0, loss = 0, parts = 0 } = plan;
    this.#lossy = loss > 0;
    const perHost = this.#perHost();
    const { check = false } = options;
    const noted = this.#hash !== undefined || check !== false;
    const note = noted ? (process: string, e: HistoryEvent) => this.#note(process, e) : undefined;
    this.#town = new Town(this.#world, this.#broker, {
      pool: this.#pool,
      seed,
      signing,
      agentsPerHost: perHost,
      initiators:
        options.initiators ?? initiatorsFor(agents, options.utilisation ?? UTILISATION_DEFAULT),
      composers: parts > 0 ? COMPOSERS : 0,
      insiders: insider > 0,
      submitters: options.submitters ?? 1,
      quality,
      history: note,
      ended: (execution) => void this.#executions.push(execution),
      returned: (submitter) => this.#arrivals.returned(submitter),
      peers: { cardTtlS: this.#cardTtlS(), ...peers },
    });
    this.#told = new Told(this.#world, check !== false || (plan.submitter ?? 0) > 0);
    if (check !== false) this.#invariants = this.#watched(plan, check === "beside");
    if (insider > 0) this.#insiders = this.#hostile(insider);
    for (const { name } of this.#town.submitters) this.#judges.set(name, new Judge(name));
    this.#arrivals = new Arrivals(this.#world, this.#town.submitters, this.#tasks, {
      policy: options.policy ?? "balanced",
      timeoutMs: this.#timeoutMs(),
      plan,
      told: this.#told,
      parts: this.#parts,
      agents: this.#town.contractors.flatMap((host, at) =>
        this.#pool.agents
          .slice(at * perHost, (at + 1) * perHost)
          .map((agent) => `${host.name}.${agent.name}`),
      ),
    });
    const calm = Object.values(plan).every((rate) => rate === 0);
    this.#keepMs = options.keepMs ?? (calm ? KEEP_CALM_MS : KEEP_MS);
    this.#nemesis = new Nemesis(this.#world, this.#broker, this.#town, plan, (event) =>
      note?.("nemesis", event),
    );
    this.#broker.store.unwatch("janitor");
    this.#broker.store.onStored((stream, stored, wall) => {
      if (stream === TASKS_STREAM) this.#stored(stored, wall);
    });
  }

  /** Cards of a large fleet are renewed more seldom: presence is no matter of seconds there. */
  #cardTtlS(): number {
    return Math.max(CARD_TTL_S, Math.ceil(this.#o.agents / AGENTS_A_TTL_S));
  }

  #perHost(): number {
    const { agents, agentsPerHost } = this.#o;
    return agentsPerHost ?? Math.max(AGENTS_PER_HOST, Math.ceil(agents / HOST_SHARE));
  }

  #plan(): WorkloadTask[] {
    const { workload, tasks, seed, utilisation = UTILISATION_DEFAULT } = this.#o;
    const drawn = workload?.tasks.slice(0, tasks) ?? generate({ count: tasks, seed });
    const capacity = capacityOf(this.#pool);
    return stretch(drawn, { capacity, utilisation, timeScale: this.#timeScale }).tasks;
  }

  #hostile(share: number): Insiders {
    const { seed } = this.#o;
    const [liar, forger] = this.#town.insiders as [VirtualHost, VirtualHost];
    const of = (host: VirtualHost) => ({ host, signer: keyOf(seed, host.name) });
    return new Insiders(this.#world, share, of(liar), of(forger));
  }

  #watched({ loss = 0 }: FaultPlan, beside: boolean): EventJudge {
    const perHost = this.#perHost();
    const slots: Record<string, number> = {};
    this.#pool.agents.forEach((agent, at) => {
      slots[`h${Math.floor(at / perHost)}.${agent.name}`] = agent.slots;
    });
    const { signing = false } = this.#o;
    const options = { slots, lossy: loss > 0, ...(signing ? { keys: this.#town.keys } : {}) };
    return beside ? new JudgeThread(options) : new Invariants(options);
  }

  #lengthMs(): number {
    return lengthOf(this.#tasks, capacityOf(this.#pool));
  }

  #timeoutMs(): number {
    return Math.min(DEADLINE_MS_MAX, Math.max(TIMEOUT_MS_MIN, 2 * this.#lengthMs()));
  }

  #note(process: string, event: HistoryEvent): void {
    const n = this.#counts.get(process) ?? 0;
    this.#counts.set(process, n + 1);
    const t = Math.round(this.#world.now * 1e6);
    const line: HistoryLine = { p: process, n, t, ...event };
    this.#lines++;
    this.#invariants?.line(line);
    if (this.#hash === undefined) return;
    const text = JSON.stringify(line);
    this.#hash.update(text).update("\n");
    this.#o.history?.(text);
  }

  /** The judge sees every record; what is finished leaves the store after a while. */
  #stored(stored: Stored, wall: number): void {
    const key = parseRecordSubject(stored.subject);
    if (key === undefined) return;
    const { seq: rev, data: body, headers } = stored;
    const header = (name: string): string | undefined => headers?.[name];
    const record = { key, rev, storedAt: wall, body, header };
    this.#invariants?.stored(record, this.#world.now);
    this.#insiders?.stored(record);
    if (isForged(record)) return;
    this.#judges.get(key.owner)?.see(record);
    if (this.#town.composers.length > 0) this.#parts.stored(key, body);
    if (key.kind !== "outcome") return;
    this.#told.stored(key, body);
    this.#arrivals.ended(key.task);
    // Whoever takes a task over asks how its parts ended, for as long as it goes on.
    if (!this.#parts.has(key.task)) this.#purgeLater(taskGuard(key.owner, key.task));
  }

  /** By itself: what waits a minute for its turn should hold no more than the task's name. */
  #purgeLater(guard: string): void {
    this.#world.after(this.#keepMs, () => {
      this.#broker.store.stream(TASKS_STREAM).purge(guard);
    });
  }

  async play(): Promise<VirtualRun> {
    try {
      return await this.#play();
    } finally {
      this.#invariants?.end();
    }
  }

  async #play(): Promise<VirtualRun> {
    const begun = performance.now();
    this.#town.start();
    await this.#meet();
    const before = this.#tally();
    const workBegun = performance.now();
    const startMs = this.#world.now;
    this.#arrivals.start();
    this.#nemesis.start();
    await this.#work();
    this.#nemesis.heal();
    this.#insiders?.stop();
    this.#told.healed();
    const { end, liveness } = await this.#converge();
    const told = await this.#tellings();
    const workMs = this.#world.now - startMs;
    const workRealMs = performance.now() - workBegun;
    const counters = this.#tally();
    const { counts: faults } = this.#nemesis;
    return {
      ...this.#report(before, counters),
      end,
      worldMs: this.#world.now,
      workMs,
      realMs: performance.now() - begun,
      workRealMs,
      timesRealTime: workMs / workRealMs,
      events: this.#world.events,
      broker: this.#traffic(),
      faults: { ...faults } as Record<string, number>,
      counters: this.#town.tally().counters,
      historyHash: this.#hash?.digest("hex"),
      historyLines: this.#lines,
      pending: this.#stopped ? [] : this.#pending(),
      liveness,
      told,
      ...this.#verdict(end),
    };
  }

  #verdict(end: RunEnd): Pick<VirtualRun, "verdict"> {
    const judge = this.#invariants;
    if (judge === undefined) return {};
    return {
      verdict: { report: judge.conclude(end !== "idle" && !this.#stopped), first: judge.first },
    };
  }

  #traffic(): VirtualRun["broker"] {
    const { received, sent, unheard } = this.#broker;
    return { in: received, out: sent, unheard };
  }

  async #meet(): Promise<void> {
    const wanted = new Map<string, number>();
    for (const { capabilities } of this.#pool.agents) {
      for (const name of capabilities) wanted.set(name, (wanted.get(name) ?? 0) + 1);
    }
    const [capability = CAPABILITY_DEFAULT, count = 0] = [...wanted][0] ?? [];
    const hosts = this.#town.all.length;
    const untilMs = MEET_MS + hosts;
    let looked = -1;
    await this.#world.run({
      untilMs,
      until: () => {
        // Nothing can be complete before the last host has started; looking costs a little.
        if (this.#world.now < hosts || this.#world.now - looked < 1) return false;
        looked = this.#world.now;
        return this.#town.known(capability) >= count;
      },
    });
    const { failed } = this.#town;
    if (failed.length > 0) throw new Error(`hosts did not start: ${failed.join("; ")}`);
    const known = this.#town.known(capability);
    if (known < count) throw new Error(`only ${known} of ${count} agents were known in time`);
  }

  /** Safety: faults all the time, until everything has arrived. */
  #work(): Promise<RunEnd> {
    let lastMs = Number.POSITIVE_INFINITY;
    return this.#world.run({
      untilMs: this.#world.now + this.#lengthMs() + this.#timeoutMs(),
      until: () => {
        if (this.#broken || this.#isDone) return true;
        if (this.#arrivals.made < this.#tasks.length) return false;
        lastMs = Math.min(lastMs, this.#world.now);
        return this.#world.now > lastMs + AFTER_MS;
      },
      stop: () => this.#look(),
    });
  }

  /** Liveness: no faults any more; every task must come to its end. */
  async #converge(): Promise<{ end: RunEnd; liveness: VirtualRun["liveness"] }> {
    const healed = this.#world.now;
    const limitMs = this.#o.patienceMs ?? workLeftMs(this.#tasks, this.#arrivals, this.#pool);
    const end = await this.#world.run({
      untilMs: healed + limitMs,
      until: () => this.#broken || this.#isDone,
      stop: () => this.#look(),
    });
    const ms = this.#isDone ? this.#world.now - healed : Number.POSITIVE_INFINITY;
    return { end, liveness: { ms, limitMs } };
  }

  /** Whoever waits for an end hears of it. */
  async #tellings(): Promise<VirtualRun["told"]> {
    const told = this.#told;
    if (this.#stopped || this.#broken) return NOTHING_TOLD;
    await this.#world.run({
      untilMs: this.#world.now + (this.#lossy ? TOLD_LOSSY_MS : TOLD_MS),
      until: () => told.isDone,
      stop: () => this.#look(),
    });
    if (!told.judges) return NOTHING_TOLD;
    const { latestMs } = told;
    const undue = this.#tasks
      .filter(({ id }) => told.stateOf(id) === "completed")
      .filter((task) => this.#arrivals.isImpossible(task))
      .map(({ id }) => `${id}: completed, although nobody may or can do it`);
    const parts = this.#parts.wrong((task) => told.stateOf(task) === "completed");
    const wrong = [...told.wrong, ...undue, ...parts];
    return { wrong, late: this.#stopped ? [] : told.late, latestMs };
  }

  get #isDone(): boolean {
    return this.#arrivals.isDone && this.#parts.open === 0;
  }

  get #broken(): boolean {
    return this.#invariants?.first !== undefined;
  }

  /** Tells how far it is, about once a second; true: somebody asked for the end. */
  #look(): boolean {
    const { progress, stop, eventsMax = Number.POSITIVE_INFINITY } = this.#o;
    if (this.#world.events > eventsMax) return true;
    if (progress !== undefined && performance.now() - this.#saidAt > 1_000) {
      this.#saidAt = performance.now();
      progress(this.progress());
    }
    this.#stopped ||= stop?.() === true;
    return this.#stopped;
  }

  progress(): Progress {
    return {
      worldMs: this.#world.now,
      submitted: this.#arrivals.made,
      ended: this.#arrivals.made - this.#arrivals.open,
      of: this.#tasks.length,
      events: this.#world.events,
    };
  }

  #tally(): Tally {
    const { sent, counters } = this.#town.tally();
    const refusals: Record<string, number> = {};
    for (const [name, count] of Object.entries(counters)) {
      if (name.startsWith("refusals.")) refusals[name.slice("refusals.".length)] = count;
    }
    return { messages: sent, bids: counters.bids ?? 0, refusals };
  }

  #report(before: Tally, after: Tally): Pick<VirtualRun, "report" | "executions" | "costMean"> {
    const tasks: TaskRow[] = [];
    const executions: ExecutionRow[] = [];
    for (const [name, judge] of this.#judges) {
      const verdict = judge.verdict(this.#arrivals.submissionsOf(name), this.#executions);
      for (const row of verdict.tasks) tasks.push(row);
      // Whoever has a task done in parts is none of the pool, and works on nothing.
      const composed = (worker: string) =>
        this.#town.composers.some((b) => `${b.name}.main` === worker);
      for (const row of verdict.executions) if (!composed(row.worker)) executions.push(row);
    }
    const { workload, policy = "balanced", seed, baselineRuns } = this.#o;
    const counters = {
      messages: after.messages - before.messages,
      bids: after.bids - before.bids,
      refusals: after.refusals,
    };
    const report = buildReport(executions, tasks, counters, this.#pool, {
      seed,
      workload: workload?.name ?? "generated",
      planned: this.#tasks,
      timeScale: this.#timeScale,
      connections: "shared",
      policy,
      profile: "virtual",
      interrupted: this.#stopped,
      ...(baselineRuns === undefined ? {} : { baselineRuns }),
    });
    return { report, executions, costMean: this.#costMean(executions) };
  }

  #costMean(executions: readonly ExecutionRow[]): number {
    const prices = new Map(this.#pool.agents.map((a) => [a.name, a.costPerSecond]));
    const costs = executions.flatMap(({ worker, startMs, endMs, completed }) => {
      const price = prices.get(worker.split(".").at(-1) ?? "");
      return completed === false || price === undefined ? [] : [(price * (endMs - startMs)) / 1e3];
    });
    return costs.length === 0 ? 0 : costs.reduce((a, b) => a + b, 0) / costs.length;
  }

  #pending(): string[] {
    const open = this.#arrivals.openTasks();
    if (open.length === 0 && this.#parts.open > 0) return [`${this.#parts.open} parts of tasks`];
    const lines = open.slice(0, PENDING_SAID).map((task) => {
      const found = this.#broker.store.stream(TASKS_STREAM).find(taskGuard(task.owner, task.id));
      const kinds = found.map((s) => parseRecordSubject(s.subject)?.kind ?? "?");
      const stored = kinds.length === 0 ? "nothing stored" : kinds.join(", ");
      return `${task.owner}.${task.id}: ${stored}`;
    });
    if (open.length > PENDING_SAID) lines.push(`and ${open.length - PENDING_SAID} more`);
    return lines;
  }
}
