import { nkeys } from "@nats-io/nats-core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ParleyError } from "../../../contracts/failure.ts";
import {
  generateKey,
  type KeyKind,
  keyFromSeed,
  publicKeyObject,
  verifySignature,
} from "../../../mesh/nats/identity/keys.ts";
import {
  decodeBase32,
  decodePublicKey,
  decodeSeed,
  encodeBase32,
  encodePublicKey,
  encodeSeed,
} from "../../../mesh/nats/identity/nkey.ts";

const kinds: KeyKind[] = ["user", "account", "operator"];
const raw32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const utf8 = (text: string) => new TextEncoder().encode(text);

describe("NKey text", () => {
  it("is the same as the nkeys library's, for every kind of key", () => {
    const make = {
      user: nkeys.createUser,
      account: nkeys.createAccount,
      operator: nkeys.createOperator,
    };
    for (const kind of kinds) {
      const theirs = make[kind]();
      const ours = keyFromSeed(theirs.getSeed());
      expect(ours).toMatchObject({ kind, publicKey: theirs.getPublicKey() });
      expect(nkeys.fromSeed(utf8(generateKey(kind).seed)).getPublicKey()[0]).toBe(
        kind.charAt(0).toUpperCase(),
      );
    }
  });

  it("survives a round trip", () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), raw32, (kind, raw) => {
        expect(decodePublicKey(encodePublicKey(kind, raw))).toEqual({ kind, raw });
        expect(decodeSeed(encodeSeed(kind, raw))).toEqual({ kind, raw });
      }),
    );
  });

  it("base32 survives a round trip", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(decodeBase32(encodeBase32(bytes))).toEqual(bytes);
      }),
    );
  });

  it("notices any single changed character", () => {
    const key = encodePublicKey("user", new Uint8Array(32).fill(7));
    for (let i = 0; i < key.length; i++) {
      const other = key.slice(0, i) + (key[i] === "A" ? "B" : "A") + key.slice(i + 1);
      expect(decodePublicKey(other)).toBeUndefined();
    }
  });

  it("never throws on garbage public keys, and only ParleyError on garbage seeds", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 80 }), (text) => {
        expect(decodePublicKey(text)).toBeUndefined();
        expect(() => decodeSeed(text)).toThrow(ParleyError);
      }),
    );
  });

  it("does not repeat a bad seed in the error", () => {
    const seed = generateKey("user").seed;
    const bad = `${seed.slice(0, -1)}${seed.endsWith("A") ? "B" : "A"}`;
    expect(() => keyFromSeed(bad)).toThrow(
      expect.objectContaining({
        code: "E_IDENTITY",
        message: expect.not.stringContaining(bad.slice(4, 30)),
      }),
    );
  });
});

describe("signatures", () => {
  it("are the same as the nkeys library's, and verify both ways", () => {
    const ours = generateKey("user");
    const theirs = nkeys.fromSeed(utf8(ours.seed));
    const data = utf8("the award of task 9");
    expect(Buffer.from(ours.sign(data))).toEqual(Buffer.from(theirs.sign(data)));
    expect(theirs.verify(data, ours.sign(data))).toBe(true);
    expect(verifySignature(ours.publicKey, data, theirs.sign(data))).toBe(true);
  });

  it("do not verify for other data, another key, or changed bits", () => {
    const [a, b] = [generateKey("user"), generateKey("user")];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(511), (data, bit) => {
        const signature = a.sign(data);
        expect(verifySignature(a.publicKey, data, signature)).toBe(true);
        expect(verifySignature(b.publicKey, data, signature)).toBe(false);
        expect(verifySignature(a.publicKey, Uint8Array.of(...data, 0), signature)).toBe(false);
        const changed = Uint8Array.from(signature);
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
        expect(verifySignature(a.publicKey, data, changed)).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  it("of garbage are false, never an exception", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.uint8Array(),
        fc.uint8Array({ maxLength: 70 }),
        (key, data, signature) => {
          expect(verifySignature(key, data, signature)).toBe(false);
          expect(verifySignature(generateKey("user").publicKey, data, signature)).toBe(false);
        },
      ),
    );
  });
});

describe("key objects", () => {
  it("are kept between uses", () => {
    const { publicKey } = generateKey("user");
    expect(publicKeyObject(publicKey)).toBe(publicKeyObject(publicKey));
    expect(publicKeyObject("UNKNOWN")).toBeUndefined();
  });

  it("do not show their seed in JSON or when logged", async () => {
    const key = generateKey("user");
    const { inspect } = await import("node:util");
    expect(JSON.stringify(key) + inspect(key)).not.toContain(key.seed);
  });
});
