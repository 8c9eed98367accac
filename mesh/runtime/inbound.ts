// Bytes to typed messages. Every rejection is counted by reason; nothing that came from outside
// is thrown.
import type { z } from "zod";
import { type FailureCode, PROTOCOL_VERSION } from "../../contracts/index.ts";
import type { Incoming } from "../ports/index.ts";
import { CONTROL_LIMITS, type DecodeLimits, decode } from "./codec/codec.ts";
import type { Counters } from "./counters.ts";

/** Headers that only JetStream sets: on a core subject they betray a redirected delivery. */
const STREAM_HEADERS = ["Nats-Stream", "Nats-Subject", "Nats-Sequence"] as const;

export class Inbound {
  readonly #counters: Counters;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  reject(what: string, code: FailureCode): undefined {
    this.#counters.add(`refused.${what}.${code}`);
    return undefined;
  }

  /** Was this core message in truth delivered out of a stream (faults page, attack A9)? */
  forgedPath(what: string, message: Incoming): boolean {
    if (!message.hasHeaders) return false;
    for (const name of STREAM_HEADERS) {
      if (message.header(name) !== undefined) {
        this.reject(what, "E_FORGED_PATH");
        return true;
      }
    }
    return false;
  }

  /**
   * Where to answer. Only inboxes: with any other subject the asker would have this peer's rights
   * speak for him (its card, an acknowledgement of its deliveries). Others are counted.
   */
  replyTo(what: string, message: Incoming): string | undefined {
    const { reply } = message;
    if (reply === undefined || reply.startsWith("_INBOX.")) return reply;
    return this.reject(what, "E_FORGED_PATH");
  }

  /** Decodes and checks a core message; undefined when it was refused (and counted). */
  read<T>(
    what: string,
    schema: z.ZodType<T>,
    message: Incoming,
    limits: DecodeLimits = CONTROL_LIMITS,
  ): T | undefined {
    if (this.forgedPath(what, message)) return undefined;
    return readShared(message, schema, () => this.parse(what, schema, message.data, limits));
  }

  parse<T>(
    what: string,
    schema: z.ZodType<T>,
    bytes: Uint8Array,
    limits: DecodeLimits,
  ): T | undefined {
    const raw = decode(bytes, limits);
    if (!raw.ok) {
      return this.reject(what, raw.code === "too_large" ? "E_TOO_LARGE" : "E_NOT_UNDERSTOOD");
    }
    const result = schema.safeParse(raw.value);
    if (result.success) return result.data;
    return this.reject(what, complaint(raw.value, result.error));
  }
}

/** Reads a message once for all within this process to whom its transport hands it. */
export function readShared<T>(
  message: Incoming,
  reader: object,
  read: () => T | undefined,
): T | undefined {
  return message.shared === undefined ? read() : message.shared(reader, read);
}

/** Tells an unknown version or kind from a plain misfit, since senders mend them differently. */
export function complaint(value: unknown, error: z.ZodError): FailureCode {
  const v = (value as { v?: unknown } | null)?.v;
  if (typeof v === "number" && v !== PROTOCOL_VERSION) return "E_VERSION";
  const kind = error.issues.some((i) => i.path.length === 1 && i.path[0] === "kind");
  return kind ? "E_KIND" : "E_SCHEMA";
}
