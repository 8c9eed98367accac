// NKeys as text: base32 (RFC 4648, no padding) of prefix, 32 bytes and a CRC-16, as every NATS tool
// writes them. Codec only: what signs and verifies is node:crypto (keys.ts).
// Source of the format: github.com/nats-io/nkeys (strkey.go).
import { ParleyError } from "../../../contracts/failure.ts";

export type KeyKind = "user" | "account" | "operator";

/** First byte of a public key; its top five bits are the letter that the text starts with. */
const PREFIX: Readonly<Record<KeyKind, number>> = {
  user: 20 << 3,
  account: 0,
  operator: 14 << 3,
};
const KINDS = Object.keys(PREFIX) as KeyKind[];
const SEED_PREFIX = 18 << 3;

const RAW_LENGTH = 32;
const PUBLIC_TEXT_LENGTH = 56;
const SEED_TEXT_LENGTH = 58;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const VALUE = new Int8Array(128).fill(-1);
for (let i = 0; i < ALPHABET.length; i++) VALUE[ALPHABET.charCodeAt(i)] = i;

export function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = ((buffer << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(buffer >> bits) & 31];
    }
  }
  return bits > 0 ? text + ALPHABET[(buffer << (5 - bits)) & 31] : text;
}

/** Undefined when a character is none of base32's, or when left-over bits are not zero. */
export function decodeBase32(text: string): Uint8Array | undefined {
  const out = new Uint8Array(Math.floor((text.length * 5) / 8));
  let buffer = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const value = VALUE[text.charCodeAt(i)] ?? -1;
    if (value < 0) return undefined;
    buffer = ((buffer << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (buffer >> bits) & 0xff;
    }
  }
  return (buffer & ((1 << bits) - 1)) === 0 ? out : undefined;
}

/** CRC-16/XMODEM, as NKeys use it. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1;
  }
  return crc & 0xffff;
}

function seal(head: number[], raw: Uint8Array): string {
  const bytes = new Uint8Array(head.length + raw.length + 2);
  bytes.set(head);
  bytes.set(raw, head.length);
  const end = head.length + raw.length;
  new DataView(bytes.buffer).setUint16(end, crc16(bytes.subarray(0, end)), true);
  return encodeBase32(bytes);
}

/** The bytes before the CRC, when the CRC agrees. */
function unseal(text: string): Uint8Array | undefined {
  const bytes = decodeBase32(text);
  if (bytes === undefined) return undefined;
  const end = bytes.length - 2;
  const crc = (bytes[end] as number) | ((bytes[end + 1] as number) << 8);
  return crc === crc16(bytes.subarray(0, end)) ? bytes.subarray(0, end) : undefined;
}

function kindOf(prefix: number): KeyKind | undefined {
  return KINDS.find((kind) => PREFIX[kind] === prefix);
}

/** Text of a public key: `U…`, `A…` or `O…`, 56 characters. */
export function encodePublicKey(kind: KeyKind, raw: Uint8Array): string {
  return seal([PREFIX[kind]], raw);
}

/** Kind and 32 raw bytes of a public key; undefined when the text is none. Never throws. */
export function decodePublicKey(text: string): { kind: KeyKind; raw: Uint8Array } | undefined {
  if (typeof text !== "string" || text.length !== PUBLIC_TEXT_LENGTH) return undefined;
  const bytes = unseal(text);
  const kind = bytes === undefined ? undefined : kindOf(bytes[0] as number);
  return bytes === undefined || kind === undefined ? undefined : { kind, raw: bytes.subarray(1) };
}

export function isPublicKey(text: string, kind: KeyKind): boolean {
  return decodePublicKey(text)?.kind === kind;
}

/** Text of a seed: `SU…`, `SA…` or `SO…`, 58 characters. A secret. */
export function encodeSeed(kind: KeyKind, raw: Uint8Array): string {
  const prefix = PREFIX[kind];
  return seal([SEED_PREFIX | (prefix >> 5), (prefix & 31) << 3], raw);
}

/**
 * Kind and 32 raw bytes of a seed.
 * @throws ParleyError E_IDENTITY when the text is no seed; the message never repeats the text.
 */
export function decodeSeed(text: string): { kind: KeyKind; raw: Uint8Array } {
  const bytes = text.length === SEED_TEXT_LENGTH ? unseal(text) : undefined;
  if (bytes !== undefined && bytes.length === RAW_LENGTH + 2) {
    const [first, second] = [bytes[0] as number, bytes[1] as number];
    const kind = kindOf(((first & 7) << 5) | (second >> 3));
    if ((first & 248) === SEED_PREFIX && kind !== undefined) {
      return { kind, raw: bytes.subarray(2) };
    }
  }
  throw new ParleyError(
    "E_IDENTITY",
    "this is no NKey seed: expected 58 characters beginning with SU, SA or SO",
  );
}
