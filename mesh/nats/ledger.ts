// The ledger port on JetStream: pipelined fenced publishes over one reply inbox, no promise and
// no library call per write.
import {
  FENCE_HEADER,
  GUARD_HEADER,
  NONCE_HEADER,
  ParleyError,
  parseRecordSubject,
  type RecordKey,
  recordKey,
  recordSubject,
  TASKS_STREAM,
  taskGuard,
} from "../../contracts/index.ts";
import type {
  Clock,
  Incoming,
  Ledger,
  RecordPage,
  StoredRecord,
  Write,
  WriteResult,
} from "../ports/index.ts";
import { getTaskPage, getTasks, READ_AGAIN_MS } from "./direct-get.ts";
import { fateOf, fateOfOwn, parseAck, parseLast, unknown } from "./fate.ts";
import type { Link } from "./link.ts";

/** A write whose fate is not known is repeated after this long, ms. The server looks at the fence
 * before it looks at the id: a repeat of a write that landed is always answered as a conflict. */
const REPEAT_MS = 2_000;
const REPEATS_MAX = 12;
/** No stream leader, or no room: tried again after this, ms. */
const AGAIN_MS = 250;
/** A leader that steps down has an heir within this, ms: until then it is tried more often. */
const HEIR_MS = 1_000;
const HEIR_AGAIN_MS = 50;
/** And for so long, ms: an election takes up to 9 s; work that was done waits for room. */
const LEADERLESS_MS_MAX = 30_000;
/** No election lasts so long, ms: two of three servers are gone, and new tasks are not taken. */
const ELECTION_MS = 12_000;
/** Answers further apart than this, ms, tell nothing of the time between. */
const LEADERLESS_PAUSE_MS = 2_000;
const FULL_MS_MAX = 120_000;
/** A store that has no room, or answers none of our writes, for so long takes no new task, ms: its
 * submitter is told, and may send it again under the same id (faults page B14). */
const STUCK_MS = 1_500;
/** Time for the answer to a last try, ms. */
const ANSWER_MS = 500;
const READ_TIMEOUT_MS = 5_000;
/** A leader answers within ms; for as long as it is thought of as one, ms. */
const LEADER_TIMEOUT_MS = 1_000;
/** Reads that may fail or say nothing before a fate counts as unknown, and the pause, ms. */
const READS_MAX = 4;
const READ_PAUSE_MS = 250;
/** The same to doubt a refusal: one that was replaced must not work on for long. */
const DOUBTS_MAX = 2;
/** A long outage must not fill the memory: beyond this, bytes and writes, nothing is taken on. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
const PENDING_MAX = 50_000;
const SWEEP_MS = 250;
const LATE = "its deadline passed before the store could be reached";

interface Pending {
  write: Write;
  done: (result: WriteResult) => void;
  tries: number;
  sentAt: number;
  /** When it was taken on. */
  since: number;
}

export class NatsLedger implements Ledger {
  readonly #transport: Link;
  readonly #principal: string | undefined;
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly mayRead: boolean;
  #pending = new Map<string, Pending>();
  #pendingBytes = 0;
  #reading = 0;
  /** When the store last answered a write. */
  #answeredAt = Number.NEGATIVE_INFINITY;
  #upAt = Number.NEGATIVE_INFINITY;
  /** The store was without a leader from the one to the other, as far as writes showed it. */
  #leaderless = { since: 0, until: Number.NEGATIVE_INFINITY };
  /** Writes to be tried again before the next sweep. */
  readonly #hasty = new Set<string>();
  #haste: { cancel(): void } | undefined;
  #sweepDue = 0;
  #sweep: { cancel(): void } | undefined;
  #stopped = false;

  /** `mayRead`: these credentials may read the bucket; without it only what they wrote. */
  constructor(transport: Link, clock: Clock, principal?: string, mayRead = true) {
    this.#transport = transport;
    this.mayRead = mayRead;
    this.#principal = principal;
    this.#clock = clock;
    const inbox = transport.inbox(principal);
    this.#prefix = `${inbox}.`;
    transport.subscribe(`${inbox}.*`, (m) => this.#onAnswer(m));
    // What was under way when the link went down has no answer, or will never get it.
    transport.onState((state) => {
      if (state !== "up") return;
      this.#upAt = this.#clock.now();
      for (const [token, p] of this.#pending) this.#send(token, p);
    });
  }

  get pending(): number {
    return this.#pending.size + this.#reading;
  }

  write(write: Write, done: (result: WriteResult) => void): void {
    if (this.#pending.size >= PENDING_MAX || this.#pendingBytes >= PENDING_BYTES_MAX) {
      const detail = `${this.#pending.size} writes wait for the store already; not taken on`;
      return done({ ok: false, fault: "unknown", detail });
    }
    // As random as the record's id: nobody else says what became of it.
    const token = write.id;
    const since = this.#clock.now();
    const pending: Pending = { write, done, tries: 0, sentAt: since, since };
    this.#pending.set(token, pending);
    this.#pendingBytes += write.body.length;
    this.#send(token, pending);
    this.#arm();
  }

  #take(token: string, p: Pending): void {
    this.#pending.delete(token);
    this.#pendingBytes -= p.write.body.length;
  }

  /** Did its deadline pass while it waited here? Whoever would do it now would do it too late. */
  #isLate({ since, write: { until } }: Pending): boolean {
    const lateMs = until === undefined ? -1 : this.#clock.wall() - until;
    return lateMs >= 0 && lateMs < this.#clock.now() - since;
  }

  #send(token: string, p: Pending): void {
    if (this.#isLate(p)) return this.#dropLate(token, p);
    p.sentAt = this.#clock.now();
    // No link: it is sent when there is one, and that counts as no try.
    if (this.#transport.state() !== "up") return;
    p.tries++;
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

  #dropLate(token: string, p: Pending): void {
    this.#take(token, p);
    // An earlier try of it may have come in time.
    if (p.tries > 0) return void this.#clearUp(p, undefined);
    p.done({ ok: false, fault: "unavailable", detail: LATE });
  }

  #onAnswer(m: Incoming): void {
    const token = m.subject.slice(this.#prefix.length);
    const p = this.#pending.get(token);
    if (p === undefined) return;
    // No responders: no stream leader just now. Transient; the sweep repeats it.
    if (m.status === 503) {
      this.#answeredAt = this.#clock.now();
      const limitMs = this.#noLeader(p);
      if (this.#answeredAt - this.#leaderless.since < HEIR_MS) this.#soon(token);
      return this.#later(token, p, limitMs, "the store has no leader");
    }
    const result = parseAck(m.data, TASKS_STREAM);
    if (result === undefined) return;
    this.#answeredAt = this.#clock.now();
    this.#leaderless.until = Number.NEGATIVE_INFINITY;
    if (!result.ok && result.fault === "unavailable") {
      const spec = p.write.key.kind === "spec";
      return this.#later(token, p, spec ? STUCK_MS - AGAIN_MS : FULL_MS_MAX, result.detail);
    }
    if (!result.ok && result.fault === "unknown" && p.tries < REPEATS_MAX) {
      p.sentAt = this.#clock.now() - REPEAT_MS + 100 * p.tries;
      return;
    }
    this.#take(token, p);
    if (result.ok || result.fault !== "conflict") return p.done(result);
    // A write may conflict with itself: with its own first try, or with a copy of the message.
    if (p.tries > 1) return void this.#clearUp(p, result.rev);
    void this.#conflict(p, result);
  }

  /** The server refused the only try: true, unless another copy of that message was stored. */
  async #conflict(p: Pending, refused: WriteResult & { fault: "conflict" }): Promise<void> {
    const { key, guard } = p.write;
    const { rev } = refused;
    // Ours would lie behind its fence.
    if (rev !== undefined && rev <= guard) return p.done(refused);
    const { fate } = await this.#readBack(DOUBTS_MAX, async () => {
      const found = this.mayRead
        ? fateOf(p.write, await this.read(key.owner, key.task), rev)
        : fateOfOwn(p.write, await this.#own(key), rev);
      return found ?? refused;
    });
    // Unread, the server's word is all that can be had.
    p.done(fate?.ok === true ? fate : refused);
  }

  /** Reads so often, until that says what became of a write. While there is no link a read says
   * nothing, and is not counted. */
  async #readBack(
    times: number,
    read: (last: boolean) => Promise<WriteResult | undefined>,
  ): Promise<{ fate?: WriteResult; error?: Error }> {
    let error: Error | undefined;
    this.#reading++;
    try {
      for (let i = 0; i < times && !this.#stopped; i++) {
        const begun = this.#transport.state();
        try {
          const fate = await read(i + 1 === times);
          if (fate !== undefined) return { fate };
        } catch (thrown) {
          error = thrown as Error;
          if (begun !== "up" || this.#transport.state() === "down") i--;
        }
        await new Promise<void>((resolve) => this.#clock.after(READ_PAUSE_MS, resolve));
      }
      return error === undefined ? {} : { error };
    } finally {
      this.#reading--;
    }
  }

  /** How long this write waits for a leader, ms: a new task for an election, and no longer. */
  #noLeader(p: Pending): number {
    const now = this.#answeredAt;
    const known = this.#leaderless;
    if (now - known.until > LEADERLESS_PAUSE_MS) known.since = now;
    known.until = now;
    if (p.write.key.kind !== "spec") return LEADERLESS_MS_MAX;
    return now - known.since >= ELECTION_MS ? 0 : ELECTION_MS;
  }

  #soon(token: string): void {
    this.#hasty.add(token);
    this.#haste ??= this.#clock.after(HEIR_AGAIN_MS, () => {
      this.#haste = undefined;
      const tokens = [...this.#hasty];
      this.#hasty.clear();
      if (this.#transport.state() !== "up") return;
      for (const each of tokens) {
        const p = this.#pending.get(each);
        if (p !== undefined) this.#send(each, p);
      }
    });
  }

  /** The server's word that it did not store it: no try was used up, another may go better. */
  #later(token: string, p: Pending, limitMs: number, detail: string): void {
    p.tries--;
    p.sentAt = this.#answeredAt - REPEAT_MS + AGAIN_MS;
    if (this.#answeredAt - p.since < limitMs) return;
    this.#take(token, p);
    // An earlier try of it may have no answer yet.
    if (p.tries > 0) return void this.#clearUp(p, undefined);
    p.done({ ok: false, fault: "unavailable", detail });
  }

  /**
   * Finds the fate of a write from what is stored. `rev`: the task's revision when the server
   * refused a repeat, if it named it. What cannot be found out stays unknown.
   */
  async #clearUp(p: Pending, rev: number | undefined): Promise<void> {
    const { key } = p.write;
    const { fate, error } = await this.#readBack(READS_MAX, async (last) =>
      this.mayRead
        ? fateOf(p.write, await this.read(key.owner, key.task), rev)
        : fateOfOwn(p.write, await this.#own(key), last ? rev : undefined),
    );
    const tried = `no answer after ${p.tries} tries`;
    const detail = error === undefined ? tried : `${tried}; reading back: ${error.message}`;
    p.done(fate ?? unknown(detail));
  }

  #arm(): void {
    if (this.#sweep !== undefined || this.#stopped) return;
    this.#sweepDue = this.#clock.now() + SWEEP_MS;
    this.#sweep = this.#clock.after(SWEEP_MS, () => {
      this.#sweep = undefined;
      this.#giveBack();
      this.#repeat();
      if (this.#pending.size > 0) this.#arm();
    });
  }

  /** Specs that a silent store leaves without an answer go back to their submitters. */
  #giveBack(): void {
    const now = this.#clock.now();
    // Held up ourselves: the answers may lie unread in the socket.
    if (now - this.#sweepDue > SWEEP_MS || this.#transport.state() !== "up") return;
    const silentSince = Math.max(this.#answeredAt, this.#upAt);
    if (now - silentSince < STUCK_MS - ANSWER_MS) return;
    for (const [token, p] of this.#pending) {
      if (now - p.since < STUCK_MS - ANSWER_MS) break;
      if (p.write.key.kind !== "spec") continue;
      // Its answer alone may have been lost: asked once more before it is given up.
      if (p.tries < 2) this.#send(token, p);
      if (now - p.sentAt < ANSWER_MS) continue;
      this.#take(token, p);
      p.done(unknown(`the store answers no write for ${Math.round(now - silentSince)} ms`));
    }
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
        if (p.tries === 0 && this.#isLate(p)) this.#dropLate(token, p);
        continue;
      }
      if (p.tries >= REPEATS_MAX) {
        this.#take(token, p);
        void this.#clearUp(p, undefined);
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
    const found = await this.#get([taskGuard(owner, task)]);
    return found.map((m) => recordOf(m, owner, task)).sort((a, b) => a.rev - b.rev);
  }

  async page(owner: string, task: string, after: number): Promise<RecordPage> {
    const { found, more } = await getTaskPage(
      this.#transport,
      this.#clock,
      this.#principal,
      taskGuard(owner, task),
      after,
      READ_TIMEOUT_MS,
    );
    const records = found.map((m) => recordOf(m, owner, task));
    return { records: records.sort((a, b) => a.rev - b.rev), more };
  }

  async last(owner: string, task: string): Promise<number | undefined> {
    const wanted = JSON.stringify({ last_by_subj: taskGuard(owner, task) });
    try {
      const answer = await this.#transport.request(
        `$JS.API.STREAM.MSG.GET.${TASKS_STREAM}`,
        Buffer.from(wanted),
        { timeoutMs: LEADER_TIMEOUT_MS },
      );
      return parseLast(answer.data);
    } catch {
      return undefined;
    }
  }

  /** The record under this very key, which its author may always read. */
  async #own(key: RecordKey): Promise<Incoming | undefined> {
    const subject = `$JS.API.DIRECT.GET.${TASKS_STREAM}.${recordSubject(key)}`;
    const until = this.#clock.now() + READ_TIMEOUT_MS;
    for (;;) {
      try {
        const options = { timeoutMs: READ_AGAIN_MS };
        const answer = await this.#transport.request(subject, new Uint8Array(0), options);
        return answer.status === 404 ? undefined : answer;
      } catch (error) {
        // Messages get lost, and reading twice does no harm.
        const silent = error instanceof ParleyError && error.code === "E_TIMEOUT";
        if (!silent || this.#clock.now() >= until) throw error;
      }
    }
  }

  #get(subjects: string[]): Promise<Incoming[]> {
    return getTasks(this.#transport, this.#clock, this.#principal, subjects, READ_TIMEOUT_MS);
  }

  stop(): void {
    this.#stopped = true;
    this.#sweep?.cancel();
    this.#haste?.cancel();
  }
}

/** Stands for a key that does not parse: a literal wildcard, an unknown kind. */
/** Under a key that says nothing it proves nothing; it moved the revision all the same. */
function recordOf(m: Incoming, owner: string, task: string): StoredRecord {
  const key = parseRecordSubject(m.header("Nats-Subject") ?? "");
  return {
    key: key ?? unreadable(owner, task),
    rev: Number(m.header("Nats-Sequence")),
    storedAt: Date.parse(m.header("Nats-Time-Stamp") ?? "") || 0,
    body: m.data,
    header: (name) => (key === undefined ? undefined : m.header(name)),
  };
}

function unreadable(owner: string, task: string): RecordKey {
  const nobody = { toPrincipal: "_", toAgent: "_", fromPrincipal: "_", fromAgent: "_" };
  return { owner, task, kind: "checkpoint", n: "0", ...nobody };
}
