// What a caller may say about one task, checked before it is sent: a spec that no initiator can
// read would never get an outcome.
import {
  DEADLINE_MS_MAX,
  isToken,
  ParleyError,
  RETAIN_MS_DEFAULT,
  type Spec,
  SpecSchema,
  type TaskTerms,
  TaskTermsSchema,
  tokenAdvice,
} from "../contracts/index.ts";
import type { TaskEvent, TaskOptions } from "../mesh/index.ts";
import { checkKnown, checkSignal, type Known } from "./known-options.ts";

/** Options of a live call. All times in ms; `deadline` is absolute, since the epoch. */
export interface CallOptions
  extends Pick<
    TaskOptions,
    | "to"
    | "only"
    | "exclude"
    | "requires"
    | "hints"
    | "award"
    | "deadline"
    | "timeoutMs"
    | "priority"
    | "budget"
    | "retry"
    | "otherwise"
    | "patienceMs"
    | "rank"
    | "traceparent"
    | "tracestate"
  > {
  /** Aborted: the task is canceled. A call throws the signal's reason; a task that was submitted
   * ends as any that is canceled, with E_CANCELED. */
  signal?: AbortSignal;
  /**
   * Asks a second agent when the first takes longer than usual; the first valid answer wins and
   * the other is canceled. `afterMs`: how long to wait; by default the time within which 95 % of
   * this process's last calls of the capability were answered. At most 5 % of the calls under
   * way, and always one, are hedged.
   */
  hedge?: boolean | { afterMs: number };
  /** Progress and partial output while the call runs. */
  onEvent?: (event: TaskEvent) => void;
}

/** In options that this package makes itself: the sub-task undoes what others did. */
export const UNDOES: unique symbol = Symbol("undoes");

/** Options of a durable task. */
export interface SubmitOptions
  extends Omit<CallOptions, "onEvent" | "hedge">,
    Pick<TaskOptions, "task" | "retainMs" | "onBehalfOf"> {
  /** In a handler: the sub-task is known by this name, and not by its place among the acts. */
  key?: string;
  /** @internal */
  [UNDOES]?: true;
}

/** Options that are fields of the spec. */
const OF_SPEC = {
  to: true,
  only: true,
  exclude: true,
  requires: true,
  hints: true,
  award: true,
  deadline: true,
  priority: true,
  budget: true,
  retry: true,
  otherwise: true,
  patienceMs: true,
  rank: true,
  traceparent: true,
  tracestate: true,
  retainMs: true,
  onBehalfOf: true,
} as const;
const OptionsSchema = SpecSchema.pick(OF_SPEC).partial();

const KNOWN: Known<SubmitOptions & CallOptions> = {
  ...OF_SPEC,
  timeoutMs: true,
  signal: true,
  hedge: true,
  onEvent: true,
  task: true,
  key: true,
};

/**
 * The names of the options, and those that are no term of the task: callers may have no types.
 * @throws ParleyError E_SCHEMA, naming the option
 */
export function checkOptions(o: SubmitOptions & CallOptions): void {
  checkKnown<SubmitOptions & CallOptions>("a task", o, KNOWN);
  checkSignal("a task", o.signal);
  if (o.onEvent !== undefined && typeof o.onEvent !== "function") {
    throw new ParleyError("E_SCHEMA", "onEvent must be a function");
  }
  const { hedge = false } = o;
  const afterMs = typeof hedge === "object" ? hedge?.afterMs : undefined;
  if (typeof hedge !== "boolean" && !(typeof afterMs === "number" && afterMs >= 0)) {
    const text = "hedge must be true, false or { afterMs }, which is 0 or more";
    throw new ParleyError("E_SCHEMA", text);
  }
}

/** @throws ParleyError E_SCHEMA, naming the option. */
export function taskOptions(o: SubmitOptions & CallOptions, now: number): TaskOptions {
  checkOptions(o);
  if (o.task !== undefined && !isToken(o.task)) {
    throw new ParleyError("E_SCHEMA", tokenAdvice("task id", o.task));
  }
  const { timeoutMs } = o;
  if (timeoutMs !== undefined && !(typeof timeoutMs === "number" && timeoutMs > 0)) {
    throw new ParleyError("E_SCHEMA", `timeoutMs must be more than 0, not ${timeoutMs}`);
  }
  const { signal: _s, onEvent: _e, timeoutMs: _t, hedge: _h, key: _k, ...rest } = o;
  const options: TaskOptions = { ...rest };
  if (timeoutMs !== undefined) {
    options.deadline = Math.min(o.deadline ?? Number.POSITIVE_INFINITY, now + timeoutMs);
  }
  if ((options.deadline ?? 0) > now + DEADLINE_MS_MAX) {
    throw new ParleyError("E_SCHEMA", `the deadline is more than ${DEADLINE_MS_MAX} ms away`);
  }
  const fits = OptionsSchema.safeParse(options);
  if (!fits.success) {
    const issue = fits.error.issues[0];
    throw new ParleyError("E_SCHEMA", `option ${issue?.path.join(".")}: ${issue?.message}`);
  }
  return options;
}

const TERMS: readonly (keyof TaskTerms & keyof SubmitOptions)[] = TaskTermsSchema.keyof().options;

/** What a step or a trigger says of its task; what it leaves out is left out. */
export function optionsOfTerms(terms: TaskTerms): SubmitOptions {
  const options: SubmitOptions = {};
  for (const name of TERMS) {
    if (terms[name] !== undefined) Object.assign(options, { [name]: terms[name] });
  }
  return options;
}

/** What a sub-task takes over from the task that makes it. */
export interface Inheritance {
  spec: Spec;
  epoch: number;
  /** Who holds the parent's contract. */
  contractor: string;
  /** A live parent has no stored contract that others could check. */
  live: boolean;
}

/**
 * Authority shrinks: deadline and rank at most the parent's; the budget is cut by the purse.
 * @param live the sub-task is: nobody could prove for whom, so it is its caller's own (P12.1)
 */
export function inherit(
  own: TaskOptions,
  from: Inheritance,
  now: number,
  live = false,
): TaskOptions {
  const { spec } = from;
  const options: TaskOptions = { ...own };
  options.deadline = Math.min(own.deadline ?? spec.deadline, spec.deadline);
  options.priority ??= spec.priority;
  for (const name of ["traceparent", "tracestate", "onBehalfOf"] as const) {
    const value = own[name] ?? spec[name];
    if (value !== undefined) options[name] = value;
  }
  if (live || from.live) return options;
  // Whoever takes the parent over must still find how its sub-tasks ended.
  options.retainMs ??= Math.max(RETAIN_MS_DEFAULT, spec.deadline - now);
  options.owner = spec.owner;
  options.parent = {
    task: spec.task,
    epoch: from.epoch,
    contractor: from.contractor,
    deadline: spec.deadline,
    ...(options.budget === undefined ? {} : { budget: options.budget }),
  };
  return options;
}
