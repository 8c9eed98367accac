// The blackboard: state that agents share on purpose, with compare-and-set, leases, and word of
// every change. It is everybody's to write, so it proves nothing; what must be sure is a task.
import { isToken, ParleyError, tokenAdvice } from "../contracts/index.ts";
import type { Bucket, BucketEntry } from "../mesh/ports/index.ts";
import { jsonOf, orLeftOut } from "./bucket-entry.ts";

export interface BoardItem<T = unknown> {
  key: string;
  value: T;
  /** Names this state of the key: `set` with it fails when somebody else has written. */
  rev: number;
}

export interface SetOptions {
  /** Only over this revision; 0: only when there is none. Absent: over whatever is there. */
  rev?: number;
  /** Gone after so long, ms; whole seconds, rounded up. */
  ttlMs?: number;
}

/** Held until `release`, or until it was not renewed in time. */
export interface Lease {
  readonly key: string;
  /** False: it was lost meanwhile; stop what it was for. */
  renew(): Promise<boolean>;
  release(): Promise<void>;
}

/** Most that two writers can get in each other's way before one gives up. */
const TRIES_MAX = 50;

export class Board {
  readonly topic: string;
  readonly #bucket: Bucket;

  /** @throws ParleyError E_SCHEMA */
  constructor(bucket: Bucket, topic: string) {
    if (!isToken(topic)) throw new ParleyError("E_SCHEMA", tokenAdvice("topic", topic));
    this.#bucket = bucket;
    this.topic = topic;
  }

  #key(key: string): string {
    for (const part of key.split(".")) {
      if (!isToken(part)) throw new ParleyError("E_SCHEMA", tokenAdvice("part of a key", part));
    }
    return `${this.topic}.${key}`;
  }

  /** @throws ParleyError E_NOT_UNDERSTOOD */
  #item<T>(entry: BucketEntry): BoardItem<T> | undefined {
    if (entry.value === undefined) return undefined;
    const key = entry.key.slice(this.topic.length + 1);
    return { key, value: jsonOf(entry, "board") as T, rev: entry.rev };
  }

  /** @throws ParleyError E_NOT_UNDERSTOOD when somebody has put there what is no JSON */
  async get<T = unknown>(key: string): Promise<BoardItem<T> | undefined> {
    const entry = await this.#bucket.get(this.#key(key));
    return entry === undefined ? undefined : this.#item<T>(entry);
  }

  /** Everything under the topic, at most 1,024 keys; what is no JSON is left out. */
  async list<T = unknown>(): Promise<BoardItem<T>[]> {
    const entries = await this.#bucket.list(`${this.topic}.>`);
    return entries.flatMap((entry) => orLeftOut(() => this.#item<T>(entry)) ?? []);
  }

  /**
   * Gives the new revision.
   * @throws ParleyError E_FENCED when `rev` is not what is there; E_INPUT for what is no JSON
   */
  set(key: string, value: unknown, { rev, ttlMs }: SetOptions = {}): Promise<number> {
    const text = JSON.stringify(value);
    if (text === undefined) {
      throw new ParleyError("E_INPUT", `JSON has no form for a ${typeof value}`);
    }
    return this.#bucket.put(this.#key(key), Buffer.from(text), {
      ...(rev === undefined ? {} : { rev }),
      ...(ttlMs === undefined ? {} : { ttlS: ttlMs / 1_000 }),
    });
  }

  /** Changes what is there, again from the start when somebody else was faster. */
  async update<T>(key: string, change: (now: T | undefined) => T): Promise<T> {
    for (let tries = 1; ; tries++) {
      const entry = await this.#bucket.get(this.#key(key));
      const next = change(entry === undefined ? undefined : this.#item<T>(entry)?.value);
      try {
        await this.set(key, next, { rev: entry?.rev ?? 0 });
        return next;
      } catch (error) {
        if (!isConflict(error) || tries === TRIES_MAX) throw error;
      }
    }
  }

  remove(key: string, rev?: number): Promise<void> {
    return this.#bucket.remove(this.#key(key), rev);
  }

  /** Tells of every change from now on; undefined: the key was removed. What ends by its time ends
   * without a word; what is no JSON is left out. The result of this ends it. */
  watch<T = unknown>(then: (key: string, item: BoardItem<T> | undefined) => void): () => void {
    return this.#bucket.watch(`${this.topic}.>`, (entry) => {
      const item = orLeftOut(() => this.#item<T>(entry));
      if (item === undefined && entry.value !== undefined) return;
      then(entry.key.slice(this.topic.length + 1), item);
    });
  }

  /** Undefined while somebody else holds it. @param ttlMs at least 1,000; renew well before */
  async lease(key: string, ttlMs: number, about: unknown = null): Promise<Lease | undefined> {
    const now = await this.#bucket.get(this.#key(key));
    if (now?.value !== undefined) return undefined;
    let rev: number;
    try {
      rev = await this.set(key, about, { rev: now?.rev ?? 0, ttlMs });
    } catch (error) {
      if (isConflict(error)) return undefined;
      throw error;
    }
    const held = async (act: () => Promise<number>): Promise<boolean> => {
      try {
        rev = await act();
        return true;
      } catch (error) {
        if (isConflict(error)) return false;
        throw error;
      }
    };
    return {
      key,
      renew: () => held(() => this.set(key, about, { rev, ttlMs })),
      release: async () => {
        await held(() => this.remove(key, rev).then(() => rev));
      },
    };
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof ParleyError && error.code === "E_FENCED";
}
