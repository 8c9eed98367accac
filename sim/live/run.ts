// One live run: hosts up, tasks in, outcomes awaited, records judged, everything down again.
import { ParleyError, patterns, taskGuard } from "../../contracts/index.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import { buildReport, type Report, type RunCounters } from "../report.ts";
import { CAPABILITY_DEFAULT } from "../workload/task.ts";
import { HostProcess, sumTallies } from "./hosts.ts";
import { Judge, type Verdict } from "./judge.ts";
import { type Plan, shares } from "./plan.ts";
import type { ProgressLine } from "./progress.ts";
import type { Settings } from "./settings.ts";
import { openReader, openSimMesh, openSubmitter, type Reader, type SimMesh } from "./sim-mesh.ts";
import { Submissions } from "./submissions.ts";
import { WARM_UP_TASKS, warmUp, warmUpOf } from "./warm-up.ts";

/** How often the store itself is asked for outcomes while the run waits for its end, ms. */
const FOLLOW_MS = 1_000;
/** Past the last deadline an initiator still needs to write the outcome, ms. */
const EXPIRY_GRACE_MS = 10_000;
const DRAIN_GRACE_MS = 5_000;
/** Refused submissions that are named one by one. */
const REFUSALS_SAID = 5;

/** Counters that stay at nothing in a run where nobody dies: rejected messages, fenced writes. */
const ODD = /^(refused\.|identity\.|claim\.|commit\.|initiator\.adopted|reconnects)/;

export interface RunResult {
  readonly report: Report;
  readonly verdict: Verdict;
}

export class LiveRun {
  readonly #settings: Settings;
  readonly #plan: Plan;
  readonly #progress: ProgressLine;
  /** Somebody asked for the end. */
  readonly #stop: AbortSignal;
  /** No more is submitted or waited for, for whatever reason. */
  readonly #over = new AbortController();
  readonly #hosts: HostProcess[];
  readonly #shares: Plan["pool"]["agents"][];
  #mesh: SimMesh | undefined;
  #submitter: OpenPeer | undefined;
  #reader: Reader | undefined;
  #refused = 0;

  /** Starts the host processes at once: they load while the server starts. */
  constructor(settings: Settings, plan: Plan, progress: ProgressLine, stop: AbortSignal) {
    this.#settings = settings;
    this.#plan = plan;
    this.#progress = progress;
    this.#stop = stop;
    stop.addEventListener("abort", () => this.#over.abort(), { once: true });
    if (stop.aborted) this.#over.abort();
    this.#shares = shares(plan.pool.agents, settings.hosts);
    this.#hosts = this.#shares.map(
      (agents, at) => new HostProcess(`host-${at}`, agents.length, (host) => this.#died(host)),
    );
  }

  /** Undefined when it was stopped before the first task. */
  async play(): Promise<RunResult | undefined> {
    const { agents, signing } = this.#settings;
    const begin = performance.now();
    const mesh = await openSimMesh(this.#settings, (line) => this.#progress.say(line));
    this.#mesh = mesh;
    const owner = `sim${mesh.suffix}`;
    await this.#untilOver(this.#startHosts(mesh));
    if (this.#stop.aborted) return undefined;
    if (this.#over.signal.aborted) throw new ParleyError("E_LOST", "all host processes are gone");
    this.#submitter = await openSubmitter(mesh, owner, signing);
    this.#reader = await openReader(mesh, `sim-reader${mesh.suffix}`);
    const seconds = ((performance.now() - begin) / 1_000).toFixed(1);
    const pids = this.#hosts.map((host) => host.pid).join(", ");
    this.#progress.say(
      `${agents} agents joined in ${seconds} s, in processes ${pids}; ` +
        `${this.#plan.tasks.length} tasks follow, for about ` +
        `${Math.ceil(this.#plan.lengthMs / 1_000)} s`,
    );
    await this.#untilOver(this.#warmUp(mesh));
    const before = await this.#count();
    const submissions = this.#submissions();
    await this.#submit(submissions, owner);
    const after = await this.#count();
    await Promise.all(this.#hosts.map((host) => host.drain(this.#graceMs())));
    return this.#conclude(submissions, owner, difference(before, after));
  }

  /** Ends everything that was started, whatever state it is in. */
  async close(): Promise<void> {
    this.#over.abort();
    this.#progress.stop();
    await Promise.all(this.#hosts.map((host) => host.kill(0)));
    await this.#submitter?.close(0).catch(() => undefined);
    await this.#reader?.close().catch(() => undefined);
    await this.#mesh?.stop();
  }

  #graceMs(): number {
    return this.#stop.aborted ? 0 : DRAIN_GRACE_MS;
  }

  async #startHosts(mesh: SimMesh): Promise<void> {
    const { connections, signing, seed, agents } = this.#settings;
    const own = connections === "own";
    const capability = CAPABILITY_DEFAULT;
    const agentCreds = (name: string) => mesh.mint(name + mesh.suffix, "contractor", [capability]);
    await Promise.all(
      this.#hosts.map(async (host, at) => {
        const share = this.#shares[at] ?? [];
        const principal = host.name + mesh.suffix;
        await host.start({
          do: "start",
          servers: mesh.url,
          principal,
          creds: await mesh.mint(principal, own ? "initiator" : "agent", own ? [] : [capability]),
          connections,
          capability,
          agents: share,
          suffix: mesh.suffix,
          agentCreds: own ? await Promise.all(share.map(({ name }) => agentCreds(name))) : [],
          ...(signing ? { trust: mesh.home.trust } : {}),
          seed,
          warmUp: await warmUpOf(mesh, host.name),
        });
      }),
    );
    const known = await Promise.all(this.#hosts.map((host) => host.meet(agents)));
    const least = Math.min(...known);
    if (least < agents) this.#progress.say(`only ${least} of ${agents} agents are known to all`);
  }

  async #warmUp(mesh: SimMesh): Promise<void> {
    this.#progress.say(`${WARM_UP_TASKS} empty tasks go first, to warm up`);
    await warmUp(mesh, this.#settings.signing, this.#over.signal);
    await Promise.all(this.#hosts.map((host) => host.begin().catch(() => undefined)));
  }

  /** Resolves when the work is done, or at once when the run is over; then nobody waits for it. */
  async #untilOver(work: Promise<void>): Promise<void> {
    const over = Promise.withResolvers<void>();
    const end = (): void => over.resolve();
    this.#over.signal.addEventListener("abort", end, { once: true });
    if (this.#over.signal.aborted) end();
    try {
      await Promise.race([work, over.promise]);
    } finally {
      this.#over.signal.removeEventListener("abort", end);
      work.catch(() => undefined);
    }
  }

  #died(host: HostProcess): void {
    const left = this.#hosts.some((one) => one.alive);
    const then = left
      ? "the run goes on, and their tasks are given to others"
      : "nobody is left to carry on";
    const { name, end, agents } = host;
    this.#progress.say(`${name} is gone (${end}) with its ${agents} agents; ${then}`);
    if (!left) this.#over.abort();
  }

  #submissions(): Submissions {
    const peer = (this.#submitter as OpenPeer).peer;
    return new Submissions(peer, this.#plan, {
      policy: this.#settings.policy,
      refused: (id, reason) => {
        if (++this.#refused <= REFUSALS_SAID) this.#progress.say(`task ${id}: ${reason}`);
      },
    });
  }

  async #submit(submissions: Submissions, owner: string): Promise<void> {
    this.#progress.start(() => ({
      submitted: submissions.made.length,
      of: this.#plan.tasks.length,
      ended: submissions.made.length - submissions.open,
      running: sumTallies(this.#hosts).running,
      agents: this.#hosts.reduce((sum, host) => sum + (host.alive ? host.agents : 0), 0),
    }));
    await submissions.submitAll(this.#over.signal);
    await this.#untilOver(this.#settle(submissions, owner));
    this.#progress.stop();
    if (!this.#stop.aborted) return;
    const open = submissions.open > 0 ? ` with ${submissions.open} tasks under way` : "";
    this.#progress.say(`stopped${open}; here is what there is`);
    // On a private mesh the tasks go with the server.
    if (this.#mesh?.suffix !== "") await submissions.cancelOpen("the simulation was stopped");
  }

  /** Until every task has an outcome in the store, heard of or not, or the deadlines are over. */
  async #settle(submissions: Submissions, owner: string): Promise<void> {
    const end = performance.now() + this.#plan.timeoutMs + EXPIRY_GRACE_MS;
    const pattern = patterns.outcomes.replace("*", owner);
    let fromRev = 1;
    while (submissions.open > 0 && performance.now() < end) {
      const pause = Promise.withResolvers<void>();
      const timer = setTimeout(pause.resolve, FOLLOW_MS);
      await Promise.race([submissions.settled(), pause.promise]);
      clearTimeout(timer);
      if (submissions.open === 0 || this.#over.signal.aborted) return;
      for await (const { key, rev } of this.#reader?.records({ pattern, fromRev }) ?? []) {
        fromRev = rev + 1;
        submissions.ended(key.task);
      }
    }
  }

  async #count(): Promise<RunCounters> {
    await Promise.all(this.#hosts.map((host) => host.tally().catch(() => undefined)));
    const { sent, counters } = sumTallies(this.#hosts);
    const refusals: Record<string, number> = {};
    for (const [name, count] of Object.entries(counters)) {
      if (name.startsWith("refusals.")) refusals[name.slice("refusals.".length)] = count;
    }
    return {
      messages: sent + (this.#submitter?.transport.sent ?? 0),
      bids: counters.bids ?? 0,
      refusals,
      server: await this.#mesh?.serverMessages(),
    };
  }

  async #conclude(
    submissions: Submissions,
    owner: string,
    counters: RunCounters,
  ): Promise<RunResult> {
    const judge = new Judge(owner);
    const pattern = taskGuard(owner, "*");
    for await (const record of this.#reader?.records({ pattern }) ?? []) judge.see(record);
    const verdict = judge.verdict(
      submissions.made,
      this.#hosts.flatMap((host) => host.executions),
    );
    const { pool, tasks: planned, timeScale, workload } = this.#plan;
    const { seed, connections, policy } = this.#settings;
    const report = buildReport(verdict.executions, verdict.tasks, counters, pool, {
      seed,
      workload,
      planned,
      timeScale,
      connections,
      policy,
      profile: this.#mesh?.profile ?? "dev",
      interrupted: this.#stop.aborted,
    });
    this.#remark(submissions, verdict);
    return { report, verdict };
  }

  #remark(submissions: Submissions, { secondContracts, tasks }: Verdict): void {
    const say = (line: string): void => this.#progress.say(line);
    if (this.#refused > 0) say(`${this.#refused} submissions were not accepted`);
    if (secondContracts > 0) say(`${secondContracts} contracts were second or later attempts`);
    const ended = tasks.filter((task) => task.outcomeMs !== undefined).length;
    const unheard = ended - submissions.heard;
    if (unheard > 0) say(`${unheard} outcomes are stored that the submitter was not told of`);
    const counted = { ...sumTallies(this.#hosts).counters };
    for (const [name, count] of Object.entries(this.#submitter?.peer.counters.snapshot() ?? {})) {
      counted[name] = (counted[name] ?? 0) + count;
    }
    const odd = Object.entries(counted).filter(([name]) => ODD.test(name));
    if (odd.length > 0) say(`counted: ${odd.map((pair) => pair.join(" ")).join(", ")}`);
  }
}

function difference(before: RunCounters, after: RunCounters): RunCounters {
  const refusals: Record<string, number> = {};
  for (const [reason, count] of Object.entries(after.refusals)) {
    refusals[reason] = count - (before.refusals[reason] ?? 0);
  }
  const server =
    before.server === undefined || after.server === undefined
      ? undefined
      : { in: after.server.in - before.server.in, out: after.server.out - before.server.out };
  return {
    messages: after.messages - before.messages,
    bids: after.bids - before.bids,
    refusals,
    server,
  };
}
