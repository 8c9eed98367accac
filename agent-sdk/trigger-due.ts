// When a trigger is due. Every process of a principal comes to the same moments by itself: they
// follow from what is stored, not from when a process was started.
import { Cron } from "croner";
import { ParleyError, type StoredTrigger, type When } from "../contracts/index.ts";

/** Moments of one look: a process that was away for a year does not list its every second. */
const DUES_MAX = 1_000;

/**
 * The first moment after `after`, ms since the epoch; undefined: there is none any more, or it is
 * an event that it waits for.
 */
export function nextDue(
  { when, since }: Pick<StoredTrigger, "when" | "since">,
  after: number,
): number | undefined {
  if ("event" in when) return undefined;
  if ("at" in when) {
    const at = Date.parse(when.at);
    return at > after ? at : undefined;
  }
  if ("everyMs" in when) {
    const turns = Math.floor((Math.max(after, since) - since) / when.everyMs) + 1;
    return since + turns * when.everyMs;
  }
  const next = new Cron(when.cron, { timezone: when.timeZone ?? "UTC" }).nextRun(new Date(after));
  return next === null ? undefined : next.getTime();
}

/** All moments after `after` up to `until`; the newest of them where they are too many. */
export function duesBetween(
  trigger: Pick<StoredTrigger, "when" | "since">,
  after: number,
  until: number,
): number[] {
  let dues: number[] = [];
  for (let at = nextDue(trigger, after); at !== undefined && at <= until; ) {
    dues.push(at);
    if (dues.length === 2 * DUES_MAX) dues = dues.slice(DUES_MAX);
    at = nextDue(trigger, at);
  }
  return dues.slice(-DUES_MAX);
}

/** @throws ParleyError E_SCHEMA for a line or zone that cannot be read, and for what never comes */
export function checkWhen(when: When, now: number): void {
  if ("event" in when) return;
  let next: number | undefined;
  try {
    next = nextDue({ when, since: now }, now);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const advice = 'write "minute hour day month weekday" and a zone such as Europe/Berlin';
    throw new ParleyError("E_SCHEMA", `when.cron: ${text}; ${advice}`);
  }
  if (next !== undefined) return;
  const what = "at" in when ? `when.at: ${when.at} is over` : "when.cron: no such day ever comes";
  throw new ParleyError("E_SCHEMA", `${what}; give a moment that is still to come`);
}
