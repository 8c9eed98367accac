// Messages that nobody should send: bodies that no decoder may take, and bodies that decode well
// and are wrong all the same. Drawn from a seed, so that a run can be repeated.
import { type Prng, pick } from "../../mesh/core/prng.ts";
import { encodeMsgpack } from "../../mesh/runtime/codec/codec.ts";

export interface Hostile {
  name: string;
  bytes: Uint8Array;
}

/** Above the limit of a call, a bid or a beat; the server itself refuses above 1 MiB. */
const OVER_BYTES = 70_000;
const LONG = 60_000;

function text(name: string, json: string): Hostile {
  return { name, bytes: Buffer.from(json) };
}

function hex(name: string, digits: string): Hostile {
  return { name, bytes: Buffer.from(digits.replaceAll(" ", ""), "hex") };
}

function filled(name: string, head: string, byte: number): Hostile {
  return { name, bytes: Buffer.concat([Buffer.from(head, "hex"), Buffer.alloc(LONG, byte)]) };
}

const KEYS = Array.from({ length: 1_200 }, (_, i) => `"k${i}":0`).join(",");

/** `a` is the text "a", so that `81 a161` opens a map with that key. */
const BODIES: readonly Hostile[] = [
  hex("nothing", ""),
  text("null", "null"),
  text("a number", "42"),
  text("a list", "[1,2]"),
  text("another protocol", "GET / HTTP/1.1\r\n\r\n"),
  hex("zeros", "00000000"),
  hex("gzip", "1f8b0800"),
  text("oversized", `{"a":"${"x".repeat(OVER_BYTES)}"}`),
  text("lists, deep and open", `{"a":${"[".repeat(LONG)}`),
  text("maps, deep", `${'{"a":'.repeat(40)}1${"}".repeat(40)}`),
  filled("lists, deep and open, msgpack", "81a161", 0x91),
  text("a huge list", `{"a":[${"0,".repeat(LONG / 2)}0]}`),
  text("a huge list of maps", `{"a":[${"{},".repeat(LONG / 3)}0]}`),
  text("too many keys", `{${KEYS}}`),
  hex("a map of four billion", "dfffffffff a161 01"),
  hex("a list of four billion", "81 a161 ddffffffff"),
  hex("a text of four billion", "81 a161 dbffffffff 78"),
  text("a text of escapes", `{"a":"${"\\u0061".repeat(LONG / 6)}"}`),
  text("duplicate key", '{"a":1,"b":2,"a":3}'),
  text("duplicate key by escape", '{"abc":1,"a\\u0062c":2}'),
  hex("duplicate key, msgpack", "82 a161 01 a161 02"),
  text("__proto__", '{"__proto__":{"polluted":true}}'),
  text("__proto__, escaped", '{"\\u005f_proto__":{"polluted":true}}'),
  hex("__proto__, msgpack", "81 a9 5f5f70726f746f5f5f 81 a161 c3"),
  text("constructor", '{"constructor":{"prototype":{"polluted":true}}}'),
  text("NaN", '{"a":NaN}'),
  hex("NaN, msgpack", "81 a161 cb7ff8000000000000"),
  hex("Infinity, msgpack", "81 a161 cb7ff0000000000000"),
  text("2^63", '{"a":9223372036854775808}'),
  hex("2^63, msgpack", "81 a161 cf8000000000000000"),
  text("an integer of 60,000 digits", `{"a":${"9".repeat(LONG)}}`),
  text("overflow", '{"a":1e309}'),
  text("lone surrogate", '{"a":"\\ud83d"}'),
  text("lone surrogate in a key", '{"\\udbff":1}'),
  hex("lone surrogate, msgpack", "81 a161 a3eda0bd"),
  hex("invalid text", "7b2261223a22ff227d"),
  hex("extension", "81 a161 d47240 91 a162 01"),
  text("two documents", '{"a":1}{"a":2}'),
  text("cut in an escape", '{"a":"\\u00'),
];

const MISFITS: readonly unknown[] = [null, [[[]]], {}, -1, 1e300, "x".repeat(5_000), true];

/** One of the fixed bodies. */
export function malformed(prng: Prng): Hostile {
  return pick(prng, BODIES);
}

/** A right message with one thing wrong: version, kind, a field, an end, a byte. */
export function twisted(
  prng: Prng,
  valid: Readonly<Record<string, unknown>>,
  encode: (value: object) => Uint8Array = encodeMsgpack,
): Hostile {
  const fields = Object.keys(valid).filter((name) => name !== "v" && name !== "kind");
  const made = (name: string, value: object) => ({ name, bytes: encode(value) });
  switch (prng.int(6)) {
    case 0:
      return made("wrong version", { ...valid, v: pick(prng, [0, 2, 1_000]) });
    case 1:
      return made("unknown kind", { ...valid, kind: pick(prng, ["fantasy", 7, ""]) });
    case 2: {
      const { [pick(prng, fields)]: _, ...rest } = valid;
      return made("a field missing", rest);
    }
    case 3:
      return made("a misfit", { ...valid, [pick(prng, fields)]: pick(prng, MISFITS) });
    case 4: {
      const bytes = encode(valid);
      return { name: "truncated", bytes: bytes.subarray(0, prng.int(bytes.length)) };
    }
    default: {
      const bytes = Buffer.from(encode(valid));
      for (let i = 0; i < 3; i++) bytes[prng.int(bytes.length)] = prng.int(256);
      return { name: "flipped bytes", bytes };
    }
  }
}
