// The graph of a definition: who comes after whom, cycles, and how urgent each step is.
import type { Step } from "../../../contracts/index.ts";
import { refsIn, stepOf } from "./template.ts";

export interface Graph {
  /** Steps that must have ended before, by index; each once. */
  before: number[][];
  after: number[][];
  index: Map<string, number>;
}

/** Steps that a step waits for: those named, and those that it takes values from. */
export function needs(step: Step): string[] {
  const refs = refsIn([step.input, step.when, step.each?.in, step.compensate?.input]);
  const named = refs.map(stepOf).filter((id) => id !== undefined && id !== step.id);
  return [...new Set([...(step.after ?? []), ...(named as string[])])];
}

/** Names that lead nowhere are left out: the check tells of them. */
export function graphOf(steps: readonly Step[]): Graph {
  const index = new Map(steps.map((step, i) => [step.id, i]));
  const before: number[][] = steps.map((step) =>
    needs(step)
      .map((id) => index.get(id))
      .filter((i) => i !== undefined),
  );
  const after: number[][] = steps.map(() => []);
  before.forEach((list, i) => {
    for (const b of list) after[b]!.push(i);
  });
  return { before, after, index };
}

/** An order in which every step comes after those that it needs; shorter than the graph when a
 * cycle keeps the rest out. */
export function ordered(g: Graph): number[] {
  const open = g.before.map((list) => list.length);
  const order = open.flatMap((n, i) => (n === 0 ? [i] : []));
  for (let at = 0; at < order.length; at++) {
    for (const next of g.after[order[at]!]!) {
      open[next]!--;
      if (open[next] === 0) order.push(next);
    }
  }
  return order;
}

/** Groups of steps that wait for each other (Tarjan 1972, without recursion). */
export function cycles(g: Graph): number[][] {
  const n = g.before.length;
  const low = new Int32Array(n);
  const number = new Int32Array(n);
  const onStack = new Uint8Array(n);
  const stack: number[] = [];
  const found: number[][] = [];
  let counter = 0;
  for (let root = 0; root < n; root++) {
    if (number[root] !== 0) continue;
    const work: [node: number, next: number][] = [[root, 0]];
    while (work.length > 0) {
      const frame = work.at(-1)!;
      const [v, next] = frame;
      if (next === 0) {
        number[v] = low[v] = ++counter;
        stack.push(v);
        onStack[v] = 1;
      }
      const w = g.after[v]![next];
      if (w !== undefined) {
        frame[1]++;
        if (number[w] === 0) work.push([w, 0]);
        else if (onStack[w] === 1) low[v] = Math.min(low[v]!, number[w]!);
        continue;
      }
      work.pop();
      const up = work.at(-1);
      if (up !== undefined) low[up[0]] = Math.min(low[up[0]]!, low[v]!);
      if (low[v] !== number[v]) continue;
      const group: number[] = [];
      for (;;) {
        const member = stack.pop()!;
        onStack[member] = 0;
        group.push(member);
        if (member === v) break;
      }
      if (group.length > 1 || g.after[v]!.includes(v)) found.push(group.reverse());
    }
  }
  return found;
}

/** Longest way from the beginning of each step to the end, ms. Steps in a cycle get 0. */
export function ranks(g: Graph, durationMs: (i: number) => number): number[] {
  const rank = g.before.map(() => 0);
  for (const i of ordered(g).reverse()) {
    let longest = 0;
    for (const next of g.after[i]!) longest = Math.max(longest, rank[next]!);
    rank[i] = longest + durationMs(i);
  }
  return rank;
}
