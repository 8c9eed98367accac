// Reads JSON text once, byte by byte, before JSON.parse may see it.
//
// Invariants
//   J1  What it accepts, JSON.parse accepts (RFC 8259 and nothing else).
//   J2  What it refuses as `syntax`, `truncated` or `trailing`, JSON.parse refuses too.
//   J3  Stack and memory do not grow with the depth of the text: containers are counted, not
//       recursed into, and reading stops at the first fault.

import { isUtf8 } from "node:buffer";
import {
  containersMax,
  type DecodeFault,
  type Limits,
  type Refusal,
  tooLarge,
  type Verdict,
} from "./faults.ts";
import { NUMBER_SYNTAX, NUMBER_TRUNCATED, scanNumber } from "./json-number.ts";
import { KeyLedger } from "./key-ledger.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const BRACKET_OPEN = 0x5b;
const BACKSLASH = 0x5c;
const BRACKET_CLOSE = 0x5d;
const LETTER_U = 0x75;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;

/** Negative positions: the walk is over. */
const REFUSED = -1;
const DONE = -2;

const TRUE = new TextEncoder().encode("true");
const FALSE = new TextEncoder().encode("false");
const NULL = new TextEncoder().encode("null");
const NO_BYTES = new Uint8Array(0);
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** 1 for bytes that need no attention inside a string: all but quote, backslash and controls. */
const PLAIN_UTF8 = new Uint8Array(256).fill(1, 0x20);
PLAIN_UTF8[QUOTE] = 0;
PLAIN_UTF8[BACKSLASH] = 0;
/** The same while the text has been ASCII so far: the first other byte needs the UTF-8 check. */
const PLAIN_ASCII = PLAIN_UTF8.slice().fill(0, 0x80);

/** 1 for `"`, `\`, `/`, `b`, `f`, `n`, `r`, `t` after a backslash. */
const SHORT_ESCAPE = new Uint8Array(256);
for (const letter of '"\\/bfnrt') SHORT_ESCAPE[letter.charCodeAt(0)] = 1;

/**
 * Whether JSON.parse may be given this text. Any JSON value may stand at the top. White space
 * around it is allowed, a byte order mark is not.
 */
export function guardJson(bytes: Uint8Array, limits: Limits): Verdict {
  if (bytes.length > limits.bytesMax) {
    return { refusal: tooLarge(bytes, limits), needsReader: false };
  }
  return scanner.scan(bytes, limits);
}

class JsonScanner {
  private bytes: Uint8Array = NO_BYTES;
  private end = 0;
  private depth = 0;
  private depthMax = 0;
  private keysLeft = 0;
  private containersLeft = 0;
  private plain = PLAIN_ASCII;
  private escaped = false;
  private hasEscapedKey = false;
  private refusal: Refusal | undefined = undefined;
  /** Per depth: 1 for an object, 0 for an array. Index 0 is not used. */
  private objects = new Uint8Array(0);
  private readonly keys = new KeyLedger();

  scan(bytes: Uint8Array, limits: Limits): Verdict {
    this.bytes = bytes;
    this.end = bytes.length;
    this.depth = 0;
    this.depthMax = limits.depthMax;
    this.keysLeft = limits.keysMax;
    this.containersLeft = containersMax(limits);
    this.plain = PLAIN_ASCII;
    this.refusal = undefined;
    this.hasEscapedKey = false;
    if (this.objects.length <= limits.depthMax) this.objects = new Uint8Array(limits.depthMax + 1);
    this.keys.begin(bytes, limits.depthMax);
    this.walk();
    this.keys.finish();
    this.bytes = NO_BYTES;
    return { refusal: this.refusal, needsReader: this.hasEscapedKey };
  }

  private walk(): void {
    let pos = this.space(0);
    if (pos === this.end) {
      this.refuse("empty", pos, "no value");
      return;
    }
    while (pos >= 0) {
      const depthBefore = this.depth;
      pos = this.value(pos);
      const entered = this.depth > depthBefore;
      if (pos >= 0 && !entered) pos = this.next(pos);
    }
  }

  /**
   * Reads the scalar or empty container at `pos` and returns the position after it; or enters a
   * container and returns the position of its first value.
   */
  private value(pos: number): number {
    if (pos >= this.end) return this.refuse("truncated", pos, "a value is missing");
    const byte = this.bytes[pos] as number;
    if (byte === QUOTE) {
      const close = this.string(pos + 1);
      return close < 0 ? REFUSED : close + 1;
    }
    if (byte === MINUS || (byte >= ZERO && byte <= NINE)) return this.number(pos);
    if (byte === BRACE_OPEN) return this.enter(pos, BRACE_CLOSE);
    if (byte === BRACKET_OPEN) return this.enter(pos, BRACKET_CLOSE);
    if (byte === TRUE[0]) return this.literal(pos, TRUE);
    if (byte === FALSE[0]) return this.literal(pos, FALSE);
    if (byte === NULL[0]) return this.literal(pos, NULL);
    return this.refuse("syntax", pos, "a value was expected");
  }

  /** After a value: closes containers, steps over a comma, and returns where the next value is. */
  private next(after: number): number {
    let pos = this.space(after);
    while (this.depth > 0) {
      if (pos >= this.end) return this.refuse("truncated", pos, "a container is not closed");
      const byte = this.bytes[pos] as number;
      const isObject = this.objects[this.depth] === 1;
      if (byte === COMMA) {
        pos = this.space(pos + 1);
        return isObject ? this.member(pos) : pos;
      }
      if (byte !== (isObject ? BRACE_CLOSE : BRACKET_CLOSE)) {
        return this.refuse("syntax", pos, "a comma or the end of the container was expected");
      }
      if (isObject) this.keys.close();
      this.depth--;
      pos = this.space(pos + 1);
    }
    return pos === this.end ? DONE : this.refuse("trailing", pos, "more after the document");
  }

  private enter(open: number, closer: number): number {
    const pos = this.space(open + 1);
    if (this.depth === this.depthMax) {
      return this.refuse("too_deep", open, `more than ${this.depthMax} containers open`);
    }
    if (this.containersLeft-- === 0) {
      return this.refuse("too_many_keys", open, "one object or array too many");
    }
    if (pos < this.end && this.bytes[pos] === closer) return pos + 1;
    this.depth++;
    if (closer === BRACKET_CLOSE) {
      this.objects[this.depth] = 0;
      return pos;
    }
    this.objects[this.depth] = 1;
    this.keys.open();
    return this.member(pos);
  }

  /** Reads a key and its colon; returns where the value begins. */
  private member(start: number): number {
    if (start >= this.end) return this.refuse("truncated", start, "a key is missing");
    if (this.bytes[start] !== QUOTE) return this.refuse("syntax", start, "a key was expected");
    if (this.keysLeft-- === 0) return this.refuse("too_many_keys", start, "one key too many");
    const close = this.string(start + 1);
    if (close < 0) return REFUSED;
    if (this.escaped) this.hasEscapedKey = true;
    const verdict = this.escaped
      ? this.keys.addText(this.unescape(start, close + 1))
      : this.keys.add(start + 1, close);
    if (verdict === "duplicate") {
      return this.refuse("duplicate_key", start, "the object already has the key");
    }
    if (verdict === "forbidden") return this.refuse("forbidden_key", start, "a forbidden key");
    const colon = this.space(close + 1);
    if (colon >= this.end) return this.refuse("truncated", colon, "a colon is missing");
    if (this.bytes[colon] !== COLON) return this.refuse("syntax", colon, "a colon was expected");
    return this.space(colon + 1);
  }

  /** `start` is after the opening quote; returns the position of the closing one. */
  private string(start: number): number {
    const { bytes, end } = this;
    let { plain } = this;
    let pos = start;
    this.escaped = false;
    for (;;) {
      pos = plainEnd(bytes, pos, end, plain);
      if (pos >= end) return this.refuse("truncated", pos, "a string is not closed");
      const byte = bytes[pos] as number;
      if (byte === QUOTE) return pos;
      if (byte === BACKSLASH) {
        this.escaped = true;
        pos = this.escape(pos);
        if (pos < 0) return REFUSED;
      } else if (byte >= 0x80) {
        // Once for the whole text: after this, bytes above 0x7f are plain.
        if (!isUtf8(bytes)) return this.refuse("bad_utf8", pos, "invalid UTF-8 at or after this");
        plain = PLAIN_UTF8;
        this.plain = plain;
      } else {
        return this.refuse("syntax", pos, "a control character inside a string");
      }
    }
  }

  /** `pos` is at the backslash; returns the position after the escape, or after the pair. */
  private escape(pos: number): number {
    if (pos + 1 >= this.end) return this.refuse("truncated", pos, "an escape is cut off");
    const letter = this.bytes[pos + 1] as number;
    if (SHORT_ESCAPE[letter] === 1) return pos + 2;
    if (letter !== LETTER_U) return this.refuse("syntax", pos, "an unknown escape");
    const unit = this.hex4(pos + 2);
    if (unit < 0) return REFUSED;
    if (unit < 0xd800 || unit > 0xdfff) return pos + 6;
    if (unit > 0xdbff) return this.refuse("bad_utf8", pos, "a lone low surrogate");
    if (pos + 7 >= this.end) return this.refuse("truncated", pos, "a surrogate pair is cut off");
    if (this.bytes[pos + 6] !== BACKSLASH || this.bytes[pos + 7] !== LETTER_U) {
      return this.refuse("bad_utf8", pos, "a lone high surrogate");
    }
    const low = this.hex4(pos + 8);
    if (low < 0) return REFUSED;
    if (low < 0xdc00 || low > 0xdfff) {
      return this.refuse("bad_utf8", pos, "a lone high surrogate");
    }
    return pos + 12;
  }

  private hex4(start: number): number {
    let unit = 0;
    for (let pos = start; pos < start + 4; pos++) {
      if (pos >= this.end) return this.refuse("truncated", pos, "an escape is cut off");
      const digit = hexDigit(this.bytes[pos] as number);
      if (digit < 0) return this.refuse("syntax", pos, "a hexadecimal digit was expected");
      unit = unit * 16 + digit;
    }
    return unit;
  }

  /** Keys only, and only those with escapes; the slice is valid JSON by now. */
  private unescape(start: number, end: number): string {
    return JSON.parse(utf8.decode(this.bytes.subarray(start, end)));
  }

  private number(start: number): number {
    const pos = scanNumber(this.bytes, start);
    if (pos >= 0) return pos;
    if (pos === NUMBER_TRUNCATED) return this.refuse("truncated", start, "a number is cut off");
    if (pos === NUMBER_SYNTAX) return this.refuse("syntax", start, "not a JSON number");
    return this.refuse("bad_number", start, "a number that would not be kept as written");
  }

  private literal(start: number, word: Uint8Array): number {
    for (let i = 1; i < word.length; i++) {
      if (start + i >= this.end) return this.refuse("truncated", start, "a literal is cut off");
      if (this.bytes[start + i] !== word[i]) {
        return this.refuse("syntax", start, "an unknown literal");
      }
    }
    return start + word.length;
  }

  private space(start: number): number {
    const { bytes, end } = this;
    let pos = start;
    while (pos < end) {
      const byte = bytes[pos] as number;
      if (byte > 0x20) break;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
      pos++;
    }
    return pos;
  }

  private refuse(code: DecodeFault, at: number, what: string): typeof REFUSED {
    this.refusal = { code, detail: `${what}, byte ${at}` };
    return REFUSED;
  }
}

/** The first byte from `start` on that is not plain. Four at a time: long strings are common. */
function plainEnd(bytes: Uint8Array, start: number, end: number, plain: Uint8Array): number {
  let pos = start;
  while (pos + 4 <= end) {
    const first = plain[bytes[pos] as number] as number;
    const second = plain[bytes[pos + 1] as number] as number;
    const third = plain[bytes[pos + 2] as number] as number;
    const fourth = plain[bytes[pos + 3] as number] as number;
    if ((first & second & third & fourth) === 0) break;
    pos += 4;
  }
  while (pos < end && plain[bytes[pos] as number] === 1) pos++;
  return pos;
}

function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

// One for the process: a scan is synchronous, calls nothing of the caller's, and forgets its input.
const scanner = new JsonScanner();
