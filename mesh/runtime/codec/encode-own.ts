// Encoders for messages that this program builds itself, from values that were checked when they
// came in. They skip the sender's check of codec.ts, which is for what authors hand over.
import { Packr } from "msgpackr";

/** RESET_BUFFER_MODE of msgpackr: reuse its buffer from the start; we copy out at once. */
const RESET_BUFFER_MODE = 1024;
const options = { useRecords: false, skipValues: [undefined], encodeUndefinedAsNil: true };
const packr = new Packr(options);

export function jsonBytes(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

export function msgpackBytes(value: object): Uint8Array {
  // Out of the shared pool: an exact allocation of its own would cost more than the packing.
  return Buffer.from(packr.pack(value, RESET_BUFFER_MODE));
}
