import fc from "fast-check";
import { unpack } from "msgpackr";
import { describe, expect, it } from "vitest";
import { decode, encodeMsgpack } from "../../../mesh/runtime/codec/codec.ts";
import {
  CONTROL_LIMITS,
  type DecodeFault,
  type Limits,
  RECORD_LIMITS,
} from "../../../mesh/runtime/codec/faults.ts";
import { guardMsgpack } from "../../../mesh/runtime/codec/msgpack-guard.ts";
import { readMsgpack } from "../../../mesh/runtime/codec/msgpack-reader.ts";
import { hex } from "../../support/hostile-bytes.ts";
import { crowdedKeys, damaged, message } from "./arbitraries.ts";

/** Far above what a run takes, since other test files share the machine. */
const FUZZ_MS_MAX = 60_000;

const verdict = (bytes: Uint8Array, limits: Limits = CONTROL_LIMITS): DecodeFault | "ok" =>
  guardMsgpack(bytes, limits).refusal?.code ?? "ok";

/** Writes each header in one of its longer forms too, as other encoders may. */
function emit(value: unknown, widths: () => number): Uint8Array {
  if (typeof value === "string") return emitString(value, widths());
  if (typeof value === "number" && Number.isSafeInteger(value)) {
    return emitInteger(value, widths());
  }
  if (Array.isArray(value)) {
    const header = widths() % 2 === 0 ? sized(0xdc, 2, value.length) : sized(0xdd, 4, value.length);
    return Buffer.concat([header, ...value.map((item) => emit(item, widths))]);
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    const size = widths() % 2 === 0 ? 2 : 4;
    const parts = entries.flatMap(([key, item]) => [emitString(key, widths()), emit(item, widths)]);
    return Buffer.concat([sized(size === 2 ? 0xde : 0xdf, size, entries.length), ...parts]);
  }
  if (typeof value === "number") {
    const double = Buffer.alloc(9, 0xcb);
    double.writeDoubleBE(value, 1);
    return double;
  }
  return Uint8Array.of(value === null ? 0xc0 : value ? 0xc3 : 0xc2);
}

function sized(token: number, size: number, length: number): Uint8Array {
  const bytes = Buffer.alloc(1 + size, token);
  bytes.writeUIntBE(length, 1, size);
  return bytes;
}

function emitString(value: string, width: number): Uint8Array {
  const bytes = Buffer.from(value);
  const size = bytes.length > 255 ? 2 + 2 * (width % 2) : ([1, 2, 4][width % 3] as number);
  return Buffer.concat([
    sized(size === 1 ? 0xd9 : size === 2 ? 0xda : 0xdb, size, bytes.length),
    bytes,
  ]);
}

function emitInteger(value: number, width: number): Uint8Array {
  const bytes = Buffer.alloc(9);
  bytes[0] = width % 2 === 0 || value < 0 ? 0xd3 : 0xcf;
  bytes.writeBigInt64BE(BigInt(value), 1);
  return bytes;
}

const widths = fc.infiniteStream(fc.nat({ max: 11 }));

describe("what is accepted", () => {
  it("is whatever msgpackr writes of a message", () => {
    fc.assert(
      fc.property(message, (value) => {
        expect(verdict(encodeMsgpack(value))).toBe("ok");
      }),
    );
  });

  it("includes the longer forms of every header, and both readers agree on them", () => {
    fc.assert(
      fc.property(message, widths, (value, stream) => {
        const bytes = emit(value, () => stream.next().value);
        expect(verdict(bytes)).toBe("ok");
        expect(readMsgpack(bytes)).toEqual(value);
        expect(decode(bytes, CONTROL_LIMITS)).toEqual({ ok: true, format: "msgpack", value });
      }),
    );
  });

  it.each([
    ["81 a1'a' c0", null],
    ["81 a1'a' c403010203", new Uint8Array([1, 2, 3])],
    ["81 a1'a' ca3fc00000", 1.5],
    ["81 a1'a' ca7f7fffff", 3.4028234663852886e38],
    ["81 a1'a' cb7fefffffffffffff", Number.MAX_VALUE],
    ["81 a1'a' cf001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["81 a1'a' d3ffe0000000000001", -Number.MAX_SAFE_INTEGER],
    ["81 a1'a' d3ffffffffffffffff", -1],
    ["81 a1'a' d080", -128],
    ["81 a1'a' d18000", -32768],
    ["81 a1'a' d280000000", -2147483648],
    ["81 a1'a' e0", -32],
    ["81 a1'a' ccff", 255],
    ["81 a1'a' cdffff", 65535],
    ["81 a1'a' ceffffffff", 4294967295],
    ["81 a1'a' a4f09f9880", "😀"],
    ["81 a1'a' a3ed9fbf", "\uD7FF"],
    ["81 a1'a' a4f48fbfbf", "\u{10FFFF}"],
  ])("%s", (digits, expected) => {
    expect(verdict(hex(digits))).toBe("ok");
    expect(readMsgpack(hex(digits))).toEqual({ a: expected });
    expect(decode(hex(digits), CONTROL_LIMITS)).toMatchObject({ value: { a: expected } });
  });
});

describe("what is refused", () => {
  it("includes every proper prefix of a document, as truncated", () => {
    fc.assert(
      fc.property(message, (value) => {
        const whole = encodeMsgpack(value);
        const step = Math.ceil(whole.length / 40);
        for (let length = 1; length < whole.length; length += step) {
          expect(verdict(whole.subarray(0, length))).toBe("truncated");
        }
      }),
    );
  });

  it(
    "includes all that msgpackr refuses, and nothing is read past the end (M1)",
    () => {
      const fuzzed = fc.oneof(damaged(encodeMsgpack), fc.uint8Array({ maxLength: 40 }));
      fc.assert(
        fc.property(fuzzed, (bytes) => {
          if (verdict(bytes) !== "ok") return;
          expect(() => unpack(bytes.slice())).not.toThrow();
          expect(() => readMsgpack(bytes)).not.toThrow();
        }),
        { numRuns: 4_000 },
      );
    },
    FUZZ_MS_MAX,
  );

  it(
    "agrees with the runtime on which strings are UTF-8",
    () => {
      const strict = new TextDecoder("utf-8", { fatal: true });
      const sample = fc.oneof(
        fc
          .array(
            fc.constantFrom(
              0x41,
              0x80,
              0xbf,
              0xc0,
              0xc2,
              0xe0,
              0xed,
              0xf0,
              0xf4,
              0xf5,
              0xff,
              0x9f,
              0xa0,
              0x90,
              0x8f,
            ),
            { maxLength: 6 },
          )
          .map((list) => Uint8Array.from(list)),
        fc.uint8Array({ minLength: 40, maxLength: 60 }),
        fc
          .tuple(fc.string({ unit: "binary", maxLength: 70 }), fc.nat({ max: 3 }))
          .map(([value, cut]) => {
            const bytes = new TextEncoder().encode(value);
            return bytes.subarray(0, Math.max(0, bytes.length - cut));
          }),
      );
      fc.assert(
        fc.property(sample, (content) => {
          const bytes = Buffer.concat([hex("81a161"), sized(0xda, 2, content.length), content]);
          let expected: DecodeFault | "ok" = "ok";
          try {
            strict.decode(content);
          } catch {
            expected = "bad_utf8";
          }
          expect(verdict(bytes)).toBe(expected);
        }),
        { numRuns: 4_000 },
      );
    },
    FUZZ_MS_MAX,
  );

  it("finds a duplicate key in maps of any size and any form", () => {
    fc.assert(
      fc.property(crowdedKeys, widths, (keys, stream) => {
        const parts = keys.flatMap((key) => [
          emitString(key, stream.next().value),
          Uint8Array.of(0xc0),
        ]);
        const bytes = Buffer.concat([sized(0xde, 2, keys.length), ...parts]);
        const isUnique = new Set(keys).size === keys.length;
        expect(verdict(bytes)).toBe(isUnique ? "ok" : "duplicate_key");
      }),
      { numRuns: 2_000 },
    );
  });

  it("includes a million open maps or arrays, at once", () => {
    const limits = { ...RECORD_LIMITS, bytesMax: 16_777_216 };
    const maps = Buffer.alloc(3_000_000, hex("81a161"));
    const arrays = Buffer.alloc(1_000_000, 0x91);
    for (const nest of [maps, arrays]) {
      const timesMs = [1, 2, 3].map(() => {
        const startedAt = performance.now();
        expect(verdict(nest, limits)).toBe("too_deep");
        return performance.now() - startedAt;
      });
      expect(Math.min(...timesMs)).toBeLessThan(5);
    }
  });

  it("counts depth and keys as the JSON guard does", () => {
    const nest = (depth: number) => hex(`${"91".repeat(depth - 1)}90`);
    expect(verdict(nest(32))).toBe("ok");
    expect(verdict(nest(33))).toBe("too_deep");
    const keys = (count: number) =>
      Buffer.concat([sized(0xdc, 2, count), Buffer.alloc(4 * count, hex("81a161c0"))]);
    expect(verdict(keys(1_000))).toBe("ok");
    expect(verdict(keys(1_001))).toBe("too_many_keys");
    const empty = (count: number) =>
      Buffer.concat([sized(0xdc, 2, count), Buffer.alloc(count, 0x80)]);
    expect(verdict(empty(3_999))).toBe("ok");
    expect(verdict(empty(4_000))).toBe("too_many_keys");
    expect(verdict(new Uint8Array(0))).toBe("empty");
  });
});
