// Bodies of the records under a task, besides the spec. JSON, since people read them.
import { z } from "zod";
import { BidSchema } from "./contract-net.ts";
import { FailureSchema } from "./failure.ts";
import { AddressSchema, CapabilityNameSchema, TaskIdSchema } from "./ids.ts";
import { ReferenceSchema } from "./spec.ts";

/** A signed award as records embed it: exact bytes of the terms, and the initiator's signature,
 * both base64url. */
export const EmbeddedAwardSchema = z.object({ terms: z.string(), sig: z.string() });
export type EmbeddedAward = z.infer<typeof EmbeddedAwardSchema>;

/** The winner's claim. From here this epoch owns the task. */
export const ContractSchema = z.object({
  v: z.literal(1),
  kind: z.literal("contract"),
  task: TaskIdSchema,
  epoch: z.int().min(1),
  attempt: z.int().min(1),
  capability: CapabilityNameSchema,
  contractor: AddressSchema,
  initiator: AddressSchema,
  bid: BidSchema.omit({ v: true, kind: true }).partial().optional(),
  leaseMs: z.number(),
  award: EmbeddedAwardSchema,
  /** The bids that the award names by digest: their bytes, base64url. */
  bids: z.string().optional(),
  prev: z.string().max(64),
  at: z.number(),
});
export type Contract = z.infer<typeof ContractSchema>;

export const TERMINAL_STATES = ["completed", "failed", "canceled", "expired", "rejected"] as const;
export type TerminalState = (typeof TERMINAL_STATES)[number];

/** States that a task passes through; the last five absorb. */
export type TaskState =
  | "submitted"
  | "negotiating"
  | "waiting"
  | "running"
  | "input_required"
  | TerminalState;

/** The one terminal record; nothing follows it. */
export const OutcomeSchema = z.object({
  v: z.literal(1),
  kind: z.literal("outcome"),
  task: TaskIdSchema,
  /** Epoch of the contract that produced it; 0 when no contract was ever made. */
  epoch: z.int().min(0),
  state: z.enum(TERMINAL_STATES),
  output: z.unknown().optional(),
  outputRef: ReferenceSchema.optional(),
  failure: FailureSchema.optional(),
  attempts: z.int().min(0),
  /** Every attempt failed for reasons that may pass: kept for a person to look at. */
  parked: z.boolean().optional(),
  /** Work's begin and end on the author's clock, ms since the epoch. */
  startedAt: z.number().optional(),
  endedAt: z.number(),
  cost: z.number().nonnegative().optional(),
  retainMs: z.number().nonnegative().optional(),
  /** A contractor's warrant: without a proven award nobody's result counts (S4). */
  award: EmbeddedAwardSchema.optional(),
  prev: z.string().max(64),
});
export type Outcome = z.infer<typeof OutcomeSchema>;

/** One attempt failed, or its agent left; the task may go on. */
export const FailureRecordSchema = z.object({
  v: z.literal(1),
  kind: z.literal("failure"),
  task: TaskIdSchema,
  epoch: z.int().min(1),
  attempt: z.int().min(1),
  failure: FailureSchema,
  /** Handed back by an agent that stops in order: that is no attempt. */
  leaving: z.boolean().optional(),
  startedAt: z.number().optional(),
  endedAt: z.number(),
  prev: z.string().max(64),
});
export type FailureRecord = z.infer<typeof FailureRecordSchema>;

/** One thing that a durable handler did, under a name of its own. */
export const JournalEntrySchema = z.object({
  key: z.string().min(1).max(512),
  op: z.enum(["begin", "step", "sleep", "now", "random", "task", "ask", "cancel"]),
  /** Digest of what it was asked to do with, where that must not change. */
  d: z.string().max(64).optional(),
  value: z.unknown().optional(),
  /** The value, where it is too large for a record. */
  ref: ReferenceSchema.optional(),
  /** It ended in this failure: for good, or, where a retry may mend it, for that attempt, whose
   * handler went another way. */
  failure: FailureSchema.optional(),
});
export type JournalEntry = z.infer<typeof JournalEntrySchema>;

/** A piece of a durable handler's journal. */
export const CheckpointSchema = z.object({
  v: z.literal(1),
  kind: z.literal("checkpoint"),
  task: TaskIdSchema,
  epoch: z.int().min(1),
  entries: z.array(JournalEntrySchema).max(4_096),
  at: z.number(),
  prev: z.string().max(64),
});
export type Checkpoint = z.infer<typeof CheckpointSchema>;

export const CancelRecordSchema = z.object({
  v: z.literal(1),
  kind: z.literal("cancel"),
  task: TaskIdSchema,
  reason: z.string().max(1024),
  at: z.number(),
  prev: z.string().max(64),
});
export type CancelRecord = z.infer<typeof CancelRecordSchema>;
