// Schemas and types of everything that crosses a wire or a disk.

export * from "./card.ts";
export type {
  Alive,
  Answer,
  AwardTerms,
  Beat,
  Bid,
  Cfp,
  Message,
  Offer,
  Progress,
  Refusal,
  RefusalReason,
  SeenBid,
} from "./contract-net.ts";
export {
  AnswerSchema,
  AwardSchema as AwardMessageSchema,
  AwardTermsSchema,
  BeatSchema,
  BidSchema,
  CancelNoticeSchema,
  CfpSchema,
  DoneSchema,
  FencedSchema,
  FieldQuerySchema,
  FieldSchema,
  IdleSchema,
  LiveOutcomeSchema,
  LiveProbeSchema,
  MessageSchema,
  OfferSchema,
  ProgressSchema,
  REFUSAL_REASONS,
  RefusalSchema,
  SEEN_BID_FIELDS,
  SeenBidSchema,
  SeenBidsSchema,
} from "./contract-net.ts";
export * from "./failure.ts";
export * from "./headers.ts";
export * from "./ids.ts";
export * from "./limits.ts";
export * from "./records.ts";
export * from "./roles.ts";
export { sameJson } from "./same-json.ts";
export * from "./spec.ts";
export * from "./subjects.ts";
export * from "./task-terms.ts";
export * from "./trigger.ts";
export * from "./workflow.ts";
