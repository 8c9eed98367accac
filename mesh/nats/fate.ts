// What became of a write, from the server's answers and from what is stored.
import { NONCE_HEADER, recordKey } from "../../contracts/index.ts";
import type { Incoming, StoredRecord, Write, WriteResult } from "../ports/index.ts";

/** The answer to a leader's read: where the message lies, 0 when there is none. */
export function parseLast(data: Uint8Array): number | undefined {
  try {
    const { message, error } = JSON.parse(Buffer.from(data).toString()) as {
      message?: { seq?: unknown };
      error?: { code?: unknown };
    };
    if (error !== undefined) return error.code === 404 ? 0 : undefined;
    return Number.isSafeInteger(message?.seq) ? (message?.seq as number) : undefined;
  } catch {
    return undefined;
  }
}

export function unknown(detail: string): WriteResult {
  return { ok: false, fault: "unknown", detail };
}

/**
 * What the records of a task say of a write: it is there, byte for byte; or something newer than
 * its fence is and it is not, so that it can never land. Undefined: neither, it still could.
 * `rev`: as new as the records must be, from a replica that lags they prove nothing.
 */
export function fateOf(
  write: Write,
  records: readonly StoredRecord[],
  rev: number | undefined,
): WriteResult | undefined {
  const name = recordKey(write.key);
  const mine = records.find(
    (r) =>
      r.header(NONCE_HEADER) === write.id &&
      recordKey(r.key) === name &&
      Buffer.compare(r.body, write.body) === 0,
  );
  if (mine !== undefined) return { ok: true, rev: mine.rev, duplicate: true };
  const newest = records.at(-1)?.rev ?? 0;
  if (newest <= write.guard || newest < (rev ?? 0)) return undefined;
  return { ok: false, fault: "conflict", rev: newest };
}

/**
 * The same for whoever may read only its own record: under this key lies this write, another, or
 * nothing. Nothing, and the server's word that the task moved on to `rev`: it can never land.
 */
export function fateOfOwn(
  write: Write,
  found: Pick<Incoming, "data" | "header"> | undefined,
  rev: number | undefined,
): WriteResult | undefined {
  if (found === undefined) {
    return rev === undefined || rev <= write.guard
      ? undefined
      : { ok: false, fault: "conflict", rev };
  }
  const here = Number(found.header("Nats-Sequence"));
  const mine =
    found.header(NONCE_HEADER) === write.id && Buffer.compare(found.data, write.body) === 0;
  if (mine) return { ok: true, rev: here, duplicate: true };
  return { ok: false, fault: "conflict", rev: Math.max(here, rev ?? 0) };
}

const text = new TextDecoder();

/**
 * Undefined for what is no word of this stream.
 * Codes: 10071 settled mismatch, 10164 another guarded write in flight (nats-facts 1.4).
 */
export function parseAck(data: Uint8Array, stream: string): WriteResult | undefined {
  let ack: {
    stream?: string;
    seq?: number;
    duplicate?: boolean;
    error?: { err_code?: number; code?: number; description?: string };
  };
  try {
    ack = JSON.parse(text.decode(data));
  } catch {
    return undefined;
  }
  // The word of another stream, which somebody had the server send here.
  if (ack.stream !== stream) return undefined;
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
  // 10158: a first try with the same id is on its way through the cluster.
  if (code === 10164 || code === 10158) return unknown(description);
  // Insufficient resources, or storage.
  if (code === 10023 || code === 10047)
    return { ok: false, fault: "unavailable", detail: description };
  const transient = ack.error.code === 503 || ack.error.code === 408 || ack.error.code === 429;
  return { ok: false, fault: transient ? "unknown" : "refused", detail: description };
}
