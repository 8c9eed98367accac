// Moves of an initiator: what it does with a task, each leaving it in one phase. Which event leads
// to which move stands in initiator.ts.
import {
  type Address,
  BACKOFF_MS,
  BACKOFF_MS_MAX,
  type CallRung,
  CLAIM_TIMEOUT_MS,
  CLOCKS_DIFFER_MS,
  type Failure,
  failure as failureOf,
  PATIENCE_MS,
  principalOf,
  SUSPECT_MS,
  type TerminalState,
} from "../../contracts/index.ts";
import { chooseRung, expiry, MANY, most, nobody, spokenFor, windowMs } from "./initiator-choice.ts";
import { awardeeOf, type Context, type InitiatorTask } from "./initiator-task.ts";
import { drawn, rank, type ScoredBid } from "./policy.ts";
import { toTheEnd } from "./task-view.ts";
import { specOfTier } from "./tiers.ts";

const ROUNDS_MAX = 8;
/** Samples that may end without a bid before the task waits. Guess. */
const SAMPLES_MAX = 3;

/** When must this task be stepped again? The phase's own moment, or the deadline. */
export function arm(t: InitiatorTask, at: number, c: Context): void {
  const left = t.spec.deadline - c.wall;
  t.dueAt = Math.min(at, c.now + Math.max(0, left));
}

export function begin(t: InitiatorTask, c: Context): void {
  if (c.policy(t.spec.award?.policy ?? "balanced") === undefined) {
    return end(
      t,
      "rejected",
      failureOf(
        "E_POLICY",
        `no award policy "${t.spec.award?.policy}"; known here: fastest, cheapest, balanced, ` +
          "deadline, hybrid, and those given to the initiator",
      ),
      c,
    );
  }
  if (t.spec.deadline <= c.wall) return expire(t, c);
  if (t.spec.to !== undefined) return direct(t, t.spec.to, c);
  if (c.breakers.blocked(t.spec.capability, c.now)) return held(t, c);
  if (c.queueing(t.spec)) {
    t.cfp = c.newCfp();
    return wait(t, c);
  }
  call(t, chooseRung(t, c), c);
}

export function direct(t: InitiatorTask, to: Address, c: Context): void {
  t.cfp = c.newCfp();
  t.rung = "directed";
  t.phase = "awarding";
  t.order = [];
  t.next = 0;
  t.spoken = [];
  t.awarded = undefined;
  t.lastSeenAt = c.aware;
  arm(t, c.now + CLAIM_TIMEOUT_MS, c);
  c.out.push({ do: "award", to, bid: undefined, order: [] });
  if (t.live) running(t, to, c);
}

/** Looks for a contractor afresh: the only one allowed, or whoever answers a call. */
export function seek(t: InitiatorTask, c: Context): void {
  if (t.spec.only === true && t.spec.to !== undefined) return direct(t, t.spec.to, c);
  if (c.breakers.blocked(t.spec.capability, c.now)) return held(t, c);
  call(t, chooseRung(t, c), c);
}

export function call(t: InitiatorTask, rung: CallRung, c: Context): void {
  const limit = most(rung, c.field(t));
  t.phase = "calling";
  t.cfp = c.newCfp();
  t.rung = rung;
  t.openedAt = c.now;
  t.lastAnswerAt = c.now;
  t.answers = 0;
  t.refusals = 0;
  t.answered = [];
  t.extensions = 0;
  t.bids = [];
  t.order = [];
  t.next = 0;
  t.rounds++;
  t.expected = c.answers.expected(t.spec.capability, rung, limit);
  arm(t, c.now + windowMs(t, c), c);
  c.out.push({ do: "call", rung });
}

/** A call without bids: ask all, where that is cheap or needed; else wait for a free slot. */
export function widen(t: InitiatorTask, c: Context): void {
  if (t.rung !== "all") {
    const field = c.field(t);
    if (field.agents <= MANY || t.spec.requires !== undefined) return call(t, "all", c);
    // Refusals or silence mean that agents were asked just as they took something else, and left
    // their groups: others may be free. That nobody sits there, the server says at once.
    const unlucky = t.refusals > 0 || t.extensions > 0;
    if (unlucky && t.rounds < SAMPLES_MAX && t.waitingSince === 0) return call(t, "s8", c);
  }
  wait(t, c);
}

/** Ranks the bids in hand and awards the first. */
export function choose(t: InitiatorTask, c: Context): void {
  t.draw = c.draw();
  t.order = ranked(t, c);
  if (t.bids.length > 0 && t.distrusted.length === t.bids.length) return untrusted(t, c);
  if (t.order.length === 0 && t.bids.length > 0) {
    t.failure =
      t.spec.budget === undefined
        ? failureOf("E_NO_BID", `${t.bids.length} bids, none with a usable score`)
        : failureOf(
            "E_BUDGET",
            `${t.bids.length} bids, none within the budget of ${t.spec.budget}`,
          );
  }
  t.next = 0;
  t.spoken = [];
  t.phase = "awarding";
  awardNext(t, c);
}

/** Whoever has not failed this task goes before those who have, the longest ago first. The draw is
 * among the former, so that anybody can make it again. */
function freshFirst(order: ScoredBid[], { failed, draw }: InitiatorTask): ScoredBid[] {
  const place = ({ from }: ScoredBid): number => failed.indexOf(from);
  const stale = order.filter((b) => place(b) >= 0);
  if (stale.length === 0) return order;
  const fresh = order.filter((b) => place(b) < 0);
  return [...drawn(fresh, draw), ...stale.sort((a, b) => place(a) - place(b))];
}

export function ranked(t: InitiatorTask, c: Context): ScoredBid[] {
  const policy = c.policy(t.spec.award?.policy ?? "balanced");
  if (policy === undefined) return [];
  t.leftMs = t.spec.deadline - c.wall;
  const order = rank(
    trusted(t, c),
    policy,
    {
      leftMs: t.leftMs,
      budget: t.spec.budget,
      weights: t.spec.award?.weights,
    },
    t.draw,
  );
  return freshFirst(order, t);
}

/** What is known has changed; who was tried stays tried. */
export function rankAgain(t: InitiatorTask, c: Context): void {
  const tried = t.order.slice(0, t.next);
  t.order = tried.concat(ranked(t, c).filter((b) => !tried.includes(b)));
}

/** Who failed again and again gets no more than a trial now and then. Who left an award of this
 * task unclaimed is asked again when nobody else bids, and so are others of his principal. */
function trusted(t: InitiatorTask, c: Context): ScoredBid[] {
  const { capability } = t.spec;
  t.distrusted = [];
  let some = t.bids.filter(({ from }) => c.breakers.trusts(capability, from, c.now));
  if (t.unclaimed.length > 0) {
    const principals = t.unclaimed.map(principalOf);
    const others = some.filter(({ from }) => !principals.includes(principalOf(from)));
    const fresh = some.filter(({ from }) => !t.unclaimed.includes(from));
    if (fresh.length > 0) some = others.length > 0 ? others : fresh;
  }
  if (some.length === t.bids.length) return t.bids;
  for (const b of t.bids) if (!some.includes(b)) t.distrusted.push(b.from);
  return some;
}

/** Nobody bid whom this task may be given to now: as if nobody had. */
function untrusted(t: InitiatorTask, c: Context): void {
  t.failure = failureOf(
    "E_NO_BID",
    `${t.bids.length} bids, all by agents that failed again and again; no trial was due to them`,
  );
  t.bids = [];
  if (t.phase === "waiting") return;
  t.awarded = undefined;
  if (t.waitingSince === 0) widen(t, c);
  else wait(t, c);
}

/** The award was followed by nothing, while this observer was looking: somebody else is better. */
export function unclaimed(t: InitiatorTask, c: Context): void {
  const silent = awardeeOf(t);
  const lookedMs = c.aware - t.lastSeenAt;
  if (silent !== undefined && lookedMs * 2 >= CLAIM_TIMEOUT_MS) {
    c.breakers.unclaimed(t.spec.capability, silent, c.now);
    if (!t.unclaimed.includes(silent)) t.unclaimed.push(silent);
    if (t.rung !== "directed") rankAgain(t, c);
  }
  if (t.rung === "directed") seek(t, c);
  else awardNext(t, c);
}

export function awardNext(t: InitiatorTask, c: Context): void {
  while (t.next < t.order.length) {
    const bid = t.order[t.next++]!;
    if (c.now - bid.at > bid.bid.validMs) continue;
    if (spokenFor(bid, c)) {
      t.spoken.push(bid.from);
      continue;
    }
    if (!c.breakers.admit(t.spec.capability, c.now)) return held(t, c);
    c.breakers.tries(t.spec.capability, bid.from, c.now);
    t.awarded = bid;
    t.lastSeenAt = c.aware;
    arm(t, c.now + CLAIM_TIMEOUT_MS, c);
    c.out.push({ do: "award", to: bid.from, bid, order: t.order });
    if (t.live) running(t, bid.from, c);
    return;
  }
  t.awarded = undefined;
  if (t.bids.length === 0) return widen(t, c);
  const again = t.rounds < ROUNDS_MAX && t.order.length > 0 && t.waitingSince === 0;
  if (again) return seek(t, c);
  wait(t, c);
}

export function running(t: InitiatorTask, contractor: Address, c: Context): void {
  t.phase = "running";
  t.contractor = contractor;
  t.lastSeenAt = c.aware;
  t.runsSince = c.aware;
  arm(t, c.now + suspicion(c), c);
}

/** Silence after which the contractor is asked, ms. */
export function suspicion(c: Context): number {
  return Math.min(SUSPECT_MS, c.silenceMs * 0.4);
}

/** The capability's breaker is open: an alternative, or the waiting room until it closes. */
function held(t: InitiatorTask, c: Context): void {
  const why = failureOf("E_HANDLER", `${t.spec.capability} failed too often lately`);
  if (t.cfp === "") t.cfp = c.newCfp();
  t.heard = true;
  t.awarded = undefined;
  if (!fallBack(t, why, c)) wait(t, c);
}

export function wait(t: InitiatorTask, c: Context): void {
  if (t.waitingSince === 0) t.waitingSince = c.now;
  const more = hasNextTier(t);
  if (more && c.field(t).offering === 0) {
    const { capability } = t.spec;
    const why = failureOf("E_NO_CAPABILITY", `no agent offers "${capability}"`);
    if (fallBack(t, why, c)) return;
  }
  t.phase = "waiting";
  t.rounds = 0;
  t.bids = [];
  t.order = [];
  // No timer of its own but patience and the deadline: a thousand must not call in turn.
  arm(t, more ? patience(t) : Number.POSITIVE_INFINITY, c);
  c.out.push({ do: "wait", on: true });
}

export function leaveWaiting(t: InitiatorTask, c: Context): void {
  if (t.waitingSince === 0) return;
  t.waitingSince = 0;
  c.out.push({ do: "wait", on: false });
}

/** Moment at which a waiting task has looked long enough for an agent of this tier. */
function patience(t: InitiatorTask): number {
  return t.waitingSince + (t.origin.patienceMs ?? PATIENCE_MS);
}

/** A waiting task's moment: its patience is over, or the wall clock was set back. */
export function waitedEnough(t: InitiatorTask, c: Context): void {
  if (!hasNextTier(t)) return arm(t, Number.POSITIVE_INFINITY, c);
  if (c.now < patience(t)) return arm(t, patience(t), c);
  const why = t.failure ?? failureOf("E_NO_BID", nobody(t));
  if (!fallBack(t, why, c)) arm(t, Number.POSITIVE_INFINITY, c);
}

function hasNextTier(t: InitiatorTask): boolean {
  return specOfTier(t.origin, t.tier + 1) !== undefined;
}

/** Puts the task on a tier, its attempts counted from this epoch on. */
export function setTier(t: InitiatorTask, tier: number, base: number): boolean {
  const spec = specOfTier(t.origin, tier);
  if (spec === undefined) return false;
  t.tier = tier;
  t.tierBase = base;
  t.spec = spec;
  return true;
}

/** Gives this tier up for the next one, if there is one. */
function fallBack(t: InitiatorTask, why: Failure, c: Context): boolean {
  if (!hasNextTier(t)) return false;
  const from = t.spec.capability;
  leaveWaiting(t, c);
  t.fallen.push(`${from}: ${why.message}`);
  setTier(t, t.tier + 1, t.epoch);
  t.contractor = undefined;
  t.awarded = undefined;
  t.failed = [];
  t.unclaimed = [];
  t.failure = undefined;
  t.heard = false;
  t.rounds = 0;
  c.out.push({ do: "fallback", from, failure: why });
  begin(t, c);
  return true;
}

/** This tier has failed: the next one, or the end with all that was tried. */
function giveUp(t: InitiatorTask, why: Failure, c: Context): void {
  if (fallBack(t, why, c)) return;
  if (t.origin.otherwise === undefined) return end(t, "failed", why, c);
  const tried = [...t.fallen, `${t.spec.capability}: ${why.message}`];
  const text = `all ${tried.length} alternatives failed: ${tried.join("; ")}`;
  end(t, "failed", failureOf("E_ALL_FAILED", text), c);
}

export function nextAttempt(t: InitiatorTask, why: Failure, c: Context): void {
  const attempts = t.spec.retry?.attempts ?? 3;
  const made = t.epoch - t.tierBase;
  // Its contractor's clock was the first to say so.
  if (why.code === "E_DEADLINE" && c.wall >= t.spec.deadline - CLOCKS_DIFFER_MS) {
    return end(t, "expired", failureOf("E_DEADLINE"), c);
  }
  if (!why.retry) return giveUp(t, why, c);
  if (made >= attempts) {
    const message =
      attempts === 1 ? why.message : `${why.message} (attempt ${made} of ${attempts})`;
    return giveUp(t, { ...why, retry: false, message }, c);
  }
  const base = t.spec.retry?.backoffMs ?? BACKOFF_MS;
  const usual = Math.min(BACKOFF_MS_MAX, base * 2 ** Math.max(0, made - 1));
  if (t.contractor !== undefined) t.failed = toTheEnd(t.failed, t.contractor);
  t.contractor = undefined;
  t.awarded = undefined;
  t.rounds = 0;
  leaveWaiting(t, c);
  t.phase = "backoff";
  // Jitter for what we chose; what the handler asked for is a lower bound.
  arm(t, c.now + Math.max(usual * (0.75 + c.draw() / 2), why.afterMs ?? 0), c);
}

/** Its agent stopped in order: that is no attempt, and somebody else goes on at once. */
export function handedBack(t: InitiatorTask, c: Context): void {
  t.left++;
  t.tierBase++;
  goOn(t, c);
}

export function goOn(t: InitiatorTask, c: Context): void {
  t.contractor = undefined;
  t.awarded = undefined;
  t.rounds = 0;
  leaveWaiting(t, c);
  seek(t, c);
}

export function expire(t: InitiatorTask, c: Context): void {
  if (t.phase === "running") withdraw(t, "the deadline has passed", true, c);
  end(t, "expired", expiry(t, c), c);
}

export function withdraw(t: InitiatorTask, reason: string, over: boolean, c: Context): void {
  if (t.contractor === undefined) return;
  const epoch = t.live ? t.epoch + 1 : t.epoch;
  c.out.push({ do: "withdraw", contractor: t.contractor, epoch, reason, over });
}

export function end(
  t: InitiatorTask,
  state: TerminalState,
  failure: Failure | undefined,
  c: Context,
): void {
  leaveWaiting(t, c);
  t.phase = "ending";
  t.dueAt = Number.POSITIVE_INFINITY;
  c.out.push({ do: "end", state, failure });
}

export function close(t: InitiatorTask, c: Context): void {
  leaveWaiting(t, c);
  t.phase = "closed";
  t.dueAt = Number.POSITIVE_INFINITY;
  c.out.push({ do: "close" });
}
