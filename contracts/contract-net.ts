// Messages of the contract net (FIPA SC00029 for the acts, Smith 1980 for the lifetimes).
// All but the award travel unsigned: the server enforces who may name himself on the subject.
import { z } from "zod";
import { FailureSchema } from "./failure.ts";
import {
  AddressSchema,
  CapabilityNameSchema,
  isToken,
  PrincipalSchema,
  TaskIdSchema,
  TokenSchema,
} from "./ids.ts";
import { SAMPLES } from "./limits.ts";
import { HintsSchema, RequirementsSchema } from "./spec.ts";

const bytes = z.instanceof(Uint8Array);
const finite = z.number();

/** Call for proposals: the abstraction of a task, not the task. */
export const CfpSchema = z.object({
  v: z.literal(1),
  kind: z.literal("cfp"),
  cfp: TokenSchema,
  task: TaskIdSchema,
  version: z.string().max(32).optional(),
  requires: RequirementsSchema.optional(),
  hints: HintsSchema.optional(),
  deadline: finite.optional(),
  priority: z.int().min(0).max(9),
  /** As in the spec: an agent that is offered several prefers the higher one. */
  rank: finite.min(0).optional(),
  /** Bids above this are pointless. */
  costMax: finite.optional(),
  /** How long the call stays open, ms. */
  windowMs: finite,
  exclude: z.array(AddressSchema).max(64).optional(),
  /** On whose behalf the task runs: some agents serve each owner at a limited rate. */
  owner: PrincipalSchema.optional(),
  /** Answers expected to rung `all`: bids delay themselves by their rank among so many. */
  crowd: z.int().optional(),
});
export type Cfp = z.infer<typeof CfpSchema>;

/** "Who could answer a call?", to a peer that follows the cards; empty: nothing is required. */
export const FieldQuerySchema = z.object({
  v: z.literal(1),
  kind: z.literal("field_query"),
  requires: RequirementsSchema.optional(),
});

const count = (most: number) => z.int().min(0).max(most);

export const FieldSchema = z.object({
  v: z.literal(1),
  kind: z.literal("field"),
  /** Agents that offer the capability and meet the requirements; agents that offer it at all. */
  agents: count(1e9),
  offering: count(1e9),
  /** Queue groups with a member, of each sample. */
  groups: z.object({ s2: count(SAMPLES.s2), s4: count(SAMPLES.s4), s8: count(SAMPLES.s8) }),
});

export const BidSchema = z.object({
  v: z.literal(1),
  kind: z.literal("bid"),
  /** Start and duration from now, ms, as the participant expects them. */
  startMs: finite.min(0),
  durationMs: finite.min(0),
  cost: finite.min(0),
  /** Of delivering what is claimed, 0 to 1. */
  confidence: finite.min(0).max(1),
  /** Share of its slot time that the agent has been busy, 0 to 1, lately. */
  load: finite.min(0),
  slots: z.int().min(0),
  validMs: finite.min(0),
});
export type Bid = z.infer<typeof BidSchema>;

export const REFUSAL_REASONS = [
  "busy",
  "ineligible",
  "over_budget",
  "draining",
  "low_value",
  "rate",
  "stale",
  "not_understood",
  "unverified",
  "clock",
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export const RefusalSchema = z.object({
  v: z.literal(1),
  kind: z.literal("refusal"),
  reason: z.enum(REFUSAL_REASONS),
  /** Set when this refuses an award, not a call. */
  award: z.boolean().optional(),
  /** When a slot is expected to be free, ms from now. */
  freeInMs: finite.min(0).optional(),
});
export type Refusal = z.infer<typeof RefusalSchema>;

export const AnswerSchema = z.discriminatedUnion("kind", [BidSchema, RefusalSchema]);
export type Answer = z.infer<typeof AnswerSchema>;

/** A bid as an award remembers it, for `why`. Times are the claimed ones; a lower `score` is
 * better. */
export const SeenBidSchema = z.object({
  from: AddressSchema,
  startMs: finite,
  durationMs: finite,
  cost: finite,
  confidence: finite,
  load: finite,
  /** What the initiator believed instead of `durationMs` and `confidence`. */
  calibratedMs: finite,
  calibratedConfidence: finite,
  score: finite,
});
export type SeenBid = z.infer<typeof SeenBidSchema>;

/** The order in which packed bids tell their fields. */
export const SEEN_BID_FIELDS = [
  "from",
  "startMs",
  "durationMs",
  "cost",
  "confidence",
  "load",
  "calibratedMs",
  "calibratedConfidence",
  "score",
] as const satisfies readonly (keyof SeenBid)[];

/** The bids that led to an award, packed: best first, each a list of its fields. */
export const SeenBidsSchema = z.object({
  bids: z
    .array(
      z
        .tuple([AddressSchema], finite)
        .refine((fields) => fields.length === SEEN_BID_FIELDS.length, "a bid has nine fields")
        .transform(
          (fields) =>
            Object.fromEntries(SEEN_BID_FIELDS.map((name, i) => [name, fields[i]])) as SeenBid,
        ),
    )
    .max(64),
});

/** What an initiator signs: enough to recompute the choice, and bound to one revision. */
export const AwardTermsSchema = z.object({
  v: z.literal(1),
  kind: z.literal("award"),
  task: TaskIdSchema,
  owner: PrincipalSchema,
  submitter: AddressSchema,
  capability: CapabilityNameSchema,
  epoch: z.int().min(1),
  attempt: z.int().min(1),
  /** The task's revision that the claim must meet; 0 for a live call. */
  rev: z.int().min(0),
  /** Digest of the record at that revision: the chain's previous link. */
  prev: z.string().max(64),
  live: z.boolean(),
  cfp: TokenSchema,
  /** SHA-256 of the spec's bytes. */
  spec: z.string().max(64),
  initiator: AddressSchema,
  contractor: AddressSchema,
  rung: z.string().max(16),
  /** Which alternative of the spec this award is for; absent: the task as it was asked for. */
  tier: z.int().min(1).optional(),
  /** Bidders left out: their last attempts failed one after the other, or they left an award of
   * this very task unclaimed. */
  distrusted: z.array(AddressSchema).max(64).optional(),
  /** Bidders passed over because this initiator had given the slots that they bid with away. */
  spoken: z.array(AddressSchema).max(64).optional(),
  policy: z.object({
    name: z.string().max(64),
    hash: z.string().max(64),
    weights: z.record(z.string(), finite).optional(),
    seed: finite,
    band: finite,
    /** Time left until the deadline when the bids were ranked, ms: some policies ask. */
    leftMs: finite,
  }),
  /** The contractor's own; absent when nobody was asked for bids. */
  bid: SeenBidSchema.optional(),
  /** Digest of all bids seen, as they are packed; empty when there were none. */
  bids: z.string().max(64),
  refusals: z.int().min(0),
  deadline: finite,
  leaseMs: finite,
  at: finite,
  nonce: z.string().max(64),
});
export type AwardTerms = z.infer<typeof AwardTermsSchema>;

/** The award as sent: signed terms, and what these name by digest: the spec's own bytes, and
 * msgpack of the bids (SeenBidsSchema), empty when there were none. */
export const AwardSchema = z.object({
  v: z.literal(1),
  kind: z.literal("award"),
  terms: bytes,
  sig: bytes,
  spec: bytes,
  bids: bytes,
});

/** Node-available (Smith): a freed agent asks waiting initiators for work. */
export const IdleSchema = z.object({
  v: z.literal(1),
  kind: z.literal("idle"),
  slots: z.int().min(1),
  /** Only for what is at least as critical as what the end of the agent's task may enable. */
  rank: finite.min(0).optional(),
});

/** An initiator's answer: what it would have the agent do. The agent bids on the most urgent. */
export const OfferSchema = z.object({
  v: z.literal(1),
  kind: z.literal("offer"),
  capability: CapabilityNameSchema,
  /** Higher is more urgent: priority with aging, then nearness of the deadline. */
  urgency: finite,
  /** From when its age counts, ms on the server's clock, and the revision of its spec: which of two
   * came first, whoever offers them. */
  since: finite.optional(),
  specRev: finite.optional(),
  call: CfpSchema,
});
export type Offer = z.infer<typeof OfferSchema>;

/** A contract under way; where no agent is named, it is the sender's of the beat (P9.4). */
export type Alive = [owner: string, task: string, epoch: number, agent?: string];

/** By hand, since each contract is named several times a second. */
function isAlive(value: unknown): boolean {
  if (!Array.isArray(value) || value.length < 3 || value.length > 4) return false;
  const [owner, task, epoch, agent = owner] = value;
  return (
    Number.isSafeInteger(epoch) && isTokenText(owner) && isTokenText(task) && isTokenText(agent)
  );
}

function isTokenText(value: unknown): boolean {
  return typeof value === "string" && isToken(value);
}

/** A busy process is alive and still on these tasks. */
export const BeatSchema = z.object({
  v: z.literal(1),
  kind: z.literal("beat"),
  tasks: z
    .array(z.custom<Alive>(isAlive, "owner, task, epoch, and the agent if it is another"))
    .max(1024),
  lagMs: finite.min(0),
});
export type Beat = z.infer<typeof BeatSchema>;

/** Directed messages (`mesh.msg`). Each may be lost without harm. */
export const ProgressSchema = z.object({
  v: z.literal(1),
  kind: z.literal("progress"),
  owner: PrincipalSchema,
  task: TaskIdSchema,
  epoch: z.int(),
  n: z.int().min(0),
  /** 0 to 1, when the author knows it. */
  done: finite.min(0).max(1).optional(),
  note: z.string().max(4096).optional(),
  /** A piece of the output, in the order of `n`. */
  partial: z.unknown().optional(),
});
export type Progress = z.infer<typeof ProgressSchema>;

/** The contractor to its initiator: the outcome (or failure) is stored under this revision. */
export const DoneSchema = z.object({
  v: z.literal(1),
  kind: z.literal("done"),
  owner: PrincipalSchema,
  task: TaskIdSchema,
  epoch: z.int(),
  rev: z.int(),
  state: z.string().max(16),
  /** How long the work itself took, ms: what the bid's claim is compared with. */
  workedMs: finite.min(0).optional(),
});

export const CancelNoticeSchema = z.object({
  v: z.literal(1),
  kind: z.literal("cancel"),
  owner: PrincipalSchema,
  task: TaskIdSchema,
  epoch: z.int(),
  reason: z.string().max(1024),
  /** The task itself is over; absent: it goes on with somebody else. */
  over: z.boolean().optional(),
});

/** "Are you there, and still on this task?" The answer is one byte: 1 yes, 0 no. */
export const LiveProbeSchema = z.object({
  v: z.literal(1),
  kind: z.literal("live"),
  owner: PrincipalSchema,
  task: TaskIdSchema,
  epoch: z.int(),
  /** Who asks; he gets the beats from now on. */
  from: AddressSchema,
});

/** You no longer hold this contract: stop. */
export const FencedSchema = z.object({
  v: z.literal(1),
  kind: z.literal("fenced"),
  owner: PrincipalSchema,
  task: TaskIdSchema,
  epoch: z.int(),
});

/** The answer to a question that a handler asked under this key. */
export const AnswerNoticeSchema = z.object({
  v: z.literal(1),
  kind: z.literal("answer"),
  owner: PrincipalSchema,
  task: TaskIdSchema,
  epoch: z.int(),
  key: z.string().min(1).max(512),
  value: z.unknown(),
});

/** A live contractor's answer: nothing is stored, so the outcome itself is the message. */
export const LiveOutcomeSchema = z.object({
  v: z.literal(1),
  kind: z.literal("live"),
  owner: PrincipalSchema,
  task: TaskIdSchema,
  epoch: z.int(),
  outcome: bytes.optional(),
  failure: FailureSchema.optional(),
  /** The agent stops: no attempt (P10.13). */
  leaving: z.boolean().optional(),
  workedMs: finite.min(0).optional(),
});

export const MessageSchema = z.discriminatedUnion("kind", [
  ProgressSchema,
  DoneSchema,
  CancelNoticeSchema,
  FencedSchema,
  AnswerNoticeSchema,
  LiveOutcomeSchema,
]);
export type Message = z.infer<typeof MessageSchema>;
