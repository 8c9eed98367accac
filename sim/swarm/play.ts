// One seed of the swarm: played, judged, and, when something is wrong, made small.
import { IMPOSSIBLE_SHARE } from "../virtual/arrivals.ts";
import { commandOf, optionsOf, type VirtualFlags } from "../virtual/flags.ts";
import { runVirtual } from "../virtual/run.ts";
import type { VirtualRun } from "../virtual/run-types.ts";
import { drawRun } from "./draw.ts";

export interface Played {
  seed: number;
  /** What was broken first; absent: nothing. */
  wrong?: Wrong;
  completed: number;
  faults: number;
  events: number;
  worldMs: number;
  realMs: number;
  /** How often each rule had something to judge. */
  judged: Readonly<Record<string, number>>;
  /** Every task at its end after the last fault, ms of world time. */
  livenessMs: number;
}

export interface Wrong {
  /** `S1` to `S16`, `L1`, `L2`, or what this file calls it: `lost`, `told`, `undone`. */
  rule: string;
  what: string;
  witness: string[];
}

/** Many times what such runs have. */
const EVENTS_MAX = 1_000_000;
/** Tries that making a failing run smaller may take. */
const SHRINK_MAX = 60;

export async function playSeed(seed: number): Promise<Played> {
  return play(drawRun(seed), seed);
}

export async function play(flags: VirtualFlags, seed: number): Promise<Played> {
  const begun = performance.now();
  try {
    const run = await runVirtual({
      ...optionsOf(flags),
      check: true,
      baselineRuns: 1,
      eventsMax: EVENTS_MAX,
    });
    const wrong = wrongIn(run) ?? undone(run, flags);
    return {
      seed,
      ...(wrong === undefined ? {} : { wrong }),
      completed: run.report.tasks.completed,
      faults: Object.values(run.faults).reduce((a, b) => a + b, 0),
      events: run.events,
      worldMs: run.worldMs,
      realMs: run.realMs,
      judged: run.verdict?.report.judged ?? {},
      livenessMs: run.liveness.ms,
    };
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    const witness = error instanceof Error ? (error.stack ?? "").split("\n").slice(1, 8) : [];
    const realMs = performance.now() - begun;
    const nothing = { completed: 0, faults: 0, events: 0, worldMs: 0, judged: {}, livenessMs: 0 };
    return { seed, wrong: { rule: "error", what, witness }, ...nothing, realMs };
  }
}

function wrongIn(run: VirtualRun): Wrong | undefined {
  const { verdict, report, pending } = run;
  const broken = verdict?.report.violations[0];
  if (verdict?.first !== undefined) {
    const { rule } = verdict.first;
    // One task stands for all of a rule, and its witness is not that of the others.
    const shown = verdict.report.violations.find((v) => v.rule === rule);
    const { task, what } = shown ?? verdict.first;
    return { rule, what: `${task}: ${what}`, witness: shown?.witness ?? [] };
  }
  if (broken !== undefined) {
    return { rule: broken.rule, what: `${broken.task}: ${broken.what}`, witness: broken.witness };
  }
  if (pending.length > 0) {
    return { rule: "open", what: `${pending.length} tasks after all faults`, witness: pending };
  }
  const { told } = run;
  if (told.wrong.length > 0) {
    return { rule: "told", what: told.wrong[0] as string, witness: told.wrong };
  }
  if (told.late.length > 0) {
    const what = `${told.late.length} ends that no submitter knows of`;
    return { rule: "untold", what, witness: told.late };
  }
  for (const rule of ["lost", "duplicated"] as const) {
    if (report.tasks[rule] > 0) return { rule, what: String(report.tasks[rule]), witness: [] };
  }
  return undefined;
}

/** Of the tasks that nothing was meant to end otherwise; the least of 160 seeds was 0.88. */
const DONE_SHARE_MIN = 0.7;
/** So few may fail by chance in a run of few tasks. */
const UNDONE_FEW = 3;

/** Every rule holds where every task fails at once; this is what the mesh is for. */
function undone({ report }: VirtualRun, { faults }: VirtualFlags): Wrong | undefined {
  const { poison = 0, cancel = 0, hasty = 0, needs = 0 } = faults;
  const { submitted, completed } = report.tasks;
  const about =
    submitted * (1 - poison) * (1 - cancel) * (1 - hasty) * (1 - needs * IMPOSSIBLE_SHARE);
  if (completed >= DONE_SHARE_MIN * about - UNDONE_FEW) return undefined;
  const what = `${completed} of about ${Math.round(about)} tasks were completed`;
  return { rule: "undone", what, witness: [JSON.stringify(report.tasks)] };
}

export interface Shrunk {
  flags: VirtualFlags;
  wrong: Wrong;
  command: string;
}

/** The smallest run found that breaks the same rule. */
export async function shrink(seed: number, wrong: Wrong): Promise<Shrunk> {
  let best: Shrunk = { flags: drawRun(seed), wrong, command: "" };
  let tries = 0;
  for (let smaller = true; smaller && tries < SHRINK_MAX; ) {
    smaller = false;
    for (const flags of candidates(best.flags)) {
      if (++tries > SHRINK_MAX) break;
      const again = await play(flags, seed);
      if (again.wrong?.rule !== wrong.rule) continue;
      best = { flags, wrong: again.wrong, command: "" };
      smaller = true;
      break;
    }
  }
  return { ...best, command: commandOf(best.flags) };
}

/** Smaller ones first: what is cut off in one step need not be tried in many. */
function* candidates(f: VirtualFlags): Generator<VirtualFlags> {
  for (const name of Object.keys(f.faults) as (keyof VirtualFlags["faults"])[]) {
    const { [name]: _, ...faults } = f.faults;
    yield { ...f, faults };
  }
  const { tasks = 1, agents, initiators = 1 } = f;
  for (const share of [0.25, 0.5, 0.8]) {
    const fewer = Math.max(1, Math.floor(tasks * share));
    if (fewer < tasks) yield { ...f, tasks: fewer };
  }
  const few = Math.max(1, Math.floor(agents / 2));
  const perHost = Math.min(few, f.agentsPerHost ?? few);
  if (few < agents) yield { ...f, agents: few, agentsPerHost: perHost };
  if (initiators > 1) yield { ...f, initiators: initiators - 1 };
  if (f.signing) yield { ...f, signing: false };
  if (f.pool === "mixed") yield { ...f, pool: "uniform" };
}
