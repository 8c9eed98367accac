// A trigger, and how far it is, as the bucket keeps them.
import {
  type StoredTrigger,
  StoredTriggerSchema,
  type TriggerMark,
  TriggerMarkSchema,
} from "../contracts/index.ts";
import type { BucketEntry } from "../mesh/ports/index.ts";
import { jsonOf, orLeftOut } from "./bucket-entry.ts";

/** Undefined where there is none, or what is no trigger. */
export function triggerOf(entry: BucketEntry | undefined): StoredTrigger | undefined {
  if (entry?.value === undefined) return undefined;
  return orLeftOut(() => StoredTriggerSchema.safeParse(jsonOf(entry, "triggers")).data);
}

export function markBytes(of: TriggerMark["of"], upTo: number): Uint8Array {
  return Buffer.from(JSON.stringify({ v: 1, kind: "mark", of, upTo }));
}

/** Undefined where there is none, or one from when the trigger was of the other sort. */
export function markOf(
  entry: BucketEntry | undefined,
  of: TriggerMark["of"],
): TriggerMark | undefined {
  if (entry?.value === undefined) return undefined;
  const mark = orLeftOut(() => TriggerMarkSchema.safeParse(jsonOf(entry, "triggers")).data);
  return mark?.of === of ? mark : undefined;
}
