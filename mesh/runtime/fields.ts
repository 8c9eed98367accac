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
import type { Incoming } from "../ports/index.ts";
import { CONTROL_LIMITS } from "./codec/codec.ts";
import { jsonBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";

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

export class Fields {
  readonly #d: Pick<Deps, "transport" | "clock" | "inbound" | "registry">;
  readonly #follows: boolean;
  #told = new Map<string, Told>();

  /** @param follows does this peer follow the cards itself? */
  constructor(
    dependencies: Pick<Deps, "transport" | "clock" | "inbound" | "registry">,
    follows: boolean,
  ) {
    this.#d = dependencies;
    this.#follows = follows;
  }

  /** As far as it is known now. */
  of(capability: string, requires: Requirements | undefined): Field {
    if (this.#follows) return this.#d.registry.field(capability, requires);
    return this.#ask(capability, requires).field;
  }

  /** Resolves when it is known, or nobody can tell. */
  async know(capability: string, requires: Requirements | undefined): Promise<void> {
    if (this.#follows) return;
    const { field, asking } = this.#ask(capability, requires);
    if (field.unknown) await asking;
  }

  /** What was told; asks where that is not fresh. */
  #ask(capability: string, requires: Requirements | undefined): Told {
    const key = `${capability} ${requires === undefined ? "" : JSON.stringify(requires)}`;
    const told = this.#told.get(key) ?? this.#admit(key);
    const now = this.#d.clock.now();
    if (told.asking !== undefined || now - told.at < FRESH_MS) return told;
    told.at = now;
    told.asking = this.#answer(capability, requires).then((field) => {
      told.field = field;
      told.asking = undefined;
    });
    return told;
  }

  #admit(key: string): Told {
    if (this.#told.size >= KEPT_MAX) this.#told.delete(this.#told.keys().next().value as string);
    const fresh = { field: UNKNOWN_FIELD, at: Number.NEGATIVE_INFINITY, asking: undefined };
    this.#told.set(key, fresh);
    return fresh;
  }

  async #answer(capability: string, requires: Requirements | undefined): Promise<Field> {
    const query = jsonBytes({ v: 1, kind: "field_query", ...(requires && { requires }) });
    const { transport, inbound } = this.#d;
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
    const { transport, inbound, registry } = this.#d;
    const capability = parseDoorSubject(message.subject);
    if (capability === undefined) return void inbound.reject("field", "E_KIND");
    const reply = inbound.replyTo("field", message);
    if (reply === undefined) return;
    // A person may ask with an empty message.
    const query: Query | undefined =
      message.data.length === 0 ? {} : inbound.read("field", FieldQuerySchema, message);
    if (query === undefined) return;
    const { agents, offering, groups } = registry.field(capability, query.requires);
    transport.publish(reply, jsonBytes({ v: 1, kind: "field", agents, offering, groups }));
  }
}
