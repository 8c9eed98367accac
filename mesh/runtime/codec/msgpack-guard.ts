// Reads a msgpack document once, before a decoder may see it.
//
// Invariants
//   M1  What it accepts is one value that fills the bytes exactly, made of what JSON has plus
//       `bin`; map keys are strings.
//   M2  Nothing is allocated in proportion to a declared length: a length beyond the remaining
//       bytes is refused where it stands.
//   M3  Stack and memory do not grow with the depth of the document.

import {
  containersMax,
  type DecodeFault,
  type Limits,
  type Refusal,
  tooLarge,
  type Verdict,
} from "./faults.ts";
import { KeyLedger } from "./key-ledger.ts";
import { isUtf8Range } from "./utf8.ts";

const REFUSED = -1;
const NO_BYTES = new Uint8Array(0);

/** High words of +2^53 and -2^53: an int64 is safe strictly between the two. */
const SAFE_HIGH_END = 0x20_0000;

/** Longer strings, in bytes, may lose a leading U+FEFF in msgpackr: see msgpack-reader.ts. */
const SHORT_STRING_MAX = 64;

/** Any msgpack value may stand at the top; `decode` lets only maps come this far. */
export function guardMsgpack(bytes: Uint8Array, limits: Limits): Verdict {
  if (bytes.length > limits.bytesMax) {
    return { refusal: tooLarge(bytes, limits), needsReader: false };
  }
  return scanner.scan(bytes, limits);
}

class MsgpackScanner {
  private bytes: Uint8Array = NO_BYTES;
  private end = 0;
  private depth = 0;
  private depthMax = 0;
  private keysLeft = 0;
  private containersLeft = 0;
  private needsReader = false;
  private refusal: Refusal | undefined = undefined;
  /** Per depth: values still to come, and 1 for a map. Index 0 is not used. */
  private left = new Int32Array(0);
  private maps = new Uint8Array(0);
  private readonly keys = new KeyLedger();

  scan(bytes: Uint8Array, limits: Limits): Verdict {
    this.bytes = bytes;
    this.end = bytes.length;
    this.depth = 0;
    this.depthMax = limits.depthMax;
    this.keysLeft = limits.keysMax;
    this.containersLeft = containersMax(limits);
    this.refusal = undefined;
    this.needsReader = false;
    if (this.left.length <= limits.depthMax) {
      this.left = new Int32Array(limits.depthMax + 1);
      this.maps = new Uint8Array(limits.depthMax + 1);
    }
    this.keys.begin(bytes, limits.depthMax);
    this.walk();
    this.keys.finish();
    this.bytes = NO_BYTES;
    return { refusal: this.refusal, needsReader: this.needsReader };
  }

  private walk(): void {
    if (this.end === 0) {
      this.refuse("empty", 0, "no value");
      return;
    }
    let pos = this.value(0);
    while (this.depth > 0 && pos >= 0) {
      const { depth } = this;
      const left = this.left[depth] as number;
      const isMap = this.maps[depth] === 1;
      if (left === 0) {
        if (isMap) this.keys.close();
        this.depth--;
        continue;
      }
      this.left[depth] = left - 1;
      if (isMap) pos = this.key(pos);
      if (pos >= 0) pos = this.value(pos);
    }
    if (pos >= 0 && pos < this.end) this.refuse("trailing", pos, "more after the document");
  }

  /** Reads a scalar, or the header of a container; returns the position after it. */
  private value(pos: number): number {
    if (pos >= this.end) return this.refuse("truncated", pos, "a value is missing");
    const token = this.bytes[pos] as number;
    if (token < 0x80 || token >= 0xe0) return pos + 1;
    if (token < 0x90) return this.map(pos, pos + 1, token & 0x0f);
    if (token < 0xa0) return this.array(pos, pos + 1, token & 0x0f);
    if (token < 0xc0) return this.string(pos, pos + 1, token & 0x1f);
    return this.wide(pos, token);
  }

  /** Values whose size or length follows the first byte. */
  private wide(pos: number, token: number): number {
    const after = pos + 1;
    switch (token) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return after;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.bin(pos, after, 1 << (token - 0xc4));
      case 0xca:
      case 0xcb:
        return this.float(pos, token === 0xca ? 4 : 8);
      case 0xcc: // uint 8, 16, 32
      case 0xcd:
      case 0xce:
        return this.fixed(pos, 1 << (token - 0xcc));
      case 0xd0: // int 8, 16, 32
      case 0xd1:
      case 0xd2:
        return this.fixed(pos, 1 << (token - 0xd0));
      case 0xcf:
      case 0xd3:
        return this.int64(pos, token === 0xd3);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.longString(pos, token);
      case 0xdc:
      case 0xdd: {
        const size = token === 0xdc ? 2 : 4;
        return this.array(pos, after + size, this.length(after, size));
      }
      case 0xde:
      case 0xdf: {
        const size = token === 0xde ? 2 : 4;
        return this.map(pos, after + size, this.length(after, size));
      }
      default:
        return this.refuse("bad_type", pos, "an extension type, or the byte that has no meaning");
    }
  }

  private key(pos: number): number {
    if (pos >= this.end) return this.refuse("truncated", pos, "a key is missing");
    const token = this.bytes[pos] as number;
    const isShort = token >= 0xa0 && token < 0xc0;
    const isLong = token >= 0xd9 && token <= 0xdb;
    if (!isShort && !isLong) return this.refuse("bad_type", pos, "a key that is not a string");
    const start = isShort ? pos + 1 : pos + 1 + (1 << (token - 0xd9));
    const end = isShort ? this.string(pos, start, token & 0x1f) : this.longString(pos, token);
    if (end < 0) return REFUSED;
    const verdict = this.keys.add(start, end);
    if (verdict === "fresh") return end;
    if (verdict === "duplicate") {
      return this.refuse("duplicate_key", pos, "the map already has the key");
    }
    return this.refuse("forbidden_key", pos, "a forbidden key");
  }

  private map(pos: number, after: number, size: number): number {
    if (size < 0 || size * 2 > this.end - after) {
      return this.refuse("truncated", pos, "a map longer than what remains");
    }
    if (size > this.keysLeft) {
      return this.refuse("too_many_keys", pos, `${size - this.keysLeft} keys too many`);
    }
    this.keysLeft -= size;
    if (!this.enter(pos, size)) return REFUSED;
    this.maps[this.depth] = 1;
    this.keys.open();
    return after;
  }

  private array(pos: number, after: number, size: number): number {
    if (size < 0 || size > this.end - after) {
      return this.refuse("truncated", pos, "an array longer than what remains");
    }
    if (!this.enter(pos, size)) return REFUSED;
    this.maps[this.depth] = 0;
    return after;
  }

  private enter(pos: number, size: number): boolean {
    if (this.depth === this.depthMax) {
      this.refuse("too_deep", pos, `more than ${this.depthMax} containers open`);
      return false;
    }
    if (this.containersLeft-- === 0) {
      this.refuse("too_many_keys", pos, "one map or array too many");
      return false;
    }
    this.depth++;
    this.left[this.depth] = size;
    return true;
  }

  private longString(pos: number, token: number): number {
    const size = 1 << (token - 0xd9);
    return this.string(pos, pos + 1 + size, this.length(pos + 1, size));
  }

  private string(pos: number, start: number, length: number): number {
    if (length < 0 || length > this.end - start) {
      return this.refuse("truncated", pos, "a string longer than what remains");
    }
    const end = start + length;
    if (length > SHORT_STRING_MAX && this.isMark(start)) this.needsReader = true;
    if (isUtf8Range(this.bytes, start, end)) return end;
    return this.refuse("bad_utf8", pos, "a string that is not UTF-8");
  }

  private isMark(start: number): boolean {
    const { bytes } = this;
    return bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf;
  }

  private bin(pos: number, after: number, size: number): number {
    const start = after + size;
    const length = this.length(after, size);
    if (length >= 0 && length <= this.end - start) return start + length;
    return this.refuse("truncated", pos, "binary data longer than what remains");
  }

  /** A value of `size` bytes any of which may be anything. */
  private fixed(pos: number, size: number): number {
    const after = pos + 1 + size;
    return after <= this.end ? after : this.refuse("truncated", pos, "a number is cut off");
  }

  /** NaN and the infinities are the values whose exponent bits are all set. */
  private float(pos: number, size: 4 | 8): number {
    const after = this.fixed(pos, size);
    if (after < 0) return REFUSED;
    const lastExponentBits = size === 4 ? 0x80 : 0xf0;
    const second = this.bytes[pos + 2] as number;
    const isKept =
      ((this.bytes[pos + 1] as number) & 0x7f) !== 0x7f ||
      (second & lastExponentBits) !== lastExponentBits;
    return isKept ? after : this.refuse("bad_number", pos, "NaN or an infinity");
  }

  private int64(pos: number, signed: boolean): number {
    const after = this.fixed(pos, 8);
    if (after < 0) return REFUSED;
    const word = this.length(pos + 1, 4);
    const high = signed ? word | 0 : word;
    const atLowerEnd = high === -SAFE_HIGH_END && this.length(pos + 5, 4) === 0;
    if (high < SAFE_HIGH_END && high >= -SAFE_HIGH_END && !atLowerEnd) return after;
    return this.refuse("bad_number", pos, "an integer beyond 2^53 - 1");
  }

  /** Big-endian, `size` bytes; -1 when they are not all there. */
  private length(start: number, size: number): number {
    if (start + size > this.end) return -1;
    let value = 0;
    for (let pos = start; pos < start + size; pos++) {
      value = value * 256 + (this.bytes[pos] as number);
    }
    return value;
  }

  private refuse(code: DecodeFault, at: number, what: string): typeof REFUSED {
    this.refusal = { code, detail: `${what}, byte ${at}` };
    return REFUSED;
  }
}

// One for the process: a scan is synchronous, calls nothing of the caller's, and forgets its input.
const scanner = new MsgpackScanner();
