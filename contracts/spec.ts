// The spec: a task as its submitter states it. Written once, never changed.
import { z } from "zod";
import { AttributeSchema } from "./card.ts";
import {
  AddressSchema,
  CapabilityNameSchema,
  PrincipalSchema,
  TaskIdSchema,
  TokenSchema,
} from "./ids.ts";
import {
  ALTERNATIVES_MAX,
  ATTEMPTS_DEFAULT,
  ATTEMPTS_MAX,
  BACKOFF_MS,
  BACKOFF_MS_MAX,
  DEADLINE_MS_MAX,
  PRIORITY_DEFAULT,
  PRIORITY_MAX,
} from "./limits.ts";

/** A number asks for at least (`min`) or at most (`max`); a bare value asks for equality. */
export const RequirementSchema = z.union([
  AttributeSchema,
  // Strict, or the first form that fits would drop what the other one asks for.
  z.strictObject({ in: z.array(AttributeSchema).max(64) }),
  z.strictObject({ min: z.number().optional(), max: z.number().optional() }),
]);
export const RequirementsSchema = z.record(z.string().min(1).max(64), RequirementSchema);
export type Requirements = z.infer<typeof RequirementsSchema>;

export const POLICIES = ["fastest", "cheapest", "balanced", "deadline", "hybrid"] as const;

export const AwardSchema = z.object({
  /** One of the five, or the name of a policy that some initiator was given. */
  policy: TokenSchema.default("balanced"),
  /** Weights of `hybrid`: what a whole span of time, cost, load or risk counts for. Spans of time
   * and cost go from the best of the call to the worst, or to ten times the best. */
  weights: z
    .object({
      time: z.number().min(0).max(1000).optional(),
      cost: z.number().min(0).max(1000).optional(),
      load: z.number().min(0).max(1000).optional(),
      risk: z.number().min(0).max(1000).optional(),
    })
    .optional(),
});
export type AwardWish = z.infer<typeof AwardSchema>;

export const HintsSchema = z.object({
  /** Duration on an ordinary agent, ms, when the submitter knows it. */
  durationMs: z.number().nonnegative().optional(),
  /** Size of the input in whatever unit the capability counts (tokens, bytes, rows). */
  size: z.number().nonnegative().optional(),
});
export type Hints = z.infer<typeof HintsSchema>;

/** An artefact in the object store: content too large to travel inside a record. */
export const ReferenceSchema = z.object({
  $ref: z.string().regex(/^mesh_artifacts\/[A-Za-z0-9_-]{1,64}$/),
  bytes: z.int().nonnegative(),
  parts: z.int().min(1),
  /** Of the content as stored, sealed. */
  sha256: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  /** Key that opens it (AES-256-GCM): who may read the record may read the artefact. */
  key: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
export type Reference = z.infer<typeof ReferenceSchema>;

export const ParentSchema = z.object({
  task: TaskIdSchema,
  epoch: z.int().min(1),
  /** Who holds the parent's contract: the authority to act for the owner. */
  contractor: AddressSchema,
  /** The parent's own deadline and what is left of its budget; ours may not exceed them. */
  deadline: z.number().optional(),
  budget: z.number().nonnegative().optional(),
});

/** What to try when everything before it failed. It takes the same input and is to give the same
 * kind of output; deadline, budget and priority are the task's. */
export const AlternativeSchema = z.object({
  capability: CapabilityNameSchema,
  version: z.string().max(32).optional(),
  requires: RequirementsSchema.optional(),
  hints: HintsSchema.optional(),
  award: AwardSchema.optional(),
  to: AddressSchema.optional(),
  only: z.boolean().optional(),
});
export type Alternative = z.infer<typeof AlternativeSchema>;

export const SpecSchema = z.object({
  v: z.literal(1),
  kind: z.literal("spec"),
  task: TaskIdSchema,
  owner: PrincipalSchema,
  capability: CapabilityNameSchema,
  /** Version wanted: the same major and at least this one. */
  version: z.string().max(32).optional(),
  /** Absent where it goes by reference, or where the capability takes none. */
  input: z.unknown().optional(),
  inputRef: ReferenceSchema.optional(),
  requires: RequirementsSchema.optional(),
  hints: HintsSchema.optional(),
  award: AwardSchema.optional(),
  /** Award straight to this agent; with `only`, to nobody else. */
  to: AddressSchema.optional(),
  only: z.boolean().optional(),
  /** Agents that may not get it. */
  exclude: z.array(AddressSchema).max(64).optional(),
  /** Absolute, ms since the epoch; the task expires then. */
  deadline: z.number().positive(),
  priority: z.int().min(0).max(PRIORITY_MAX).default(PRIORITY_DEFAULT),
  /** Most that the task may cost, sub-tasks included. */
  budget: z.number().nonnegative().optional(),
  retry: z
    .object({
      attempts: z.int().min(1).max(ATTEMPTS_MAX).default(ATTEMPTS_DEFAULT),
      backoffMs: z.number().min(0).max(BACKOFF_MS_MAX).default(BACKOFF_MS),
    })
    .optional(),
  /** Tried in this order, each with attempts of its own, when the capability failed. */
  otherwise: z.array(AlternativeSchema).max(ALTERNATIVES_MAX).optional(),
  /** How long to look for a free agent before the next alternative is tried, ms. */
  patienceMs: z.number().min(0).max(DEADLINE_MS_MAX).optional(),
  /** Longest way from the beginning of this task to the end of the workflow that it is a step of,
   * ms: of those that wait with one priority, the longest goes first. */
  rank: z.number().min(0).max(1e15).optional(),
  /** The parked task that this one does again. */
  redriveOf: TaskIdSchema.optional(),
  /** How long the finished task stays readable, ms. */
  retainMs: z.number().nonnegative().optional(),
  parent: ParentSchema.optional(),
  /** W3C trace context. */
  traceparent: z.string().max(64).optional(),
  tracestate: z.string().max(512).optional(),
  /** Whom an intake peer submitted for; a label, not an authority. */
  onBehalfOf: z.string().max(128).optional(),
  at: z.number(),
  /** Digest of the record before it, where there is one (P2.4). */
  prev: z.string().max(64).optional(),
});
export type Spec = z.infer<typeof SpecSchema>;

/** What a spec takes from the options of a submission as it stands, and a repetition from the spec
 * before it. */
export const CARRIED = [
  "version",
  "requires",
  "hints",
  "award",
  "to",
  "only",
  "exclude",
  "budget",
  "otherwise",
  "patienceMs",
  "rank",
  "retainMs",
  "traceparent",
  "tracestate",
  "onBehalfOf",
] as const satisfies readonly (keyof Spec)[];

/** Urgency class of a priority: 0 (7 to 9), 1 (3 to 6), 2 (0 to 2). */
export function urgencyOf(priority: number): 0 | 1 | 2 {
  return priority >= 7 ? 0 : priority >= 3 ? 1 : 2;
}
