// A small seedable, forkable generator, so that equal seeds give equal runs. Not for secrets:
// keys, nonces and message ids come from the random port.
//
// The stream is sfc32 (Doty-Humphrey, PractRand): 128 bits of state of which 32 are a counter,
// so the period is at least 2^32 from any state. Seeds are spread over the state by the finalizer
// of MurmurHash3 over UTF-16 units. Only 32-bit integer operations: every engine agrees exactly.

export interface Prng {
  /** Uniform in [0, 1), 53 bits. Uses two words of the stream. */
  next(): number;
  /** Uniform whole number in [0, n). Throws RangeError unless n is a whole number 1 to 2^32. */
  int(n: number): number;
  /**
   * A new generator that depends on this one's seed and the label alone, not on how much has been
   * drawn, so that drawing more in one place moves nothing elsewhere. The same label gives the
   * same stream again: use a label once.
   */
  fork(label: string | number): Prng;
}

const TWO_32 = 0x1_0000_0000;
const TWO_53 = 0x20_0000_0000_0000;
/** Words thrown away after seeding, so that near seeds are far apart. Origin: guess, generous. */
const WARM_UP_WORDS = 16;

/** A generator for the seed. `7` and `"7"` are the same seed. Throws RangeError on NaN or ±∞. */
export function createPrng(seed: string | number): Prng {
  if (typeof seed === "number" && !Number.isFinite(seed)) {
    throw new RangeError(`seed ${seed} is not finite; give a finite number or any text`);
  }
  return new Sfc32(keyPart(String(seed)));
}

/** One element, each equally likely. Throws RangeError on an empty list. */
export function pick<T>(prng: Prng, list: readonly T[]): T {
  if (list.length === 0) throw new RangeError("pick needs a list with at least one element");
  return list[prng.int(list.length)] as T;
}

class Sfc32 implements Prng {
  readonly #key: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(key: string) {
    this.#key = key;
    this.#a = hash32(key, 0x9e37_79b9);
    this.#b = hash32(key, 0x243f_6a88);
    this.#c = hash32(key, 0xb7e1_5162);
    for (let i = 0; i < WARM_UP_WORDS; i++) this.#word();
  }

  next(): number {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 0x400_0000 + low) / TWO_53;
  }

  int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > TWO_32) {
      throw new RangeError(`int(${n}): give a whole number from 1 to 2^32`);
    }
    // Words at or above the largest multiple of n are drawn again: no number is favoured.
    const limit = TWO_32 - (TWO_32 % n);
    let word = this.#word();
    while (word >= limit) word = this.#word();
    return word % n;
  }

  fork(label: string | number): Prng {
    return new Sfc32(`${this.#key}/${keyPart(String(label))}`);
  }

  #word(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}

/** The length keeps fork("a").fork("b") apart from fork("a/1:b"), and seeds from forks. */
function keyPart(text: string): string {
  return `${text.length}:${text}`;
}

function hash32(text: string, salt: number): number {
  let hash = salt | 0;
  for (let i = 0; i < text.length; i++) {
    let unit = Math.imul(text.charCodeAt(i), 0xcc9e_2d51);
    unit = (unit << 15) | (unit >>> 17);
    hash ^= Math.imul(unit, 0x1b87_3593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe654_6b64) | 0;
  }
  hash ^= text.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) | 0;
}
