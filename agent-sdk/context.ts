// What a handler gets beside its input.
import { ParleyError, PROGRESS_BYTES_MAX, TIMER_MS_MAX } from "../contracts/index.ts";
import type { Run, RunResult } from "../mesh/index.ts";
import type { Log } from "../mesh/ports/index.ts";
import type {
  Capability,
  HandlerInputOf,
  HandlerOutputOf,
  InputOf,
  OutputOf,
} from "./capability.ts";
import { Acts, type DurableActs } from "./durable.ts";
import { DurableRun } from "./durable-run.ts";
import type { EndingHandle } from "./handle.ts";
import type { CallOptions, Inheritance, SubmitOptions } from "./options.ts";
import { Purse } from "./purse.ts";
import { validate } from "./standard-schema.ts";

export interface TaskContext<Input = unknown> {
  readonly task: string;
  /** Principal whose task it is: two owners may choose the same id. */
  readonly owner: string;
  /** Number of the contract under which this runs; a resource may fence by it. */
  readonly epoch: number;
  /** Counted from 1. */
  readonly attempt: number;
  readonly input: Input;
  /** Aborted when the task is canceled, expires, or went to somebody else: stop working. */
  readonly signal: AbortSignal;
  /** Absolute, ms since the epoch. */
  readonly deadline: number;
  readonly log: Log;
  /** Tells the submitter how far it is. @param done 0 to 1 @param note for people */
  progress(done?: number, note?: string): void;
  /** Sends a piece of the output ahead; pieces arrive in order or not at all. */
  partial(value: unknown): void;
  /** Adds to what this attempt cost. Said nothing, it costs what the bid asked for. */
  cost(amount: number): void;
  /** See DurableActs: what is done through these is done once, whoever holds the contract. */
  readonly step: DurableActs["step"];
  readonly recall: DurableActs["recall"];
  readonly find: DurableActs["find"];
  readonly sleep: DurableActs["sleep"];
  readonly ask: DurableActs["ask"];
  readonly hear: DurableActs["hear"];
  readonly now: DurableActs["now"];
  readonly random: DurableActs["random"];
  readonly all: DurableActs["all"];
  readonly race: DurableActs["race"];
  /** What is left of the task's budget; undefined when it has none. */
  readonly budgetLeft: number | undefined;
  /** A live sub-task: at most this task's deadline and budget, canceled with it. */
  call<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options?: CallOptions,
  ): Promise<OutputOf<C>>;
  readonly submit: DurableActs["submit"];
}

export type Handler<C extends Capability> = (
  input: HandlerInputOf<C>,
  context: TaskContext<HandlerInputOf<C>>,
) => HandlerOutputOf<C> | Promise<HandlerOutputOf<C>>;

/** A task made inside another: what it inherits and how it is paid. */
export interface SubTask {
  from: Inheritance;
  purse: Purse;
  signal: AbortSignal;
}

/** How the mesh makes sub-tasks; see mesh.ts. */
export interface SubTasks {
  call<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options: CallOptions,
    parent: SubTask,
  ): Promise<OutputOf<C>>;
  submit<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options: SubmitOptions,
    parent: SubTask,
  ): Promise<EndingHandle<OutputOf<C>>>;
  find<C extends Capability>(
    capability: C,
    owner: string,
    task: string,
    parent: SubTask,
  ): Promise<EndingHandle<OutputOf<C>> | undefined>;
}

const NOTE_LENGTH_MAX = 4096;

/** Runs one contract: input checked, handler run, output checked. */
export async function runHandler<C extends Capability>(
  capability: C,
  handler: Handler<C>,
  run: Run,
  contractor: string,
  mesh: SubTasks,
  log: Log,
): Promise<RunResult> {
  const input = await validate(
    capability.input,
    run.input,
    "E_INPUT",
    `the input of ${capability.name}`,
  );
  const purse = new Purse(run.spec.budget);
  const limit = deadlineSignal(run);
  const { spec, epoch, live } = run;
  const parent: SubTask = { from: { spec, epoch, contractor, live }, purse, signal: limit.signal };
  const durable = new DurableRun(run, {
    make: (c, value, o) => mesh.submit(c, value, o, parent),
    find: (c, owner, task) => mesh.find(c, owner, task, parent),
  });
  try {
    const output: unknown = await handler(
      input,
      contextOf(
        run,
        input,
        parent,
        new Acts(durable, "", limit.signal),
        mesh,
        log.child({ task: run.spec.task, epoch: run.epoch, capability: capability.name }),
      ),
    );
    await durable.check();
    // What the handler gave is what travels; the caller's side applies the schema once more.
    await validate(
      capability.output,
      output,
      "E_OUTPUT",
      `what the handler of ${capability.name} gave back`,
    );
    const cost = purse.total(run.price);
    return cost === undefined ? { output } : { output, cost };
  } finally {
    limit.clear();
  }
}

/** The contract's own signal, and the deadline, since notice of it may be lost. */
function deadlineSignal(run: Run): { signal: AbortSignal; clear(): void } {
  const leftMs = run.spec.deadline - Date.now();
  if (leftMs > TIMER_MS_MAX) return { signal: run.signal, clear: () => undefined };
  const expiry = new AbortController();
  const timer = setTimeout(() => expiry.abort(new ParleyError("E_DEADLINE")), Math.max(0, leftMs));
  timer.unref();
  return {
    signal: AbortSignal.any([run.signal, expiry.signal]),
    clear: () => clearTimeout(timer),
  };
}

function contextOf<Input>(
  run: Run,
  input: Input,
  parent: SubTask,
  acts: Acts,
  mesh: SubTasks,
  log: Log,
): TaskContext<Input> {
  const { spec, epoch, attempt } = run;
  const { signal } = acts;
  const { purse } = parent;
  return {
    task: spec.task,
    owner: spec.owner,
    epoch,
    attempt,
    input,
    signal,
    deadline: spec.deadline,
    log,
    progress: (done, note) => run.progress(progressOf(done, note)),
    partial: (value) => {
      const bytes = Buffer.byteLength(JSON.stringify(value) ?? "");
      if (bytes > PROGRESS_BYTES_MAX) {
        throw new ParleyError(
          "E_TOO_LARGE",
          `a partial output of ${bytes} bytes; send pieces ` + `of ${PROGRESS_BYTES_MAX} at most`,
        );
      }
      // Pieces of a text may end within a character.
      run.progress({ partial: typeof value === "string" ? value.toWellFormed() : value });
    },
    cost: (amount) => {
      if (!(amount >= 0 && Number.isFinite(amount))) {
        throw new ParleyError("E_SCHEMA", `a cost must be 0 or more, not ${amount}`);
      }
      purse.spend(amount);
    },
    get budgetLeft() {
      return purse.left;
    },
    call: (capability, value, options = {}) => mesh.call(capability, value, options, parent),
    submit: (capability, value, options) => acts.submit(capability, value, options),
    step: (name, fn, options) => acts.step(name, fn, options),
    recall: (key) => acts.recall(key),
    find: (capability, key) => acts.find(capability, key),
    sleep: (ms) => acts.sleep(ms),
    ask: (question, options) => acts.ask(question, options),
    hear: (key) => acts.hear(key),
    now: () => acts.now(),
    random: () => acts.random(),
    all: (branches) => acts.all(branches),
    race: (branches) => acts.race(branches),
  };
}

/** @throws ParleyError E_SCHEMA for what is no number or no text: callers may have no types */
function progressOf(done: unknown, note: unknown): { done?: number; note?: string } {
  const isNumber = done === undefined || typeof done === "number";
  if (!isNumber || !(note === undefined || typeof note === "string")) {
    throw new ParleyError("E_SCHEMA", 'progress takes a number and a text: progress(0.5, "half")');
  }
  return {
    ...(done === undefined || Number.isNaN(done) ? {} : { done: Math.min(1, Math.max(0, done)) }),
    ...(note === undefined ? {} : { note: note.slice(0, NOTE_LENGTH_MAX).toWellFormed() }),
  };
}
