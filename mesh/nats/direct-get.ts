// Reads of a stream past its leader (ADR-31): many messages for one request, no consumer.
import { ParleyError, parseRecordSubject, TASKS_STREAM } from "../../contracts/index.ts";
import type { Clock, Incoming, StoredRecord, Subscription } from "../ports/index.ts";
import type { Link } from "./link.ts";

/** The last message of every subject that matches (at most 1,024 subjects in all), or the
 * messages from `seq` on of the subjects that match. */
export type DirectGet =
  | { multi_last: string[] }
  | { seq: number; batch: number; next_by_subj: string };

/** A read of which nothing was heard for so long is asked again, ms: messages get lost, and reading
 * twice does no harm. Guess: above what a busy server takes, below what a person notices. */
export const READ_AGAIN_MS = 1_000;
/** Messages of one page, and pages of one reading. */
const PAGE = 500;
const PAGES_MAX = 10_000;
/** Of one answer: more would hold up all else on the connection. */
const BYTES_MAX = 16 * 1024 * 1024;
/** Of an answer for somebody else, who may ask as often as he likes. The server goes beyond it by
 * the message with which it is reached. */
const SHARED_BYTES_MAX = 1024 * 1024;
const NOTHING: Page = { found: [], more: false };

/**
 * @throws ParleyError E_TIMEOUT, E_CONNECTION (the link is or went down), E_STORE (no stream),
 * E_TOO_LARGE (over 1,024 subjects, or over BYTES_MAX)
 */
export async function directGet(
  transport: Link,
  clock: Clock,
  principal: string | undefined,
  stream: string,
  wanted: DirectGet,
  timeoutMs: number,
): Promise<Incoming[]> {
  const page = await readPage(transport, clock, principal, stream, wanted, timeoutMs);
  // What is missing would pass for "not stored".
  if (page.more && "multi_last" in wanted) throw tooMuch(stream);
  return page.found;
}

/** All messages of the subjects that match, in order, however many: page after page. */
export async function directGetAll(
  transport: Link,
  clock: Clock,
  principal: string | undefined,
  stream: string,
  pattern: string,
  timeoutMs: number,
): Promise<Incoming[]> {
  const all: Incoming[] = [];
  let seq = 1;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const wanted = { seq, batch: PAGE, next_by_subj: pattern };
    const page = await readPage(transport, clock, principal, stream, wanted, timeoutMs);
    for (const m of page.found) all.push(m);
    if (!page.more || page.found.length === 0) return all;
    seq = Number(page.found.at(-1)?.header("Nats-Sequence")) + 1;
  }
  throw tooMuch(stream);
}

/** Messages of one answer, in order; `more`: the server had others for it. */
export interface Page {
  found: Incoming[];
  more: boolean;
}

function readPage(
  transport: Link,
  clock: Clock,
  principal: string | undefined,
  stream: string,
  wanted: DirectGet,
  timeoutMs: number,
  bytesMax = BYTES_MAX,
): Promise<Page> {
  return new Promise((resolve, reject) => {
    if (transport.state() !== "up") {
      return reject(new ParleyError("E_CONNECTION", `no connection to read ${stream}; try again`));
    }
    const asked: Subscription[] = [];
    const question = Buffer.from(JSON.stringify({ ...wanted, max_bytes: bytesMax }));
    let heardAt = clock.now();
    const until = heardAt + timeoutMs;
    const end = (result: Page | ParleyError) => {
      timer.cancel();
      stay();
      for (const sub of asked) sub.unsubscribe();
      if (result instanceof ParleyError) reject(result);
      else resolve(result);
    };
    const ask = () => {
      const inbox = transport.inbox(principal);
      const heard = (result: Page | ParleyError | undefined) => {
        if (result !== undefined) return end(result);
        heardAt = clock.now();
      };
      asked.push(transport.subscribe(inbox, gather(stream, heard)));
      transport.publish(`$JS.API.DIRECT.GET.${stream}`, question, { reply: inbox });
    };
    const look = () => {
      const now = clock.now();
      if (now >= until) {
        return end(new ParleyError("E_TIMEOUT", `stream ${stream} did not answer a read in time`));
      }
      if (now - heardAt >= READ_AGAIN_MS) {
        heardAt = now;
        ask();
      }
      timer = clock.after(Math.min(READ_AGAIN_MS, until - now), look);
    };
    let timer = clock.after(Math.min(READ_AGAIN_MS, timeoutMs), look);
    // What was on its way is lost with the link: no answer will come.
    const stay = transport.onceLost(() =>
      end(new ParleyError("E_CONNECTION", `the connection ended while reading ${stream}`)),
    );
    ask();
  });
}

/** Gathers one answer's messages: tells the whole of it, what went wrong, or that some came. */
function gather(
  stream: string,
  heard: (result: Page | ParleyError | undefined) => void,
): (m: Incoming) => void {
  const found: Incoming[] = [];
  let end: Incoming | undefined;
  return (m) => {
    if (m.status === 0) found.push(m);
    else if (m.status === 204) end = m;
    else return heard(m.status === 404 ? NOTHING : refusal(m.status, stream));
    const all = end === undefined ? undefined : complete(found, end);
    heard(all && { found: all, more: Number(end?.header("Nats-Num-Pending") ?? 0) > 0 });
  };
}

function tooMuch(stream: string): ParleyError {
  return new ParleyError("E_TOO_LARGE", `too much of ${stream} was asked for at once`);
}

function refusal(status: number, stream: string): ParleyError {
  if (status === 413) return tooMuch(stream);
  return new ParleyError(
    "E_STORE",
    status === 503
      ? `there is no stream ${stream} on this server; make it with: parley provision`
      : `stream ${stream} refused a read (${status})`,
  );
}

/**
 * The whole answer in order, or undefined while a part is missing: every message names the one
 * before it, and the end names the last. A part that was lost would pass for "not stored"; one
 * that was overtaken is waited for.
 */
function complete(found: readonly Incoming[], end: Incoming): Incoming[] | undefined {
  const before = (m: Incoming) => m.header("Nats-Last-Sequence");
  let at = before(end);
  if (at === undefined) return [...found];
  const bySequence = new Map(found.map((m) => [m.header("Nats-Sequence"), m]));
  const all: Incoming[] = [];
  while (at !== undefined && at !== "0") {
    const m = bySequence.get(at);
    if (m === undefined) return undefined;
    all.push(m);
    at = before(m);
  }
  return all.reverse();
}

/** A task's record as a direct get gives it; undefined when it is none. */
export function storedRecord(m: Incoming): StoredRecord | undefined {
  const key = parseRecordSubject(m.header("Nats-Subject") ?? "");
  if (key === undefined) return undefined;
  return {
    key,
    rev: Number(m.header("Nats-Sequence")),
    storedAt: Date.parse(m.header("Nats-Time-Stamp") ?? "") || 0,
    body: m.data,
    header: (name) => m.header(name),
  };
}

/** Of one task however many; of several as many as fit one answer. @throws ParleyError */
export async function getTaskRecords(
  transport: Link,
  clock: Clock,
  principal: string | undefined,
  guards: string[],
  timeoutMs: number,
): Promise<StoredRecord[]> {
  const found = await getTasks(transport, clock, principal, guards, timeoutMs);
  return found
    .map(storedRecord)
    .filter((r) => r !== undefined)
    .sort((a, b) => a.rev - b.rev);
}

/** The first messages of a task behind a revision. */
export async function getTaskPage(
  transport: Link,
  clock: Clock,
  principal: string | undefined,
  guard: string,
  after: number,
  timeoutMs: number,
): Promise<Page> {
  const read = (wanted: DirectGet) =>
    readPage(transport, clock, principal, TASKS_STREAM, wanted, timeoutMs, SHARED_BYTES_MAX);
  // The server finds them without walking the stream; few tasks have more than one answer holds.
  const whole = after === 0 ? await read({ multi_last: [guard] }).catch(orTooMuch) : undefined;
  if (whole !== undefined && !whole.more) return whole;
  return read({ seq: after + 1, batch: PAGE, next_by_subj: guard });
}

function orTooMuch(error: unknown): undefined {
  if (!(error instanceof ParleyError && error.code === "E_TOO_LARGE")) throw error;
}

/** The messages of these tasks: at once, and of one task that is too large page after page. */
export async function getTasks(
  transport: Link,
  clock: Clock,
  principal: string | undefined,
  guards: string[],
  timeoutMs: number,
): Promise<Incoming[]> {
  const wanted = { multi_last: guards };
  try {
    return await directGet(transport, clock, principal, TASKS_STREAM, wanted, timeoutMs);
  } catch (error) {
    const [only, ...others] = guards;
    const isLarge = error instanceof ParleyError && error.code === "E_TOO_LARGE";
    if (!isLarge || only === undefined || others.length > 0) throw error;
    return directGetAll(transport, clock, principal, TASKS_STREAM, only, timeoutMs);
  }
}
