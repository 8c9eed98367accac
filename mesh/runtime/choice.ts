// The terms of one award, as this initiator makes it.
import type { Address, AwardTerms } from "../../contracts/index.ts";
import type { ScoredBid } from "../core/policy.ts";
import type { Deps } from "./dependencies.ts";
import type { Entry, InitiatorOptions } from "./desk.ts";
import { termsOf } from "./tender.ts";

/** @param order bids as ranked; none for a directed award */
export function choiceOf(
  d: Deps,
  o: InitiatorOptions,
  entry: Entry,
  to: Address,
  order: readonly ScoredBid[],
): AwardTerms {
  const { t } = entry;
  return termsOf(t, {
    to,
    order,
    spec: entry.specDigest,
    initiator: o.agent,
    policyHash: o.policies.hash(t.spec.award?.policy ?? "balanced"),
    leaseMs: o.leaseMs,
    at: Math.round(d.clock.wall()),
    nonce: d.random.id(),
  });
}
