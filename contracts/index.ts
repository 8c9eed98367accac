// Schemas and types of everything that crosses a wire or a disk.
export * from "./ids.ts";
export * from "./limits.ts";
export * from "./failure.ts";
export * from "./subjects.ts";
export * from "./roles.ts";
export * from "./card.ts";
export * from "./spec.ts";
export {
  CfpSchema, BidSchema, RefusalSchema, REFUSAL_REASONS, AnswerSchema, SeenBidSchema,
  AwardTermsSchema, AwardSchema as AwardMessageSchema, IdleSchema, OfferSchema, BeatSchema,
  ProgressSchema, DoneSchema, CancelNoticeSchema, FencedSchema, LiveOutcomeSchema, MessageSchema,
  LiveProbeSchema,
} from "./contract-net.ts";
export type {
  Answer, Cfp, Bid, Refusal, RefusalReason, SeenBid, AwardTerms, Offer, Beat, Progress, Message,
} from "./contract-net.ts";
export * from "./records.ts";
