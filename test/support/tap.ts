// Everything that an observer hears on a pattern, in order, with conditions to wait for.
import type { Msg } from "@nats-io/transport-node";
import { AwardTermsSchema } from "../../contracts/index.ts";
import { CONTROL_LIMITS, decode, RECORD_LIMITS } from "../../mesh/runtime/codec/codec.ts";
import { type ExplainedTerms, openBids } from "../../mesh/runtime/seen-bids.ts";
import type { Stranger } from "../wire/fixture.ts";

export interface Heard {
  subject: string;
  reply: string;
  data: Uint8Array;
  header(name: string): string | undefined;
  /** The message, decoded as peers decode it. @throws when they would refuse it */
  decoded<T = Record<string, unknown>>(): T;
}

export function heard(m: Msg): Heard {
  return {
    subject: m.subject,
    reply: m.reply ?? "",
    data: m.data,
    header: (name) => m.headers?.get(name) || undefined,
    decoded<T>() {
      const limits = m.data.length > CONTROL_LIMITS.bytesMax ? RECORD_LIMITS : CONTROL_LIMITS;
      const raw = decode(m.data, limits);
      if (!raw.ok) throw new Error(`${m.subject}: ${raw.detail}`);
      return raw.value as T;
    },
  };
}

export class Tap {
  readonly seen: Heard[] = [];
  readonly stranger: Stranger;
  #waiting = new Set<() => void>();

  constructor(stranger: Stranger, ...patterns: string[]) {
    this.stranger = stranger;
    for (const pattern of patterns) {
      stranger.nc.subscribe(pattern, {
        callback: (error, m) => {
          if (error !== null) throw error;
          this.seen.push(heard(m));
          for (const look of this.#waiting) look();
        },
      });
    }
  }

  /** Resolves when the server knows the subscriptions. */
  async ready(): Promise<void> {
    await this.stranger.nc.flush();
  }

  /** The first message, heard already or to come, that fits. */
  until(fits: (m: Heard) => boolean, what = "a message", limitMs = 10_000): Promise<Heard> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.seen.find(fits);
        if (found === undefined) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`not heard within ${limitMs} ms: ${what}`));
      }, limitMs);
      this.#waiting.add(look);
      look();
    });
  }

  /** Those of one verb, `mesh.<verb>.…`. */
  of(verb: string): Heard[] {
    return this.seen.filter((m) => m.subject.split(".")[1] === verb);
  }
}

/** The terms of an award from their exact bytes, and the bids that come beside them. */
export function termsIn(bytes: Uint8Array, packed?: Uint8Array): ExplainedTerms {
  const raw = decode(bytes, RECORD_LIMITS);
  if (!raw.ok) throw new Error(raw.detail);
  const sealed = AwardTermsSchema.parse(raw.value);
  if (packed === undefined) return { ...sealed, bids: [] };
  const terms = openBids(sealed, packed);
  if (terms === undefined) throw new Error("the bids cannot be read");
  return terms;
}
