// A trigger, and how far it is, as the bucket keeps them.
import {
  type StoredTrigger,
  StoredTriggerSchema,
  type TriggerMark,
  TriggerMarkSchema,
  type When,
} from "../contracts/index.ts";
import type { BucketEntry } from "../mesh/ports/index.ts";
import { jsonOf, orLeftOut } from "./bucket-entry.ts";

/** Undefined where there is none, or what is no trigger. */
export function triggerOf(entry: BucketEntry | undefined): StoredTrigger | undefined {
  if (entry?.value === undefined) return undefined;
  return orLeftOut(() => StoredTriggerSchema.safeParse(jsonOf(entry, "triggers")).data);
}

export function triggerBytes(trigger: StoredTrigger): Uint8Array {
  return Buffer.from(JSON.stringify(trigger));
}

export function markBytes(when: When, upTo: number): Uint8Array {
  const topic = "event" in when ? { topic: when.event } : {};
  return Buffer.from(JSON.stringify({ v: 1, kind: "mark", of: sortOf(when), upTo, ...topic }));
}

/** Undefined where there is none, or what is no mark. */
export function markOf(entry: BucketEntry | undefined): TriggerMark | undefined {
  if (entry?.value === undefined) return undefined;
  return orLeftOut(() => TriggerMarkSchema.safeParse(jsonOf(entry, "triggers")).data);
}

/** Was it made as the trigger is now, or when it waited for something else? */
export function isMarkOf({ of, topic }: TriggerMark, when: When): boolean {
  return of === sortOf(when) && (!("event" in when) || topic === when.event);
}

function sortOf(when: When): TriggerMark["of"] {
  return "event" in when ? "event" : "time";
}
