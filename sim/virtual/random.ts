// Randomness of one host, from the world's seed: the same run draws the same ids.
import { createHash } from "node:crypto";
import type { Prng } from "../../mesh/core/prng.ts";
import type { Random } from "../../mesh/ports/index.ts";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
/** Base32 characters of 128 bits, and those that one draw of 53 bits gives. */
const ID_LENGTH = 26;
const PER_DRAW = 10;
const TWO_50 = 2 ** 50;

export class VirtualRandom implements Random {
  readonly #prng: Prng;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  next(): number {
    return this.#prng.next();
  }

  id(): string {
    let text = "";
    while (text.length < ID_LENGTH) {
      let held = Math.floor(this.#prng.next() * TWO_50);
      for (let i = 0; i < PER_DRAW && text.length < ID_LENGTH; i++) {
        text += ALPHABET[held % 32];
        held = Math.floor(held / 32);
      }
    }
    return text;
  }
}

/** Bytes for keys: as many as asked for, a new lot each time. */
export function secretBytes(prng: Prng): (length: number) => Buffer {
  let lots = 0;
  return (length) => {
    const parts: Buffer[] = [];
    for (let got = 0; got < length; got += 32) {
      const text = `${prng.next()} ${lots++}`;
      parts.push(createHash("sha512").update(text).digest().subarray(0, 32));
    }
    return Buffer.concat(parts, length);
  };
}
