import { hash } from "node:crypto";
import type { Random } from "../ports/index.ts";

/** Characters of base64url: 72 bits. */
const LENGTH = 12;

/**
 * Names calls for bids (P5.11). Who hears some of them cannot tell what the others are called, and
 * so answers none that it does not hear; nor does a process of the same address, now or later.
 */
export function cfpTokens(random: Random): () => string {
  const secret = random.id();
  let lots = 0;
  let lot = "";
  let next = 0;
  return () => {
    if (next + LENGTH > lot.length) {
      lot = hash("sha512", `${secret}.${lots++}`, "base64url");
      next = 0;
    }
    next += LENGTH;
    return lot.slice(next - LENGTH, next);
  };
}
