// Workflows written in TypeScript: steps know what they take and give, so a value that does not
// fit is an error of the compiler. What comes out is a definition like any other.
import type { Condition, Step, Workflow } from "../contracts/workflow.ts";
import type { Capability, InputOf, OutputOf } from "./capability.ts";
import { readWorkflow } from "./read-workflow.ts";

const PATH = Symbol("path");

/** Stands for a value that a step gives when it has run; its properties stand for theirs. */
export type Ref<T> = { readonly [PATH]: () => T } & (T extends readonly (infer E)[]
  ? { readonly [index: number]: Ref<E> }
  : T extends object
    ? { readonly [K in keyof T]-?: Ref<T[K]> }
    : unknown);

/** A value, or what stands for it, or a mixture. */
export type Template<T> =
  | T
  | Ref<T>
  | (T extends readonly (infer E)[]
      ? readonly Template<E>[]
      : T extends object
        ? { readonly [K in keyof T]: Template<T[K]> }
        : never);

export interface StepRef<Output = unknown> {
  readonly id: string;
  readonly output: Ref<Output>;
  readonly state: Ref<string>;
}

type Plain = Pick<
  Step,
  | "description"
  | "retry"
  | "timeoutMs"
  | "priority"
  | "budget"
  | "durationMs"
  | "requires"
  | "award"
  | "to"
  | "otherwise"
>;

export interface FlowStepOptions<Output> extends Plain {
  /** Steps that must have ended before, beside those that the input takes values from. */
  after?: readonly StepRef[];
  when?: Condition;
  /** Undoes the step; made with `undo`. */
  compensate?: (output: Ref<Output>) => Step["compensate"];
}

export interface LoopOptions<Output> extends FlowStepOptions<Output> {
  /** Again until this holds for what the last round gave, `rounds` at most. */
  until: (last: Ref<Output>) => Condition;
  rounds: number;
}

type Test = Partial<
  Record<"lt" | "le" | "gt" | "ge", number> & {
    eq: unknown;
    ne: unknown;
    in: unknown[];
    exists: boolean;
  }
>;

/** A condition on a value: `where(step.output.words, { gt: 100 })`. */
export function where(value: Ref<unknown>, test: Test): Condition {
  return { ...(plain(value) as { $: string }), ...test };
}

/** What undoes a step. */
export function undo<C extends Capability>(
  capability: C,
  input: Template<InputOf<C>>,
): NonNullable<Step["compensate"]> {
  return { capability: capability.name, input: plain(input) };
}

type Head = Pick<Workflow, "name" | "version" | "description" | "params">;

export class Flow<Params> {
  readonly params: Ref<Params> = ref<Params>("params");
  readonly #head: Head;
  readonly #steps: Step[] = [];
  #onExit: Workflow["onExit"];

  /** Use `defineFlow`. */
  constructor(head: Head) {
    this.#head = head;
  }

  step<C extends Capability>(
    id: string,
    capability: C,
    input: Template<InputOf<C>>,
    options: FlowStepOptions<OutputOf<C>> = {},
  ): StepRef<OutputOf<C>> {
    return this.#add<OutputOf<C>>(id, capability, input, options, {});
  }

  /** One task for each element of a list, `atOnce` at a time. */
  each<C extends Capability, E>(
    id: string,
    capability: C,
    list: Ref<readonly E[]> | Ref<E[]>,
    input: (item: Ref<E>, index: Ref<number>) => Template<InputOf<C>>,
    options: FlowStepOptions<OutputOf<C>[]> & { atOnce?: number } = {},
  ): StepRef<OutputOf<C>[]> {
    const { atOnce, ...rest } = options;
    const over = plain(list) as { $: string };
    const each = atOnce === undefined ? { in: over } : { in: over, atOnce };
    const filled = input(ref<E>("item"), ref<number>("index"));
    return this.#add<OutputOf<C>[]>(id, capability, filled, rest, { each });
  }

  /** The same step again, from the second round on with what the round before gave. */
  loop<C extends Capability>(
    id: string,
    capability: C,
    input: (last: Ref<OutputOf<C>>, round: Ref<number>) => Template<InputOf<C>>,
    options: LoopOptions<OutputOf<C>>,
  ): StepRef<OutputOf<C>> {
    const { until, rounds, ...rest } = options;
    const last = ref<OutputOf<C>>("last");
    const repeat = { until: until(last), rounds };
    const filled = input(last, ref<number>("round"));
    return this.#add<OutputOf<C>>(id, capability, filled, rest, { repeat });
  }

  #add<Output>(
    id: string,
    capability: Capability,
    input: unknown,
    { after, when, compensate, ...more }: FlowStepOptions<Output>,
    kind: Partial<Step>,
  ): StepRef<Output> {
    const undone = compensate?.(ref<Output>("output"));
    this.#steps.push({
      id,
      capability: capability.name,
      input: plain(input),
      ...(after === undefined ? {} : { after: after.map((step) => step.id) }),
      ...(when === undefined ? {} : { when }),
      ...(undone === undefined ? {} : { compensate: undone }),
      ...(capability.durationMs === undefined ? {} : { durationMs: capability.durationMs }),
      ...more,
      ...kind,
    });
    return { id, output: ref<Output>(`steps.${id}.output`), state: ref(`steps.${id}.state`) };
  }

  /** Runs at the end, however it ended. */
  onExit<C extends Capability>(
    capability: C,
    input: (end: Ref<{ state: string; failure: { message: string } }>) => Template<InputOf<C>>,
  ): this {
    const end = { state: ref<string>("state"), failure: ref("failure") } as never;
    this.#onExit = { capability: capability.name, input: plain(input(end)) };
    return this;
  }

  /** @throws ParleyError E_SCHEMA with every problem of the graph */
  build(output?: Template<unknown>): Workflow {
    return readWorkflow({
      v: 1,
      kind: "workflow",
      ...this.#head,
      steps: this.#steps,
      ...(output === undefined ? {} : { output: plain(output) }),
      ...(this.#onExit === undefined ? {} : { onExit: this.#onExit }),
    });
  }
}

/** @param defaults of parameters that the caller may leave out */
export function defineFlow<Params extends object>(
  name: string,
  options: { version?: string; description?: string; defaults?: Partial<Params> } = {},
): Flow<Params> {
  const { version = "1.0.0", description, defaults } = options;
  return new Flow<Params>({
    name,
    version,
    ...(description === undefined ? {} : { description }),
    ...(defaults === undefined ? {} : { params: defaults as Record<string, unknown> }),
  });
}

/** Any property leads on; as JSON it is `{"$": "steps.x.output.y"}`. */
function ref<T>(path: string): Ref<T> {
  return new Proxy(
    {},
    {
      get: (_, name) => {
        if (name === "toJSON") return () => ({ $: path });
        // Otherwise whoever awaited it would wait for good.
        if (typeof name === "symbol" || name === "then") return undefined;
        return ref(`${path}.${name}`);
      },
    },
  ) as Ref<T>;
}

function plain(template: unknown): unknown {
  return template === undefined ? undefined : JSON.parse(JSON.stringify(template));
}
