// One number of a JSON text: its grammar (RFC 8259, section 6) and whether a double keeps it.

const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const LETTER_E = 0x65;

/** 2^53 - 1 has this many digits: more are never safe, fewer always. */
const SAFE_DIGITS_MAX = 16;
/** Below this sum of integer digits and exponent a number cannot reach 1.8e308. */
const OVERFLOW_DIGITS_MIN = 300;

const ascii = new TextDecoder();

export const NUMBER_SYNTAX = -1;
export const NUMBER_TRUNCATED = -2;
/** An integer beyond 2^53 - 1 written without fraction or exponent, or more than a double holds. */
export const NUMBER_INEXACT = -3;

/** The position after the number that begins at `start`, or one of the negative results above. */
export function scanNumber(bytes: Uint8Array, start: number): number {
  const end = bytes.length;
  const first = bytes[start] === MINUS ? start + 1 : start;
  let pos = digits(bytes, first);
  if (pos < 0) return pos;
  const integerDigits = pos - first;
  if (integerDigits > 1 && bytes[first] === ZERO) return NUMBER_SYNTAX;
  const isInteger = pos >= end || (bytes[pos] !== POINT && !isExponent(bytes[pos] as number));
  if (isInteger) {
    if (integerDigits < SAFE_DIGITS_MAX) return pos;
    if (integerDigits > SAFE_DIGITS_MAX) return NUMBER_INEXACT;
    return decimal(bytes, first, pos, Number.MAX_SAFE_INTEGER) < 0 ? NUMBER_INEXACT : pos;
  }
  if (bytes[pos] === POINT) {
    pos = digits(bytes, pos + 1);
    if (pos < 0) return pos;
  }
  let exponent = 0;
  if (pos < end && isExponent(bytes[pos] as number)) {
    const sign = pos + 1 < end ? (bytes[pos + 1] as number) : 0;
    const from = sign === MINUS || sign === PLUS ? pos + 2 : pos + 1;
    pos = digits(bytes, from);
    if (pos < 0) return pos;
    if (sign !== MINUS) exponent = decimal(bytes, from, pos, OVERFLOW_DIGITS_MIN);
    if (exponent < 0) exponent = OVERFLOW_DIGITS_MIN;
  }
  if (integerDigits + exponent < OVERFLOW_DIGITS_MIN) return pos;
  return isFiniteText(bytes, start, pos) ? pos : NUMBER_INEXACT;
}

/** One digit or more; the position after them. */
function digits(bytes: Uint8Array, start: number): number {
  const end = bytes.length;
  if (start >= end) return NUMBER_TRUNCATED;
  let pos = start;
  while (pos < end && isDigit(bytes[pos] as number)) pos++;
  return pos === start ? NUMBER_SYNTAX : pos;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

function isExponent(byte: number): boolean {
  return (byte | 0x20) === LETTER_E;
}

/** The value of the digits, or -1 as soon as it is above `max`. */
function decimal(bytes: Uint8Array, start: number, end: number, max: number): number {
  let value = 0;
  for (let pos = start; pos < end; pos++) {
    value = value * 10 + ((bytes[pos] as number) - ZERO);
    if (value > max) return -1;
  }
  return value;
}

/** Rare: only numbers so long, or of such an exponent, that all of it must be weighed. */
function isFiniteText(bytes: Uint8Array, start: number, end: number): boolean {
  return Number.isFinite(Number(ascii.decode(bytes.subarray(start, end))));
}
