// One run of a workflow, as a state machine: which steps may begin, what a failure undoes, how it
// ends. Whoever drives it makes a task of every effect and tells how it ended.
//
// Phases: running -> closed
//         running -> stopping -> undoing -> exiting -> closed     (a step failed, or: stop)
//
// Invariants
//   W1  A step begins only after everything that it needs has ended (S9).
//   W2  After a failure no step begins; what completed is undone, last first, one at a time.
//   W3  What is to be undone is settled once, before the first undoing begins: whoever carries on
//       is given that list and adds nothing to it.
//   W4  A change touches no step that has begun.
//   W5  Of a map or a loop that did not come to its end, what completed is undone as well.
//   W6  Whoever carries on does not know how far its predecessor had come: after a failure it walks
//       on, and only looks for what was begun. Nothing is judged before that is known.
import type { Failure, Step, Workflow, WorkflowChange } from "../../../contracts/index.ts";
import { changed } from "./change.ts";
import { checkWorkflow, type Problem } from "./check.ts";
import { type Graph, graphOf, ranks } from "./graph.ts";
import { fill, holds, type Scope } from "./template.ts";

/** A task to be made. `key` is unique in the run and the same whenever the run is repeated. */
export interface TaskWish {
  key: string;
  /** The step that it belongs to; undefined for undoing and for the exit. */
  step: Step | undefined;
  capability: string;
  input: unknown;
  rank: number;
  /** Not to be made: did a predecessor make it, and how does it end? */
  look?: boolean;
}

/** A task that undoes a step, or ends the run. */
export type Duty = Pick<TaskWish, "key" | "capability" | "input">;

export interface Verdict {
  failure: Failure;
  /** Last first. */
  undo: Duty[];
}

export type RunEffect =
  | { do: "task"; wish: TaskWish }
  /** Stop what runs. */
  | { do: "cancel"; keys: string[] }
  /** To be kept before anything else is done. */
  | { do: "verdict"; verdict: Verdict }
  /** After `leave`: what is still to be done by somebody else, in this order. */
  | { do: "handOver"; duties: Duty[] }
  | { do: "end"; output: unknown; failure: Failure | undefined };

export interface TaskEnd {
  state: string;
  output?: unknown;
  failure?: Failure | undefined;
}

type Phase = "running" | "stopping" | "undoing" | "exiting" | "closed";

interface StepState {
  state: "pending" | "running" | "completed" | "skipped" | "failed" | "canceled";
  output: unknown;
  /** Of a map: the elements, and the next one to begin. */
  items: readonly unknown[];
  next: number;
  open: number;
  round: number;
  /** Elements or rounds that completed. */
  parts: number[];
}

export class WorkflowRun {
  #workflow: Workflow;
  readonly out: RunEffect[] = [];
  #graph: Graph;
  #ranks: number[];
  readonly #scope: Scope;
  readonly #steps: StepState[];
  #waits: number[];
  /** Keys of tasks under way, and the step of each. */
  readonly #open = new Map<string, number>();
  /** Steps in the order of their completion. */
  readonly #done: number[] = [];
  readonly #ready: number[] = [];
  #left: number;
  #phase: Phase = "running";
  #verdict: Verdict | undefined;
  #undone = 0;
  #started = false;
  /** Why whoever runs this may do nothing more. */
  #leaving: string | undefined;
  #succeeds = false;

  /** @param given outputs of steps that are done already, by id */
  constructor(
    workflow: Workflow,
    params: Readonly<Record<string, unknown>> = {},
    given: Readonly<Record<string, unknown>> = {},
  ) {
    this.#workflow = workflow;
    this.#graph = graphOf(workflow.steps);
    this.#ranks = ranksOf(workflow, this.#graph);
    this.#scope = { params: { ...workflow.params, ...params }, steps: {} };
    this.#steps = workflow.steps.map(pending);
    this.#waits = this.#graph.before.map((list) => list.length);
    this.#left = workflow.steps.length;
    for (const [id, output] of Object.entries(given)) {
      const i = this.#graph.index.get(id);
      if (i !== undefined) this.#complete(i, "completed", output);
    }
    // Whoever did them is the one to undo them.
    this.#done.length = 0;
    this.#ready.length = 0;
  }

  /** As it is now, changes included. */
  get workflow(): Workflow {
    return this.#workflow;
  }

  get phase(): Phase {
    return this.#phase;
  }

  stateOf(id: string): string {
    return this.#steps[this.#graph.index.get(id) ?? -1]?.state ?? "unknown";
  }

  /**
   * @param verdict of whoever ran this before: carries on with the undoing
   * @param succeeds somebody may have run this before, and come further
   */
  start(verdict?: Verdict, succeeds = false): void {
    this.#started = true;
    this.#succeeds = succeeds;
    if (verdict !== undefined) {
      this.#verdict = verdict;
      return this.#undoNext();
    }
    this.#waits.forEach((n, i) => {
      if (n === 0 && this.#stepAt(i).state === "pending") this.#ready.push(i);
    });
    if (this.#leaving !== undefined) return this.stop(this.#leaving);
    this.#proceed();
  }

  /** Begins nothing more, and undoes what was done. Nothing happens when it is ending anyway. */
  stop(reason: string): void {
    if (this.#phase !== "running" || !this.#started) return;
    this.#verdict = { failure: { code: "E_CANCELED", message: reason, retry: false }, undo: [] };
    this.#halt();
    this.#proceed();
  }

  /** Whoever runs this may do nothing more (it was canceled): stops, and hands over the rest. May
   * come before `start`. */
  leave(reason: string): void {
    this.#leaving = reason;
    this.stop(reason);
  }

  /** Before or after `start`. Gives what is wrong with it; then nothing has changed. */
  change(change: WorkflowChange): Problem[] {
    const drop = new Set(change.drop);
    const replaced = (change.replace ?? []).map((step) => step.id);
    if (this.#phase !== "running") {
      const fix = "submit a workflow of its own for what is still to be done";
      return [{ path: "", problem: "this workflow is about to end", fix }];
    }
    const problems: Problem[] = [];
    for (const id of [...drop, ...replaced]) {
      const state = this.stateOf(id);
      if (state === "pending") continue;
      const problem = state === "unknown" ? `there is no step "${id}"` : `"${id}" is ${state}`;
      problems.push({ path: id, problem, fix: "name steps that have not begun" });
    }
    const next = changed(this.#workflow, change);
    problems.push(...checkWorkflow(next));
    if (problems.length > 0) return problems;
    this.#adopt(next);
    for (const id of drop)
      this.#complete(this.#graph.index.get(id) as number, "skipped", undefined);
    if (this.#started) this.#proceed();
    return [];
  }

  #adopt(next: Workflow): void {
    const more = next.steps.length - this.#workflow.steps.length;
    this.#workflow = next;
    this.#graph = graphOf(next.steps);
    this.#ranks = ranksOf(next, this.#graph);
    for (let n = 0; n < more; n++) this.#steps.push(pending());
    this.#left += more;
    const over = (i: number) => ["completed", "skipped"].includes(this.#stepAt(i).state);
    this.#waits = this.#graph.before.map((list) => list.filter((i) => !over(i)).length);
    this.#ready.length = 0;
    if (!this.#started) return;
    this.#waits.forEach((n, i) => {
      if (n === 0 && this.#stepAt(i).state === "pending") this.#ready.push(i);
    });
  }

  /** A task of this run ended. Unknown keys are ignored: it was canceled meanwhile. */
  ended(key: string, end: TaskEnd): void {
    const i = this.#open.get(key);
    if (i === undefined) return;
    this.#open.delete(key);
    if (this.#phase === "undoing") return this.#undoEnded(key, end);
    if (this.#phase === "exiting") return this.#exitEnded(end);
    if (end.state === "completed") this.#taskDone(i, key, end.output);
    else if (this.#phase === "running") this.#fail(i, end);
    else this.#stepAt(i).state = "canceled";
    this.#proceed();
  }

  /** May steps be begun, be it only to look for them? */
  get #walks(): boolean {
    return this.#phase === "running" || (this.#phase === "stopping" && this.#succeeds);
  }

  #stepAt(i: number): StepState {
    return this.#steps[i] as StepState;
  }

  #step(i: number): Step {
    return this.#workflow.steps[i] as Step;
  }

  #begin(i: number): void {
    const step = this.#step(i);
    if (step.when !== undefined && !holds(step.when, this.#scope)) {
      return this.#complete(i, "skipped", undefined);
    }
    const s = this.#stepAt(i);
    s.state = "running";
    if (step.each === undefined) return this.#task(i, this.#key(i), {});
    const items = fill(step.each.in, this.#scope);
    if (!Array.isArray(items)) {
      const message = `step "${step.id}": {"$": "${step.each.in.$}"} is no list`;
      return this.#fail(i, {
        state: "failed",
        failure: { code: "E_INPUT", message, retry: false },
      });
    }
    s.items = items;
    s.output = new Array(items.length).fill(null);
    if (items.length === 0) return this.#complete(i, "completed", []);
    const atOnce = Math.min(items.length, step.each.atOnce ?? items.length);
    for (let n = 0; n < atOnce; n++) this.#element(i);
  }

  #element(i: number): void {
    const s = this.#stepAt(i);
    const index = s.next++;
    s.open++;
    this.#task(i, `${this.#step(i).id}.${index}`, { item: s.items[index], index });
  }

  #key(i: number): string {
    const { round } = this.#stepAt(i);
    const { id } = this.#step(i);
    return round === 0 ? id : `${id}:${round}`;
  }

  #task(i: number, key: string, more: Record<string, unknown>): void {
    const step = this.#step(i);
    const scope = { ...this.#scope, round: this.#stepAt(i).round, ...more };
    const input = step.input === undefined ? (more.item ?? {}) : fill(step.input, scope);
    const { capability } = step;
    const look = this.#phase === "stopping" ? { look: true } : {};
    this.#open.set(key, i);
    this.out.push({
      do: "task",
      wish: { key, step, capability, input, rank: this.#ranks[i] as number, ...look },
    });
  }

  #taskDone(i: number, key: string, output: unknown): void {
    const step = this.#step(i);
    const s = this.#stepAt(i);
    if (step.each !== undefined) {
      const index = Number(key.slice(step.id.length + 1));
      (s.output as unknown[])[index] = output ?? null;
      s.parts.push(index);
      s.open--;
      if (this.#walks && s.next < s.items.length) return this.#element(i);
      if (s.open > 0) return;
      const whole = s.next >= s.items.length;
      return this.#complete(i, whole ? "completed" : "canceled", s.output);
    }
    if (step.repeat !== undefined) {
      s.output = output;
      s.parts.push(s.round);
    }
    if (step.repeat !== undefined && this.#walks) {
      const scope = { ...this.#scope, last: output ?? null, round: s.round };
      if (!holds(step.repeat.until, scope)) {
        if (++s.round < step.repeat.rounds) return this.#task(i, this.#key(i), { last: output });
        const message = `step "${step.id}" did not hold after ${s.round} rounds`;
        return this.#fail(i, {
          state: "failed",
          failure: { code: "E_TERMINAL", message, retry: false },
        });
      }
    }
    this.#complete(i, "completed", output);
  }

  #complete(i: number, state: StepState["state"], output: unknown): void {
    const s = this.#stepAt(i);
    s.state = state;
    s.output = output;
    this.#left--;
    (this.#scope.steps as Record<string, unknown>)[this.#step(i).id] = {
      state,
      output: output ?? null,
    };
    if (state === "completed") this.#done.push(i);
    for (const next of this.#graph.after[i] ?? []) {
      this.#waits[next] = (this.#waits[next] as number) - 1;
      if (this.#waits[next] === 0) this.#ready.push(next);
    }
  }

  /** Begins what may begin, the longest way to the end first; a row of skipped steps is walked
   * here, not on the stack. */
  #proceed(): void {
    const rank = (i: number) => this.#ranks[i] as number;
    if (this.#ready.length > 1) this.#ready.sort((a, b) => rank(b) - rank(a));
    for (let at = 0; at < this.#ready.length && this.#walks; at++) {
      const i = this.#ready[at] as number;
      if (this.#stepAt(i).state === "pending") this.#begin(i);
    }
    this.#ready.length = 0;
    if (this.#phase === "running" && this.#left === 0) this.#exit();
    if (this.#phase === "stopping" && this.#open.size === 0) this.#judge();
  }

  #fail(i: number, end: TaskEnd): void {
    this.#stepAt(i).state = "failed";
    if (this.#phase !== "running") return;
    const { id } = this.#step(i);
    const why = end.failure?.message ?? end.state;
    this.#verdict = {
      failure: {
        code: end.failure?.code ?? "E_HANDLER",
        message: `step "${id}" ${end.state}: ${why}`,
        retry: false,
      },
      undo: [],
    };
    this.#halt();
  }

  /** What comes of it is judged by `#proceed`. */
  #halt(): void {
    this.#phase = "stopping";
    if (this.#open.size > 0) this.out.push({ do: "cancel", keys: [...this.#open.keys()] });
  }

  /** Everything has come to rest: what is to be undone is known now. */
  #judge(): void {
    const verdict = this.#verdict as Verdict;
    for (const i of [...this.#done, ...this.#halfWay()].toReversed()) {
      const { id, compensate } = this.#step(i);
      if (compensate === undefined) continue;
      const output = this.#outputToUndo(i);
      const input = fill(compensate.input ?? { $: "output" }, { ...this.#scope, output });
      verdict.undo.push({ key: `${id}~undo`, capability: compensate.capability, input });
    }
    if (this.#leaving === undefined) this.out.push({ do: "verdict", verdict });
    this.#undoNext();
  }

  /** Steps that ended in the middle: some of their elements or rounds completed. */
  #halfWay(): number[] {
    const is = ({ state, parts }: StepState) =>
      (state === "failed" || state === "canceled") && parts.length > 0;
    return [...this.#steps.keys()].filter((i) => is(this.#stepAt(i)));
  }

  /** Of a map that ended in the middle: the outputs of those elements that completed. */
  #outputToUndo(i: number): unknown {
    const { state, output, parts } = this.#stepAt(i);
    if (state === "completed" || this.#step(i).each === undefined) return output ?? null;
    return parts.toSorted((a, b) => a - b).map((n) => (output as unknown[])[n]);
  }

  #undoNext(): void {
    const verdict = this.#verdict as Verdict;
    if (this.#leaving !== undefined) return this.#handOver();
    const next = verdict.undo[this.#undone];
    if (next === undefined) return this.#exit();
    this.#phase = "undoing";
    this.#open.set(next.key, -1);
    this.out.push({ do: "task", wish: { ...next, step: undefined, rank: 0 } });
  }

  #handOver(): void {
    const { undo, failure } = this.#verdict as Verdict;
    const duties = undo.slice(this.#undone);
    const { onExit } = this.#workflow;
    if (onExit !== undefined) duties.push(this.#exitDuty(onExit, failure));
    this.#phase = "closed";
    this.out.push({ do: "handOver", duties });
  }

  #undoEnded(key: string, end: TaskEnd): void {
    // Cut short with everything else: it is still to be done.
    const isCut = this.#leaving !== undefined && end.state !== "completed";
    if (isCut) return this.#handOver();
    const { failure } = this.#verdict as Verdict;
    if (end.state !== "completed") {
      failure.message += `; ${key} ${end.state}: ${end.failure?.message ?? ""}`;
    }
    this.#undone++;
    this.#undoNext();
  }

  #exit(): void {
    const { onExit } = this.#workflow;
    if (onExit === undefined) return this.#close();
    this.#phase = "exiting";
    const duty = this.#exitDuty(onExit, this.#verdict?.failure);
    this.#open.set(duty.key, -1);
    this.out.push({ do: "task", wish: { ...duty, step: undefined, rank: 0 } });
  }

  #exitEnded(end: TaskEnd): void {
    const { onExit } = this.#workflow;
    // Cut short: it is still to be done.
    const isCut = this.#leaving !== undefined && end.state !== "completed";
    if (!isCut || onExit === undefined) return this.#close();
    const duty = this.#exitDuty(onExit, this.#verdict?.failure);
    this.#phase = "closed";
    this.out.push({ do: "handOver", duties: [duty] });
  }

  #exitDuty(onExit: NonNullable<Workflow["onExit"]>, failure: Failure | undefined): Duty {
    const state = failure === undefined ? "completed" : "failed";
    const scope = { ...this.#scope, state, failure: failure ?? null };
    const input = fill(onExit.input ?? { state: { $: "state" } }, scope);
    return { key: "~exit", capability: onExit.capability, input };
  }

  #close(): void {
    this.#phase = "closed";
    const failure = this.#verdict?.failure;
    const output = failure === undefined ? this.#output() : undefined;
    this.out.push({ do: "end", output, failure });
  }

  #output(): unknown {
    if (this.#workflow.output !== undefined) return fill(this.#workflow.output, this.#scope);
    const last = this.#workflow.steps.filter((_, i) => this.#graph.after[i]?.length === 0);
    return Object.fromEntries(last.map(({ id }) => [id, this.#scope.steps[id]?.output ?? null]));
  }
}

function ranksOf(workflow: Workflow, graph: Graph): number[] {
  return ranks(graph, (i) => workflow.steps[i]?.durationMs ?? 1_000);
}

function pending(): StepState {
  return { state: "pending", output: undefined, items: [], next: 0, open: 0, round: 0, parts: [] };
}
