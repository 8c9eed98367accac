// Bytes to values and back, for everything that crosses the wire or is stored.
//
// Invariants
//   K1  No input makes a decoder throw, recurse without bound or touch a prototype.
//   K2  What an encoder returns, `decode` accepts under the same limits, with an equal value.
//   K3  Returned bytes and values share no memory that is written to again.

import { Packr, RESET_BUFFER_MODE, Unpackr } from "msgpackr";
import { assertEncodable, EncodeError } from "./encodable.ts";
import { type DecodeFault, type Limits, RECORD_LIMITS, type Refusal, tooLarge } from "./faults.ts";
import { guardJson } from "./json-guard.ts";
import { readJson } from "./json-reader.ts";
import { guardMsgpack } from "./msgpack-guard.ts";
import { readMsgpack } from "./msgpack-reader.ts";

export { EncodeError } from "./encodable.ts";
export type { DecodeFault, Limits, Limits as DecodeLimits } from "./faults.ts";
export { CONTROL_LIMITS, RECORD_LIMITS } from "./faults.ts";

/** Values of the `Content-Type` header. */
export const CONTENT_TYPE = {
  json: "application/json",
  msgpack: "application/vnd.msgpack",
} as const;

export type Format = keyof typeof CONTENT_TYPE;

export type Decoded<Value = Record<string, unknown>> =
  | { readonly ok: true; readonly format: Format; readonly value: Value }
  | { readonly ok: false; readonly code: DecodeFault; readonly detail: string };

const BRACE_OPEN = 0x7b;

// skipValues is missing from msgpackr's types; it leaves properties out, as JSON.stringify does.
const packOptions = {
  useRecords: false,
  skipValues: [undefined],
  encodeUndefinedAsNil: true,
};
const packr = new Packr(packOptions);
// copyBuffers: otherwise a `bin` value would keep the whole received chunk alive, and alias it.
const unpackr = new Unpackr({ useRecords: false, int64AsType: "number", copyBuffers: true });
const viewing = new Unpackr({ useRecords: false, int64AsType: "number" });
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * JSON of any value, as fresh UTF-8 bytes. Follows JSON.stringify (toJSON is called, undefined
 * properties are left out, NaN becomes null), then holds the text to what receivers accept.
 *
 * @throws EncodeError when a receiver would refuse it under `limits`
 * @throws TypeError from JSON.stringify, for a circular value or a bigint
 */
export function encodeJson(value: unknown, limits: Limits = RECORD_LIMITS): Uint8Array {
  const text = textOf(value);
  if (text === undefined) {
    throw new EncodeError("bad_type", `cannot be sent: JSON has no form for a ${typeof value}`);
  }
  const bytes = Buffer.from(text);
  const { refusal } = guardJson(bytes, limits);
  if (refusal === undefined) return bytes;
  const place = refusal.code === "too_large" ? "" : " of its JSON";
  throw new EncodeError(refusal.code, `cannot be sent: ${refusal.detail}${place}`);
}

function textOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new EncodeError("too_deep", "cannot be sent: nested too deep, or too long, for JSON");
  }
}

/**
 * msgpack of a plain object, as fresh bytes. Undefined properties are left out and undefined
 * array elements become null, as in JSON; a Uint8Array becomes `bin`; toJSON is not called.
 *
 * @throws EncodeError when a receiver would refuse it under `limits`; the message names the place
 */
export function encodeMsgpack(value: object, limits: Limits = RECORD_LIMITS): Uint8Array {
  if (Array.isArray(value) || value instanceof Uint8Array) {
    throw new EncodeError(
      "not_understood",
      "cannot be sent: a msgpack message is always an object",
    );
  }
  assertEncodable(value, limits);
  // A copy, because msgpackr packs into one buffer of its own and would keep all of it alive.
  const bytes = Buffer.from(packr.pack(value, RESET_BUFFER_MODE));
  if (bytes.length <= limits.bytesMax) return bytes;
  throw new EncodeError("too_large", `cannot be sent: ${tooLarge(bytes, limits).detail}`);
}

export interface DecodeOptions {
  /** `bin` values are views of the bytes, for whoever keeps none of them. Default false: copies. */
  readonly views?: boolean;
}

/**
 * Decodes one message: a msgpack map or a JSON object, told apart by the first byte (a map begins
 * with 0x80 to 0x8f, 0xde or 0xdf; an object with `{`, after white space at most). The value is a
 * plain object all through, free of the keys that reach a prototype.
 */
export function decode(bytes: Uint8Array, limits: Limits, options: DecodeOptions = {}): Decoded {
  const first = bytes[0];
  if (first === undefined) return refused({ code: "empty", detail: "no bytes" });
  if (bytes.length > limits.bytesMax) return refused(tooLarge(bytes, limits));
  if (isMapByte(first)) {
    return parseMsgpack(bytes, limits, options.views === true ? viewing : unpackr);
  }
  const start = first === BRACE_OPEN ? 0 : spaceLength(bytes);
  if (start === bytes.length) return refused({ code: "empty", detail: "white space only" });
  if (bytes[start] === BRACE_OPEN) return parseJson<Record<string, unknown>>(bytes, limits);
  return refused({
    code: "not_understood",
    detail: "neither a JSON object nor a msgpack map; send JSON that begins with {",
  });
}

export type JsonValueOptions = {
  /** Read no bytes, or white space only, as `{}`. Default false: refused as `empty`. */
  readonly emptyAsObject?: boolean;
};

/** Decodes JSON of any type, such as the input a person gives on a command line. */
export function decodeJsonValue(
  bytes: Uint8Array,
  limits: Limits,
  options: JsonValueOptions = {},
): Decoded<unknown> {
  const decoded = parseJson<unknown>(bytes, limits);
  if (decoded.ok || decoded.code !== "empty" || options.emptyAsObject !== true) return decoded;
  return { ok: true, format: "json", value: {} };
}

function parseJson<Value>(bytes: Uint8Array, limits: Limits): Decoded<Value> {
  try {
    const { refusal, needsReader } = guardJson(bytes, limits);
    if (refusal !== undefined) return refused(refusal);
    const text = utf8.decode(bytes);
    const value = (needsReader ? readJson(text) : JSON.parse(text)) as Value;
    return { ok: true, format: "json", value };
  } catch {
    return refused({ code: "syntax", detail: "the JSON parser refused what the guard let pass" });
  }
}

function parseMsgpack(bytes: Uint8Array, limits: Limits, plain: Unpackr): Decoded {
  try {
    const { refusal, needsReader } = guardMsgpack(bytes, limits);
    if (refusal !== undefined) return refused(refusal);
    // A view of its own: msgpackr hangs a DataView on the array that it is given.
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const value = needsReader ? readMsgpack(view) : plain.unpack(view);
    return { ok: true, format: "msgpack", value: value as Record<string, unknown> };
  } catch {
    return refused({ code: "syntax", detail: "the decoder refused what the guard let pass" });
  }
}

function isMapByte(byte: number): boolean {
  return (byte >= 0x80 && byte <= 0x8f) || byte === 0xde || byte === 0xdf;
}

function spaceLength(bytes: Uint8Array): number {
  const start = bytes.findIndex(
    (byte) => byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09,
  );
  return start < 0 ? bytes.length : start;
}

function refused(refusal: Refusal): { ok: false; code: DecodeFault; detail: string } {
  return { ok: false, code: refusal.code, detail: refusal.detail };
}
