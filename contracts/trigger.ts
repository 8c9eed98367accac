// Triggers: what begins a task without anybody asking for it: a moment, an interval, a line of
// cron, an event. JSON: people write it.
import { z } from "zod";
import { CapabilityNameSchema, isToken, TokenSchema } from "./ids.ts";
import { DEADLINE_MS_MAX, HEADERS_BYTES } from "./limits.ts";
import { TaskTermsSchema } from "./task-terms.ts";

/** Shortest interval, ms. */
export const EVERY_MS_MIN = 1_000;
/** Tokens of a topic. */
const TOPIC_TOKENS_MAX = 8;
/** Most of one event as the stream counts it, headers included, and of its data, bytes. */
export const EVENT_MESSAGE_BYTES_MAX = 64 * 1024;
export const EVENT_BYTES_MAX = EVENT_MESSAGE_BYTES_MAX - HEADERS_BYTES;

/** `orders.created`: what an event is about. */
export function isTopic(text: string): boolean {
  const tokens = text.split(".");
  return tokens.length <= TOPIC_TOKENS_MAX && tokens.every(isToken);
}

/** A topic, `*` for any one token, `>` at the end for all that follow. */
export function isTopicPattern(text: string): boolean {
  const tokens = text.split(".");
  if (tokens.at(-1) === ">") tokens.pop();
  return tokens.length <= TOPIC_TOKENS_MAX && tokens.every((t) => t === "*" || isToken(t));
}

export const WhenSchema = z.union(
  [
    /** Once. ISO 8601 with its offset. */
    z.strictObject({ at: z.iso.datetime({ offset: true }) }),
    /** Counted from when it was stored. */
    z.strictObject({ everyMs: z.int().min(EVERY_MS_MIN).max(DEADLINE_MS_MAX) }),
    /** Five fields, or six with seconds first; read in a time zone of the IANA list. */
    z.strictObject({ cron: z.string().min(1).max(256), timeZone: z.string().max(64).optional() }),
    /** Each event of these topics. */
    z.strictObject({
      event: z
        .string()
        .max(256)
        .refine(isTopicPattern, "write a topic such as orders.created, orders.* or orders.>"),
    }),
  ],
  'one of {"at"}, {"everyMs"} (1000 or more), {"cron","timeZone"}, {"event"}; see docs/triggers.md',
);
export type When = z.infer<typeof WhenSchema>;

export const TriggerSchema = z.strictObject({
  v: z.literal(1).default(1),
  kind: z.literal("trigger").default("trigger"),
  name: TokenSchema,
  description: z.string().max(1024).optional(),
  when: WhenSchema,
  capability: CapabilityNameSchema,
  version: z.string().max(32).optional(),
  /** A template: `{"$": "due"}`, `{"$": "event.data.id"}`. Default: the event's data, `{due}`. */
  input: z.unknown().optional(),
  /** Moments that passed while nobody of the principal was there. Events are never left out. */
  missed: z.enum(["last", "all", "none"]).default("last"),
  ...TaskTermsSchema.shape,
});
export type Trigger = z.infer<typeof TriggerSchema>;

export const StoredTriggerSchema = TriggerSchema.extend({
  /** When it was stored with this `when`, ms since the epoch. */
  since: z.int().nonnegative(),
  /** Of events: the place of the last one that was told before. */
  from: z.int().nonnegative().default(0),
});
export type StoredTrigger = z.infer<typeof StoredTriggerSchema>;

/** How far a trigger is: the moment (ms) or the event (its place) that was handled last. */
export const TriggerMarkSchema = z.object({
  v: z.literal(1),
  kind: z.literal("mark"),
  of: z.enum(["time", "event"]),
  upTo: z.int().nonnegative(),
  /** The topic that it waited for; of another one it says nothing. */
  topic: z.string().optional(),
});
export type TriggerMark = z.infer<typeof TriggerMarkSchema>;
