// The ledger port on JetStream: pipelined fenced publishes over one reply inbox, no promise and
// no library call per write.
import { createInbox } from "@nats-io/nats-core";
import {
  FENCE_HEADER,
  GUARD_HEADER,
  NONCE_HEADER,
  parseRecordSubject,
  type RecordKey,
  recordKey,
  recordSubject,
  TASKS_STREAM,
  taskGuard,
} from "../../contracts/index.ts";
import type { Clock, Incoming, Ledger, StoredRecord, Write, WriteResult } from "../ports/index.ts";
import { directGet } from "./direct-get.ts";
import type { NatsTransport } from "./transport.ts";

/** A write whose fate is not known is repeated after this long, ms; the bucket's duplicate
 * window is longer than all repeats together. */
const REPEAT_MS = 2_000;
const REPEATS_MAX = 12;
const READ_TIMEOUT_MS = 5_000;

interface Pending {
  write: Write;
  done: (result: WriteResult) => void;
  tries: number;
  sentAt: number;
}

export class NatsLedger implements Ledger {
  readonly #transport: NatsTransport;
  readonly #principal: string | undefined;
  readonly #clock: Clock;
  readonly #prefix: string;
  #pending = new Map<string, Pending>();
  #next = 0;
  #sweep: { cancel(): void } | undefined;
  #stopped = false;

  constructor(transport: NatsTransport, clock: Clock, principal?: string) {
    this.#transport = transport;
    this.#principal = principal;
    this.#clock = clock;
    const inbox = createInbox(principal === undefined ? undefined : `_INBOX.${principal}`);
    this.#prefix = `${inbox}.`;
    transport.subscribe(`${inbox}.*`, (m) => this.#onAnswer(m));
  }

  get pending(): number {
    return this.#pending.size;
  }

  write(write: Write, done: (result: WriteResult) => void): void {
    const token = (this.#next++).toString(36);
    const pending: Pending = { write, done, tries: 0, sentAt: 0 };
    this.#pending.set(token, pending);
    this.#send(token, pending);
    this.#arm();
  }

  #send(token: string, p: Pending): void {
    p.tries++;
    p.sentAt = this.#clock.now();
    const { key, body, headers, guard, id } = p.write;
    this.#transport.publish(recordSubject(key), body, {
      reply: this.#prefix + token,
      headers: {
        ...headers,
        [NONCE_HEADER]: id,
        [FENCE_HEADER]: String(guard),
        [GUARD_HEADER]: taskGuard(key.owner, key.task),
        "Content-Type": "application/json",
      },
    });
  }

  #onAnswer(m: Incoming): void {
    const token = m.subject.slice(this.#prefix.length);
    const p = this.#pending.get(token);
    if (p === undefined) return;
    // No responders: no stream leader just now. Transient; the sweep repeats it.
    if (m.status === 503) {
      p.sentAt = this.#clock.now() - REPEAT_MS + 200;
      return;
    }
    const result = parseAck(m.data);
    if (result === undefined) return;
    if (!result.ok && result.fault === "unknown" && p.tries < REPEATS_MAX) {
      p.sentAt = this.#clock.now() - REPEAT_MS + 100 * p.tries;
      return;
    }
    this.#pending.delete(token);
    // A repeated write may conflict with its own first try: only a read-back can tell.
    if (!result.ok && result.fault === "conflict" && p.tries > 1) {
      return this.#readBack(p, result);
    }
    p.done(result);
  }

  #readBack(p: Pending, otherwise: WriteResult): void {
    const { key } = p.write;
    this.read(key.owner, key.task).then(
      (records) => {
        const mine = records.find((r) => r.header(NONCE_HEADER) === p.write.id);
        p.done(mine === undefined ? otherwise : { ok: true, rev: mine.rev, duplicate: true });
      },
      () => p.done(otherwise),
    );
  }

  #arm(): void {
    if (this.#sweep !== undefined || this.#stopped) return;
    this.#sweep = this.#clock.after(REPEAT_MS / 4, () => {
      this.#sweep = undefined;
      this.#repeat();
      if (this.#pending.size > 0) this.#arm();
    });
  }

  #repeat(): void {
    const due = this.#clock.now() - REPEAT_MS;
    for (const [token, p] of this.#pending) {
      // Insertion order is send order for first tries: the young ones come last.
      if (p.sentAt > due) {
        if (p.tries === 1) break;
        continue;
      }
      if (this.#transport.state() !== "up") {
        p.sentAt = this.#clock.now();
        continue;
      }
      if (p.tries >= REPEATS_MAX) {
        this.#pending.delete(token);
        p.done({ ok: false, fault: "unknown", detail: `no answer after ${p.tries} tries` });
        continue;
      }
      this.#send(token, p);
    }
  }

  async stored(keys: readonly RecordKey[]): Promise<Set<string>> {
    const found = await this.#get(keys.map(recordSubject));
    const stored = new Set<string>();
    for (const m of found) {
      const key = parseRecordSubject(m.header("Nats-Subject") ?? "");
      if (key !== undefined) stored.add(recordKey(key));
    }
    return stored;
  }

  async read(owner: string, task: string): Promise<StoredRecord[]> {
    const answers = await this.#get([taskGuard(owner, task)]);
    const records: StoredRecord[] = [];
    for (const m of answers) {
      const key = parseRecordSubject(m.header("Nats-Subject") ?? "");
      records.push({
        // Under a key that says nothing it proves nothing; it moved the revision all the same.
        key: key ?? unreadable(owner, task),
        rev: Number(m.header("Nats-Sequence")),
        storedAt: Date.parse(m.header("Nats-Time-Stamp") ?? "") || 0,
        body: m.data,
        header: (name) => (key === undefined ? undefined : m.header(name)),
      });
    }
    return records.sort((a, b) => a.rev - b.rev);
  }

  #get(subjects: string[]): Promise<Incoming[]> {
    const wanted = { multi_last: subjects };
    return directGet(
      this.#transport,
      this.#clock,
      this.#principal,
      TASKS_STREAM,
      wanted,
      READ_TIMEOUT_MS,
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#sweep?.cancel();
  }
}

/** Stands for a key that does not parse: a literal wildcard, an unknown kind. */
function unreadable(owner: string, task: string): RecordKey {
  const nobody = { toPrincipal: "_", toAgent: "_", fromPrincipal: "_", fromAgent: "_" };
  return { owner, task, kind: "checkpoint", n: "0", ...nobody };
}

const text = new TextDecoder();

/** Codes: 10071 settled mismatch, 10164 another guarded write in flight (nats-facts 1.4). */
export function parseAck(data: Uint8Array): WriteResult | undefined {
  let ack: {
    seq?: number;
    duplicate?: boolean;
    error?: { err_code?: number; code?: number; description?: string };
  };
  try {
    ack = JSON.parse(text.decode(data));
  } catch {
    return undefined;
  }
  if (ack.error === undefined) {
    if (typeof ack.seq !== "number") return undefined;
    return { ok: true, rev: ack.seq, duplicate: ack.duplicate === true };
  }
  const { err_code: code, description = "" } = ack.error;
  if (code === 10071) {
    const rev = /(\d+)\s*$/.exec(description)?.[1];
    return { ok: false, fault: "conflict", rev: rev === undefined ? undefined : Number(rev) };
  }
  // This very key is taken, by a record that is not to be replaced.
  if (code === 10077) return { ok: false, fault: "conflict", rev: undefined };
  if (code === 10164) return { ok: false, fault: "unknown", detail: description };
  const transient = ack.error.code === 503 || ack.error.code === 408 || ack.error.code === 429;
  return { ok: false, fault: transient ? "unknown" : "refused", detail: description };
}
