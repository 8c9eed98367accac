// What a decoder may answer, and how much it may be asked to read.

/**
 * Why bytes were refused. A string union, so that it can travel in a refusal and name a counter.
 *
 * - `empty`: no bytes, or white space only.
 * - `too_large`, `too_deep`, `too_many_keys`: over a limit of {@link Limits}; too many objects and
 *   arrays count as too many keys.
 * - `duplicate_key`: one object names a key twice, which readers resolve differently.
 * - `forbidden_key`: `__proto__`, `constructor` or `prototype`.
 * - `bad_utf8`: bytes that are not UTF-8, or an escaped lone surrogate.
 * - `bad_number`: NaN, an infinity, or an integer beyond 2^53 - 1.
 * - `truncated`, `trailing`: the document ends too late or too early for its own structure.
 * - `bad_type`: msgpack of a type that JSON lacks (`bin` excepted), or a key that is not a string.
 * - `syntax`: not JSON.
 * - `not_understood`: neither a JSON object nor a msgpack map, by its first byte.
 */
export type DecodeFault =
  | "empty"
  | "too_large"
  | "too_deep"
  | "too_many_keys"
  | "duplicate_key"
  | "forbidden_key"
  | "bad_utf8"
  | "bad_number"
  | "truncated"
  | "trailing"
  | "bad_type"
  | "syntax"
  | "not_understood";

/** Why and where. `detail` never repeats bytes of the input, so it may be logged and sent. */
export type Refusal = { readonly code: DecodeFault; readonly detail: string };

/** What a guard found out about a document. */
export type Verdict = {
  /** Undefined when a decoder may be given the document, else why not. */
  readonly refusal: Refusal | undefined;
  /** The usual decoder would not keep this document exactly; the reader beside it does. */
  readonly needsReader: boolean;
};

/** All three are inclusive and count the whole document. */
export type Limits = {
  /** Length of the encoded document, in bytes. */
  readonly bytesMax: number;
  /** Objects and arrays open at once; a bare scalar has depth 0, `{}` has depth 1. */
  readonly depthMax: number;
  /** Keys of all objects together. Objects and arrays may be four times as many. */
  readonly keysMax: number;
};

/** Messages between agents: calls, bids, awards, refusals, progress. */
export const CONTROL_LIMITS: Limits = { bytesMax: 65_536, depthMax: 32, keysMax: 1_000 };

/** Stored records, cards, task inputs and results. 1 MiB is nats-server's default max_payload. */
export const RECORD_LIMITS: Limits = { bytesMax: 1_048_576, depthMax: 32, keysMax: 10_000 };

/**
 * Objects and arrays that a document may hold, empty ones included. Without it one MiB of empty
 * maps (1,048,000 of them) held the event loop for 100 to 170 ms, measured with Node 24; with it
 * the worst document of that size stays under 50 ms (bench/micro/codec.ts).
 */
export function containersMax(limits: Limits): number {
  return limits.keysMax * CONTAINERS_PER_KEY;
}

/** Our choice: room for tables of short rows, whose keys alone would be refused as objects. */
const CONTAINERS_PER_KEY = 4;

/** The refusal of a document over `limits.bytesMax`. */
export function tooLarge(bytes: Uint8Array, limits: Limits): Refusal {
  return {
    code: "too_large",
    detail: `${bytes.length} bytes, the limit is ${limits.bytesMax}`,
  };
}
