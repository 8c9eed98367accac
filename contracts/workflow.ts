// Workflows as data: a graph of steps, each a task for some capability. JSON: people write it.
import { z } from "zod";
import { VersionSchema } from "./card.ts";
import { CapabilityNameSchema, TokenSchema } from "./ids.ts";
import { TaskTermsSchema } from "./task-terms.ts";

/** Steps of one definition. Origin: guess, above the largest recorded workflow. */
export const STEPS_MAX = 20_000;
/** Elements of one map, and rounds of one loop. */
export const MAP_MAX = 10_000;
export const ROUNDS_MAX = 1_000;

/** `params.…`, `steps.<id>.output.…`, `item`, `round`; resolved just before its step begins. */
export const RefSchema = z.strictObject({ $: z.string().min(1).max(1024) });

const comparison = {
  eq: z.unknown().optional(),
  ne: z.unknown().optional(),
  lt: z.number().optional(),
  le: z.number().optional(),
  gt: z.number().optional(),
  ge: z.number().optional(),
  in: z.array(z.unknown()).max(1_000).optional(),
  exists: z.boolean().optional(),
};

export type Condition =
  | ({ $: string } & { [K in keyof typeof comparison]?: unknown })
  | { all: Condition[] }
  | { any: Condition[] }
  | { not: Condition };

export const ConditionSchema: z.ZodType<Condition> = z.lazy(() =>
  z.union([
    z.strictObject({ $: z.string().min(1).max(1024), ...comparison }),
    z.strictObject({ all: z.array(ConditionSchema).max(64) }),
    z.strictObject({ any: z.array(ConditionSchema).max(64) }),
    z.strictObject({ not: ConditionSchema }),
  ]),
) as z.ZodType<Condition>;

const ActionSchema = z.strictObject({
  capability: CapabilityNameSchema,
  input: z.unknown().optional(),
});

export const StepSchema = z.strictObject({
  id: TokenSchema,
  description: z.string().max(1024).optional(),
  /** Steps that must have ended before; what the input refers to counts as well. */
  after: z.array(TokenSchema).max(STEPS_MAX).optional(),
  capability: CapabilityNameSchema,
  version: z.string().max(32).optional(),
  /** A template: `{"$": "steps.fetch.output.items"}` stands for that value. */
  input: z.unknown().optional(),
  /** Skipped when this is false; what comes after it goes on all the same. */
  when: ConditionSchema.optional(),
  /** One task for each element, so many at a time; the output is the list of theirs. */
  each: z
    .strictObject({ in: RefSchema, atOnce: z.int().min(1).max(MAP_MAX).optional() })
    .optional(),
  /** Again with the output of the round before (`{"$": "last"}`), until this holds. */
  repeat: z
    .strictObject({ until: ConditionSchema, rounds: z.int().min(1).max(ROUNDS_MAX) })
    .optional(),
  ...TaskTermsSchema.shape,
  /** Usual duration, ms: what its place in the queue rests on. */
  durationMs: z.number().nonnegative().optional(),
  /** Undoes this step when a later one fails; gets `{"$": "output"}`. */
  compensate: ActionSchema.optional(),
});
export type Step = z.infer<typeof StepSchema>;

/** What becomes of a workflow under way: only steps that have not begun can be changed. */
export const WorkflowChangeSchema = z.strictObject({
  add: z.array(StepSchema).max(STEPS_MAX).optional(),
  /** Counted as skipped: what comes after them goes on. */
  drop: z.array(TokenSchema).max(STEPS_MAX).optional(),
  /** Steps of the same id take their place. */
  replace: z.array(StepSchema).max(STEPS_MAX).optional(),
});
export type WorkflowChange = z.infer<typeof WorkflowChangeSchema>;

export const WorkflowSchema = z.strictObject({
  v: z.literal(1),
  kind: z.literal("workflow"),
  name: TokenSchema,
  version: VersionSchema.default("1.0.0"),
  description: z.string().max(4096).optional(),
  /** Values for parameters that the caller does not give. */
  params: z.record(z.string().max(64), z.unknown()).optional(),
  steps: z.array(StepSchema).min(1).max(STEPS_MAX),
  /** A template; default: the outputs of the steps that nothing follows, by id. */
  output: z.unknown().optional(),
  /** Runs at the end, however it ended; gets `{"$": "state"}` and `{"$": "failure"}`. */
  onExit: ActionSchema.optional(),
});
export type Workflow = z.infer<typeof WorkflowSchema>;

/** The capability of whoever runs workflows. */
export const WORKFLOW = "workflow";

/** Under these names a workflow hears words of its owner (`parley workflow cancel`, `change`). */
export const STOP_KEY = "stop";
export const CHANGE_KEY = "change";

/** A change as it stands in the workflow's journal, carried out or not. */
export const KeptChangeSchema = z.object({
  /** Chosen by whoever asked for it, to know it again. */
  id: z.string().max(64),
  change: WorkflowChangeSchema,
  refused: z.array(z.string()).optional(),
});
export type KeptChange = z.infer<typeof KeptChangeSchema>;

/** Name of the n-th change in the journal, from 0. */
export function changeKey(n: number): string {
  return `${CHANGE_KEY}.${n}`;
}
