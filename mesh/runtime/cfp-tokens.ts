import type { Random } from "../ports/index.ts";

/**
 * Names calls for bids. The first characters are this very process's: whoever has the same address
 * beside it, or had it before, does not get its bids.
 */
export function cfpTokens(random: Random): () => string {
  const prefix = random.id().slice(0, 6);
  let calls = 0;
  return () => prefix + (calls++).toString(36);
}
