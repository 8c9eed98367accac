// A stream as the mesh uses them: messages by sequence, the newest one by subject, fenced writes,
// repeats known by their id, time to live with notices of its end, sources, republishing.

import { BySeq } from "./by-seq.ts";
import type { Headers } from "./message.ts";
import { Slabs } from "./slabs.ts";

export interface Stored {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: Headers | undefined;
  /** World time, ms. */
  readonly at: number;
  /** Revision of the message that it replaced under its subject; 0: none. */
  readonly before: number;
}

export interface StreamConfig {
  name: string;
  /** Subjects that it takes in; none for one that is only fed by another. */
  subjects: readonly string[];
  /** A newer message does not take an older one's place: it is refused. */
  once?: boolean;
  duplicateMs?: number;
  bytesMax?: number;
  ttl?: boolean;
  /** How long the notice of an end is kept, ms; absent: nobody is told. */
  markerMs?: number;
  /** Tokens at a subject's begin by which guards are looked up. */
  family?: number;
  republish?: (tokens: readonly string[]) => string | undefined;
}

export type Ack =
  | { ok: true; seq: number; duplicate: boolean; stored: Stored | undefined }
  | { ok: false; code: number; err: number; text: string };

/** Places of forgotten ids that are kept at least before the list is made anew. */
const FORGOTTEN_MAX = 1_024;

const EXPECTED = "Nats-Expected-Last-Subject-Sequence";
const GUARD = "Nats-Expected-Last-Subject-Sequence-Subject";
const ID = "Nats-Msg-Id";
const TTL = "Nats-TTL";

export class Stream {
  readonly config: StreamConfig;
  readonly #slabs: Slabs;
  lastSeq = 0;
  #bySubject = new Map<string, Stored>();
  #bySeq = new BySeq<Stored>();
  #families = new Map<string, Stored[]>();
  /** The family asked for last. */
  #asked = "";
  /** Sequence of each id, and all ids in the order of time: there are a million of them. */
  #ids = new Map<string, number>();
  #idsByTime: { id: string[]; at: number[]; next: number } = { id: [], at: [], next: 0 };

  /** @param slabs shared with streams that take over messages of this one */
  constructor(config: StreamConfig, slabs = new Slabs()) {
    this.config = config;
    this.#slabs = slabs;
  }

  get size(): number {
    return this.#bySeq.size;
  }

  get(seq: number): Stored | undefined {
    return this.#bySeq.get(seq);
  }

  /**
   * Takes a message in, or says why not. The fence is looked at before the id (server 2.15.1): a
   * repeat of a fenced write that landed is a conflict, not a duplicate.
   */
  put(subject: string, data: Uint8Array, headers: Headers | undefined, now: number): Ack {
    const fault = this.#refusal(subject, data, headers);
    if (fault !== undefined) return fault;
    const id = headers?.[ID];
    if (id !== undefined) {
      this.#forgetIds(now);
      const known = this.#ids.get(id);
      if (known !== undefined) return { ok: true, seq: known, duplicate: true, stored: undefined };
    }
    if (this.config.once === true && this.#newest(subject) !== undefined) {
      return refused(10077, "maximum messages per subject exceeded");
    }
    const stored = this.store(subject, data, headers, now);
    if (id !== undefined) this.#remember(id, stored.seq, now);
    return { ok: true, seq: stored.seq, duplicate: false, stored };
  }

  #refusal(subject: string, data: Uint8Array, headers: Headers | undefined): Ack | undefined {
    const { bytesMax, ttl } = this.config;
    if (bytesMax !== undefined && data.length > bytesMax) {
      return refused(10054, "message size exceeds maximum allowed");
    }
    if (headers === undefined) return undefined;
    if (headers["Nats-Rollup"] !== undefined) return refused(10111, "rollup not permitted");
    if (headers[TTL] !== undefined && ttl !== true) {
      return refused(10166, "per-message TTL is disabled");
    }
    const expected = headers[EXPECTED];
    if (expected === undefined) return undefined;
    const last = this.lastUnder(headers[GUARD] ?? subject);
    if (last === Number(expected)) return undefined;
    return refused(10071, `wrong last sequence: ${last}`);
  }

  store(subject: string, bytes: Uint8Array, headers: Headers | undefined, now: number): Stored {
    const data = this.#slabs.pack(bytes);
    const replaced = this.#newest(subject);
    const before = replaced?.seq ?? 0;
    const stored: Stored = { seq: ++this.lastSeq, subject, data, headers, at: now, before };
    if (replaced !== undefined) this.#drop(replaced);
    this.#bySeq.add(stored.seq, stored);
    const family = this.#familyOf(subject);
    if (family === undefined) {
      this.#bySubject.set(subject, stored);
    } else {
      const kin = this.#families.get(family);
      if (kin === undefined) this.#families.set(family, [stored]);
      else kin.push(stored);
    }
    return stored;
  }

  /** A task's records are few: looking them through is cheaper than a table of long names. */
  #newest(subject: string): Stored | undefined {
    const family = this.#familyOf(subject);
    if (family === undefined) return this.#bySubject.get(subject);
    return this.#families.get(family)?.findLast((s) => s.subject === subject);
  }

  #remember(id: string, seq: number, at: number): void {
    this.#ids.set(id, seq);
    this.#idsByTime.id.push(id);
    this.#idsByTime.at.push(at);
  }

  #forgetIds(now: number): void {
    const times = this.#idsByTime;
    const since = now - (this.config.duplicateMs ?? 0);
    while ((times.at[times.next] ?? now) < since) {
      this.#ids.delete(times.id[times.next++] as string);
    }
    if (times.next < FORGOTTEN_MAX || 2 * times.next < times.at.length) return;
    const { id, at, next } = times;
    this.#idsByTime = { id: id.slice(next), at: at.slice(next), next: 0 };
  }

  #familyOf(subject: string): string | undefined {
    const { family } = this.config;
    if (family === undefined) return undefined;
    let end = -1;
    for (let i = 0; i < family; i++) {
      end = subject.indexOf(".", end + 1);
      if (end < 0) return undefined;
    }
    return this.#same(subject.slice(0, end));
  }

  /** A write asks for its family several times: one text, whose hash is known, serves them all. */
  #same(family: string): string {
    if (family !== this.#asked) this.#asked = family;
    return this.#asked;
  }

  #drop(stored: Stored): void {
    this.#bySeq.delete(stored.seq);
    if (this.#bySubject.get(stored.subject) === stored) this.#bySubject.delete(stored.subject);
    const family = this.#familyOf(stored.subject);
    const kin = family === undefined ? undefined : this.#families.get(family);
    if (kin === undefined) return;
    const at = kin.indexOf(stored);
    if (at >= 0) kin.splice(at, 1);
    if (kin.length === 0) this.#families.delete(family as string);
  }

  remove(seq: number): Stored | undefined {
    const stored = this.#bySeq.get(seq);
    if (stored !== undefined) this.#drop(stored);
    return stored;
  }

  /** The newest sequence under a subject or a pattern; 0: nothing there. */
  lastUnder(pattern: string): number {
    return this.find(pattern).reduce((last, { seq }) => Math.max(last, seq), 0);
  }

  /** Everything that is stored under a subject or a pattern, oldest first. */
  find(pattern: string): readonly Stored[] {
    if (!pattern.includes("*") && !pattern.includes(">")) {
      const one = this.#newest(pattern);
      return one === undefined ? [] : [one];
    }
    const below = pattern.endsWith(".>") ? pattern.slice(0, -2) : "*";
    const whole = !below.includes("*") && !below.includes(">");
    if (whole && below.split(".").length === this.config.family) {
      return this.#families.get(this.#same(below)) ?? [];
    }
    const wanted = pattern.split(".");
    return [...this.#bySeq.values()].filter((s) => fits(wanted, s.subject.split(".")));
  }

  /** Removes everything under a pattern; gives how much that was. */
  purge(pattern: string): number {
    const gone = [...this.find(pattern)];
    for (const stored of gone) this.#drop(stored);
    return gone.length;
  }

  /** Messages from `seq` on of the subjects that match, at most so many, oldest first. */
  from(seq: number, pattern: string, most: number): Stored[] {
    const wanted = pattern.split(".");
    const found: Stored[] = [];
    for (const stored of this.#bySeq.values(seq)) {
      if (!fits(wanted, stored.subject.split("."))) continue;
      found.push(stored);
      if (found.length === most) break;
    }
    return found;
  }
}

function refused(err: number, text: string): Ack {
  return { ok: false, code: 400, err, text };
}

function fits(pattern: readonly string[], subject: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === ">") return subject.length > i;
    if (i >= subject.length || (pattern[i] !== "*" && pattern[i] !== subject[i])) return false;
  }
  return pattern.length === subject.length;
}

/** Length of a message's life by its header, ms; undefined: for good. */
export function lifeOf(headers: Headers | undefined): number | undefined {
  const text = headers?.[TTL];
  if (text === undefined || text === "never") return undefined;
  const parsed = /^(\d+)(ms|s|m|h)?$/.exec(text);
  if (parsed === null) return undefined;
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[parsed[2] ?? "s"] ?? 1_000;
  return Number(parsed[1]) * unit;
}
