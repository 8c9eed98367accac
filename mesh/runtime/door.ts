// The door: `mesh.submit.<capability>` and `mesh.call.<capability>`, so that the stock `nats` CLI
// (and anything else that can send a request) may use the mesh. The body is the task's input;
// options travel as headers, named like the CLI's user expects them.
import {
  CapabilityNameSchema,
  HEADERS_BYTES,
  INLINE_BYTES_MAX,
  isToken,
  ParleyError,
  parseDoorSubject,
  patterns,
  RECORD_BYTES_MAX,
  tokenAdvice,
} from "../../contracts/index.ts";
import type { Incoming, Subscription } from "../ports/index.ts";
import { decodeJsonValue } from "./codec/codec.ts";
import { jsonBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";
import { asFailure } from "./results.ts";
import { DOOR } from "./spec-checks.ts";
import type { Submitters, TaskOptions } from "./submitters.ts";
import type { Tracker } from "./tracker.ts";

const INPUT_LIMITS = { bytesMax: RECORD_BYTES_MAX, depthMax: 32, keysMax: 10_000 };
const EMPTY = new Uint8Array(0);
/** Tasks that one door follows at a time; more are refused as overload. */
const FOLLOWED_MAX = 5_000;

/** Whoever hears the answer: nobody else may, by the server's permissions. */
function askerOf({ reply = "" }: Incoming): string {
  const [, principal = "", ...rest] = reply.split(".");
  return rest.length > 0 ? `${DOOR}:${principal}` : DOOR;
}

export class Door {
  readonly #d: Deps;
  readonly #submitters: Submitters;
  #subs: Subscription[] = [];
  #following = 0;

  constructor(dependencies: Deps, submitters: Submitters) {
    this.#d = dependencies;
    this.#submitters = submitters;
  }

  open(): void {
    for (const door of ["submit", "call"] as const) {
      this.#subs.push(
        this.#d.transport.subscribe(patterns.door(door), (m) => void this.#serve(door, m), {
          queue: "intake",
        }),
      );
    }
  }

  close(): void {
    for (const sub of this.#subs) sub.unsubscribe();
    this.#subs = [];
  }

  async #serve(door: "submit" | "call", message: Incoming): Promise<void> {
    if (this.#d.inbound.forgedPath("door", message)) return;
    const reply = this.#d.inbound.replyTo("door", message);
    if (reply !== message.reply) return;
    try {
      const { capability, input, options } = this.#read(message);
      // Also those that are being stored: thousands may come at one moment.
      if (this.#following >= FOLLOWED_MAX) throw new ParleyError("E_OVERLOAD");
      this.#d.counters.add(`door.${door}`);
      this.#following++;
      try {
        const tracker = await this.#submitters.submit(capability, input, options);
        if (door === "submit" || reply === undefined) {
          this.#letGo(tracker, options);
          if (reply !== undefined) this.#answer(reply, { task: tracker.task, state: "submitted" });
        } else {
          await this.#follow(tracker, reply);
        }
      } finally {
        this.#following--;
      }
    } catch (error) {
      const failure = asFailure(error);
      this.#d.counters.add(`refused.door.${failure.code}`);
      if (reply === undefined) return;
      this.#answer(reply, { error: failure });
      if (door === "call") this.#d.transport.publish(reply, EMPTY);
    }
  }

  async #follow(tracker: Tracker, reply: string): Promise<void> {
    for await (const event of tracker.events()) {
      if (event.type === "progress") this.#answer(reply, { ...event });
    }
    const outcome = await tracker.outcome();
    const output = outcome.state === "completed" ? await tracker.result() : undefined;
    this.#answer(reply, {
      task: tracker.task,
      state: outcome.state,
      ...(output === undefined ? {} : { output }),
      ...(outcome.failure === undefined ? {} : { failure: outcome.failure }),
    });
    this.#d.transport.publish(reply, EMPTY);
  }

  /** Nobody waits here for its end. One of a name may be another caller's as well. */
  #letGo(tracker: Tracker, { task }: TaskOptions): void {
    if (task === undefined) tracker.abandon(new ParleyError("E_CONNECTION", "let go of"));
  }

  #answer(reply: string, value: { task?: string; [field: string]: unknown }): void {
    // Unchecked: it was decoded here, and an answer that throws would end the process.
    let body = jsonBytes(value);
    if (body.length > this.#d.transport.payloadMax - HEADERS_BYTES) {
      const { task } = value;
      body = jsonBytes({
        task,
        error: {
          code: "E_TOO_LARGE",
          retry: false,
          message:
            `the answer has ${body.length} bytes, more than one message holds; ` +
            `get it with: parley task get ${task ?? "ID"} --raw`,
        },
      });
    }
    this.#d.transport.publish(reply, body, { headers: { "Content-Type": "application/json" } });
  }

  #read(message: Incoming): { capability: string; input: unknown; options: TaskOptions } {
    const capability = parseDoorSubject(message.subject) ?? "";
    if (!CapabilityNameSchema.safeParse(capability).success) {
      throw new ParleyError("E_SCHEMA", tokenAdvice("the capability", capability));
    }
    const raw =
      message.data.length === 0
        ? { ok: true as const, value: {} }
        : decodeJsonValue(message.data, INPUT_LIMITS);
    if (!raw.ok) {
      throw new ParleyError(
        raw.code === "too_large" ? "E_TOO_LARGE" : "E_NOT_UNDERSTOOD",
        `the input must be JSON: ${raw.detail}`,
      );
    }
    if (message.data.length > INLINE_BYTES_MAX) this.#d.counters.add("door.large");
    return { capability, input: raw.value, options: this.#options(message) };
  }

  #options(message: Incoming): TaskOptions {
    const options: TaskOptions = { onBehalfOf: askerOf(message) };
    if (!message.hasHeaders) return options;
    const number = (name: string, low: number, high: number, whole = false): number | undefined => {
      const text = message.header(name);
      if (text === undefined) return undefined;
      const value = Number(text);
      if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
        throw new ParleyError(
          "E_SCHEMA",
          `header ${name}: ${whole ? "a whole number, " : ""}${low} to ${high}, not "${text}"`,
        );
      }
      return value;
    };
    const priority = number("Mesh-Priority", 0, 9, true);
    const timeoutMs = number("Mesh-Timeout-Ms", 1, 30 * 24 * 3_600_000);
    const budget = number("Mesh-Budget", 0, 1e15);
    const policy = message.header("Mesh-Policy");
    const task = message.header("Mesh-Task");
    const traceparent = message.header("traceparent");
    if (priority !== undefined) options.priority = priority;
    if (timeoutMs !== undefined) options.timeoutMs = timeoutMs;
    if (budget !== undefined) options.budget = budget;
    if (policy !== undefined) {
      if (!isToken(policy)) throw new ParleyError("E_SCHEMA", tokenAdvice("Mesh-Policy", policy));
      options.award = { policy };
    }
    if (traceparent !== undefined) {
      options.traceparent = traceparent.slice(0, 64).toWellFormed();
    }
    if (task !== undefined) {
      if (!isToken(task)) throw new ParleyError("E_SCHEMA", tokenAdvice("Mesh-Task", task));
      options.task = task;
    }
    return options;
  }
}
