// Ed25519 keys of operators, accounts and users. Signing and verifying are always node:crypto:
// the nkeys library derives the key pair anew at every call and is 200 times slower.
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from "node:crypto";
import { KEYS_MAX } from "../../../contracts/limits.ts";
import { decodePublicKey, decodeSeed, encodePublicKey, encodeSeed, type KeyKind } from "./nkey.ts";

export type { KeyKind } from "./nkey.ts";

/** DER around 32 raw bytes. Source: RFC 8410, sections 4 and 7. */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

const SIGNATURE_BYTES = 64;

export interface KeyPair {
  readonly kind: KeyKind;
  /** `U…`, `A…` or `O…`. */
  readonly publicKey: string;
  /** `SU…`, `SA…` or `SO…`: a secret. Not enumerable, so that no log or JSON shows it. */
  readonly seed: string;
  /** Ed25519, 64 bytes, deterministic. */
  sign(data: Uint8Array): Uint8Array;
}

function fromRaw(kind: KeyKind, raw: Uint8Array, seed: string): KeyPair {
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, raw]),
    format: "der",
    type: "pkcs8",
  });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  const pair = {
    kind,
    publicKey: encodePublicKey(kind, spki.subarray(SPKI_PREFIX.length)),
    sign: (data: Uint8Array): Uint8Array => sign(null, data, key),
  };
  return Object.defineProperty(pair, "seed", { value: seed }) as unknown as KeyPair;
}

/** A new key from the system's random source. */
export function generateKey(kind: KeyKind): KeyPair {
  const raw = randomBytes(32);
  return fromRaw(kind, raw, encodeSeed(kind, raw));
}

/** @throws ParleyError E_IDENTITY when the text is no seed. */
export function keyFromSeed(seed: string | Uint8Array): KeyPair {
  const text = (typeof seed === "string" ? seed : Buffer.from(seed).toString("latin1")).trim();
  const { kind, raw } = decodeSeed(text);
  return fromRaw(kind, raw, text);
}

const imported = new Map<string, KeyObject>();

/**
 * The key behind a public NKey, kept for next time (at most KEYS_MAX, oldest out first).
 * Undefined when the text is no NKey.
 */
export function publicKeyObject(nkey: string): KeyObject | undefined {
  const known = imported.get(nkey);
  if (known !== undefined) return known;
  const decoded = decodePublicKey(nkey);
  if (decoded === undefined) return undefined;
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, decoded.raw]),
    format: "der",
    type: "spki",
  });
  if (imported.size >= KEYS_MAX) imported.delete(imported.keys().next().value as string);
  imported.set(nkey, key);
  return key;
}

/** Did the holder of `publicKey` sign `data`? False for anything malformed; never throws. */
export function verifySignature(
  publicKey: string,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const key = publicKeyObject(publicKey);
  if (key === undefined) return false;
  try {
    return verify(null, data, key, signature);
  } catch {
    return false;
  }
}
