// Workflows: a definition is run by whoever holds the contract of its task. Every step is a
// sub-task under an id that follows from the step, so the next contractor finds what was done.
import { z } from "zod";
import {
  CHANGE_KEY,
  CLOCKS_DIFFER_MS,
  changeKey,
  type Failure,
  type FailureCode,
  type KeptChange,
  KeptChangeSchema,
  type Outcome,
  ParleyError,
  STOP_KEY,
  WORKFLOW,
  type Workflow,
  WorkflowSchema,
} from "../contracts/index.ts";
import { type Duty, type TaskWish, type Verdict, WorkflowRun } from "../mesh/core/workflow/run.ts";
import { defineCapability, untyped } from "./capability.ts";
import type { TaskContext } from "./context.ts";
import { subTaskId } from "./durable-run.ts";
import { TerminalError } from "./errors.ts";
import type { Mesh } from "./mesh.ts";
import { optionsOfTerms, type SubmitOptions, UNDOES } from "./options.ts";
import { untilItPasses } from "./passing.ts";
import { readWorkflow } from "./read-workflow.ts";
import type { ServeOptions } from "./serve-options.ts";

/** Runs a definition that comes with its input. */
export const workflow = defineCapability({
  name: WORKFLOW,
  description: "runs a workflow: a graph of steps, each a task for some capability",
  input: z.object({
    definition: WorkflowSchema.optional(),
    /** Instead: a stored one, `ann.report` (the newest) or `ann.report@1.2.0`. */
    use: z.string().max(256).optional(),
    params: z.record(z.string(), z.unknown()).optional(),
    /** Outputs of steps, by id, that were done before and are not done again. */
    given: z.record(z.string(), z.unknown()).optional(),
    /** The steps undo what another workflow did: all are done, in their order, whatever fails. */
    undo: z.boolean().optional(),
  }),
  output: z.unknown(),
});

/** Workflows of one conductor: they wait for others nearly all the time, also for workflows, which
 * need slots of their own. Guess. */
const AT_A_TIME = 1_000;

/** Takes workflows: this agent runs their graphs, other agents (or it itself) their steps. */
export function serveWorkflows(mesh: Mesh, options: ServeOptions = {}): Promise<void> {
  return mesh.serve(
    workflow,
    async ({ definition, use, params = {}, given = {}, undo: undoing = false }, task) => {
      const found = await definitionOf(mesh, definition, use, task);
      const handOver = (duties: readonly Duty[]) => undo(mesh, task, duties);
      const host = Object.defineProperty({ ...task, handOver }, "budgetLeft", {
        get: () => task.budgetLeft,
      });
      const read = readWorkflow(found);
      if (undoing) return undoAll(read, params, host);
      return runWorkflow(read, params, host, given);
    },
    { slots: AT_A_TIME, ...options },
  );
}

/** A workflow of this agent's own, since the canceled task gives no authority any more. It is made
 * once: under an id that follows from the task's. */
async function undo(
  mesh: Mesh,
  { owner, task }: Pick<TaskContext, "owner" | "task">,
  duties: readonly Duty[],
): Promise<void> {
  if (duties.length === 0) return;
  const steps = duties.map(({ capability }, i) => ({
    id: `undo-${i}`,
    capability,
    input: { $: `params.${i}` },
    ...(i === 0 ? {} : { after: [`undo-${i - 1}`] }),
  }));
  const params = Object.fromEntries(duties.map(({ input }, i) => [i, input]));
  const definition = { v: 1 as const, kind: "workflow" as const, name: "undo", steps };
  const again = { task: subTaskId(owner, task, "~undo"), retry: { attempts: 10 } };
  await mesh.submit(workflow, { definition, params, undo: true }, again).catch((error: unknown) => {
    // An earlier contractor handed over what it knew of: one undoing is enough.
    if (!(error instanceof ParleyError) || error.code !== "E_TAKEN") throw error;
  });
}

/** One that fails costs the others nothing, as in the workflow that it was left by. */
async function undoAll(
  definition: Workflow,
  params: Readonly<Record<string, unknown>>,
  task: WorkflowHost,
): Promise<unknown> {
  const undo = definition.steps.map(({ id: key, capability }, i) => ({
    key,
    capability,
    input: params[i],
  }));
  const begun = "not undone";
  const failure: Failure = { code: "E_HANDLER", message: begun, retry: false };
  // Its own steps are never begun: it starts where an ordinary one has failed.
  const driver = new Driver(new WorkflowRun(definition, params), task, { failure, undo });
  try {
    return await driver.drive();
  } catch (error) {
    if (error instanceof ParleyError && error.message === begun) return {};
    throw error;
  }
}

/** A stored one is kept as it was found: the next contractor runs the same version. */
async function definitionOf(
  mesh: Mesh,
  definition: Workflow | undefined,
  use: string | undefined,
  task: Pick<TaskContext, "step">,
): Promise<Workflow> {
  if (definition !== undefined) return definition;
  if (use === undefined) throw new TerminalError("give a definition, or the name of a stored one");
  const load = async () => (await mesh.definitions()).get(use);
  return task.step("definition", load, { key: "definition" });
}

/** Runs a definition inside a handler. @throws ParleyError E_TERMINAL when a step failed. */
export async function runWorkflow(
  definition: Workflow,
  params: Readonly<Record<string, unknown>>,
  task: WorkflowHost,
  given: Readonly<Record<string, unknown>> = {},
): Promise<unknown> {
  const run = new WorkflowRun(definition, params, given);
  const driver = new Driver(run, task);
  return driver.drive();
}

/** What a run needs of its handler's context. */
export type WorkflowHost = Pick<
  TaskContext,
  "submit" | "find" | "step" | "recall" | "hear" | "signal" | "progress" | "epoch"
> & {
  /** Sees to it that what a workflow leaves to undo that was canceled, or whose deadline passed, is
   * done; without it nobody does. */
  handOver?: (duties: readonly Duty[]) => Promise<void>;
  /** By another clock than this machine's. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
} & Partial<Pick<TaskContext, "budgetLeft" | "deadline">>;

/** Steps that are being stored at a time: of hundreds that may begin at once, the first are put out
 * to tender while the others are still on their way. Guess. */
const STORED_AT_ONCE = 8;
/** For the output of a step that completed; after two minutes it is lost. Guess. */
const OUTPUT_TRIES = 20;
const HAND_OVER_TRIES = 20;

const TIME_IS_UP = "the deadline has passed";
/** Reasons for which nobody goes on with a workflow. */
const OVER: readonly FailureCode[] = ["E_CANCELED", "E_DEADLINE"];

class Driver {
  readonly #run: WorkflowRun;
  readonly #task: WorkflowHost;
  readonly #first: Verdict | undefined;
  readonly #seen = new Set<string>();
  readonly #stops = new Map<string, AbortController>();
  readonly #ended = Promise.withResolvers<unknown>();
  #done = 0;
  #changes = 0;
  /** Canceled, or out of time: what is left is handed over. */
  #leaving = false;
  /** Tasks that are to be made, the longest way to the end first. */
  readonly #wishes: TaskWish[] = [];
  /** A successor asks for all at once: any of them may have been done before, and would then have
   * to be undone, so none may be dropped unasked. */
  readonly #storedAtOnce: number;
  #storing = 0;
  /** Budgets of steps that are being stored, and not yet taken from what is left. */
  #asked = 0;
  /** Steps that a successor asks for only to learn whether they were done. */
  readonly #unwanted = new Set<string>();
  /** Effects wait for what is being written down. */
  #kept: Promise<unknown> = Promise.resolve();

  /** @param first the verdict that it begins with */
  constructor(run: WorkflowRun, task: WorkflowHost, first?: Verdict) {
    this.#first = first;
    this.#run = run;
    this.#task = task;
    this.#storedAtOnce = task.epoch === 1 ? STORED_AT_ONCE : Number.POSITIVE_INFINITY;
    // The contract may end while the journal is being read, when nobody waits for the end yet.
    this.#ended.promise.catch(() => undefined);
  }

  async drive(): Promise<unknown> {
    const { signal } = this.#task;
    const abort = () => this.#aborted();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await this.#recallChanges();
      // Kept under a name of its own: undefined as long as nothing has failed.
      const verdict = this.#first ?? (await this.#verdict(undefined));
      this.#run.start(verdict, this.#task.epoch > 1);
      await this.#work();
      void this.#hearStop();
      void this.#hearChanges();
      return await this.#ended.promise;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  #aborted(): void {
    const { reason } = this.#task.signal;
    const code = reason instanceof ParleyError ? reason.code : "E_HANDLER";
    const over = OVER.includes(code) || (code === "E_FENCED" && this.#isTime());
    if (!over || this.#task.handOver === undefined) return this.#ended.reject(reason);
    this.#leave(code === "E_FENCED" ? TIME_IS_UP : reason.message);
    this.#goOn();
  }

  #leave(reason: string): void {
    this.#leaving = true;
    this.#run.leave(reason);
  }

  /** Whoever supervises this may have a clock that is a little ahead, and have ended it. */
  #isTime(): boolean {
    const { deadline = Number.POSITIVE_INFINITY } = this.#task;
    return deadline - Date.now() <= CLOCKS_DIFFER_MS;
  }

  /** What a predecessor decided; or keeps what is decided now. */
  async #verdict(now: Verdict | undefined): Promise<Verdict | undefined> {
    if (now === undefined) return this.#insist(() => this.#task.recall<Verdict>("verdict"));
    return this.#insist(() => this.#task.step("verdict", () => now, { key: "verdict" }));
  }

  async #keepVerdict(verdict: Verdict): Promise<void> {
    try {
      await this.#verdict(verdict);
    } catch (error) {
      // Outputs that are nested too deep: whoever takes over judges anew, by the same ends.
      const unkept = error instanceof ParleyError && error.code === "E_OUTPUT";
      // Ended meanwhile: it is handed over.
      if (!unkept && !this.#leaving) throw error;
    }
  }

  /** What a predecessor was told, in its order. */
  async #recallChanges(): Promise<void> {
    for (;;) {
      const key = changeKey(this.#changes);
      const kept = await this.#insist(() => this.#task.recall<KeptChange>(key));
      if (kept === undefined) return;
      this.#seen.add(kept.id);
      await this.#keep(kept);
      if (kept.refused === undefined) this.#run.change(kept.change);
    }
  }

  #keep(kept: KeptChange): Promise<KeptChange> {
    const key = changeKey(this.#changes++);
    return this.#insist(() => this.#task.step("change", () => kept, { key }));
  }

  /** The journal is in a store that may be away for a moment. */
  #insist<T>(act: () => Promise<T>): Promise<T> {
    return untilItPasses(this.#task.signal, act, { rest: this.#task.pause });
  }

  async #hearStop(): Promise<void> {
    const reason = await this.#task.hear(STOP_KEY).catch(() => undefined);
    if (reason === undefined) return;
    this.#run.stop(String(reason).slice(0, 1_024));
    this.#goOn();
  }

  async #hearChanges(): Promise<void> {
    for (;;) {
      const said = await this.#task.hear(CHANGE_KEY).catch(() => undefined);
      if (said === undefined) return;
      const parsed = KeptChangeSchema.safeParse(said);
      if (!parsed.success || this.#seen.has(parsed.data.id)) continue;
      this.#seen.add(parsed.data.id);
      const problems = this.#run.change(parsed.data.change);
      const refused = problems.map((p) => `${p.path}: ${p.problem}; ${p.fix}`);
      this.#kept = this.#keep({ ...parsed.data, ...(refused.length > 0 ? { refused } : {}) });
      this.#goOn();
    }
  }

  async #work(): Promise<void> {
    await this.#kept;
    for (const effect of this.#run.out.splice(0)) {
      switch (effect.do) {
        case "task":
          this.#wishes.push(effect.wish);
          break;
        case "cancel":
          this.#cancel(effect.keys);
          break;
        case "verdict":
          await this.#keepVerdict(effect.verdict);
          break;
        case "handOver":
          await this.#handOver(effect.duties);
          this.#ended.reject(this.#task.signal.reason ?? new ParleyError("E_DEADLINE"));
          break;
        case "end":
          if (effect.failure === undefined) this.#ended.resolve(effect.output);
          else this.#ended.reject(asError(effect.failure));
      }
    }
    this.#makeMore();
  }

  /** The contract is over, and with it what a fault that passes could be waited for with. */
  async #handOver(duties: readonly Duty[]): Promise<void> {
    const { handOver, pause: rest } = this.#task;
    const own = new AbortController().signal;
    await untilItPasses(own, async () => handOver?.(duties), { most: HAND_OVER_TRIES, rest });
  }

  #cancel(keys: readonly string[]): void {
    for (const key of keys) this.#stops.get(key)?.abort(new Error("the workflow ends"));
    const gone = new Set(keys);
    const never = this.#wishes.filter(({ key }) => gone.has(key));
    if (this.#task.epoch > 1) {
      for (const { key } of never) this.#unwanted.add(key);
      return;
    }
    const left = this.#wishes.filter(({ key }) => !gone.has(key));
    this.#wishes.splice(0, this.#wishes.length, ...left);
    for (const { key } of never) this.#end(key, { state: "canceled" });
  }

  #makeMore(): void {
    while (this.#storing < this.#storedAtOnce) {
      const wish = this.#wishes[0];
      if (wish === undefined || !this.#affords(wish)) return;
      this.#wishes.shift();
      void this.#make(wish);
    }
  }

  /** A step without a budget of its own is granted all that is left: beside others it would get
   * nothing, or they would. */
  #affords(wish: TaskWish): boolean {
    const { step } = wish;
    const { budgetLeft } = this.#task;
    if (budgetLeft === undefined || this.#stops.size === 0 || this.#looksFor(wish)) return true;
    return step?.budget !== undefined && step.budget <= budgetLeft - this.#asked;
  }

  async #store({ step, capability, input }: TaskWish, options: SubmitOptions) {
    const budget = step?.budget ?? 0;
    this.#storing++;
    this.#asked += budget;
    try {
      return await this.#task.submit(untyped(capability, step?.version), input, options);
    } finally {
      this.#storing--;
      this.#asked -= budget;
      this.#makeMore();
    }
  }

  /** A try that failed may have been stored all the same: from then on it is asked for until that
   * is known, and canceled then if it is not wanted any more. */
  async #ask(wish: TaskWish, stop: AbortSignal) {
    const { signal, pause: rest } = this.#task;
    let tries = 0;
    const store = () => {
      const until = tries++ === 0 ? AbortSignal.any([signal, stop]) : signal;
      return this.#store(wish, optionsOf(wish, until));
    };
    const handle = await untilItPasses(signal, store, { rest });
    if (tries === 1) return handle;
    const cancel = () => void handle.cancel("the workflow ends").catch(() => undefined);
    if (stop.aborted) cancel();
    else stop.addEventListener("abort", cancel, { once: true });
    return handle;
  }

  #looksFor({ key, look = false }: TaskWish): boolean {
    return look || this.#unwanted.has(key);
  }

  /** A step that is not wanted any more: a predecessor may have had it done, and if it is still
   * under way it is to stop. That is looked for although the contract is over. */
  async #find({ key, step, capability }: TaskWish) {
    const { signal, pause: rest } = this.#task;
    const [until, most] = this.#leaving
      ? [new AbortController().signal, HAND_OVER_TRIES]
      : [signal, Number.POSITIVE_INFINITY];
    const look = () => this.#task.find(untyped(capability, step?.version), key);
    const handle = await untilItPasses(until, look, { most, rest });
    void handle?.cancel("the workflow ends").catch(() => undefined);
    return handle;
  }

  async #make(wish: TaskWish): Promise<void> {
    const stop = new AbortController();
    this.#stops.set(wish.key, stop);
    const { signal, pause: rest } = this.#task;
    try {
      const handle = this.#looksFor(wish)
        ? await this.#find(wish)
        : await this.#ask(wish, stop.signal);
      if (handle === undefined) return this.#end(wish.key, { state: "canceled" });
      const outcome = await handle.outcome();
      const late = outcome.state === "expired" && this.#isTime();
      if (late && this.#task.handOver !== undefined) this.#leave(TIME_IS_UP);
      const output =
        outcome.state === "completed"
          ? await untilItPasses(signal, () => handle.output(), { most: OUTPUT_TRIES, rest })
          : null;
      this.#tell(wish.key, outcome, output);
    } catch (error) {
      if (this.#task.signal.aborted && !this.#leaving) {
        return this.#ended.reject(this.#task.signal.reason);
      }
      const message = error instanceof Error ? error.message : String(error);
      const code = error instanceof ParleyError ? error.code : "E_HANDLER";
      this.#end(wish.key, { state: "failed", failure: { code, message, retry: false } });
    } finally {
      this.#stops.delete(wish.key);
    }
  }

  #tell(key: string, outcome: Outcome, output: unknown): void {
    this.#task.progress(Math.min(1, ++this.#done / this.#run.workflow.steps.length), key);
    this.#end(key, { state: outcome.state, output, failure: outcome.failure });
  }

  #end(key: string, end: Parameters<WorkflowRun["ended"]>[1]): void {
    this.#run.ended(key, end);
    this.#goOn();
  }

  #goOn(): void {
    this.#work().catch((error: unknown) => this.#ended.reject(error));
  }
}

function optionsOf({ key, step, rank }: TaskWish, signal: AbortSignal): SubmitOptions {
  // Undoing, and the exit: what has been spent does not keep them from being done.
  if (step === undefined) return { key, signal, rank, [UNDOES]: true };
  const options = { ...optionsOfTerms(step), key, signal, rank };
  if (step.durationMs !== undefined) options.hints = { durationMs: step.durationMs };
  return options;
}

/** The workflow's end is final: what failed in it had attempts of its own. */
function asError(failure: Failure): ParleyError {
  return ParleyError.from({ ...failure, retry: false });
}
