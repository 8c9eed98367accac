import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CONTENT_TYPE,
  CONTROL_LIMITS,
  decode,
  decodeJsonValue,
  EncodeError,
  encodeJson,
  encodeMsgpack,
  RECORD_LIMITS,
} from "../../../mesh/runtime/codec/codec.ts";
import { readJson } from "../../../mesh/runtime/codec/json-reader.ts";
import { HOSTILE_BYTES } from "../../support/hostile-bytes.ts";
import { damaged, jsonValue, message } from "./arbitraries.ts";

/** Far above what a run takes, since other test files share the machine. */
const FUZZ_MS_MAX = 60_000;

const bytesOf = (text: string) => new TextEncoder().encode(text);

const prototypeBefore = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));

function expectCleanPrototype(): void {
  expect(JSON.stringify(Object.getOwnPropertyNames(Object.prototype))).toBe(prototypeBefore);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
}

/** Plain all through: no foreign prototypes, no key that reaches one. */
function expectPlain(value: unknown): void {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) {
    if (typeof value === "number") expect(Number.isFinite(value)).toBe(true);
    expect(["bigint", "undefined", "symbol", "function"]).not.toContain(typeof value);
    return;
  }
  if (Array.isArray(value)) {
    value.forEach(expectPlain);
    return;
  }
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  for (const key of Object.getOwnPropertyNames(value)) {
    expect(["__proto__", "constructor", "prototype"]).not.toContain(key);
    expectPlain((value as Record<string, unknown>)[key]);
  }
}

describe("round trips (K2)", () => {
  it("keep every message, in both formats", () => {
    fc.assert(
      fc.property(message, (value) => {
        expect(decode(encodeJson(value), RECORD_LIMITS)).toEqual({
          ok: true,
          format: "json",
          value,
        });
        expect(decode(encodeMsgpack(value), RECORD_LIMITS)).toEqual({
          ok: true,
          format: "msgpack",
          value,
        });
      }),
      { numRuns: 500 },
    );
  });

  it("keep every JSON value at the top where it is asked for", () => {
    fc.assert(
      fc.property(jsonValue, (value) => {
        expect(decodeJsonValue(encodeJson(value), RECORD_LIMITS)).toEqual({
          ok: true,
          format: "json",
          value,
        });
      }),
    );
  });

  it("keep binary data as a copy that is a Uint8Array", () => {
    const bytes = encodeMsgpack({ a: new Uint8Array([1, 2, 3]), b: Buffer.from([4]) });
    const decoded = decode(bytes, CONTROL_LIMITS);
    bytes.fill(0);
    expect(decoded).toMatchObject({
      ok: true,
      value: { a: new Uint8Array([1, 2, 3]), b: new Uint8Array([4]) },
    });
  });

  it("leave out what is undefined, the same in both formats", () => {
    const value = { a: undefined, b: [undefined, 1], c: { d: undefined } };
    const expected = { b: [null, 1], c: {} };
    for (const bytes of [encodeJson(value), encodeMsgpack(value)]) {
      const decoded = decode(bytes, CONTROL_LIMITS);
      expect(decoded.ok && decoded.value).toStrictEqual(expected);
    }
  });

  it.each([
    ["né", "n\\u00e9"],
    ["\n", "\\n"],
    ['"', '\\"'],
    ["\u0000", "\\u0000"],
    ["éb", "\\u00e9b"],
  ])("keep the key %j, whatever keys came before (nodejs/node issue 63785)", (key, escaped) => {
    // JSON.parse takes the second key for the first where both begin with the same characters.
    const poison = JSON.stringify(escaped.slice(0, key.length));
    const before = JSON.stringify(`before ${key}`);
    decode(bytesOf(`{${before}:1,${poison}:0}`), CONTROL_LIMITS);
    const decoded = decode(bytesOf(`{${before}:1,"${escaped}":2}`), CONTROL_LIMITS);
    expect(decoded).toMatchObject({ value: { [key]: 2 } });
  });

  it("are the same by the reader for such keys and by JSON.parse", () => {
    fc.assert(
      fc.property(jsonValue, fc.constantFrom(undefined, 1, "\t\r\n"), (value, indent) => {
        expect(readJson(JSON.stringify(value, null, indent))).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  it("keep a leading U+FEFF where msgpackr runs without its native half", () => {
    const codec = new URL("../../../mesh/runtime/codec/codec.ts", import.meta.url).href;
    const script = `
      import { decode, encodeMsgpack, RECORD_LIMITS } from ${JSON.stringify(codec)};
      const text = "\\uFEFF" + "x".repeat(100);
      const decoded = decode(encodeMsgpack({ text, list: [text] }), RECORD_LIMITS);
      process.stdout.write(String(decoded.value.text === text && decoded.value.list[0] === text));
    `;
    const stdout = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
      cwd: fileURLToPath(new URL("../../..", import.meta.url)),
      env: { ...process.env, MSGPACKR_NATIVE_ACCELERATION_DISABLED: "true" },
    });
    expect(stdout.toString()).toBe("true");
  });
});

describe("hostile bytes", () => {
  it.each(HOSTILE_BYTES.map((sample) => [sample.fault, sample.name, sample] as const))(
    "%s: %s",
    (fault, _name, { bytes }) => {
      const decoded = decode(bytes, CONTROL_LIMITS);
      expect(decoded).toMatchObject({ ok: false, code: fault });
      expectCleanPrototype();
    },
  );

  it("cover every fault, under names of their own", () => {
    const faults = new Set(HOSTILE_BYTES.map((sample) => sample.fault));
    expect(faults.size).toBe(13);
    expect(new Set(HOSTILE_BYTES.map((sample) => sample.name)).size).toBe(HOSTILE_BYTES.length);
  });
});

describe("no input throws or pollutes (K1)", () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.uint8Array({ maxLength: 60 }).map((tail) => Uint8Array.of(0x82, 0xa1, 0x61, ...tail)),
    fc.string({ unit: "binary", maxLength: 60 }).map((tail) => bytesOf(`{"a":${tail}`)),
    damaged(encodeJson),
    damaged(encodeMsgpack),
    fc.constantFrom(...HOSTILE_BYTES.map((sample) => sample.bytes)),
  );

  it(
    "and what is accepted is plain and can be sent again",
    () => {
      fc.assert(
        fc.property(anyBytes, (bytes) => {
          const decoded = decode(bytes, CONTROL_LIMITS);
          decodeJsonValue(bytes, CONTROL_LIMITS);
          expectCleanPrototype();
          if (!decoded.ok) {
            expect(decoded.detail).not.toBe("");
            expect(decoded.detail).not.toContain("let pass");
            return;
          }
          expectPlain(decoded.value);
          const again = decode(encodeMsgpack(decoded.value), RECORD_LIMITS);
          expect(again.ok).toBe(true);
        }),
        { numRuns: 4_000 },
      );
    },
    FUZZ_MS_MAX,
  );

  it("and the caller's bytes are left as they were", () => {
    for (const bytes of [encodeJson({ a: 1 }), encodeMsgpack({ a: 1 })]) {
      const before = Uint8Array.from(bytes);
      decode(bytes, CONTROL_LIMITS);
      expect(Uint8Array.from(bytes)).toEqual(before);
      expect(Object.hasOwn(bytes, "dataView")).toBe(false);
    }
  });
});

describe("telling the format", () => {
  it("reads a JSON object after white space, and from the middle of a larger buffer", () => {
    expect(decode(bytesOf(' \r\n\t{"a":1} \n'), CONTROL_LIMITS)).toEqual({
      ok: true,
      format: "json",
      value: { a: 1 },
    });
    const chunk = Buffer.concat([bytesOf("xx"), encodeMsgpack({ a: 1 }), bytesOf("yy")]);
    expect(decode(chunk.subarray(2, -2), CONTROL_LIMITS)).toEqual({
      ok: true,
      format: "msgpack",
      value: { a: 1 },
    });
  });

  it("decides each of the 256 first bytes", () => {
    for (let first = 0; first < 256; first++) {
      const decoded = decode(Uint8Array.of(first, 0x7d, 0x7d), CONTROL_LIMITS);
      const code = decoded.ok ? "ok" : decoded.code;
      const isMap = (first >= 0x80 && first <= 0x8f) || first === 0xde || first === 0xdf;
      if (!isMap && first !== 0x7b) expect(code).toBe("not_understood");
      else expect(code).not.toBe("not_understood");
    }
  });

  it("names the two content types", () => {
    expect(CONTENT_TYPE).toEqual({
      json: "application/json",
      msgpack: "application/vnd.msgpack",
    });
  });
});

describe("decodeJsonValue", () => {
  it.each(['"text"', "[1,2]", "42", "null", "true", " \n{} "])("reads %s", (text) => {
    expect(decodeJsonValue(bytesOf(text), CONTROL_LIMITS)).toEqual({
      ok: true,
      format: "json",
      value: JSON.parse(text),
    });
  });

  it("reads nothing as {} only where the caller says so", () => {
    for (const text of ["", " \n"]) {
      const bytes = bytesOf(text);
      expect(decodeJsonValue(bytes, CONTROL_LIMITS)).toMatchObject({ ok: false, code: "empty" });
      expect(decodeJsonValue(bytes, CONTROL_LIMITS, { emptyAsObject: true })).toEqual({
        ok: true,
        format: "json",
        value: {},
      });
    }
  });

  it("refuses msgpack", () => {
    expect(decodeJsonValue(encodeMsgpack({ a: 1 }), CONTROL_LIMITS)).toMatchObject({
      ok: false,
      code: "syntax",
    });
  });
});

describe("encoded bytes are safe to keep (K3)", () => {
  it("over many later messages, large and small, and a failed one between", () => {
    const kept = Array.from({ length: 500 }, (_, i) => {
      const value = { i, text: "é".repeat((i * 37) % 9_000) };
      if (i % 50 === 0) expect(() => encodeMsgpack({ a: { b: Symbol("x") } })).toThrow();
      return { value, packed: encodeMsgpack(value), json: encodeJson(value) };
    });
    for (const { value, packed, json } of kept) {
      expect(decode(packed, RECORD_LIMITS)).toMatchObject({ value });
      expect(decode(json, RECORD_LIMITS)).toMatchObject({ value });
    }
  });
});

describe("what the encoders refuse", () => {
  const circular: { self?: unknown } = {};
  circular.self = circular;

  it.each([
    ["bid.cost", { bid: { cost: Number.NaN } }, "bad_number"],
    ["list.1", { list: [0, Number.POSITIVE_INFINITY] }, "bad_number"],
    ["at is a Date", { at: new Date(0) }, "bad_type"],
    ["tags is a Set", { tags: new Set() }, "bad_type"],
    ["vector is a Float32Array", { vector: new Float32Array(2) }, "bad_type"],
    ["error is a Error", { error: new Error("x") }, "bad_type"],
    ["n is a bigint", { n: 1n }, "bad_type"],
    ["f is a function", { f: () => 1 }, "bad_type"],
    ["text is a string with a lone", { text: "\ud800" }, "bad_utf8"],
    ["key with a lone", { "\ud800": 1 }, "bad_utf8"],
    ["a.constructor", { a: { constructor: 1 } }, "forbidden_key"],
    ["self.self", circular, "too_deep"],
    [
      "more than 10000 keys",
      { a: Array.from({ length: 10_000 }, () => ({ b: 1 })) },
      "too_many_keys",
    ],
    ["over 40000", { a: Array.from({ length: 40_000 }, () => []) }, "too_many_keys"],
    ["1048576", { a: "x".repeat(1_048_576) }, "too_large"],
    ["always an object", [1], "not_understood"],
  ] as const)("msgpack: %s", (place, value, code) => {
    const failure = thrownBy(() => encodeMsgpack(value));
    expect(failure).toMatchObject({ code, message: expect.stringContaining(place) });
  });

  it.each([
    [{ n: 2 ** 60 }, "bad_number"],
    [{ text: "\ud800" }, "bad_utf8"],
    [JSON.parse('{"__proto__":1}'), "forbidden_key"],
    [undefined, "bad_type"],
    [{ a: "x".repeat(1_048_576) }, "too_large"],
  ])("JSON: %#", (value, code) => {
    expect(thrownBy(() => encodeJson(value))).toMatchObject({ code });
  });
});

function thrownBy(run: () => unknown): EncodeError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(EncodeError);
    return error as EncodeError;
  }
  throw new Error("nothing was thrown");
}
