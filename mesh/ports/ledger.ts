// What the mesh asks of the store of task records: fenced writes, and reads that only advise.
import type { RecordKey, Reference } from "../../contracts/index.ts";

export interface Write {
  key: RecordKey;
  body: Uint8Array;
  headers: Readonly<Record<string, string>>;
  /** The write lands only if nothing under this task is newer; 0: nothing is there at all. */
  guard: number;
  /** 128 random bits, kept for repeats, so that an unknown fate can be cleared up. */
  id: string;
  /** Not to be sent any more from then on, ms since the epoch: a task's deadline. */
  until?: number;
}

export type WriteResult =
  | { ok: true; rev: number; duplicate: boolean }
  /** Somebody else wrote; `rev` is the task's revision now, when the server names it. */
  | { ok: false; fault: "conflict"; rev: number | undefined }
  /** The write may or may not have landed: read back before deciding. */
  | { ok: false; fault: "unknown"; detail: string }
  | { ok: false; fault: "refused"; detail: string }
  /** Not stored: the store has no room or no leader, and said so for as long as was waited. */
  | { ok: false; fault: "unavailable"; detail: string };

export interface StoredRecord {
  key: RecordKey;
  rev: number;
  /** The server's own time of the write, ms since the epoch. */
  storedAt: number;
  body: Uint8Array;
  header(name: string): string | undefined;
}

export interface RecordPage {
  records: StoredRecord[];
  /** There are others behind these. */
  more: boolean;
}

export interface Ledger {
  /** Pipelined; `done` is called exactly once. Repeats by itself while the fate is unknown. */
  write(write: Write, done: (result: WriteResult) => void): void;
  /** Which of these records are stored: a look at many for one request. */
  stored(keys: readonly RecordKey[]): Promise<Set<string>>;
  /** May `read` be used, or does the server refuse it? */
  readonly mayRead: boolean;
  /** All records of one task in the order of their revisions. */
  read(owner: string, task: string): Promise<StoredRecord[]>;
  /** The first of a task's records behind a revision, in their order: two MiB at most. */
  page(owner: string, task: string, after: number): Promise<RecordPage>;
  /** A task's newest revision, 0 for none, by the word of the store's leader: reads may come from
   * a copy that lags. Undefined: nobody leads it just now, so nothing can be stored either. */
  last(owner: string, task: string): Promise<number | undefined>;
  /** Writes under way. */
  readonly pending: number;
}

/** What an initiator keeps of a spec that was handed to it. */
export interface Receipt {
  /** The outcome is stored: nobody needs to supervise this any more. */
  ack(): void;
  /** Still at it: do not hand it to somebody else yet. */
  working(): void;
  /** Hand it to somebody after a pause, ms. */
  release(afterMs: number): void;
}

/** A spec handed to this peer, which is its initiator until it acknowledges or falls silent. */
export interface SpecDelivery {
  readonly receipt: Receipt;
  readonly key: RecordKey;
  readonly rev: number;
  readonly body: Uint8Array;
  /** 1 for the first delivery; more means that another initiator had it before. */
  readonly deliveries: number;
  readonly storedAt: number;
  header(name: string): string | undefined;
}

export interface Supervision {
  /** Starts pulling specs; `room` says how many more of an urgency class this peer would take. */
  start(handler: (spec: SpecDelivery) => void, room: (urgency: 0 | 1 | 2) => number): Promise<void>;
  /** Stops pulling; what was handed over stays with this peer. */
  stop(): Promise<void>;
}

export interface Artefacts {
  /** @param keepMs how long it is needed, ms; a week at least, `ARTEFACT_MS_MAX` at most */
  put(bytes: Uint8Array, keepMs: number): Promise<Reference>;
  get(ref: Reference): Promise<Uint8Array>;
}

export interface StoredCardEntry {
  principal: string;
  agent: string;
  body: Uint8Array;
  seal: string | undefined;
  /** Its revision in the store; 0 when it is not known. */
  rev: number;
}

/** Where cards are kept alive: an ingest stream that the server copies into `mesh_agents`. */
export interface CardStore {
  /** Publishes or renews a card; it expires after `ttlS` seconds without renewal. */
  announce(principal: string, agent: string, body: Uint8Array, seal: string, ttlS: number): void;
  /** Takes the card back. */
  leave(principal: string, agent: string): void;
  /** All cards; only for those who may read the bucket. */
  snapshot(): Promise<StoredCardEntry[]>;
  get(principal: string, agent: string): Promise<StoredCardEntry | undefined>;
}
