// When a trigger is due. Every process of a principal comes to the same moments by itself: they
// follow from what is stored, not from when a process was started.
import { Cron } from "croner";
import { ParleyError, type StoredTrigger, type When } from "../contracts/index.ts";

/** Moments of one look: a process that was away for a year does not list its every second. */
const DUES_MAX = 1_000;

type Schedule = Pick<StoredTrigger, "when" | "since">;
type Missed = Partial<Pick<StoredTrigger, "missed">>;

/**
 * The first moment after `after`, ms since the epoch; undefined: there is none any more, or it is
 * an event that it waits for.
 */
export function nextDue({ when, since }: Schedule, after: number): number | undefined {
  if ("event" in when) return undefined;
  if ("at" in when) {
    const at = Date.parse(when.at);
    return at > after ? at : undefined;
  }
  if ("everyMs" in when) return since + (turnsUntil(when.everyMs, since, after) + 1) * when.everyMs;
  return cronOf(when).nextRun(new Date(after))?.getTime();
}

/**
 * All moments after `after` up to `until`. Where they are too many, the newest of them; or the
 * first, where none may be left out.
 */
export function duesBetween(trigger: Schedule & Missed, after: number, until: number): number[] {
  const { when, since } = trigger;
  const fromStart = trigger.missed === "all";
  if ("cron" in when) return runsBetween(cronOf(when), after, until, fromStart);
  if ("everyMs" in when) {
    const { everyMs } = when;
    const last = turnsUntil(everyMs, since, until);
    const done = turnsUntil(everyMs, since, after);
    const first = (fromStart ? done : Math.max(done, last - DUES_MAX)) + 1;
    const count = Math.min(DUES_MAX, Math.max(0, last - first + 1));
    return Array.from({ length: count }, (_, i) => since + (first + i) * everyMs);
  }
  const at = nextDue(trigger, after);
  return at === undefined || at > until ? [] : [at];
}

/** Moments of an interval that are over by then. */
function turnsUntil(everyMs: number, since: number, until: number): number {
  return Math.floor(Math.max(0, until - since) / everyMs);
}

function cronOf(when: Extract<When, { cron: string }>): Cron {
  return new Cron(when.cron, { timezone: when.timeZone ?? "UTC" });
}

/** Where they are too many to walk through, they are counted back from the end, or cut there. */
function runsBetween(cron: Cron, after: number, until: number, fromStart: boolean): number[] {
  const runs: number[] = [];
  let run = cron.nextRun(new Date(after));
  while (run !== null && run.getTime() <= until) {
    if (runs.length === DUES_MAX) {
      if (fromStart) return runs;
      // What it gives lies before the moment that it is asked for, so that is the next ms.
      return cron
        .previousRuns(DUES_MAX, new Date(until + 1))
        .map(Number)
        .reverse();
    }
    runs.push(run.getTime());
    run = cron.nextRun(run);
  }
  return runs;
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
