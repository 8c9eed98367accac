// The trust port: who is who, from the mesh's public trust.json (JWTs) or from a keyring (static
// NKey users). Proofs are cached by their exact text, since the same JWT comes with every card.
import type { Principal, Trust as TrustPort } from "../ports/index.ts";
import { roleBySigningKey, type Trust } from "./identity/account.ts";
import { describeUser } from "./identity/jwt.ts";
import { verifySignature } from "./identity/keys.ts";
import type { Keyring } from "./identity/static-users.ts";

/** Proven JWTs remembered; each about 1 KB. */
const PROVEN_MAX = 5_000;

/** @param wall wall clock, ms: judges expiry */
export function jwtTrust(trust: Trust, wall: () => number): TrustPort {
  const issuers = roleBySigningKey(trust);
  const proven = new Map<string, { principal: Principal; expiresAt: number }>();
  return {
    principal(name, jwt, now = wall()) {
      if (jwt === undefined) return undefined;
      const known = proven.get(jwt);
      if (known !== undefined && known.expiresAt > now) {
        return known.principal.name === name ? known.principal : undefined;
      }
      const described = describeUser(jwt, issuers, {
        now,
        account: trust.account,
        revocations: trust.revocations,
      });
      if (!described.ok) return undefined;
      const { identity } = described;
      const principal: Principal = {
        name: identity.name,
        publicKey: identity.publicKey,
        role: identity.role,
        capabilities: identity.capabilities,
      };
      if (proven.size >= PROVEN_MAX) proven.clear();
      proven.set(jwt, {
        principal,
        expiresAt: identity.expiresAt ?? Number.POSITIVE_INFINITY,
      });
      return principal.name === name ? principal : undefined;
    },
    verify: verifySignature,
  };
}

export function keyringTrust(keyring: Keyring): TrustPort {
  return {
    principal(name) {
      const entry = Object.hasOwn(keyring, name) ? keyring[name] : undefined;
      if (entry === undefined) return undefined;
      return {
        name,
        publicKey: entry.publicKey,
        role: entry.role,
        capabilities: entry.capabilities,
      };
    },
    verify: verifySignature,
  };
}
