// What is wrong with a definition: all of it at once, each with the place and what to do.
import type { Step, Workflow } from "../../../contracts/index.ts";
import { cycles, type Graph, graphOf, needs } from "./graph.ts";
import { refsIn, stepOf } from "./template.ts";

export interface Problem {
  /** Where: `steps.3.after`. */
  path: string;
  problem: string;
  /** What to do about it. */
  fix: string;
}

const ROOTS = ["params", "steps", "item", "index", "last", "round"];

/** @param offered capabilities that somebody offers now; undefined: not known */
export function checkWorkflow(w: Workflow, offered?: ReadonlySet<string>): Problem[] {
  const found: Problem[] = [];
  const first = new Map<string, number>();
  w.steps.forEach((step, i) => {
    const at = first.get(step.id);
    if (at === undefined) first.set(step.id, i);
    else {
      found.push({
        path: `steps.${i}.id`,
        problem: `"${step.id}" is the id of steps.${at} too`,
        fix: `give it another one, such as "${step.id}-${i}"`,
      });
    }
  });
  for (const [i, step] of w.steps.entries()) checkStep(w, step, i, first, offered, found);
  for (const [name, template] of [
    ["output", w.output],
    ["onExit.input", w.onExit?.input],
  ] as const) {
    for (const path of refsIn(template)) {
      const allowed = name === "output" ? [] : ["state", "failure"];
      checkRef(path, name, first, allowed, w, found);
    }
  }
  const graph = graphOf(w.steps);
  for (const group of cycles(graph)) found.push(cycleProblem(w, graph, group));
  return found;
}

function checkStep(
  w: Workflow,
  step: Step,
  i: number,
  known: ReadonlyMap<string, number>,
  offered: ReadonlySet<string> | undefined,
  found: Problem[],
): void {
  const here = `steps.${i}`;
  for (const id of step.after ?? []) {
    if (known.has(id)) continue;
    found.push({
      path: `${here}.after`,
      problem: `"${step.id}" comes after "${id}", which is no step`,
      fix: `${closest(id, known.keys())}, or take it out`,
    });
  }
  for (const [name, template, more] of [
    ["input", step.input, []],
    ["when", step.when, []],
    ["each.in", step.each?.in, []],
    ["repeat.until", step.repeat?.until, []],
    ["compensate.input", step.compensate?.input, ["output"]],
  ] as const) {
    for (const path of refsIn(template)) {
      checkRef(path, `${here}.${name}`, known, more, w, found);
    }
  }
  if (step.each !== undefined && step.repeat !== undefined) {
    found.push({
      path: here,
      problem: `"${step.id}" is a map and a loop at once`,
      fix: "make the loop a workflow of its own, and map over that",
    });
  }
  const wanted = [step.capability, step.compensate?.capability].filter((c) => c !== undefined);
  for (const capability of offered === undefined ? [] : wanted) {
    if (offered?.has(capability)) continue;
    found.push({
      path: `${here}.capability`,
      problem: `nobody offers "${capability}"`,
      fix: `${closest(capability, offered ?? [])}, or start an agent that does`,
    });
  }
}

function checkRef(
  path: string,
  where: string,
  known: ReadonlyMap<string, number>,
  more: readonly string[],
  w: Workflow,
  found: Problem[],
): void {
  const [root = ""] = path.split(".");
  const id = stepOf(path);
  if (id !== undefined && !known.has(id)) {
    found.push({
      path: where,
      problem: `{"$": "${path}"} names the step "${id}", which there is not`,
      fix: closest(id, known.keys()),
    });
  } else if (root === "" || (!ROOTS.includes(root) && !more.includes(root))) {
    found.push({
      path: where,
      problem: `{"$": "${path}"} begins with "${root}"`,
      fix: `begin with one of ${[...ROOTS, ...more].join(", ")}`,
    });
  } else if (id !== undefined && w.steps[known.get(id) as number]?.each === undefined) {
    const third = path.split(".")[2];
    if (third === undefined || third === "output" || third === "state") return;
    found.push({
      path: where,
      problem: `{"$": "${path}"}: a step has output and state, not "${third}"`,
      fix: `write {"$": "steps.${id}.output.${third}"}`,
    });
  }
}

/** A cycle by the names of its members, and three ways out. */
function cycleProblem(w: Workflow, g: Graph, group: readonly number[]): Problem {
  const names = group.map((i) => w.steps[i]?.id ?? "");
  const inside = new Set(group);
  const edges = group.flatMap((to) =>
    (g.before[to] ?? []).filter((from) => inside.has(from)).map((from) => ({ from, to })),
  );
  // The weakest: an order that is asked for and carries no value.
  const weak = edges.find(({ from, to }) => !carries(w, from, to)) ?? edges[0];
  const from = w.steps[weak?.from ?? 0]?.id;
  const to = w.steps[weak?.to ?? 0]?.id;
  return {
    path: "steps",
    problem: `${names.join(" → ")} → ${names[0]} wait for each other`,
    fix:
      `let "${to}" no longer come after "${from}", turn that round ("${from}" after "${to}"), ` +
      `or make one step of ${names.map((n) => `"${n}"`).join(" and ")}`,
  };
}

/** Does a value go from one step to the other? */
function carries(w: Workflow, from: number, to: number): boolean {
  const { after: _, ...rest } = w.steps[to] as Step;
  return needs(rest).includes(w.steps[from]?.id ?? "");
}

/** "did you mean": the known name with the fewest differences. */
function closest(name: string, known: Iterable<string>): string {
  let best: string | undefined;
  let least = Math.floor(name.length / 2) + 1;
  for (const each of known) {
    const d = distance(name, each, least);
    if (d < least) {
      least = d;
      best = each;
    }
  }
  return best === undefined ? "name one that there is" : `perhaps "${best}"`;
}

/** Edits between two names (Levenshtein), at most `most`. */
function distance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) >= most) return most;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row.at(-1) as number;
}
