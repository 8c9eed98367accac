// Recorded workflows on a real mesh: a server of our own, agents that wait as long as each task
// took, and workflow contractors that run the graphs.
import { join, serveWorkflows, workflow } from "../../agent-sdk/index.ts";
import type { Workflow } from "../../contracts/index.ts";
import { openPeer, type Run } from "../../mesh/index.ts";
import { credentialsOf, type LocalMesh, type Profile, startLocalMesh } from "../../mesh/local.ts";

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
  messages: number;
}

/** Agents of one connection: more would share one event loop's turn for their awards. */
const AGENTS_A_PEER = 100;

export async function runLive(o: LiveFlowOptions): Promise<LiveFlowResult> {
  const mesh = await startLocalMesh({ profile: o.profile, audit: false, say: o.say });
  const open: { close(graceMs?: number): Promise<void> }[] = [];
  try {
    const placed: Placed[] = [];
    const began = { at: 0 };
    for (let i = 0; i * AGENTS_A_PEER < o.pool.length; i++) {
      open.push(await hosts(mesh, o, i, placed, began));
    }
    const boss = await joined(mesh, "flows");
    open.push({ close: () => boss.close() });
    await serveWorkflows(boss, { slots: Math.max(1, o.flows.length) });
    await settled(boss, o.pool.length);
    o.say(`${o.pool.length} agents, ${o.flows.reduce((n, f) => n + f.steps.length, 0)} steps`);
    began.at = performance.now();
    const handles = await Promise.all(
      o.flows.map(({ name, steps }, flow) => {
        const tagged = steps.map((s) => ({
          ...s,
          input: { ...(s.input as object), flow, id: s.id },
        }));
        const definition = {
          v: 1 as const,
          kind: "workflow" as const,
          name,
          version: "1.0.0",
          steps: tagged,
        };
        return boss.submit(
          workflow,
          { definition },
          { timeoutMs: 24 * 3_600_000, signal: o.signal },
        );
      }),
    );
    const outcomes = await Promise.all(handles.map((handle) => handle.outcome()));
    const makespanMs = placed.reduce((end, p) => Math.max(end, p.endMs), 0);
    for (const { failure } of outcomes) if (failure !== undefined) o.say(failure.message);
    const counters = await boss.counters();
    return {
      placed,
      states: outcomes.map((outcome) => outcome.state),
      makespanMs,
      messages: counters.published ?? 0,
    };
  } finally {
    await Promise.all(open.map((each) => each.close(0).catch(() => undefined)));
    await mesh.stop();
  }
}

function joined(mesh: LocalMesh, name: string) {
  return join({
    name,
    server: mesh.server.url,
    home: mesh.home.dir,
    onSignals: "ignore",
  });
}

async function hosts(
  mesh: LocalMesh,
  o: LiveFlowOptions,
  i: number,
  placed: Placed[],
  began: { at: number },
) {
  const agents = o.pool.slice(i * AGENTS_A_PEER, (i + 1) * AGENTS_A_PEER);
  const capabilities = [...new Set(agents.flat())];
  const name = `pool${i}`;
  const creds = await mesh.mint(name, "contractor", capabilities);
  const opened = await openPeer({
    ...credentialsOf(creds, mesh.home),
    servers: mesh.server.url,
    name,
    principal: name,
    agent: "main",
    role: "contractor",
    seed: `${o.seed}/${name}`,
  });
  agents.forEach((own, n) => {
    const agent = `a${n}`;
    const run = (r: Run) => wait(r, `${name}.${agent}`, placed, began);
    const services = own.map((c) => ({ capability: { name: c, version: "1.0.0" }, run }));
    opened.peer.host({ name: agent, slots: 1, services });
  });
  await opened.transport.flush();
  return opened;
}

async function wait(run: Run, agent: string, placed: Placed[], began: { at: number }) {
  const { ms, flow, id } = run.input as { ms: number; flow: number; id: string };
  const startMs = performance.now() - began.at;
  await new Promise((resolve) => setTimeout(resolve, ms));
  placed.push({ flow, step: id, agent, startMs, endMs: performance.now() - began.at });
  return { output: null };
}

async function settled(boss: Awaited<ReturnType<typeof join>>, agents: number): Promise<void> {
  const end = performance.now() + 30_000;
  while ((await boss.agents()).length < agents + 1) {
    if (performance.now() > end) throw new Error("the agents did not all arrive");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
