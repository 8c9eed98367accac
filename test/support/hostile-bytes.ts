// Documents that every subject which takes input must refuse, and stay up.

import type { DecodeFault } from "../../mesh/runtime/codec/faults.ts";

export type HostileBytes = {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What `decode` answers under CONTROL_LIMITS: 64 KiB, 32 levels, 1,000 keys. */
  readonly fault: DecodeFault;
};

function text(name: string, json: string, fault: DecodeFault): HostileBytes {
  return { name, bytes: new TextEncoder().encode(json), fault };
}

/** Hexadecimal digits, spaces allowed; `'abc'` stands for the ASCII bytes of abc. */
export function hex(digits: string): Uint8Array {
  const plain = digits.replace(/'([^']*)'/g, (_, ascii: string) =>
    Buffer.from(ascii).toString("hex"),
  );
  return new Uint8Array(Buffer.from(plain.replaceAll(" ", ""), "hex"));
}

function raw(name: string, digits: string, fault: DecodeFault): HostileBytes {
  return { name, bytes: hex(digits), fault };
}

function repeat(count: number, ...unit: number[]): Uint8Array {
  const bytes = new Uint8Array(count * unit.length);
  for (let i = 0; i < count; i++) bytes.set(unit, i * unit.length);
  return bytes;
}

const manyKeys = Array.from({ length: 1_001 }, (_, i) => `"k${i}":0`).join(",");
const manyEntries = Array.from({ length: 1_001 }, (_, i) => `a4${hexOf(String(i), 4)}c0`).join("");

function hexOf(label: string, width: number): string {
  return Buffer.from(label.padStart(width, "0")).toString("hex");
}

const jsonBytes: readonly HostileBytes[] = [
  text("white space only", " \r\n\t ", "empty"),
  text("over the byte limit", `{"a":"${"x".repeat(65_536)}"}`, "too_large"),
  text("deep arrays", `{"a":${"[".repeat(40)}${"]".repeat(40)}}`, "too_deep"),
  text("deep objects", `${'{"a":'.repeat(33)}1${"}".repeat(33)}`, "too_deep"),
  text("deep and never closed", `{"a":${"[".repeat(60_000)}`, "too_deep"),
  text("too many keys", `{${manyKeys}}`, "too_many_keys"),
  text("too many keys in parts", `{"a":[${`{"b":0},`.repeat(1_000)}0]}`, "too_many_keys"),
  text("too many empty objects", `{"a":[${"{},".repeat(4_000)}0]}`, "too_many_keys"),
  text("duplicate key", '{"a":1,"b":2,"a":3}', "duplicate_key"),
  text("duplicate empty key", '{"":1,"":2}', "duplicate_key"),
  text("duplicate key by escape", '{"abc":1,"a\\u0062c":2}', "duplicate_key"),
  text("duplicate key, escape first", '{"\\u0061":1,"a":2}', "duplicate_key"),
  text("duplicate key by two escapes", '{"\\/":1,"\\u002f":2}', "duplicate_key"),
  text("duplicate key, not ASCII", '{"é":1,"\\u00e9":2}', "duplicate_key"),
  text("__proto__", '{"__proto__":{"polluted":true}}', "forbidden_key"),
  text("__proto__, escaped", '{"\\u005f_proto__":{"polluted":true}}', "forbidden_key"),
  text(
    "__proto__, escaped whole",
    '{"\\u005f\\u005f\\u0070\\u0072\\u006F\\u0074\\u006f\\u005f\\u005f":1}',
    "forbidden_key",
  ),
  text("__proto__ below an array", '{"a":[[{"__proto__":null}]]}', "forbidden_key"),
  text("constructor", '{"constructor":{"prototype":{"polluted":true}}}', "forbidden_key"),
  text("constructor, escaped", '{"c\\u006fnstructor":{}}', "forbidden_key"),
  text("prototype", '{"a":{"prototype":{}}}', "forbidden_key"),
  text("lone high surrogate", '{"a":"\\ud83d"}', "bad_utf8"),
  text("lone low surrogate", '{"a":"\\ude00"}', "bad_utf8"),
  text("surrogates in the wrong order", '{"a":"\\ude00\\ud83d"}', "bad_utf8"),
  text("two low surrogates", '{"a":"\\ude00\\ude00"}', "bad_utf8"),
  text("high surrogate before a letter", '{"a":"\\ud83d\\u0041"}', "bad_utf8"),
  text("lone surrogate in a key", '{"\\udbff":1}', "bad_utf8"),
  raw("invalid byte in a string", "'{\"a\":\"' ff '\"}'", "bad_utf8"),
  raw("overlong slash", "'{\"a\":\"' c0af '\"}'", "bad_utf8"),
  raw("surrogate as UTF-8", "'{\"a\":\"' eda080 '\"}'", "bad_utf8"),
  raw("beyond U+10FFFF", "'{\"a\":\"' f4908080 '\"}'", "bad_utf8"),
  raw("sequence cut by the quote", "'{\"a\":\"' e282 '\"}'", "bad_utf8"),
  raw("invalid byte in a key", "'{\"' 80 '\":1}'", "bad_utf8"),
  text("2^53", '{"a":9007199254740992}', "bad_number"),
  text("-2^53", '{"a":-9007199254740992}', "bad_number"),
  text("2^63", '{"a":9223372036854775808}', "bad_number"),
  text("an integer of 5,000 digits", `{"a":${"9".repeat(5_000)}}`, "bad_number"),
  text("overflow by exponent", '{"a":1e309}', "bad_number"),
  text("overflow below zero", '{"a":-1E+400}', "bad_number"),
  text("overflow by digits", `{"a":${"9".repeat(400)}.5}`, "bad_number"),
  text("overflow after many zeros", `{"a":0.${"0".repeat(500)}1e900}`, "bad_number"),
  text("overflow of the exponent", `{"a":1e${"9".repeat(500)}}`, "bad_number"),
  text("only a brace", "{", "truncated"),
  text("cut in a key", '{"ab', "truncated"),
  text("cut before the colon", '{"ab"', "truncated"),
  text("cut before the value", '{"ab":', "truncated"),
  text("cut in an escape", '{"a":"\\u00', "truncated"),
  text("cut in a pair", '{"a":"\\ud83d', "truncated"),
  text("cut in a literal", '{"a":tru', "truncated"),
  text("cut in a number", '{"a":-', "truncated"),
  text("cut before the end", '{"a":[1,2]', "truncated"),
  text("two documents", '{"a":1}{"a":2}', "trailing"),
  text("a byte of zero behind", '{"a":1}\0', "trailing"),
  text("a brace too many", "{}}", "trailing"),
  text("NaN", '{"a":NaN}', "syntax"),
  text("Infinity", '{"a":Infinity}', "syntax"),
  text("leading zero", '{"a":01}', "syntax"),
  text("leading plus", '{"a":+1}', "syntax"),
  text("no digit after the point", '{"a":1.}', "syntax"),
  text("hexadecimal", '{"a":0x10}', "syntax"),
  text("single quotes", "{'a':1}", "syntax"),
  text("key without quotes", "{a:1}", "syntax"),
  text("trailing comma", '{"a":1,}', "syntax"),
  text("comma in an array's end", '{"a":[1,]}', "syntax"),
  text("comment", '{"a":1/**/}', "syntax"),
  text("control character", '{"a":"\n"}', "syntax"),
  text("unknown escape", '{"a":"\\x41"}', "syntax"),
  text("bracket for brace", '{"a":1]', "syntax"),
  raw("space that JSON does not know", "'{\"a\":' c2a0 '1}'", "syntax"),
];

const msgpackBytes: readonly HostileBytes[] = [
  raw("map over the byte limit", `81 a1'a' db00010000 ${"78".repeat(65_536)}`, "too_large"),
  raw("deep maps", `${"81a161".repeat(33)}c0`, "too_deep"),
  raw("deep fixed arrays", `81a161${"91".repeat(40)}c0`, "too_deep"),
  {
    name: "deep and never closed, msgpack",
    bytes: Buffer.concat([hex("81a161"), repeat(60_000, 0x91)]),
    fault: "too_deep",
  },
  raw("map of too many keys", `de03e9 ${manyEntries}`, "too_many_keys"),
  raw("map of too many empty maps", `81a161 dc0fa0 ${"80".repeat(4_000)}`, "too_many_keys"),
  raw("duplicate map key", "82 a1'a' 01 a1'a' 02", "duplicate_key"),
  raw("duplicate by str 8", "82 a1'a' 01 d901'a' 02", "duplicate_key"),
  raw("map with __proto__", "81 a9'__proto__' 81 a8'polluted' c3", "forbidden_key"),
  raw("map with __proto__ by str 8", "81 d909'__proto__' c0", "forbidden_key"),
  raw("map with __proto__ by str 32", "81 db00000009'__proto__' c0", "forbidden_key"),
  raw("map with constructor", "81 ab'constructor' c0", "forbidden_key"),
  raw("map with prototype, nested", "81 a1'a' 91 81 a9'prototype' c0", "forbidden_key"),
  raw("map with an invalid string", "81 a1'a' a1ff", "bad_utf8"),
  raw("map with a lone surrogate", "81 a1'a' a3eda0bd", "bad_utf8"),
  raw("map beyond U+10FFFF", "81 a1'a' a4f4908080", "bad_utf8"),
  raw("map with an overlong form", "81 a1'a' a2c080", "bad_utf8"),
  raw("map with a long invalid string", `81a161 d964 ${"78".repeat(99)} fe`, "bad_utf8"),
  raw("map with an invalid key", "81 a1c3 c0", "bad_utf8"),
  raw("NaN, double", "81 a1'a' cb7ff8000000000000", "bad_number"),
  raw("Infinity, double", "81 a1'a' cb7ff0000000000000", "bad_number"),
  raw("-Infinity, double", "81 a1'a' cbfff0000000000000", "bad_number"),
  raw("NaN, float", "81 a1'a' ca7fc00000", "bad_number"),
  raw("Infinity, float", "81 a1'a' ca7f800000", "bad_number"),
  raw("uint64 2^53", "81 a1'a' cf0020000000000000", "bad_number"),
  raw("uint64 2^63", "81 a1'a' cf8000000000000000", "bad_number"),
  raw("int64 -2^53", "81 a1'a' d3ffe0000000000000", "bad_number"),
  raw("int64 of the lowest value", "81 a1'a' d38000000000000000", "bad_number"),
  raw("map header alone", "81", "truncated"),
  raw("map without its value", "81 a1'a'", "truncated"),
  raw("map 16 without its length", "de00", "truncated"),
  raw("map 32 of 4 billion", "dfffffffff a1'a' 01", "truncated"),
  raw("array 32 of 4 billion", "81 a1'a' ddffffffff", "truncated"),
  raw("str 32 of 4 billion", "81 a1'a' dbffffffff'x'", "truncated"),
  raw("str 8 of 255", "81 a1'a' d9ff'x'", "truncated"),
  raw("bin 32 of 4 billion", "81 a1'a' c6ffffffff00", "truncated"),
  raw("key longer than what remains", "81 bf'a'", "truncated"),
  raw("double cut off", "81 a1'a' cb3ff0", "truncated"),
  raw("uint64 cut off", "81 a1'a' cf00", "truncated"),
  raw("two maps", "80 80", "trailing"),
  raw("map and a byte", "81 a1'a' 01 00", "trailing"),
  raw("integer key", "81 01 02", "bad_type"),
  raw("nil key", "81 c0 02", "bad_type"),
  raw("bin key", "81 c40161 02", "bad_type"),
  raw("map as a key", "81 80 02", "bad_type"),
  raw("undefined of msgpackr", "81 a1'a' d40000", "bad_type"),
  raw("timestamp", "81 a1'a' d6ff00000000", "bad_type"),
  raw("record definition of msgpackr", "81 a1'a' d47240 91 a1'b' 01", "bad_type"),
  raw("big integer of msgpackr", "81 a1'a' c70142ff", "bad_type"),
  raw("ext 32 of 4 billion", "81 a1'a' c9ffffffff01", "bad_type"),
  raw("the byte without a meaning", "81 a1'a' c1", "bad_type"),
];

const foreignBytes: readonly HostileBytes[] = [
  raw("no bytes", "", "empty"),
  text("a JSON string", '"text"', "not_understood"),
  text("a JSON array", "[1,2]", "not_understood"),
  text("a JSON number", "42", "not_understood"),
  text("plain words", "GET / HTTP/1.1\r\n\r\n", "not_understood"),
  raw("byte order mark", "efbbbf '{}'", "not_understood"),
  raw("UTF-16", "feff 007b 007d", "not_understood"),
  raw("gzip", "1f8b0800", "not_understood"),
  raw("msgpack array", "93010203", "not_understood"),
  raw("msgpack string", "a3'abc'", "not_understood"),
  raw("msgpack extension", "d47240", "not_understood"),
  raw("zeros", "0000000000000000", "not_understood"),
];

/** Small on purpose (none above 70 KB), so that a wire test can send each to each subject. */
export const HOSTILE_BYTES: readonly HostileBytes[] = [
  ...jsonBytes,
  ...msgpackBytes,
  ...foreignBytes,
];
