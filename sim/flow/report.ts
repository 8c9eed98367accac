// Plays recorded workflows and says how good the outcome was: beside the bound that nobody beats,
// and beside a centre that knows everything in advance.
import { graphOf } from "../../mesh/core/workflow/graph.ts";
import type { Profile } from "../../mesh/local.ts";
import { listSchedule } from "./list-schedule.ts";
import { type LiveFlowResult, runLive } from "./live.ts";
import { runVirtualFlows, type VirtualFlowResult } from "./virtual.ts";
import { capabilityOf, type RecordedFlow, scaled, stepsOf } from "./wfformat.ts";

export interface FlowPlan {
  flows: readonly RecordedFlow[];
  copies: number;
  agents: number;
  timeScale: number;
  /** Every agent everything, or each one category, in proportion to its share of the work. */
  pool: "universal" | "specialised";
  profile: Profile;
  seed: number;
  /** On a simulated mesh, in virtual time. */
  virtual?: boolean;
  /** Virtual: hosts that die and come back, per minute of the world. */
  crashesPerMinute?: number;
  /** Virtual: workflows under way at a time. Default: all. */
  atOnce?: number;
  say(line: string): void;
  signal: AbortSignal;
}

export interface FlowReport {
  workflows: number;
  steps: number;
  agents: number;
  pool: string;
  timeScale: number;
  completed: number;
  /** Was every step carried out exactly once? */
  once: boolean;
  /** Steps that began before something that they come after had ended. */
  violations: number;
  makespanMs: number;
  boundMs: number;
  listMs: number;
  overBound: number;
  overList: number;
  medianStepMs: number;
  /** Virtual: steps whose completion is stored exactly once, hosts that died, messages sent. */
  recorded?: number;
  crashes?: number;
  messages?: number;
}

export interface FlowResult extends LiveFlowResult {
  report: FlowReport;
  ids: string[][];
}

const UNIVERSAL = "step";

export async function playFlows(o: FlowPlan): Promise<FlowResult> {
  const flows = o.flows.flatMap((flow) => Array.from({ length: o.copies }, () => flow));
  const universal = o.pool === "universal";
  // Copies share their steps: a campaign may have a million.
  const steps = new Map(
    o.flows.map((f) => [f, stepsOf(f.tasks, o.timeScale, universal ? UNIVERSAL : undefined)]),
  );
  const plan = {
    flows: flows.map((flow, i) => ({ name: `flow${i}`, steps: steps.get(flow) ?? [] })),
    pool: universal
      ? Array.from({ length: o.agents }, () => [UNIVERSAL])
      : specialists(flows, o.agents),
    seed: o.seed,
    say: o.say,
    signal: o.signal,
  };
  const { crashesPerMinute = 0, atOnce = flows.length } = o;
  const live =
    o.virtual === true
      ? await runVirtualFlows({ ...plan, crashesPerMinute, atOnce })
      : await runLive({ ...plan, profile: o.profile });
  const ids = flows.map((flow) => flow.tasks.map((t) => t.id));
  return { ...live, ids, report: { ...reportOf(o, flows, live), ...virtualPart(live) } };
}

/** Under crashes a step may be begun again; what counts is that it is recorded once. */
function virtualPart(live: LiveFlowResult | VirtualFlowResult): Partial<FlowReport> {
  if (!("recorded" in live)) return {};
  const { recorded, crashes, messages } = live;
  return { recorded, crashes, messages };
}

/** Agents of each category in proportion to its share of the work, at least one. */
export function specialists(flows: readonly RecordedFlow[], agents: number): string[][] {
  const work = new Map<string, number>();
  for (const { tasks } of flows) {
    for (const t of tasks) {
      const name = capabilityOf(t.category);
      work.set(name, (work.get(name) ?? 0) + Math.max(1, t.ms));
    }
  }
  const total = [...work.values()].reduce((sum, ms) => sum + ms, 0);
  return [...work].flatMap(([name, ms]) => {
    const share = Math.max(1, Math.round((ms / total) * agents));
    return Array.from({ length: share }, () => [name]);
  });
}

function reportOf(o: FlowPlan, flows: readonly RecordedFlow[], live: LiveFlowResult): FlowReport {
  const all = flows.flatMap((flow) => flow.tasks);
  const durations = all.map((t) => scaled(t, o.timeScale));
  // One graph of all workflows, for the centre that plans them together.
  let offset = 0;
  const steps = flows.flatMap((flow, f) => {
    const own = stepsOf(flow.tasks, o.timeScale, UNIVERSAL).map((s) => ({
      ...s,
      id: `${f}-${s.id}`,
      after: (s.after ?? []).map((id) => `${f}-${id}`),
    }));
    offset += own.length;
    return own;
  });
  const list = listSchedule(graphOf(steps), durations, o.agents);
  const sorted = durations.toSorted((a, b) => a - b);
  const round = (n: number) => Math.round(n * 1_000) / 1_000;
  return {
    workflows: flows.length,
    steps: offset,
    agents: o.agents,
    pool: o.pool,
    timeScale: o.timeScale,
    completed: live.states.filter((state) => state === "completed").length,
    once: live.placed.length === offset && distinct(live) === offset,
    violations: violationsOf(flows, live),
    makespanMs: Math.round(live.makespanMs),
    boundMs: Math.round(list.boundMs),
    listMs: Math.round(list.makespanMs),
    overBound: round(live.makespanMs / list.boundMs),
    overList: round(live.makespanMs / list.makespanMs),
    medianStepMs: round(sorted[sorted.length >> 1] ?? 0),
  };
}

function distinct(live: LiveFlowResult): number {
  return new Set(live.placed.map((p) => `${p.flow}/${p.step}`)).size;
}

function violationsOf(flows: readonly RecordedFlow[], live: LiveFlowResult): number {
  const times = new Map(live.placed.map((p) => [`${p.flow}/${p.step}`, p]));
  let wrong = 0;
  flows.forEach((flow, f) => {
    for (const t of flow.tasks) {
      const own = times.get(`${f}/s${t.index}`);
      for (const parent of t.parents) {
        const before = times.get(`${f}/s${parent}`);
        if (own === undefined || before === undefined || own.startMs < before.endMs) wrong++;
      }
    }
  });
  return wrong;
}

/** `task,worker,start,end`, seconds on the recorded scale; copies are told apart by a prefix. */
export function scheduleCsv(result: FlowResult): string {
  const { timeScale, workflows } = result.report;
  const seconds = (ms: number) => (ms / 1_000 / timeScale).toFixed(6);
  const rows = result.placed
    .toSorted((a, b) => a.startMs - b.startMs)
    .map((p) => {
      const id = result.ids[p.flow]?.[Number(p.step.slice(1))] ?? p.step;
      const task = workflows > 1 ? `${p.flow}/${id}` : id;
      return `${quoted(task)},${p.agent},${seconds(p.startMs)},${seconds(p.endMs)}`;
    });
  return `task,worker,start,end\n${rows.join("\n")}\n`;
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
