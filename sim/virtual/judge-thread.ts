// The judge on another core: it reads in batches what the run tells it, and stays a little behind.
// What it finds is known to the run when a later batch is sent: at the same event for one seed,
// whatever the machine.
import { extname, join } from "node:path";
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from "node:worker_threads";
import type { Report } from "../../check/checker.ts";
import type { HistoryLine } from "../../check/format.ts";
import {
  FENCE_HEADER,
  GUARD_HEADER,
  NONCE_HEADER,
  type RecordKey,
  SIGNATURE_HEADER,
} from "../../contracts/index.ts";
import type { StoredRecord } from "../../mesh/ports/index.ts";
import type { EventJudge, FirstViolation, InvariantOptions } from "./invariants.ts";

/** A record on its way to the thread. */
export interface SentRecord {
  key: RecordKey;
  rev: number;
  storedAt: number;
  nowMs: number;
  body: Uint8Array;
  headers: Record<string, string | undefined>;
}

/** What the thread is told: events to judge, or that the run is over. */
export type JudgeOrder = { entries: (HistoryLine | SentRecord)[] } | { drained: boolean };

/** `batch`: the one that broke a rule, from 1. */
export type JudgeWord =
  | { is: "broken"; batch: number; first: FirstViolation }
  | { is: "over"; report: Report; first: FirstViolation | undefined }
  | { is: "fault"; what: string };

export interface JudgeStart {
  options: InvariantOptions;
  port: MessagePort;
  /** Batches done, in the first place; the run sleeps on it. */
  done: Int32Array;
}

/** Events of a batch: some hundred tasks. */
const BATCH = 2_000;
/** Batches under way at most, so that a slow judge slows down the run and fills no memory. */
const AHEAD = 4;
/** A batch takes tens of milliseconds; a conclusion of a million tasks half a minute. */
const ANSWER_MS = 300_000;
/** Stored in `done` by a thread that can't go on. */
export const GIVEN_UP = 2 ** 31 - 1;

const HEADERS = [SIGNATURE_HEADER, NONCE_HEADER, FENCE_HEADER, GUARD_HEADER];

export class JudgeThread implements EventJudge {
  first: FirstViolation | undefined;
  readonly #port: MessagePort;
  readonly #done = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;
  #entries: (HistoryLine | SentRecord)[] = [];
  #sent = 0;
  #broken: { batch: number; first: FirstViolation } | undefined;
  #over: Extract<JudgeWord, { is: "over" }> | undefined;

  constructor(options: InvariantOptions) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const file = join(import.meta.dirname, `judge-worker${extname(import.meta.filename)}`);
    const workerData: JudgeStart = { options, port: port2, done: this.#done };
    this.#worker = new Worker(file, { workerData, transferList: [port2] });
    this.#worker.unref();
  }

  line(line: HistoryLine): void {
    this.#add(line);
  }

  stored(record: StoredRecord, nowMs: number): void {
    const { key, rev, storedAt, body } = record;
    this.#add({
      key,
      rev,
      storedAt,
      nowMs,
      // Its own bytes: of a view, all that it is a view of would be copied.
      body: new Uint8Array(body),
      headers: Object.fromEntries(HEADERS.map((name) => [name, record.header(name)])),
    });
  }

  conclude(drained: boolean): Report {
    this.#post();
    this.#send({ drained });
    this.#await(this.#sent);
    if (this.#over === undefined) throw new Error("the judge's thread ended without a verdict");
    this.first = this.#over.first;
    return this.#over.report;
  }

  end(): void {
    void this.#worker.terminate();
  }

  #add(entry: HistoryLine | SentRecord): void {
    this.#entries.push(entry);
    if (this.#entries.length >= BATCH) this.#post();
  }

  #post(): void {
    if (this.#entries.length === 0) return;
    this.#await(this.#sent - AHEAD + 1);
    const entries = this.#entries;
    this.#entries = [];
    this.#send({ entries });
  }

  #send(order: JudgeOrder): void {
    this.#sent++;
    this.#port.postMessage(order);
  }

  /** Sleeps until so many orders are done, and believes no word about later ones. */
  #await(count: number): void {
    for (;;) {
      const done = Atomics.load(this.#done, 0);
      if (done >= count) break;
      if (Atomics.wait(this.#done, 0, done, ANSWER_MS) === "timed-out") {
        throw new Error(`the judge's thread said nothing for ${ANSWER_MS / 1_000} s`);
      }
    }
    for (;;) {
      const word = receiveMessageOnPort(this.#port)?.message as JudgeWord | undefined;
      if (word === undefined) break;
      if (word.is === "fault") throw new Error(`the judge's thread failed: ${word.what}`);
      if (word.is === "over") this.#over = word;
      else this.#broken ??= word;
    }
    if (this.#broken !== undefined && this.#broken.batch <= count) {
      this.first ??= this.#broken.first;
    }
  }
}
