// What an initiator decides from what it knows: whom to call, how long to listen, what to say.
import {
  BIDS_MAX,
  type CallRung,
  type Failure,
  failure as failureOf,
  SAMPLES,
  WINDOW_MS_MAX,
} from "../../contracts/index.ts";
import type { Context, Field, InitiatorTask, Rung } from "./initiator-task.ts";
import type { ScoredBid } from "./policy.ts";

/** At or below this many able agents a call goes to all of them. Guess. */
const FEW = 6;
/** Above this many agents, a sample with nobody free means that all are taken. Guess. */
export const MANY = 16;

/** Where nobody can tell: few enough to ask all when a sample had nobody, so many that bids to all
 * must come in the order of their rank. */
export const UNKNOWN_FIELD: Field = {
  agents: MANY,
  offering: 1_000,
  groups: SAMPLES,
  unknown: true,
};

export function chooseRung(t: InitiatorTask, c: Context): CallRung {
  const field = c.field(t);
  if (field.agents <= FEW) return "all";
  // Special agents among many: a sample would mostly miss them. And where special ones are few,
  // they are worth comparing.
  const special = t.spec.requires !== undefined;
  if (special && (field.agents * 2 < field.offering || field.offering <= MANY * 2)) return "all";
  const short = t.spec.hints?.durationMs;
  if (short !== undefined && short <= c.shortTaskMs) return "s2";
  return wantsTheBest(t) ? "s8" : "s4";
}

/** Is a rare bid worth more than an even share of the work? Where it is not, four bids tell as
 * much as eight: agents at capacity are not among those that are asked (ADR 0012). */
function wantsTheBest({ spec }: InitiatorTask): boolean {
  return (spec.award?.policy ?? "balanced") !== "balanced" || spec.budget !== undefined;
}

export function most(rung: Rung, field: Field): number {
  const heard =
    rung === "all" || rung === "directed"
      ? Math.min(BIDS_MAX, field.offering)
      : Math.min(SAMPLES[rung], field.groups[rung]);
  return Math.max(1, heard);
}

/** Recalls of waiting tasks are rare and must reach whoever joined since. */
export function recallRung(t: InitiatorTask, c: Context): CallRung {
  const field = c.field(t);
  return field.agents <= MANY ? "all" : chooseRung(t, c);
}

/** The bound of a window: four usual round trips, between 2 and 20 ms; 20 before the first. */
export function windowMs(t: InitiatorTask, c: Context): number {
  const usual = c.answers.roundTripMs(t.spec.capability, t.rung);
  if (usual === undefined) return WINDOW_MS_MAX;
  return Math.min(WINDOW_MS_MAX, Math.max(2, usual * 4));
}

/** Has this initiator given away what the bid offers, since or while it came? */
export function spokenFor({ from, at, bid }: ScoredBid, c: Context): boolean {
  return c.spoken.count(from, at) >= Math.max(1, bid.slots);
}

/** Words for a task that found nobody in time. */
export function expiry(t: InitiatorTask, c: Context): Failure {
  if (t.phase === "running" || t.cfp === "") return failureOf("E_DEADLINE");
  if (t.failure !== undefined) {
    return { ...t.failure, retry: false, message: `deadline; before that: ${t.failure.message}` };
  }
  if (c.breakers.isOpen(t.spec.capability)) {
    return failureOf(
      "E_NO_BID",
      `"${t.spec.capability}" failed again and again, so no more than a trial now and then was ` +
        "awarded before the deadline",
    );
  }
  const field = c.field(t);
  if (!t.heard && (field.agents === 0 || field.unknown)) {
    return failureOf(
      "E_NO_CAPABILITY",
      `no agent offered "${t.spec.capability}" before the deadline; see: parley caps`,
    );
  }
  if (field.agents === 0 && field.offering > 0) {
    return failureOf(
      "E_NO_BID",
      `agents offer "${t.spec.capability}", but none that has what is required`,
    );
  }
  return failureOf("E_NO_BID", `${nobody(t)} before the deadline`);
}

/** Why no bid came that could be taken. */
export function nobody({ spec, unfit }: InitiatorTask): string {
  switch (unfit) {
    case "over_budget":
      return `no agent that answered offered "${spec.capability}" within the budget`;
    case "ineligible":
      return (
        `no agent that answered may do "${spec.capability}" as asked: ` +
        "version, requirements, exclusions"
      );
    default:
      return spec.only === true && spec.to !== undefined
        ? `${spec.to}, and nobody else may do it, had no free slot or is not here`
        : `no agent had a free slot for "${spec.capability}"`;
  }
}
