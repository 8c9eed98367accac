// One award, as this initiator makes it: its terms, and the bids that led to it.
import { type Address, type AwardTerms, BIDS_EXPLAINED_MAX } from "../../contracts/index.ts";
import { type ScoredBid, seen, toldOf } from "../core/policy.ts";
import type { Deps } from "./dependencies.ts";
import type { Entry, InitiatorOptions } from "./desk.ts";
import { bidsDigest, packBids } from "./seen-bids.ts";
import { termsOf } from "./tender.ts";

/** @param order bids as ranked; none for a directed award */
export function choiceOf(
  d: Deps,
  o: InitiatorOptions,
  entry: Entry,
  to: Address,
  order: readonly ScoredBid[],
): { terms: AwardTerms; bids: Uint8Array } {
  const { t } = entry;
  const bids = packBids(toldOf(order, BIDS_EXPLAINED_MAX).map(seen));
  const terms = termsOf(t, {
    to,
    order,
    bids: bidsDigest(bids),
    spec: entry.specDigest,
    initiator: o.agent,
    policyHash: o.policies.hash(t.spec.award?.policy ?? "balanced"),
    leaseMs: o.leaseMs,
    at: Math.round(d.clock.wall()),
    nonce: d.random.id(),
  });
  return { terms, bids };
}
