// Every record of the task bucket, or of its copy for audits, in the order of the server's
// revisions: for judges, audits and people. Paged direct gets, so it needs no consumer and no more
// than an observer's rights.
import { createInbox } from "@nats-io/nats-core";
import {
  AUDIT_STREAM,
  ParleyError,
  parseRecordSubject,
  TASKS_STREAM,
} from "../../contracts/index.ts";
import type { Incoming, StoredRecord, Transport } from "../ports/index.ts";

export interface DumpOptions {
  /** The reader's principal: replies come to its own inbox. */
  readonly principal?: string;
  /** From the copy for audits: thirty days, but without what writes were fenced by. */
  readonly audit?: boolean;
  /** Only what was stored from then on, ms since the epoch; default: everything. */
  readonly fromMs?: number;
  /** Subject filter; default: the whole bucket. See `taskGuard` and `patterns.outcomes`. */
  readonly pattern?: string;
  /** First revision wanted; default 1. Follow a bucket by going on behind the last one seen. */
  readonly fromRev?: number;
  /** Records asked for at a time; default 500. */
  readonly pageRecords?: number;
}

const PATTERN_ALL = "$KV.mesh_tasks.>";
const PAGE_RECORDS = 500;
/** A page ends here too, so that large records do not overrun the connection's buffer, bytes. */
const PAGE_BYTES = 8 * 1024 * 1024;
/** In the copy the server names stream, sequence, filter, destination, and the subject it was. */
const SOURCE_HEADER = "Nats-Stream-Source";
/** Silence within a page after which the reader gives up, ms. */
const SILENCE_MS = 10_000;

interface Page {
  readonly messages: readonly Incoming[];
  /** Messages that match and were not sent yet; undefined when the server did not say. */
  readonly pending: number | undefined;
}

/**
 * Yields records oldest first; `storedAt` is the server's time with its fraction of a millisecond.
 * Messages that are no records (somebody wrote to the bucket by hand) are left out. What is
 * written meanwhile may or may not be seen. Throws ParleyError: E_TIMEOUT, E_STORE when there is
 * no such stream, E_PERMISSION.
 */
export async function* dumpRecords(
  transport: Transport,
  options: DumpOptions = {},
): AsyncGenerator<StoredRecord> {
  const { fromMs } = options;
  let from = options.fromRev ?? 1;
  let start: object | undefined =
    fromMs === undefined ? undefined : { start_time: new Date(fromMs).toISOString() };
  for (;;) {
    const page = await readPage(transport, start ?? { seq: from }, options);
    start = undefined;
    for (const m of page.messages) {
      const seq = Number(m.header("Nats-Sequence"));
      if (Number.isSafeInteger(seq)) from = Math.max(from, seq + 1);
      const source = m.header(SOURCE_HEADER)?.split(" ");
      const rev = source === undefined ? seq : Number(source[1]);
      const key = parseRecordSubject(
        (source === undefined ? m.header("Nats-Subject") : source[4]) ?? "",
      );
      if (key === undefined || m.data.length === 0) continue;
      yield {
        key,
        rev,
        storedAt: parseStamp(m.header("Nats-Time-Stamp") ?? ""),
        body: m.data,
        header: (name) => m.header(name),
      };
    }
    if (page.messages.length === 0 || page.pending === 0) return;
  }
}

function readPage(transport: Transport, from: object, options: DumpOptions): Promise<Page> {
  const inbox = createInbox(
    options.principal === undefined ? undefined : `_INBOX.${options.principal}`,
  );
  const { promise, resolve, reject } = Promise.withResolvers<Page>();
  const messages: Incoming[] = [];
  let timer: NodeJS.Timeout | undefined;
  const watch = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      sub.unsubscribe();
      reject(new ParleyError("E_TIMEOUT", "the store did not answer a read in time; try again"));
    }, SILENCE_MS);
  };
  const sub = transport.subscribe(inbox, (m) => {
    if (m.status === 0) {
      messages.push(m);
      return watch();
    }
    clearTimeout(timer);
    sub.unsubscribe();
    if (m.status === 204 || m.status === 404) {
      const pending = m.header("Nats-Num-Pending");
      return resolve({ messages, pending: pending === undefined ? undefined : Number(pending) });
    }
    reject(refusal(m.status));
  });
  watch();
  const body = {
    ...from,
    batch: options.pageRecords ?? PAGE_RECORDS,
    max_bytes: PAGE_BYTES,
    next_by_subj: options.pattern ?? (options.audit === true ? ">" : PATTERN_ALL),
  };
  const stream = options.audit === true ? AUDIT_STREAM : TASKS_STREAM;
  transport.publish(`$JS.API.DIRECT.GET.${stream}`, Buffer.from(JSON.stringify(body)), {
    reply: inbox,
  });
  return promise;
}

function refusal(status: number): ParleyError {
  if (status === 503) {
    const text =
      "nobody keeps these records here; is this server provisioned? parley provision does it";
    return new ParleyError("E_STORE", text);
  }
  return new ParleyError("E_PERMISSION", `the store refused a read (status ${status})`);
}

/** RFC 3339 with nanoseconds to ms since the epoch with a fraction; 0 when it is none. */
export function parseStamp(text: string): number {
  const match = /^(.{19})(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return 0;
  const [, seconds = "", fraction = "0", zone = "Z"] = match;
  const whole = Date.parse(`${seconds}${zone}`);
  return Number.isNaN(whole) ? 0 : whole + Number(fraction) * 1_000;
}
