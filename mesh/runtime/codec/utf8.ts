// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.

import { isUtf8 } from "node:buffer";

/** From this length on, in bytes, the native check is cheaper than the loop (measured, Node 24). */
const NATIVE_LENGTH_MIN = 48;

/** Whether bytes[start, end) is valid UTF-8. The range must lie within bytes. */
export function isUtf8Range(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start >= NATIVE_LENGTH_MIN) return isUtf8(bytes.subarray(start, end));
  for (let pos = start; pos < end; pos++) {
    if ((bytes[pos] as number) >= 0x80) return isUtf8Tail(bytes, pos, end);
  }
  return true;
}

function isUtf8Tail(bytes: Uint8Array, start: number, end: number): boolean {
  let pos = start;
  while (pos < end) {
    const lead = bytes[pos] as number;
    const length = lead < 0x80 ? 1 : sequenceLength(lead, bytes[pos + 1] ?? 0);
    if (length === 0 || length > end - pos) return false;
    for (let next = pos + 1; next < pos + length; next++) {
      if (((bytes[next] as number) & 0xc0) !== 0x80) return false;
    }
    pos += length;
  }
  return true;
}

/** Bytes in the sequence that `lead` opens, or 0 when no sequence begins with these two bytes. */
function sequenceLength(lead: number, second: number): number {
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) {
    const overlong = lead === 0xe0 && second < 0xa0;
    const surrogate = lead === 0xed && second >= 0xa0;
    return overlong || surrogate ? 0 : 3;
  }
  if (lead > 0xf4) return 0;
  const overlong = lead === 0xf0 && second < 0x90;
  const beyond = lead === 0xf4 && second >= 0x90;
  return overlong || beyond ? 0 : 4;
}
