// A task's records as they travel, page after page, to whoever may not read the store.
import { z } from "zod";
import {
  FENCE_HEADER,
  GUARD_HEADER,
  NONCE_HEADER,
  parseRecordKey,
  recordKey,
  SIGNATURE_HEADER,
} from "../../contracts/index.ts";
import type { RecordPage, StoredRecord } from "../ports/index.ts";
import { encodeMsgpack } from "./codec/codec.ts";

export const PACK_LIMITS = { bytesMax: 8 * 1024 * 1024, depthMax: 8, keysMax: 20_000 };
export const PackSchema = z.object({
  v: z.literal(1),
  kind: z.literal("records"),
  records: z
    .array(
      z.object({
        key: z.string(),
        rev: z.int(),
        at: z.number(),
        body: z.instanceof(Uint8Array),
        sig: z.string(),
        nonce: z.string(),
        fence: z.string(),
        guard: z.string().optional(),
      }),
    )
    .max(2_000),
  /** There are records behind these: ask for what comes after the last one's revision. */
  more: z.boolean().optional(),
});

/** What is asked for: no bytes are all records, from the first on. */
export const LookSchema = z.object({
  v: z.literal(1),
  kind: z.literal("look"),
  after: z.int().min(0),
});
/** A message holds 1 MiB, a record half of that; what is not its body takes less than 2 KiB. */
const PAGE_BYTES = 900 * 1024;
const RECORD_REST_BYTES = 2 * 1024;
const PAGE_RECORDS = 1_000;
/** A task has at most so many pages; who says more is not believed. */
export const PAGES_MAX = 1_000;

type Packed = z.infer<typeof PackSchema>["records"][number];

/** As many of these as one message holds, and whether there are more. */
export function packPage({ records, more }: RecordPage): Uint8Array {
  let bytes = 0;
  const full = records.findIndex((r, i) => {
    bytes += r.body.length + RECORD_REST_BYTES;
    return i > 0 && (bytes > PAGE_BYTES || i >= PAGE_RECORDS);
  });
  const page = full < 0 ? records : records.slice(0, full);
  return encodeMsgpack({
    v: 1,
    kind: "records",
    records: page.map((r) => ({
      key: recordKey(r.key),
      rev: r.rev,
      at: r.storedAt,
      body: r.body,
      sig: r.header(SIGNATURE_HEADER) ?? "",
      nonce: r.header(NONCE_HEADER) ?? "",
      fence: r.header(FENCE_HEADER) ?? "",
      guard: r.header(GUARD_HEADER) ?? "",
    })),
    ...(full < 0 && !more ? {} : { more: true }),
  });
}

/** Undefined where its key is none. */
export function storedOf(r: Packed): StoredRecord | undefined {
  const key = parseRecordKey(r.key);
  if (key === undefined) return undefined;
  const headers: Record<string, string> = {
    [SIGNATURE_HEADER]: r.sig,
    [NONCE_HEADER]: r.nonce,
    [FENCE_HEADER]: r.fence,
    [GUARD_HEADER]: r.guard ?? "",
  };
  return { key, rev: r.rev, storedAt: r.at, body: r.body, header: (name) => headers[name] };
}
