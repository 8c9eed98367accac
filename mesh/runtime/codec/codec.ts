import { Packr, Unpackr } from "msgpackr";
import { guardJson } from "./json-guard.ts";
import { guardMsgpack } from "./msgpack-guard.ts";
import { CONTROL_LIMITS, RECORD_LIMITS, type DecodeFault, type Limits } from "./faults.ts";
export { CONTROL_LIMITS, RECORD_LIMITS };
export type DecodeLimits = Limits;
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false });
const te = new TextEncoder();
const td = new TextDecoder();
export function encodeJson(v: unknown): Uint8Array { return te.encode(JSON.stringify(v)); }
export function encodeMsgpack(v: unknown): Uint8Array { return Uint8Array.from(packr.pack(v)); }
export type Decoded =
  | { ok: true; format: "json" | "msgpack"; value: unknown }
  | { ok: false; code: DecodeFault; detail: string };
export function decode(b: Uint8Array, l: Limits): Decoded {
  const first = b[0];
  if (first === undefined) return { ok: false, code: "empty", detail: "" };
  if (first === 0x7b || first === 0x20 || first === 0x0a || first === 0x0d || first === 0x09) {
    return decodeJsonValue(b, l);
  }
  const g = guardMsgpack(b, l);
  if (g !== undefined) return { ok: false, ...g };
  return { ok: true, format: "msgpack", value: unpackr.unpack(b) };
}
export function decodeJsonValue(b: Uint8Array, l: Limits): Decoded {
  const g = guardJson(b, l);
  if (g !== undefined) return { ok: false, ...g };
  return { ok: true, format: "json", value: JSON.parse(td.decode(b)) };
}
