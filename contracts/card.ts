// Agent cards: what an agent says of itself. They serve people, matching and audits, and bind an
// agent's key to its principal; they are never used to guess who is least loaded.
import { z } from "zod";
import { AgentNameSchema, CapabilityNameSchema, PrincipalSchema } from "./ids.ts";

/** Of an agent or a capability: whoever follows cards keeps them. */
const ATTRIBUTES_MAX = 64;

export const AttributeSchema = z.union([z.string().max(256), z.number(), z.boolean()]);
export const AttributesSchema = z
  .record(z.string().min(1).max(64), AttributeSchema)
  .refine(
    (all) => Object.keys(all).length <= ATTRIBUTES_MAX,
    `at most ${ATTRIBUTES_MAX} attributes`,
  );
export type Attributes = z.infer<typeof AttributesSchema>;

export const VersionSchema = z.string().regex(/^\d{1,6}\.\d{1,6}\.\d{1,6}$/, "a version: 1.2.3");

/** How often an agent may be used: so many tasks a second, and so many at once after a pause. */
export const RateSchema = z.object({
  perS: z.number().positive().max(1e6),
  burst: z.number().min(1).max(1e6).optional(),
  /** Whether the rate is for all together or for each owner of tasks. */
  per: z.enum(["agent", "owner"]).optional(),
});
export type Rate = z.infer<typeof RateSchema>;

export const CapabilitySchema = z.object({
  name: CapabilityNameSchema,
  version: VersionSchema,
  description: z.string().max(1024).optional(),
  /** JSON Schema of input and output, where the author's library can give one. */
  input: z.record(z.string(), z.unknown()).optional(),
  output: z.record(z.string(), z.unknown()).optional(),
  /** Hints, not promises: usual duration, ms, and price per task in the mesh's unit of account. */
  durationMs: z.number().nonnegative().optional(),
  cost: z.number().nonnegative().optional(),
  /** Tasks of this capability that the agent takes at a time. */
  slots: z.int().min(1).max(10_000).optional(),
  rate: RateSchema.optional(),
  attributes: AttributesSchema.optional(),
});
export type Capability = z.infer<typeof CapabilitySchema>;

export const AgentCardSchema = z.object({
  v: z.literal(1),
  kind: z.literal("card"),
  principal: PrincipalSchema,
  agent: AgentNameSchema,
  /** NKey (U...) whose signature this agent's records and awards carry. */
  publicKey: z.string().regex(/^U[A-Z2-7]{55}$/, "a user NKey"),
  /** The principal's user JWT: binds the principal's name to its key. Absent with static users. */
  jwt: z.string().max(8192).optional(),
  description: z.string().max(1024).optional(),
  capabilities: z.array(CapabilitySchema).max(256),
  attributes: AttributesSchema.optional(),
  slots: z.int().min(0).max(100_000),
  /** Identifies the running process, so that a restart shows. */
  instance: z.string().max(64),
  at: z.number(),
});
export type AgentCard = z.infer<typeof AgentCardSchema>;
