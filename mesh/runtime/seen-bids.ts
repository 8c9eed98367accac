// The bids that led to an award: packed, and named by digest in its terms, since of all who open an
// award only those who explain or judge it read them.
import {
  type AwardTerms,
  SEEN_BID_FIELDS,
  type SeenBid,
  SeenBidsSchema,
} from "../../contracts/index.ts";
import { decode } from "./codec/codec.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import { digest } from "./signing.ts";

/** 64 bids with the longest of names, and room to spare. */
const LIMITS = { bytesMax: 32 * 1024, depthMax: 3, keysMax: 100 };
const NONE = new Uint8Array(0);

/** Terms with their bids to read. */
export type ExplainedTerms = Omit<AwardTerms, "bids"> & { bids: SeenBid[] };

export function packBids(bids: readonly SeenBid[]): Uint8Array {
  if (bids.length === 0) return NONE;
  return msgpackBytes({ bids: bids.map((bid) => SEEN_BID_FIELDS.map((name) => bid[name])) });
}

/** By which an award's terms name its bids. */
export function bidsDigest(packed: Uint8Array): string {
  return packed.length === 0 ? "" : digest(packed);
}

/** Undefined when they are not the bids that the terms name, or cannot be read. */
export function openBids(terms: AwardTerms, packed: Uint8Array): ExplainedTerms | undefined {
  if (bidsDigest(packed) !== terms.bids) return undefined;
  if (packed.length === 0) return { ...terms, bids: [] };
  const raw = decode(packed, LIMITS);
  const parsed = SeenBidsSchema.safeParse(raw.ok ? raw.value : undefined);
  return parsed.success ? { ...terms, bids: parsed.data.bids } : undefined;
}

/** What a contract holds of them. */
export function bidsOf(contract: { bids?: unknown }): Uint8Array {
  return typeof contract.bids === "string" ? Buffer.from(contract.bids, "base64url") : NONE;
}
