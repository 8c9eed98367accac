// Who could answer a call: by the cards, or, where this peer does not follow them, as one that does
// tells. It sizes a call and its window; it never decides an award.
import {
  FieldQuerySchema,
  FieldSchema,
  fieldSubject,
  parseDoorSubject,
  type Requirements,
} from "../../contracts/index.ts";
import { UNKNOWN_FIELD } from "../core/initiator-choice.ts";
import type { Field } from "../core/initiator-task.ts";
import type { Clock, Incoming, Transport } from "../ports/index.ts";
import { CONTROL_LIMITS } from "./codec/codec.ts";
import { jsonBytes } from "./codec/encode-own.ts";
import type { Inbound } from "./inbound.ts";
import type { Registry } from "./registry.ts";

/** What was told is asked again after this, ms: agents come and go slowly. Guess. */
const FRESH_MS = 2_000;
/** The first call waits so long for an answer, ms. */
const ANSWER_MS = 500;
/** Capabilities (with what is required) remembered. */
const KEPT_MAX = 256;

interface Told {
  field: Field;
  /** When it was asked last, ms on the clock. */
  at: number;
  /** While the answer is awaited. */
  asking: Promise<void> | undefined;
}

interface Query {
  requires?: Requirements | undefined;
}

export interface FieldsOptions {
  transport: Transport;
  clock: Clock;
  inbound: Inbound;
  registry: Registry;
  /** Does this peer follow the cards itself? */
  follows: boolean;
}

export class Fields {
  readonly #o: FieldsOptions;
  #told = new Map<string, Told>();

  constructor(options: FieldsOptions) {
    this.#o = options;
  }

  /** As far as it is known now. */
  of(capability: string, requires: Requirements | undefined): Field {
    const { follows, registry } = this.#o;
    return follows ? registry.field(capability, requires) : this.#ask(capability, requires).field;
  }

  /** Resolves when it is known, or nobody can tell. */
  async know(capability: string, requires: Requirements | undefined): Promise<void> {
    if (this.#o.follows) return;
    const { field, asking } = this.#ask(capability, requires);
    if (field.unknown) await asking;
  }

  /** What was told; asks where that is not fresh. */
  #ask(capability: string, requires: Requirements | undefined): Told {
    const key = `${capability} ${requires === undefined ? "" : JSON.stringify(requires)}`;
    const now = this.#o.clock.now();
    let told = this.#told.get(key);
    if (told === undefined) {
      if (this.#told.size >= KEPT_MAX) this.#told.delete(this.#told.keys().next().value as string);
      told = { field: UNKNOWN_FIELD, at: Number.NEGATIVE_INFINITY, asking: undefined };
      this.#told.set(key, told);
    }
    if (told.asking !== undefined || now - told.at < FRESH_MS) return told;
    const asked = told;
    asked.at = now;
    asked.asking = this.#answer(capability, requires).then((field) => {
      asked.field = field;
      asked.asking = undefined;
    });
    return asked;
  }

  async #answer(capability: string, requires: Requirements | undefined): Promise<Field> {
    const query = jsonBytes({ v: 1, kind: "field_query", ...(requires && { requires }) });
    const { transport, inbound } = this.#o;
    try {
      const m = await transport.request(fieldSubject(capability), query, { timeoutMs: ANSWER_MS });
      if (m.status !== 0) return UNKNOWN_FIELD;
      return inbound.parse("field", FieldSchema, m.data, CONTROL_LIMITS) ?? UNKNOWN_FIELD;
    } catch {
      return UNKNOWN_FIELD;
    }
  }

  /** Somebody who does not follow the cards asks. */
  onQuery(message: Incoming): void {
    const { transport, inbound, registry } = this.#o;
    const capability = parseDoorSubject(message.subject);
    const reply = inbound.replyTo("field", message);
    if (capability === undefined) return void inbound.reject("field", "E_KIND");
    if (reply === undefined) return;
    // A person may ask with an empty message.
    const query: Query | undefined =
      message.data.length === 0 ? {} : inbound.read("field", FieldQuerySchema, message);
    if (query === undefined) return;
    const { agents, offering, groups } = registry.field(capability, query.requires);
    transport.publish(reply, jsonBytes({ v: 1, kind: "field", agents, offering, groups }));
  }
}
