// Serves the triggers of one principal in one process; others may do the same beside it.
//
// Invariants
//   T1  What one moment or event begins has one id: however many processes submit it, and however
//       often, it is one task.
//   T2  A mark moves only after what it covers was submitted, and never back.
//   T3  A trigger's moments are submitted in their order; of events, so many at a time.
import { type FailureCode, ParleyError, type StoredTrigger } from "../contracts/index.ts";
import { fill } from "../mesh/core/workflow/template.ts";
import type { BucketEntry, MeshEvent } from "../mesh/ports/index.ts";
import { untyped } from "./capability.ts";
import { subTaskId } from "./durable-run.ts";
import { optionsOfTerms } from "./options.ts";
import { duesBetween, nextDue } from "./trigger-due.ts";
import { isMarkOf, markBytes, markOf, triggerOf } from "./trigger-entry.ts";
import type { Submitting, TriggerPorts } from "./triggers.ts";

/** Older than this, a moment was missed, ms. */
const LATE_MS = 10_000;
/** Events that are submitted at a time. */
const AT_ONCE = 64;
/** After a fault of the store or the link, ms; longer each time, up to the longest sleep. */
const AGAIN_MS = 1_000;
/** Longest sleep, ms: a word may be missed, clocks are set, timers of Node end at 24 days. */
const SLEEP_MS_MAX = 60_000;
/** A task that is refused for one of these would be refused for ever, and hold up the next. */
const HOPELESS: readonly FailureCode[] = ["E_SCHEMA", "E_INPUT", "E_TOO_LARGE"];

/** What a template of an input may name. */
interface Cause {
  due?: string;
  event?: { topic: string; seq: number; at: string; data: unknown };
}

export class TriggerDesk {
  readonly #ports: TriggerPorts;
  readonly #mesh: Submitting;
  readonly #posts = new Map<string, Post>();
  /** Revisions of what was removed since the last list: the next may still have it. */
  readonly #removed = new Map<string, number>();
  readonly #pattern: string;
  #unwatch: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(ports: TriggerPorts, mesh: Submitting) {
    this.#ports = ports;
    this.#mesh = mesh;
    this.#pattern = `${ports.principal}.*.spec`;
  }

  async start(): Promise<void> {
    this.#unwatch = this.#ports.bucket.watch(this.#pattern, (entry) => this.#take(entry));
    await this.#list().catch((error: unknown) => {
      this.stop();
      throw error;
    });
    if (this.#over) return;
    // What was changed while the link was down was told to nobody.
    const again = () => void this.#list().catch(() => undefined);
    this.#timer = setInterval(again, SLEEP_MS_MAX).unref();
  }

  async #list(): Promise<void> {
    const before = [...this.#posts];
    const entries = await this.#ports.bucket.list(this.#pattern);
    const names = new Set(entries.map((entry) => nameOf(entry)));
    for (const [name, post] of before) {
      // The list knows nothing of what was taken while it was under way.
      if (names.has(name) || this.#posts.get(name) !== post) continue;
      post.stop();
      this.#posts.delete(name);
    }
    for (const entry of entries) this.#take(entry);
    this.#removed.clear();
  }

  stop(): void {
    this.#over = true;
    this.#unwatch();
    clearInterval(this.#timer);
    for (const post of this.#posts.values()) post.stop();
    this.#posts.clear();
  }

  #take(entry: BucketEntry): void {
    if (this.#over) return;
    const name = nameOf(entry);
    const held = this.#posts.get(name);
    // The list may be older than what the watch has told.
    if ((held?.rev ?? this.#removed.get(name) ?? 0) >= entry.rev) return;
    held?.stop();
    this.#posts.delete(name);
    if (entry.value === undefined) {
      this.#removed.set(name, entry.rev);
      return;
    }
    const found = triggerOf(entry);
    if (found === undefined) {
      return this.#ports.log.warn({ trigger: name }, "this trigger cannot be read: put it anew");
    }
    const post = new Post(found, entry.rev, this.#ports, this.#mesh);
    this.#posts.set(name, post);
    post.start();
  }
}

function nameOf({ key }: BucketEntry): string {
  return key.split(".")[1] ?? "";
}

/** One trigger under way. */
class Post {
  readonly rev: number;
  readonly #trigger: StoredTrigger;
  readonly #ports: TriggerPorts;
  readonly #mesh: Submitting;
  readonly #key: string;
  #timer: NodeJS.Timeout | undefined;
  #unwatch: () => void = () => undefined;
  #looking = false;
  #lookedAt = 0;
  #again = false;
  #pauseMs = AGAIN_MS;
  #over = false;

  constructor(trigger: StoredTrigger, rev: number, ports: TriggerPorts, mesh: Submitting) {
    this.rev = rev;
    this.#trigger = trigger;
    this.#ports = ports;
    this.#mesh = mesh;
    this.#key = `${ports.principal}.${trigger.name}.mark`;
  }

  start(): void {
    const { when } = this.#trigger;
    if ("event" in when) {
      this.#unwatch = this.#ports.events.watch(when.event, () => this.#look());
    }
    this.#look();
  }

  stop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#unwatch();
  }

  /** One at a time; what is told meanwhile makes for another. */
  #look(): void {
    if (this.#over) return;
    this.#again = true;
    if (this.#looking) return;
    this.#looking = true;
    clearTimeout(this.#timer);
    this.#looks().then(
      () => this.#rest(),
      (error: unknown) => {
        const { name } = this.#trigger;
        this.#ports.log.warn({ trigger: name, error: String(error) }, "a trigger has to wait");
        this.#looking = false;
        this.#sleep(this.#pauseMs);
        this.#pauseMs = Math.min(SLEEP_MS_MAX, 2 * this.#pauseMs);
      },
    );
  }

  async #looks(): Promise<void> {
    while (this.#again && !this.#over) {
      this.#again = false;
      const { when, from, since } = this.#trigger;
      const entry = await this.#ports.bucket.get(this.#key);
      const mark = markOf(entry);
      const isOwn = mark !== undefined && isMarkOf(mark, when);
      // It was changed since, and somebody serves it as it is now.
      if (mark !== undefined && !isOwn && (entry?.rev ?? 0) > this.rev) return;
      const of = "event" in when ? from : since;
      const upTo = Math.max(isOwn ? mark.upTo : 0, of);
      const next = await ("event" in when ? this.#events(upTo) : this.#dues(upTo));
      this.#pauseMs = AGAIN_MS;
      if (next !== upTo) await this.#mark(markBytes(when, next), entry?.rev ?? 0);
    }
  }

  async #mark(mark: Uint8Array, rev: number): Promise<void> {
    try {
      await this.#ports.bucket.put(this.#key, mark, { rev });
    } catch (error) {
      // Another process was faster: what it covers is for the next look to see.
      if (!(error instanceof ParleyError) || error.code !== "E_FENCED") throw error;
    }
    this.#again = true;
  }

  /** Gives the moment up to which all was submitted. */
  async #dues(upTo: number): Promise<number> {
    const now = Date.now();
    this.#lookedAt = now;
    const dues = duesBetween(this.#trigger, upTo, now);
    for (const due of this.#wanted(dues, now)) {
      if (this.#over) return upTo;
      await this.#submit(due, { due: new Date(due).toISOString() });
    }
    return dues.at(-1) ?? upTo;
  }

  /** Of moments that passed while nobody was here, those that are made up for. */
  #wanted(dues: readonly number[], now: number): readonly number[] {
    const { missed } = this.#trigger;
    if (missed === "all") return dues;
    const fresh = dues.filter((due) => now - due <= LATE_MS);
    return missed === "none" || fresh.length > 0 ? fresh : dues.slice(-1);
  }

  /** Gives the place up to which all was submitted. */
  async #events(upTo: number): Promise<number> {
    const { when } = this.#trigger;
    if (!("event" in when)) return upTo;
    const events = await this.#ports.events.read(when.event, upTo, AT_ONCE);
    await Promise.all(events.map((event) => this.#submit(event.seq, { event: shown(event) })));
    return events.at(-1)?.seq ?? upTo;
  }

  async #submit(place: number, cause: Cause): Promise<void> {
    const { name, capability, version } = this.#trigger;
    const { principal, log } = this.#ports;
    const task = subTaskId(principal, `trigger.${name}`, String(place));
    const options = { ...optionsOfTerms(this.#trigger), task, onBehalfOf: `trigger.${name}` };
    try {
      await this.#mesh.submit(untyped(capability, version), this.#input(cause), options);
    } catch (error) {
      if (error instanceof ParleyError && error.code === "E_TAKEN") {
        return log.info({ trigger: name, place, task }, "begun before, as the trigger was then");
      }
      if (error instanceof ParleyError && HOPELESS.includes(error.code)) {
        return log.error(
          { trigger: name, place, error: String(error) },
          "a trigger's task is left",
        );
      }
      throw error;
    }
  }

  #input(cause: Cause): unknown {
    const { input } = this.#trigger;
    if (input === undefined) return cause.event === undefined ? cause : cause.event.data;
    return fill(input, { params: {}, steps: {}, ...cause });
  }

  /** Until the next moment. */
  #rest(): void {
    this.#looking = false;
    if (this.#again) return this.#look();
    // Of a moment that has come since, the look has not heard.
    const next = nextDue(this.#trigger, this.#lookedAt) ?? Number.POSITIVE_INFINITY;
    this.#sleep(next - Date.now());
  }

  #sleep(ms: number): void {
    if (this.#over) return;
    this.#timer = setTimeout(() => this.#look(), Math.min(SLEEP_MS_MAX, Math.max(1, ms)));
    this.#timer.unref();
  }
}

/** Data that is no JSON comes as text: anybody may have told it. */
function shown({ topic, seq, at, data }: MeshEvent): NonNullable<Cause["event"]> {
  const text = Buffer.from(data).toString();
  let value: unknown = text;
  try {
    value = text === "" ? null : JSON.parse(text);
  } catch {
    // Stays the text.
  }
  return { topic, seq, at: new Date(at).toISOString(), data: value };
}
