import { decode } from "@nats-io/jwt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Role } from "../../../contracts/roles.ts";
import {
  CAPABILITIES_MAX,
  type DescribeOptions,
  describeUser,
  type IdentityRefusal,
  mintUserJwt,
} from "../../../mesh/nats/identity/jwt.ts";
import { generateKey, type KeyPair } from "../../../mesh/nats/identity/keys.ts";

const roleKey = generateKey("account");
const account = generateKey("account").publicKey;
const user = generateKey("user");
const trusted = new Map<string, Role>([[roleKey.publicKey, "contractor"]]);

const mint = (extra: Record<string, unknown> = {}, key: KeyPair = roleKey) =>
  mintUserJwt({ name: "alice", publicKey: user.publicKey, account, ...extra }, key);

/** A JWT with any claims, rightly signed. */
function forge(claims: object, key = roleKey, alg = "ed25519-nkey") {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ typ: "JWT", alg })}.${part(claims)}`;
  return `${signed}.${Buffer.from(key.sign(Buffer.from(signed))).toString("base64url")}`;
}

const claims = {
  iss: roleKey.publicKey,
  sub: user.publicKey,
  name: "alice",
  iat: 1_700_000_000,
  nats: { type: "user", version: 2, issuer_account: account, tags: ["cap:ocr"] },
};

function reasonFor(jwt: string, options?: DescribeOptions): IdentityRefusal | "ok" {
  const described = describeUser(jwt, trusted, options);
  return described.ok ? "ok" : described.reason;
}

describe("minting", () => {
  it("gives a JWT that the library and describeUser both read", async () => {
    const expiresAt = Math.floor(Date.now() / 1000) * 1000 + 60_000;
    const jwt = await mint({ capabilities: ["ocr", "Sum_2", "ocr"], expiresAt });
    expect(decode(jwt)).toMatchObject({ name: "alice", sub: user.publicKey });
    expect(describeUser(jwt, trusted, { account })).toEqual({
      ok: true,
      identity: {
        name: "alice",
        publicKey: user.publicKey,
        role: "contractor",
        capabilities: ["ocr", "Sum_2"],
        issuedAt: expect.closeTo(Date.now(), -4),
        expiresAt,
      },
    });
  });

  it("refuses names and capabilities that would widen a permission", () => {
    for (const bad of ["*", ">", "a.b", "", "a b", "{{name()}}", "x".repeat(65), "ä"]) {
      expect(() => mint({ name: bad })).toThrow(expect.objectContaining({ code: "E_SCHEMA" }));
      expect(() => mint({ capabilities: [bad] })).toThrow(
        expect.objectContaining({ code: "E_SCHEMA" }),
      );
    }
    expect(() => mint({ name: "_" })).toThrow(/nobody/);
    expect(() => mint({ name: "the ocr box" })).toThrow(/"the-ocr-box" would do/);
    const many = Array.from({ length: CAPABILITIES_MAX + 1 }, (_, i) => `c${i}`);
    expect(() => mint({ capabilities: many })).toThrow(/several identities/);
  });

  it("keeps the case of capabilities", async () => {
    const described = describeUser(await mint({ capabilities: ["OCR", "ocr"] }), trusted);
    expect(described).toMatchObject({ identity: { capabilities: ["OCR", "ocr"] } });
  });
});

describe("describing", () => {
  it("accepts the claims that the refusals below change", () => {
    expect(reasonFor(forge(claims), { account })).toBe("ok");
  });

  const nats = claims.nats;
  const cases: [string, object, IdentityRefusal, DescribeOptions?][] = [
    ["an expired one", { ...claims, exp: 1_700_000_100 }, "expired"],
    ["one that is not valid yet", { ...claims, nbf: 4e9 }, "not_yet_valid"],
    ["another account's", claims, "account", { account: generateKey("account").publicKey }],
    ["a revoked one", claims, "revoked", { revocations: { [user.publicKey]: claims.iat } }],
    ["one of a time when all were revoked", claims, "revoked", { revocations: { "*": 1.8e9 } }],
    ["a bearer token", { ...claims, nats: { ...nats, bearer_token: true } }, "bearer"],
    ["a name with a separator", { ...claims, name: "alice.bob" }, "name"],
    ["the name of nobody", { ...claims, name: "_" }, "name"],
    ["a wildcard capability", { ...claims, nats: { ...nats, tags: ["cap:*"] } }, "capability"],
    ["an account's JWT", { ...claims, nats: { ...nats, type: "account" } }, "malformed"],
    ["a JWT about an account", { ...claims, sub: account }, "malformed"],
    ["version 1", { ...claims, nats: { ...nats, version: 1 } }, "malformed"],
    ["tags that are none", { ...claims, nats: { ...nats, tags: "cap:ocr" } }, "malformed"],
  ];
  it.each(cases)("refuses %s", (_, body, reason, options) => {
    expect(reasonFor(forge(body), options)).toBe(reason);
  });

  it("takes a newer JWT of a key whose older ones were revoked", () => {
    expect(reasonFor(forge(claims), { revocations: { [user.publicKey]: claims.iat - 1 } })).toBe(
      "ok",
    );
  });

  it("refuses a signer that is no role key, and one that signs in another's name", () => {
    const stranger = generateKey("account");
    expect(reasonFor(forge({ ...claims, iss: stranger.publicKey }, stranger))).toBe("issuer");
    expect(reasonFor(forge(claims, stranger))).toBe("signature");
  });

  it("refuses other algorithms", () => {
    for (const alg of ["none", "HS256", "ed25519"]) {
      expect(reasonFor(forge(claims, roleKey, alg))).toBe("malformed");
    }
  });

  it("refuses a JWT of which any character was changed", async () => {
    const jwt = await mint({ capabilities: ["ocr"] });
    fc.assert(
      fc.property(fc.nat(jwt.length - 3), fc.constantFrom("A", "x", "9"), (at, char) => {
        fc.pre(jwt[at] !== char && jwt[at] !== ".");
        const described = describeUser(jwt.slice(0, at) + char + jwt.slice(at + 1), trusted);
        expect(described.ok).toBe(false);
      }),
    );
  });

  it("never throws on garbage", () => {
    const never = (jwt: string) => {
      expect(describeUser(jwt, trusted).ok).toBe(false);
    };
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), never));
    fc.assert(
      fc.property(fc.tuple(fc.base64String(), fc.base64String(), fc.base64String()), (parts) =>
        never(parts.join(".")),
      ),
    );
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom("iss", "sub", "name", "iat", "exp", "nats", "__proto__", "constructor"),
          fc.anything(),
        ),
        (body) => {
          let jwt: string;
          try {
            jwt = forge(body);
          } catch {
            return; // not JSON at all: bigint and the like
          }
          never(jwt);
        },
      ),
    );
    never(`${"e30".repeat(20_000)}.e30.e30`);
    never(forge(JSON.parse(`{"__proto__":${JSON.stringify(claims)}}`)));
    never(`e30.${Buffer.from("[".repeat(20_000)).toString("base64url")}.e30`);
    for (const odd of [undefined, null, 7, {}]) never(odd as unknown as string);
  });
});
