// The bids inside an award's terms: packed, since of all who open an award only those who explain
// or judge it read them.
import {
  type AwardTerms,
  SEEN_BID_FIELDS,
  type SeenBid,
  SeenBidsSchema,
} from "../../contracts/index.ts";
import { decode } from "./codec/codec.ts";
import { msgpackBytes } from "./codec/encode-own.ts";

/** 64 bids with the longest of names, and room to spare. */
const LIMITS = { bytesMax: 32 * 1024, depthMax: 3, keysMax: 100 };
const NONE = new Uint8Array(0);

/** Terms with their bids to read. */
export type ExplainedTerms = Omit<AwardTerms, "bids"> & { bids: SeenBid[] };

export function packBids(bids: readonly SeenBid[]): Uint8Array {
  if (bids.length === 0) return NONE;
  return msgpackBytes({ bids: bids.map((bid) => SEEN_BID_FIELDS.map((name) => bid[name])) });
}

/** Undefined when they cannot be read. */
export function openBids(terms: AwardTerms): ExplainedTerms | undefined {
  if (terms.bids.length === 0) return { ...terms, bids: [] };
  const raw = decode(terms.bids, LIMITS);
  const parsed = SeenBidsSchema.safeParse(raw.ok ? raw.value : undefined);
  return parsed.success ? { ...terms, bids: parsed.data.bids } : undefined;
}
