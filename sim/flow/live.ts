// Recorded workflows on a real mesh: a server of our own, processes of agents that wait as long as
// each task took, and in this process the workflow contractor that runs the graphs.
import { availableParallelism } from "node:os";
import { join, type Mesh, serveWorkflows, workflow } from "../../agent-sdk/index.ts";
import { type Outcome, ParleyError, type Workflow } from "../../contracts/index.ts";
import { type LocalMesh, type Profile, startLocalMesh } from "../../mesh/local.ts";
import { HostProcess } from "../live/hosts.ts";
import { shares } from "../live/plan.ts";
import { wallMs } from "../live/sim-agent.ts";
import { WARM_UP_TASKS } from "../live/warm-up.ts";
import type { SimAgent } from "../pool.ts";

export interface LiveFlowOptions {
  flows: { name: string; steps: Workflow["steps"] }[];
  /** Capabilities of each agent, one list an agent. */
  pool: string[][];
  profile: Profile;
  seed: number;
  say(line: string): void;
  signal: AbortSignal;
}

/** One step as it was carried out; times from the submission, ms. */
export interface Placed {
  flow: number;
  step: string;
  agent: string;
  startMs: number;
  endMs: number;
}

export interface LiveFlowResult {
  placed: Placed[];
  states: string[];
  makespanMs: number;
}

/** Agents of one process: more would share one event loop's turn for their awards. */
const AGENTS_A_HOST = 100;
/** One core is the workflow contractor's. */
const HOSTS_MAX = Math.max(1, availableParallelism() - 1);
const TIMEOUT_MS = 24 * 3_600_000;

export async function runLive(o: LiveFlowOptions): Promise<LiveFlowResult> {
  const gone = new AbortController();
  const pools = shares(agentsOf(o.pool), hostsFor(o.pool.length));
  const hosts = startHosts(pools, o.say, gone);
  let mesh: LocalMesh | undefined;
  let boss: Mesh | undefined;
  try {
    const local = await startLocalMesh({ profile: o.profile, audit: false, say: o.say });
    mesh = local;
    await Promise.all(hosts.map((host, i) => start(host, pools[i] ?? [], o, local)));
    boss = await join({
      name: "flows",
      server: local.server.url,
      home: local.home.dir,
      onSignals: "ignore",
    });
    await serveWorkflows(boss, { slots: Math.max(1, o.flows.length) });
    await settled(boss, o.pool.length);
    const signal = AbortSignal.any([o.signal, gone.signal]);
    o.say(`${o.pool.length} agents; ${WARM_UP_TASKS} empty steps to warm up`);
    await play(boss, [{ name: "warm-up", steps: emptySteps(o.pool) }], signal);
    o.say(`${o.flows.reduce((n, f) => n + f.steps.length, 0)} steps`);
    const began = wallMs();
    const outcomes = await play(boss, o.flows.map(labelled), signal);
    for (const { failure } of outcomes) if (failure !== undefined) o.say(failure.message);
    if (gone.signal.aborted) throw gone.signal.reason;
    // One that died has told of its executions up to its last report.
    await Promise.all(hosts.map((host) => host.tally().catch(() => undefined)));
    const placed = hosts.flatMap((host) => placedBy(host, began));
    return {
      placed,
      states: outcomes.map((outcome) => outcome.state),
      makespanMs: placed.reduce((end, p) => Math.max(end, p.endMs), 0),
    };
  } finally {
    await boss?.close().catch(() => undefined);
    await Promise.all(hosts.map((host) => host.kill(0)));
    await mesh?.stop();
  }
}

function hostsFor(agents: number): number {
  return Math.min(HOSTS_MAX, Math.ceil(agents / AGENTS_A_HOST));
}

function agentsOf(pool: string[][]): SimAgent[] {
  const alike = { speed: 1, slots: 1, costPerSecond: 0, claimFactor: 1 };
  return pool.map((capabilities, i) => ({ ...alike, name: `a${i}`, capabilities }));
}

/** At once: they load while the server starts. */
function startHosts(
  pools: SimAgent[][],
  say: (line: string) => void,
  gone: AbortController,
): HostProcess[] {
  const died = (host: HostProcess): void => {
    say(`${host.name} is gone (${host.end}) with its ${host.agents} agents; others go on`);
    if (hosts.some((one) => one.alive)) return;
    gone.abort(new ParleyError("E_LOST", "all processes of agents are gone"));
  };
  const hosts = pools.map((agents, i) => new HostProcess(`pool${i}`, agents.length, died));
  return hosts;
}

async function start(
  host: HostProcess,
  agents: SimAgent[],
  o: LiveFlowOptions,
  mesh: LocalMesh,
): Promise<void> {
  const capabilities = [...new Set(agents.flatMap((agent) => agent.capabilities))];
  await host.start({
    do: "start",
    servers: mesh.server.url,
    principal: host.name,
    role: "contractor",
    creds: await mesh.mint(host.name, "contractor", capabilities),
    connections: "shared",
    capability: capabilities[0] ?? "",
    agents,
    suffix: "",
    agentCreds: [],
    trust: mesh.home.trust,
    seed: String(o.seed),
  });
}

function emptySteps(pool: string[][]): Workflow["steps"] {
  const capabilities = [...new Set(pool.flat())];
  return Array.from({ length: WARM_UP_TASKS }, (_, i) => ({
    id: `s${i}`,
    capability: capabilities[i % capabilities.length] ?? "",
    input: { serviceMs: 0 },
  }));
}

/** Each step with what its execution is to be found by. */
function labelled({ name, steps }: LiveFlowOptions["flows"][number], flow: number) {
  const input = (s: Workflow["steps"][number]) => ({
    serviceMs: (s.input as { ms: number }).ms,
    label: `${flow}/${s.id}`,
  });
  return { name, steps: steps.map((s) => ({ ...s, input: input(s) })) };
}

async function play(
  boss: Mesh,
  flows: LiveFlowOptions["flows"],
  signal: AbortSignal,
): Promise<Outcome[]> {
  const handles = await Promise.all(
    flows.map(({ name, steps }) => {
      const definition = {
        v: 1 as const,
        kind: "workflow" as const,
        name,
        version: "1.0.0",
        steps,
      };
      return boss.submit(workflow, { definition }, { timeoutMs: TIMEOUT_MS, signal });
    }),
  );
  return Promise.all(handles.map((handle) => handle.outcome()));
}

function placedBy({ executions }: HostProcess, began: number): Placed[] {
  return executions.flatMap(({ label, worker, startMs, endMs, finished }) => {
    const [flow, step] = label?.split("/") ?? [];
    if (step === undefined || !finished) return [];
    const times = { startMs: startMs - began, endMs: endMs - began };
    return [{ flow: Number(flow), step, agent: worker, ...times }];
  });
}

async function settled(boss: Mesh, agents: number): Promise<void> {
  const end = performance.now() + 30_000;
  while ((await boss.agents()).length < agents + 1) {
    if (performance.now() > end) throw new Error("the agents did not all arrive");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
