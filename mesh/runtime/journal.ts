// The journal of a durable handler: checkpoint records under the task, written by its contractor
// and held to the task's revision like every other record, so a contractor that was replaced can
// add nothing. Whoever holds the next contract reads what is there and goes on.
//
// Invariants
//   J1  One checkpoint is on its way at a time; what comes meanwhile goes into the next one.
//   J2  An entry counts only once its checkpoint is stored.
//   J3  Entries are read in the order of revisions, from the contractors of their epochs alone.
import {
  type Checkpoint,
  CheckpointSchema,
  type FailureRecord,
  type JournalEntry,
  JournalEntrySchema,
  ParleyError,
  RECORD_BYTES_MAX,
} from "../../contracts/index.ts";
import { foldTask } from "../core/task-view.ts";
import type { Artefacts, WriteResult } from "../ports/index.ts";
import { encodeContent, neededMs, openArtefact } from "./artefact.ts";
import { encodeJson } from "./codec/codec.ts";
import type { ProvenRecord } from "./records.ts";
import type { Running } from "./running.ts";

/** What a handler's run may do with its journal. */
export interface RunJournal {
  /** What this task's contractors wrote so far, and how many of their attempts failed. */
  read(): Promise<{ entries: JournalEntry[]; failures: number }>;
  /** Resolves with the answer to a question that is open under this key. */
  answer(key: string, signal: AbortSignal): Promise<unknown>;
  /** Resolved once stored. @throws ParleyError E_FENCED when another contract is in force. */
  append(entry: JournalEntry): Promise<void>;
}

interface Hooks {
  write(n: string, body: Checkpoint, done: (result: WriteResult, head: () => string) => void): void;
  records(): Promise<ProvenRecord[]>;
  mayRead: boolean;
  now(): number;
}

interface Waiting {
  entry: JournalEntry;
  bytes: number;
  resolve(): void;
  reject(error: unknown): void;
}

const LEFT = "this attempt is over: it took too long, or its agent stops";

/** Entries of one checkpoint. */
const ENTRIES_MAX = 256;

const UNREADABLE =
  "another agent began this task, and this agent's role may not read what it did: whoever serves " +
  "durable handlers needs the role agent (parley identity add NAME --role agent)";

export class Journal implements RunJournal {
  readonly #run: Running;
  readonly #hooks: Hooks;
  readonly #artefacts: Artefacts;
  #queue: Waiting[] = [];
  /** Who waits for a word under a key. */
  #asked = new Map<string, Set<(value: unknown) => void>>();
  #writing = false;
  /** The handler has ended; or the attempt has, and the handler goes on. */
  #over: "ended" | "left" | undefined;
  #written = 0;
  #idle: (() => void)[] = [];

  constructor(run: Running, artefacts: Artefacts, hooks: Hooks) {
    this.#run = run;
    this.#artefacts = artefacts;
    this.#hooks = hooks;
  }

  async read(): Promise<{ entries: JournalEntry[]; failures: number }> {
    if (this.#run.award.terms.epoch === 1) return { entries: [], failures: 0 };
    if (!this.#hooks.mayRead) throw new ParleyError("E_JOURNAL", UNREADABLE);
    const records = await this.#hooks.records();
    const { entries, failures } = pastOf(records);
    return { entries: await Promise.all(entries.map((entry) => this.#opened(entry))), failures };
  }

  async #opened(entry: JournalEntry): Promise<JournalEntry> {
    if (entry.ref === undefined) return entry;
    const { ref, ...rest } = entry;
    return { ...rest, value: await this.#artefacts.get(ref).then(openArtefact) };
  }

  /** What comes when the handler has ended is not kept: nobody waits for it, and it must not come
   * before the result. @throws ParleyError E_OUTPUT for what no reader would take */
  async append(entry: JournalEntry): Promise<void> {
    if (this.#over !== undefined) return this.#tooLate();
    const closed = await this.#closed(entry);
    checkEntry(closed);
    if (this.#over !== undefined) return this.#tooLate();
    const bytes = Buffer.byteLength(JSON.stringify(closed));
    return new Promise((resolve, reject) => {
      this.#queue.push({ entry: closed, bytes, resolve, reject });
      this.#pump();
    });
  }

  answer(key: string, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const done = (settle: () => void) => {
        signal.removeEventListener("abort", abort);
        const all = this.#asked.get(key);
        all?.delete(take);
        if (all?.size === 0) this.#asked.delete(key);
        settle();
      };
      const take = (value: unknown) => done(() => resolve(value));
      const abort = () => done(() => reject(signal.reason));
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      const waiting = this.#asked.get(key) ?? new Set();
      this.#asked.set(key, waiting.add(take));
    });
  }

  /** Was this question open? */
  answered(key: string, value: unknown): boolean {
    const waiting = [...(this.#asked.get(key) ?? [])];
    for (const take of waiting) take(value);
    return waiting.length > 0;
  }

  /** What is too large for a record goes by reference. */
  async #closed(entry: JournalEntry): Promise<JournalEntry> {
    if (entry.value === undefined) return entry;
    let content: ReturnType<typeof encodeContent>;
    try {
      content = encodeContent(entry.value);
    } catch {
      throw unkept(entry);
    }
    if (content.inline) return entry;
    const { value: _, ...rest } = entry;
    const keepMs = neededMs(this.#run.award.spec, this.#hooks.now());
    return { ...rest, ref: await this.#artefacts.put(content.bytes, keepMs) };
  }

  #tooLate(): Promise<never> {
    // Whoever goes on is to end, and to give its slot back.
    if (this.#over === "left") return Promise.reject(new ParleyError("E_FENCED", LEFT));
    return new Promise(() => undefined);
  }

  /** Resolved when nothing is on its way. @param goesOn the handler does, though nobody waits */
  async settled(goesOn = false): Promise<void> {
    this.#over = goesOn ? "left" : "ended";
    if (!this.#writing) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #pump(): void {
    if (this.#writing) return;
    if (this.#queue.length === 0) {
      for (const wake of this.#idle.splice(0)) wake();
      return;
    }
    const { terms } = this.#run.award;
    const batch = this.#batch();
    const body: Checkpoint = {
      v: 1,
      kind: "checkpoint",
      task: terms.task,
      epoch: terms.epoch,
      entries: batch.map((w) => w.entry),
      at: this.#hooks.now(),
      prev: this.#run.head,
    };
    this.#writing = true;
    this.#hooks.write(`${terms.epoch}-${++this.#written}`, body, (result, head) => {
      this.#writing = false;
      if (result.ok) {
        this.#run.rev = result.rev;
        this.#run.head = head();
        for (const w of batch) w.resolve();
      } else this.#refused(batch, result);
      this.#pump();
    });
  }

  #batch(): Waiting[] {
    let bytes = 1_024;
    let count = 0;
    while (count < Math.min(this.#queue.length, ENTRIES_MAX)) {
      bytes += (this.#queue[count] as Waiting).bytes + 1;
      if (count > 0 && bytes > RECORD_BYTES_MAX) break;
      count++;
    }
    const fits = () => isReadable(this.#queue.slice(0, count).map((w) => w.entry));
    while (count > 1 && !fits()) count = Math.ceil(count / 2);
    return this.#queue.splice(0, count);
  }

  #refused(batch: Waiting[], result: Exclude<WriteResult, { ok: true }>): void {
    const fenced = result.fault === "conflict";
    const error = fenced
      ? new ParleyError("E_FENCED", "another record moved the task: this contract is over")
      : new ParleyError("E_STORE", `a checkpoint was not stored (${result.fault})`);
    for (const w of batch) w.reject(error);
    if (fenced) this.#run.abort.abort(error);
  }
}

/** Would readers take a record with these? */
function isReadable(entries: readonly JournalEntry[]): boolean {
  try {
    encodeJson({ entries });
    return true;
  } catch {
    return false;
  }
}

/** What readers refuse would be void, and all that is chained behind it. */
function checkEntry(entry: JournalEntry): void {
  const { success } = JournalEntrySchema.safeParse(entry);
  if (!success || !isReadable([entry])) throw unkept(entry);
}

function unkept(entry: JournalEntry): ParleyError {
  const what = `${entry.op} "${entry.d ?? ""}" at ${entry.key.slice(0, 64)}`;
  return new ParleyError(
    "E_OUTPUT",
    `${what} cannot be kept: give JSON of at most 30 levels, whole numbers up to 2^53, sound ` +
      "texts, and keys of at most 512 characters",
  );
}

/** What the task's contractors wrote, and how many of their attempts failed: anybody who may work
 * at all can store records of that kind here, and a contract that nobody awarded beside them. */
function pastOf(records: readonly ProvenRecord[]): { entries: JournalEntry[]; failures: number } {
  const entries: JournalEntry[] = [];
  let failures = 0;
  foldTask(records, ({ kind, body }) => {
    if (kind === "failure" && (body as FailureRecord).leaving !== true) failures++;
    if (kind !== "checkpoint") return;
    const checkpoint = CheckpointSchema.safeParse(body);
    if (checkpoint.success) entries.push(...checkpoint.data.entries);
  });
  return { entries, failures };
}

/** Entries of all sound checkpoints, oldest first. */
export function entriesOf(records: readonly ProvenRecord[]): JournalEntry[] {
  return pastOf(records).entries;
}
