// User JWTs: who a principal is, in which role, and with which capabilities. Minted and read with
// node:crypto; a role is not claimed inside, it follows from the role key that signed.
// Format: NATS JWT v2 (github.com/nats-io/jwt).

import type { Account, KeyPair as JwtKey, Operator } from "@nats-io/jwt";
import { encodeAccount, encodeOperator, encodeUser } from "@nats-io/jwt";
import { z } from "zod";
import { ParleyError } from "../../../contracts/failure.ts";
import { isToken, NOBODY, tokenAdvice } from "../../../contracts/ids.ts";
import type { Role } from "../../../contracts/roles.ts";
import type { KeyPair } from "./keys.ts";
import { verifySignature } from "./keys.ts";
import { isPublicKey } from "./nkey.ts";

/** What a verified user JWT, or a line of the keyring, says about its holder. */
export interface Identity {
  /** The principal: the sender's first token on every subject. */
  name: string;
  /** `U…`: the key that must have signed whatever this principal sends. */
  publicKey: string;
  role: Role;
  capabilities: string[];
  /** Absolute, ms. */
  issuedAt: number;
  /** Absolute, ms; absent when it does not expire. */
  expiresAt?: number;
}

/** Why an identity was refused. */
export const IDENTITY_REFUSALS = {
  malformed: "this is no NATS user JWT",
  signature: "the JWT's signature does not verify",
  issuer: "the JWT was signed by none of this mesh's role keys",
  account: "the JWT belongs to another account",
  expired: "the JWT has expired: mint a new one",
  not_yet_valid: "the JWT is not valid yet: check clocks",
  revoked: "the identity was revoked",
  name: "the name in the JWT is no single subject token",
  capability: "a capability in the JWT is no single subject token",
  bearer: "the JWT is a bearer token, which proves no key",
  unknown: "the key is not in the keyring",
} as const;

export type IdentityRefusal = keyof typeof IDENTITY_REFUSALS;

export type Described = { ok: true; identity: Identity } | { ok: false; reason: IdentityRefusal };

/** Capabilities travel as tags of this form; the permission templates say `{{tag(cap)}}`. */
export const CAPABILITY_TAG = "cap:";

/** Longest JWT looked at, characters: CAPABILITIES_MAX names of full length, in base64. */
const JWT_CHARS_MAX = 32 * 1024;

/**
 * Capabilities of one identity. Origin: the server expands at most 4096 subjects of a template
 * list (server/auth.go), and a JWT with 256 full-length names fits `max_control_line`.
 */
export const CAPABILITIES_MAX = 256;

const HEADER = z.object({
  typ: z.enum(["JWT", "jwt"]),
  alg: z.literal("ed25519-nkey"),
});

const seconds = z.number().nonnegative().max(8.64e12);

const CLAIMS = z.object({
  iss: z.string(),
  sub: z.string(),
  name: z.string(),
  iat: seconds,
  exp: seconds.optional(),
  nbf: seconds.optional(),
  nats: z.object({
    type: z.literal("user"),
    version: z.literal(2),
    issuer_account: z.string().optional(),
    tags: z.array(z.string()).max(4096).nullish(),
    bearer_token: z.boolean().optional(),
  }),
});

type Claims = z.infer<typeof CLAIMS>;

function parsePart<T>(part: string, schema: z.ZodType<T>): T | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(Buffer.from(part, "base64url").toString("utf8")));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Well-formed and signed by the issuer that it names; who that is, the caller decides. */
function openJwt(jwt: string): Claims | "malformed" | "signature" {
  if (typeof jwt !== "string" || jwt.length > JWT_CHARS_MAX) return "malformed";
  const parts = jwt.split(".");
  const [head, body, signature] = parts;
  if (parts.length !== 3 || head === undefined || body === undefined || signature === undefined) {
    return "malformed";
  }
  const claims = parsePart(body, CLAIMS);
  if (parsePart(head, HEADER) === undefined || claims === undefined) return "malformed";
  const signed = Buffer.from(`${head}.${body}`, "utf8");
  return verifySignature(claims.iss, signed, Buffer.from(signature, "base64url"))
    ? claims
    : "signature";
}

export interface DescribeOptions {
  /** Absolute, ms; the time at which expiry is judged. Default: now. */
  now?: number;
  /** The account that the JWT must belong to; unchecked when absent. */
  account?: string;
  /** Public user key, or `*`, to the unix second up to which JWTs are void (trust.json). */
  revocations?: Readonly<Record<string, number>>;
}

function revoked(claims: Claims, list: Readonly<Record<string, number>>): boolean {
  const until = (key: string) => (Object.hasOwn(list, key) ? (list[key] as number) : -1);
  return claims.iat <= Math.max(until(claims.sub), until("*"));
}

function refusal(claims: Claims, options: DescribeOptions): IdentityRefusal | undefined {
  const now = (options.now ?? Date.now()) / 1000;
  if (options.account !== undefined && claims.nats.issuer_account !== options.account) {
    return "account";
  }
  if (!isPublicKey(claims.sub, "user")) return "malformed";
  if (claims.nats.bearer_token === true) return "bearer";
  if (!isPrincipalName(claims.name)) return "name";
  if (claims.exp !== undefined && claims.exp > 0 && now >= claims.exp) return "expired";
  if (claims.nbf !== undefined && now < claims.nbf) return "not_yet_valid";
  if (options.revocations !== undefined && revoked(claims, options.revocations)) return "revoked";
  return undefined;
}

/**
 * Reads and verifies a user JWT. `trustedIssuers` maps each role's signing key to its role.
 * Never throws: whatever is wrong comes back as a reason.
 */
export function describeUser(
  jwt: string,
  trustedIssuers: ReadonlyMap<string, Role>,
  options: DescribeOptions = {},
): Described {
  const claims = openJwt(jwt);
  if (typeof claims === "string") return { ok: false, reason: claims };
  const role = trustedIssuers.get(claims.iss);
  if (role === undefined) return { ok: false, reason: "issuer" };
  const reason = refusal(claims, options);
  if (reason !== undefined) return { ok: false, reason };
  const capabilities = (claims.nats.tags ?? [])
    .filter((tag) => tag.startsWith(CAPABILITY_TAG))
    .map((tag) => tag.slice(CAPABILITY_TAG.length));
  if (!capabilities.every(isToken)) return { ok: false, reason: "capability" };
  return {
    ok: true,
    identity: {
      name: claims.name,
      publicKey: claims.sub,
      role,
      capabilities,
      issuedAt: claims.iat * 1000,
      ...(claims.exp ? { expiresAt: claims.exp * 1000 } : {}),
    },
  };
}

/** A name that may stand for a principal: a token, and not the one that means nobody. */
export function isPrincipalName(name: string): boolean {
  return isToken(name) && name !== NOBODY;
}

/**
 * Names and capabilities are pasted into permission templates by the server, wildcards and all
 * (`cap:*` would grant every capability), so nothing but tokens may be minted.
 * @throws ParleyError E_SCHEMA.
 */
export function checkNames(name: string, capabilities: readonly string[]): void {
  if (!isToken(name)) throw new ParleyError("E_SCHEMA", tokenAdvice("name", name));
  if (name === NOBODY) {
    throw new ParleyError("E_SCHEMA", `name "${NOBODY}" means nobody on a subject; take another`);
  }
  for (const capability of capabilities) {
    if (!isToken(capability)) {
      throw new ParleyError("E_SCHEMA", tokenAdvice("capability", capability));
    }
  }
  if (capabilities.length > CAPABILITIES_MAX) {
    throw new ParleyError(
      "E_SCHEMA",
      `${capabilities.length} capabilities are too many for ` +
        `one identity (at most ${CAPABILITIES_MAX}): make several identities`,
    );
  }
}

/** Our key as the JWT library takes it. The library asks for `getPrivateKey` only as a check. */
function libraryKey(key: KeyPair): JwtKey {
  const never = (): never => {
    throw new Error("not offered: keys sign through node:crypto");
  };
  return {
    getPublicKey: () => key.publicKey,
    getPrivateKey: () => new Uint8Array(0),
    getSeed: never,
    verify: never,
    seal: never,
    open: never,
    clear: never,
    sign: (data) => key.sign(data),
  };
}

export interface UserClaims {
  name: string;
  /** `U…`. */
  publicKey: string;
  capabilities?: readonly string[];
  /** Absolute, ms; rounded down to seconds. */
  expiresAt?: number;
  /** The mesh account, `A…`. */
  account: string;
}

/**
 * A user JWT signed by a role's key. Capability tags keep their case: the server compares tags
 * as they stand, although nsc writes them in lower case.
 * @throws ParleyError E_SCHEMA when a name or a capability is no token.
 */
export function mintUserJwt(user: UserClaims, roleKey: KeyPair): Promise<string> {
  const capabilities = [...new Set(user.capabilities ?? [])];
  checkNames(user.name, capabilities);
  return encodeUser(
    user.name,
    user.publicKey,
    user.account,
    {
      tags: capabilities.map((capability) => CAPABILITY_TAG + capability),
    },
    {
      signer: libraryKey(roleKey),
      scopedUser: true,
      ...(user.expiresAt === undefined ? {} : { exp: Math.floor(user.expiresAt / 1000) }),
    },
  );
}

export function mintAccountJwt(
  name: string,
  publicKey: string,
  account: Partial<Account>,
  operator: KeyPair,
): Promise<string> {
  return encodeAccount(name, publicKey, account, { signer: libraryKey(operator) });
}

export function mintOperatorJwt(
  name: string,
  operator: KeyPair,
  claims: Partial<Operator>,
): Promise<string> {
  return encodeOperator(name, libraryKey(operator), claims);
}

/** A JWT for a user of an account without roles: the system account's own. */
export function mintSystemUserJwt(
  name: string,
  publicKey: string,
  systemAccount: KeyPair,
): Promise<string> {
  return encodeUser(name, publicKey, libraryKey(systemAccount), {});
}
