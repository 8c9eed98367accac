// Values that cross the wire, bytes that should not, and how one becomes the other.

import fc from "fast-check";
import { FORBIDDEN_KEYS } from "../../../mesh/runtime/codec/key-ledger.ts";

const wellFormed = fc.oneof(
  fc.string({ unit: "binary", maxLength: 90 }),
  fc.string({ maxLength: 200 }),
  fc.string({ unit: "binary", minLength: 70, maxLength: 90 }).map((tail) => `\uFEFF${tail}`),
  fc.constantFrom("", "\uFEFF", "\u0000", "\\", '"', "\u2028", "😀", "a\uFFFDb", "x".repeat(300)),
);

const key = fc
  .oneof(fc.constantFrom("a", "b", "toJSON", "hasOwnProperty", "valueOf", "0", "7", ""), wellFormed)
  .filter((name) => !FORBIDDEN_KEYS.has(name));

/** -0 is left out: JSON.stringify and msgpackr both write it as 0. */
const number = fc
  .oneof(
    fc.maxSafeInteger(),
    fc.integer({ min: -300, max: 300 }),
    fc.constantFrom(0x7f, 0x80, 0xffff, 0x10000, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 1 - 2 ** 53),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  )
  .map((value) => (Object.is(value, -0) ? 0 : value));

/** JSON writes doubles from 2^53 to 10^21 as plain integers, which receivers refuse. */
const kept = number.map((value) =>
  Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21 ? 0.5 : value,
);

const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom(null, true, false),
    kept,
    wellFormed,
    fc.array(tie("tree"), { maxLength: 6 }),
    fc.dictionary(key, tie("tree"), { maxKeys: 20, noNullPrototype: true }),
  ),
}));

/** Anything JSON can say that survives a double. */
export const jsonValue = tree;

/** A message: an object at the top. */
export const message = fc.dictionary(key, tree, { maxKeys: 24, noNullPrototype: true });

type Edit = { readonly at: number; readonly op: number; readonly byte: number };

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  op: fc.integer({ min: 0, max: 4 }),
  byte: fc.oneof(
    fc.integer({ min: 0, max: 255 }),
    fc.constantFrom(...Buffer.from('{}[]":,\\u0eE-+. \t')),
    fc.constantFrom(0x80, 0x81, 0x90, 0xa1, 0xbf, 0xc1, 0xc4, 0xcb, 0xcf, 0xd4, 0xd9, 0xdd, 0xdf),
  ),
});

function apply(bytes: Uint8Array, { at, op, byte }: Edit): Uint8Array {
  const pos = Math.floor(at * bytes.length);
  const head = bytes.subarray(0, pos);
  const tail = bytes.subarray(pos);
  if (op === 0) return head.slice(); // cut off
  if (op === 1) return Buffer.concat([head, tail.subarray(1)]); // lose a byte
  if (op === 2) return Buffer.concat([head, Uint8Array.of(byte), tail]);
  if (op === 3) return Buffer.concat([head, head.subarray(-9), tail]); // say it twice
  return Buffer.concat([head, Uint8Array.of(byte), tail.subarray(1)]);
}

/** Documents from `encode`, damaged in one to four places. */
export function damaged(encode: (value: object) => Uint8Array): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(message, fc.array(edit, { minLength: 1, maxLength: 4 }))
    .map(([value, edits]) => edits.reduce(apply, encode(value)));
}

/** Keys drawn from so few that one object often holds the same key twice. */
export const crowdedKeys = fc.array(
  fc.oneof(
    fc.constantFrom("a", "b", "ab", "ba", "é", "\uFEFFa", "", "1", "01"),
    fc.string({ unit: fc.constantFrom("a", "b", "é"), maxLength: 6 }),
  ),
  { maxLength: 40 },
);

/** The JSON escape of one character, in two halves above U+FFFF. */
export function escapeOf(character: string): string {
  return [...Array(character.length).keys()]
    .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`)
    .join("");
}
