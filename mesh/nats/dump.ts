// Every record of the task bucket, in the order of the server's revisions: for judges, audits and
// people. Paged direct gets, so it needs no consumer and no more than an observer's rights.
import { createInbox } from "@nats-io/nats-core";
import { ParleyError, parseRecordSubject, TASKS_STREAM } from "../../contracts/index.ts";
import type { Incoming, StoredRecord, Transport } from "../ports/index.ts";

export interface DumpOptions {
  /** The reader's principal: replies come to its own inbox. */
  readonly principal?: string;
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
  let from = options.fromRev ?? 1;
  for (;;) {
    const page = await readPage(transport, from, options);
    for (const m of page.messages) {
      const rev = Number(m.header("Nats-Sequence"));
      if (Number.isSafeInteger(rev)) from = Math.max(from, rev + 1);
      const key = parseRecordSubject(m.header("Nats-Subject") ?? "");
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

function readPage(transport: Transport, from: number, options: DumpOptions): Promise<Page> {
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
    seq: from,
    batch: options.pageRecords ?? PAGE_RECORDS,
    max_bytes: PAGE_BYTES,
    next_by_subj: options.pattern ?? PATTERN_ALL,
  };
  transport.publish(`$JS.API.DIRECT.GET.${TASKS_STREAM}`, Buffer.from(JSON.stringify(body)), {
    reply: inbox,
  });
  return promise;
}

function refusal(status: number): ParleyError {
  if (status === 503) {
    const text =
      "nobody keeps the task records here; is this server provisioned? parley up does it";
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
