import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeJson } from "../../../mesh/runtime/codec/codec.ts";
import {
  CONTROL_LIMITS,
  type DecodeFault,
  type Limits,
  RECORD_LIMITS,
} from "../../../mesh/runtime/codec/faults.ts";
import { guardJson } from "../../../mesh/runtime/codec/json-guard.ts";
import { crowdedKeys, damaged, escapeOf, jsonValue } from "./arbitraries.ts";

/** Far above what a run takes, since other test files share the machine. */
const FUZZ_MS_MAX = 60_000;

const bytesOf = (text: string) => new TextEncoder().encode(text);
const verdict = (text: string, limits: Limits = CONTROL_LIMITS): DecodeFault | "ok" =>
  guardJson(bytesOf(text), limits).refusal?.code ?? "ok";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parses(bytes: Uint8Array): boolean {
  try {
    JSON.parse(strictUtf8.decode(bytes));
    return true;
  } catch {
    return false;
  }
}

/** J1 and J2 of json-guard.ts: the two agree on what JSON is. */
function expectAgreement(bytes: Uint8Array): void {
  const code = guardJson(bytes, CONTROL_LIMITS).refusal?.code;
  if (code === undefined) expect(parses(bytes)).toBe(true);
  const isGrammar = code === "syntax" || code === "truncated" || code === "trailing";
  if (isGrammar || code === "empty") expect(parses(bytes)).toBe(false);
}

describe("agreement with JSON.parse", () => {
  it("accepts every value that JSON.stringify writes", () => {
    fc.assert(
      fc.property(jsonValue, fc.constantFrom(undefined, 1, "\t"), (value, indent) => {
        expect(verdict(JSON.stringify(value, null, indent))).toBe("ok");
      }),
    );
  });

  it(
    "holds for damaged documents (J1, J2)",
    () => {
      fc.assert(fc.property(damaged(encodeJson), expectAgreement), { numRuns: 3_000 });
    },
    FUZZ_MS_MAX,
  );

  it(
    "holds for random text of JSON's own characters (J1, J2)",
    () => {
      const unit = fc.constantFrom(...'{}[]",:\\u01eE+-. \ntrfalsn/b', "null", "true", '"a"', "é");
      fc.assert(
        fc.property(fc.string({ unit, maxLength: 12 }), (text) => expectAgreement(bytesOf(text))),
        { numRuns: 10_000 },
      );
    },
    FUZZ_MS_MAX,
  );

  it(
    "holds for every number of a few characters (J1, J2)",
    () => {
      const unit = fc.constantFrom(..."0019.eE+-");
      fc.assert(
        fc.property(fc.string({ unit, minLength: 1, maxLength: 7 }), (text) =>
          expectAgreement(bytesOf(text)),
        ),
        { numRuns: 10_000 },
      );
    },
    FUZZ_MS_MAX,
  );

  it("holds for each of the 256 bytes, in a string and outside", () => {
    for (let byte = 0; byte < 256; byte++) {
      expectAgreement(Uint8Array.of(0x22, byte, 0x22));
      expectAgreement(Uint8Array.of(0x22, 0x5c, byte, 0x22));
      expectAgreement(Uint8Array.of(0x5b, byte, 0x5d));
    }
  });

  it("holds for every prefix of a document", () => {
    const whole = bytesOf('{"a":[1,-2.5e3,true,false,null,"\\u00e9é\\ud83d\\ude00"],"b":{}} ');
    for (let length = 0; length <= whole.length; length++) {
      expectAgreement(whole.subarray(0, length));
    }
  });
});

describe("numbers", () => {
  it.each([
    ["9007199254740991", "ok"],
    ["-9007199254740991", "ok"],
    ["9007199254740992", "bad_number"],
    ["9999999999999999", "bad_number"],
    ["10000000000000000", "bad_number"],
    ["9007199254740993.0", "ok"], // written with a fraction, so meant as a double
    ["1e21", "ok"],
    ["1e308", "ok"],
    ["1.7976931348623157e308", "ok"],
    ["1.7976931348623159e308", "bad_number"],
    ["0.1e309", "ok"],
    ["0e999999999999", "ok"],
    ["1e-400", "ok"], // too small is only inexact, as every fraction may be
    [`0.${"0".repeat(400)}1e400`, "ok"],
    [`${"9".repeat(320)}e-300`, "ok"],
    ["-0", "ok"],
  ] as const)("%s: %s", (text, expected) => {
    expect(verdict(text)).toBe(expected);
  });

  it("agrees with the runtime on which numbers overflow", () => {
    const digits = fc.string({ unit: fc.constantFrom(..."0159"), minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(digits, fc.integer({ min: 290, max: 320 }), (fraction, exponent) => {
        const text = `1.${fraction}e${exponent}`;
        expect(verdict(text)).toBe(Number.isFinite(Number(text)) ? "ok" : "bad_number");
      }),
    );
  });
});

describe("keys", () => {
  it("finds a duplicate however the keys are written, in objects of any size", () => {
    const escapeMask = fc.array(fc.boolean(), { minLength: 1, maxLength: 7 });
    fc.assert(
      fc.property(crowdedKeys, escapeMask, (keys, mask) => {
        let turn = 0;
        const quoted = (key: string) =>
          `"${[...key].map((c) => (mask[turn++ % mask.length] ? escapeOf(c) : c)).join("")}"`;
        const text = `{"k":{${keys.map((key) => `${quoted(key)}:0`).join(",")}}}`;
        const isUnique = new Set(keys).size === keys.length;
        expect(verdict(text)).toBe(isUnique ? "ok" : "duplicate_key");
      }),
      { numRuns: 2_000 },
    );
  });

  it("remembers the keys of an object over those of the objects inside it", () => {
    for (let count = 1; count <= 40; count++) {
      const members = Array.from({ length: count }, (_, i) => `"k${i}":{"i":0,"j":{"k0":0}}`);
      expect(verdict(`{${members.join(",")}}`)).toBe("ok");
      for (let i = 0; i < count; i++) {
        expect(verdict(`{${members.join(",")},"k${i}":0}`)).toBe("duplicate_key");
      }
    }
  });

  it("lets different objects use the same key", () => {
    expect(verdict('{"a":{"a":[{"a":1},{"a":2}]},"b":{"a":3}}')).toBe("ok");
    const wide = `{${Array.from({ length: 40 }, (_, i) => `"k${i}":0`).join(",")}}`;
    expect(verdict(`{"a":${wide},"b":${wide},"k1":{"\\u0061":{},"a":{}}}`)).toBe("duplicate_key");
    expect(verdict(`{"a":${wide},"b":${wide},"k1":[${wide}]}`)).toBe("ok");
  });

  it("forbids by the whole key only, and never as a value", () => {
    expect(verdict('{"__proto":1,"__proto___":2,"Constructor":3,"prototypes":4}')).toBe("ok");
    expect(verdict('{"a":"__proto__","b":["constructor","prototype"]}')).toBe("ok");
  });
});

describe("limits", () => {
  it("counts depth from 1 for the outermost container", () => {
    const nest = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    expect(verdict(nest(32))).toBe("ok");
    expect(verdict(nest(33))).toBe("too_deep");
    expect(verdict("1", { ...CONTROL_LIMITS, depthMax: 0 })).toBe("ok");
    expect(verdict("{}", { ...CONTROL_LIMITS, depthMax: 0 })).toBe("too_deep");
  });

  it("counts the keys of the whole document", () => {
    const keys = (count: number) => `[${'{"a":1},'.repeat(count - 1)}{"a":1}]`;
    expect(verdict(keys(1_000))).toBe("ok");
    expect(verdict(keys(1_001))).toBe("too_many_keys");
    expect(verdict(keys(10_000), RECORD_LIMITS)).toBe("ok");
    expect(verdict(keys(10_001), RECORD_LIMITS)).toBe("too_many_keys");
  });

  it("lets four times as many objects and arrays in as keys", () => {
    const empty = (count: number) => `[${"[],".repeat(count - 2)}{}]`;
    expect(verdict(empty(4_000))).toBe("ok");
    expect(verdict(empty(4_001))).toBe("too_many_keys");
  });

  it("counts bytes, not characters", () => {
    const limits = { ...CONTROL_LIMITS, bytesMax: 8 };
    expect(verdict('"ééé"', limits)).toBe("ok");
    expect(verdict('"éééé"', limits)).toBe("too_large");
  });

  it("works after a change of limits in either direction", () => {
    const deep = `${'{"a":'.repeat(200)}1${"}".repeat(200)}`;
    expect(verdict(deep, { ...CONTROL_LIMITS, depthMax: 200 })).toBe("ok");
    expect(verdict(deep, { ...CONTROL_LIMITS, depthMax: 199 })).toBe("too_deep");
    expect(verdict(deep, { ...CONTROL_LIMITS, depthMax: 201 })).toBe("ok");
  });

  it("checks the UTF-8 of a document once, however many strings it has", () => {
    const bytes = bytesOf(`[${'"é",'.repeat(170_000)}0]`);
    const startedAt = performance.now();
    expect(guardJson(bytes, RECORD_LIMITS).refusal).toBeUndefined();
    expect(performance.now() - startedAt).toBeLessThan(1_000); // ten times as much per string
  });

  it("refuses a million open brackets or braces at once", () => {
    const limits = { ...RECORD_LIMITS, bytesMax: 16_777_216 };
    const nests = [bytesOf("[".repeat(1_000_000)), bytesOf('{"a":'.repeat(1_000_000))];
    for (const nest of nests) {
      const timesMs = [1, 2, 3].map(() => {
        const startedAt = performance.now();
        expect(guardJson(nest, limits).refusal?.code).toBe("too_deep");
        return performance.now() - startedAt;
      });
      expect(Math.min(...timesMs)).toBeLessThan(5);
    }
  });
});

describe("details", () => {
  it("name the place and repeat nothing of the input", () => {
    const { refusal } = guardJson(bytesOf('{"secret":1,"secret":2}'), CONTROL_LIMITS);
    expect(refusal?.detail).toContain("byte 12");
    expect(refusal?.detail).not.toContain("secret");
  });

  it("calls a byte order mark what JSON calls it", () => {
    expect(verdict("\uFEFF{}")).toBe("syntax");
    expect(verdict('"\uFEFF"')).toBe("ok");
  });
});
