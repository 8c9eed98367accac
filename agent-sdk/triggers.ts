// Triggers of a principal: kept in a bucket, served by any process of that principal. There is no
// scheduler: each process knows the moments by itself, and what it submits for one has an id that
// follows from the trigger and the moment, so that all of them together submit it once.
import {
  EVENT_BYTES_MAX,
  isTopic,
  ParleyError,
  type StoredTrigger,
  sameJson,
  TriggerSchema,
  tokenAdvice,
} from "../contracts/index.ts";
import type { Bucket, EventLog, Log } from "../mesh/ports/index.ts";
import type { Capability } from "./capability.ts";
import type { SubmitOptions } from "./options.ts";
import { TriggerDesk } from "./trigger-desk.ts";
import { checkWhen } from "./trigger-due.ts";
import { triggerBytes, triggerOf } from "./trigger-entry.ts";

/** What serving them takes of a mesh. */
export interface Submitting {
  submit(capability: Capability, input: unknown, options: SubmitOptions): Promise<unknown>;
  onClosed(run: () => void): void;
}

export interface OwnedTrigger extends StoredTrigger {
  principal: string;
}

export interface TriggerPorts {
  bucket: Bucket;
  events: EventLog;
  principal: string;
  log: Log;
}

export class Triggers {
  readonly #ports: TriggerPorts;
  readonly #mesh: Submitting;

  constructor(ports: TriggerPorts, mesh: Submitting) {
    this.#ports = ports;
    this.#mesh = mesh;
  }

  /**
   * Stores a trigger, or changes one of that name. It is served from now on, by `serve`; one that
   * waits for the same as before goes on where it stood.
   * @throws ParleyError E_SCHEMA with every problem
   */
  async put(value: unknown): Promise<StoredTrigger> {
    const parsed = TriggerSchema.safeParse(value);
    if (!parsed.success) {
      const lines = parsed.error.issues.map(
        (i) => `${i.path.join(".") || "the whole"}: ${i.message}`,
      );
      throw new ParleyError("E_SCHEMA", `this is no trigger:\n  ${lines.join("\n  ")}`);
    }
    const { bucket, events, principal } = this.#ports;
    const { name, when } = parsed.data;
    const key = `${principal}.${name}.spec`;
    const before = triggerOf(await bucket.get(key));
    if (before !== undefined && sameJson(before.when, when)) {
      const trigger = { ...parsed.data, since: before.since, from: before.from };
      if (!sameJson(trigger, before)) await bucket.put(key, triggerBytes(trigger));
      return trigger;
    }
    const since = Date.now();
    checkWhen(when, since);
    // Within the trigger: events from here on count, however late somebody serves them.
    const from = "event" in when ? await events.last(when.event) : 0;
    const trigger = { ...parsed.data, since, from };
    await bucket.put(key, triggerBytes(trigger));
    return trigger;
  }

  /**
   * The principal's own, or those of another, `*` for everybody's; what is no trigger is left out.
   */
  async list(principal = this.#ports.principal): Promise<OwnedTrigger[]> {
    const entries = await this.#ports.bucket.list(`${principal}.*.spec`);
    return entries.flatMap((entry) => {
      const found = triggerOf(entry);
      return found === undefined ? [] : { principal: entry.key.split(".")[0] ?? "", ...found };
    });
  }

  /** Tasks that it began go on. @throws ParleyError E_NOT_FOUND */
  async remove(name: string): Promise<void> {
    const { bucket, principal } = this.#ports;
    const key = `${principal}.${name}`;
    if ((await bucket.get(`${key}.spec`))?.value === undefined) {
      throw new ParleyError("E_NOT_FOUND", `${principal} has no trigger "${name}"`);
    }
    await bucket.remove(`${key}.spec`);
    await bucket.remove(`${key}.mark`);
  }

  /**
   * Tells that something happened; as `nats pub mesh.event.<topic>`. Gives its place among events.
   * @throws ParleyError E_SCHEMA, E_TOO_LARGE, E_STORE
   */
  async emit(topic: string, data: unknown = null): Promise<number> {
    if (!isTopic(topic)) {
      const bad = topic.split(".").find((token) => !isTopic(token)) ?? topic;
      throw new ParleyError("E_SCHEMA", tokenAdvice("part of a topic", bad));
    }
    const bytes = Buffer.from(JSON.stringify(data) ?? "null");
    if (bytes.length > EVENT_BYTES_MAX) {
      const text = `an event of ${bytes.length} bytes; ${EVENT_BYTES_MAX} is the most`;
      throw new ParleyError("E_TOO_LARGE", `${text}: store the data and tell where it is`);
    }
    return this.#ports.events.emit(topic, bytes);
  }

  /** Serves all triggers of this principal, those of later included. The result ends it. */
  async serve(): Promise<() => void> {
    const desk = new TriggerDesk(this.#ports, this.#mesh);
    const stop = () => desk.stop();
    this.#mesh.onClosed(stop);
    await desk.start();
    return stop;
  }
}
