// Initiator: supervises one task from its spec to its outcome.
// Follows FIPA SC00029 for the acts and Smith 1980 for awards, directed awards and node-available.
//
// Phases:  calling -> awarding -> running -> closed
//          calling | awarding -> waiting -> awarding        (nobody free; an idle agent bids)
//          running -> backoff -> calling                    (an attempt failed)
//          any -> ending -> closed                          (this initiator writes the outcome)
//
// Invariants
//   I1  An award names the task's revision as this initiator knows it; only a claim that meets it
//       is stored, so a late or second award can do no harm.
//   I2  Epoch of an award = epoch of the last contract + 1. Attempts and epochs count alike.
//   I3  A closed task emits no effect.
//   I4  A task that nobody takes waits; it ends only by outcome, deadline, cancel or attempts.
import {
  type Address,
  BIDS_MAX,
  type Bid,
  CLAIM_TIMEOUT_MS,
  failure as failureOf,
  principalOf,
  WINDOW_MS_MAX,
} from "../../contracts/index.ts";
import { chooseRung, most, recallRung } from "./initiator-choice.ts";
import {
  arm,
  awardNext,
  begin,
  call,
  choose,
  close,
  direct,
  end,
  expire,
  goOn,
  handedBack,
  leaveWaiting,
  nextAttempt,
  rankAgain,
  running,
  seek,
  setTier,
  suspicion,
  unclaimed,
  wait,
  waitedEnough,
  widen,
  withdraw,
} from "./initiator-moves.ts";
import {
  awardeeOf,
  type Context,
  type Event,
  type FailureEvent,
  type InitiatorTask,
} from "./initiator-task.ts";
import type { ScoredBid } from "./policy.ts";
import { isHandedBack, isSpoiled, type TaskView } from "./task-view.ts";

const EXTENSIONS_MAX = 4;
/** A call may have been lost: after many rounds doubling alone would hold its task for a minute. */
const EXTENSION_MS_MAX = 1_000;
/** Pause before looking why an outcome was not stored, ms: a refusal must not spin. Guess. */
const REREAD_MS = 500;

/** One event, all effects. Never throws on anything that came from outside. */
export function step(t: InitiatorTask, e: Event, c: Context): void {
  if (t.phase === "closed") return;
  switch (e.on) {
    case "begin":
      return begin(t, c);
    case "adopt":
      return adopt(t, e.view, c);
    case "bid":
      return onBid(t, e.cfp, e.from, e.bid, c);
    case "refusal":
      return onRefusal(t, e, c);
    case "nobody":
      return onNobody(t, e.cfp, c);
    case "due":
      return onDue(t, c);
    case "recall":
      return onRecall(t, c);
    case "contract":
      return onContract(t, e, c);
    case "failure":
      return onFailure(t, e, c);
    case "outcome":
      return close(t, c);
    case "usurped":
      return onUsurped(t, e, c);
    case "cancel":
      return onCancel(t, e, c);
    case "moved":
      if (e.rev <= t.rev) return;
      t.rev = e.rev;
      t.head = e.head;
      return;
    case "seen":
      if (t.phase === "running" && e.from === t.contractor) t.lastSeenAt = c.aware;
      return;
    case "lost":
      return onLost(t, e, c);
    case "ended":
      if (e.ok) return close(t, c);
      t.dueAt = c.now + REREAD_MS;
      return;
  }
}

function onBid(t: InitiatorTask, cfp: string, from: Address, bid: Bid, c: Context): void {
  if (cfp !== t.cfp || isFull(t.bids, from)) return;
  t.heard = true;
  if (!mayContract(t, from) || t.bids.some((b) => b.from === from)) return;
  const believed = c.calibration.believe(from, t.spec.capability, bid.durationMs, bid.confidence);
  const scored: ScoredBid = { from, bid, believed, at: c.now, score: 0 };
  if (t.phase === "waiting") {
    t.bids = [scored];
    return choose(t, c);
  }
  // A live award is taken to be claimed at once.
  if (t.phase === "awarding" || (t.live && t.phase === "running")) {
    c.answers.late(t.spec.capability, t.rung, most(t.rung, c.field(t)));
    return late(t, scored, c);
  }
  if (t.phase !== "calling" || !counts(t, from, c)) return;
  t.unfit = undefined;
  t.bids.push(scored);
  if (enough(t, c)) closeWindow(t, c);
}

/** Nobody fills the table by himself, under however many names. */
function isFull(bids: readonly ScoredBid[], from: Address): boolean {
  if (bids.length < BIDS_MAX / 2) return false;
  const own = principalOf(from);
  const its = bids.reduce((n, b) => (principalOf(b.from) === own ? n + 1 : n), 0);
  return bids.length >= BIDS_MAX || its >= BIDS_MAX / 2;
}

/** Too late for the choice, in time to be the next best. */
function late(t: InitiatorTask, bid: ScoredBid, c: Context): void {
  if (t.rung === "directed") return;
  t.bids.push(bid);
  rankAgain(t, c);
}

function mayContract(t: InitiatorTask, from: Address): boolean {
  if (t.spec.only === true && t.spec.to !== undefined && from !== t.spec.to) return false;
  return t.spec.exclude === undefined || !t.spec.exclude.includes(from);
}

/** Nobody closes a window by answering for others: the first answer of each counts. */
function counts(t: InitiatorTask, from: Address, c: Context): boolean {
  if (t.answered.includes(from)) return false;
  t.answered.push(from);
  t.answers++;
  t.lastAnswerAt = c.now;
  return true;
}

function onRefusal(t: InitiatorTask, e: Extract<Event, { on: "refusal" }>, c: Context): void {
  if (e.cfp !== t.cfp) return;
  t.heard = true;
  if (e.award) {
    // A live award counts as taken until it is refused: nothing is stored that could tell.
    if (t.phase !== "awarding" && !(t.live && t.phase === "running")) return;
    if (e.from !== awardeeOf(t)) return;
    t.refusals++;
    if (t.live) t.contractor = undefined;
    if (e.reason === "stale" && !t.live) return doubt(t, c);
    if (t.rung === "directed") return refusedDirect(t, e, c);
    return awardNext(t, c);
  }
  // Late ones too: they tell why nobody took it.
  if (e.reason === "over_budget" || e.reason === "ineligible") t.unfit = e.reason;
  if (t.phase !== "calling" || !counts(t, e.from, c)) return;
  t.refusals++;
  if (enough(t, c)) closeWindow(t, c);
}

/** The award named a revision that is not the task's: a notice was missed, so look. */
function doubt(t: InitiatorTask, c: Context): void {
  t.awarded = undefined;
  arm(t, c.now + CLAIM_TIMEOUT_MS, c);
  c.out.push({ do: "reread" });
}

function refusedDirect(t: InitiatorTask, e: Extract<Event, { on: "refusal" }>, c: Context): void {
  if (t.spec.only !== true) return call(t, chooseRung(t, c), c);
  if (e.reason === "ineligible") {
    return end(
      t,
      "rejected",
      failureOf(
        "E_NO_BID",
        `${t.spec.to} is not able to take this task (${e.reason}) and nobody else may`,
      ),
      c,
    );
  }
  wait(t, c);
}

function onNobody(t: InitiatorTask, cfp: string, c: Context): void {
  if (cfp !== t.cfp || t.phase !== "calling" || t.answers > 0) return;
  widen(t, c);
}

/** Are the answers in that are worth waiting for? Where only those bid who failed this task, others
 * that could be heard are worth more than the usual. */
function enough(t: InitiatorTask, c: Context): boolean {
  if (t.answers < t.expected) return false;
  return !onlyFailed(t) || t.answers >= most(t.rung, c.field(t));
}

function onlyFailed({ bids, failed }: InitiatorTask): boolean {
  return bids.length > 0 && bids.every(({ from }) => failed.includes(from));
}

function closeWindow(t: InitiatorTask, c: Context): void {
  const { capability } = t.spec;
  const took = t.lastAnswerAt - t.openedAt;
  if (t.answers >= t.expected) c.answers.met(capability, t.rung, t.answers, took);
  else c.answers.missed(capability, t.rung, t.answers, took);
  choose(t, c);
}

/** Nobody has answered yet, or only those who failed this task already: others may be slower. */
function nobodyNew(t: InitiatorTask): boolean {
  return t.answers === 0 || onlyFailed(t);
}

function onDue(t: InitiatorTask, c: Context): void {
  if (c.wall >= t.spec.deadline && t.phase !== "ending") return expire(t, c);
  switch (t.phase) {
    case "calling":
      if (nobodyNew(t) && t.extensions < (t.rung === "all" ? EXTENSIONS_MAX : 1)) {
        t.extensions++;
        const longer = WINDOW_MS_MAX * 2 ** (t.extensions + t.rounds - 1);
        return arm(t, c.now + Math.min(EXTENSION_MS_MAX, longer), c);
      }
      return closeWindow(t, c);
    case "awarding":
      return unclaimed(t, c);
    case "backoff":
      return seek(t, c);
    case "running":
      return watch(t, c);
    case "waiting":
      return waitedEnough(t, c);
    case "ending":
      t.dueAt = Number.POSITIVE_INFINITY;
      if (!t.live) c.out.push({ do: "reread" });
      return;
    case "closed":
      return;
  }
}

/** A freed agent speaks up by itself; the recall reaches newcomers and mends lost messages. */
function onRecall(t: InitiatorTask, c: Context): void {
  if (t.phase !== "waiting") return;
  if (t.spec.only === true && t.spec.to !== undefined) return direct(t, t.spec.to, c);
  if (c.breakers.blocked(t.spec.capability, c.now)) return;
  call(t, recallRung(t, c), c);
}

function watch(t: InitiatorTask, c: Context): void {
  const quiet = c.aware - t.lastSeenAt;
  const suspectMs = suspicion(c);
  if (quiet < suspectMs) return arm(t, c.now + Math.max(1, suspectMs - quiet), c);
  if (t.contractor !== undefined) c.out.push({ do: "probe", contractor: t.contractor });
  arm(t, c.now + suspectMs, c);
}

function onContract(t: InitiatorTask, e: Extract<Event, { on: "contract" }>, c: Context): void {
  if (e.rev <= t.rev) return;
  t.rev = e.rev;
  t.head = e.head;
  t.epoch = e.epoch;
  c.breakers.claimed(t.spec.capability, e.from);
  leaveWaiting(t, c);
  if (t.awarded?.from !== e.from) t.awarded = t.order.find((b) => b.from === e.from);
  // Many run at a time, and most of what each would keep is its bids.
  t.bids = [];
  t.order = [];
  t.answered = [];
  t.unclaimed = [];
  t.next = 0;
  running(t, e.from, c);
}

function onFailure(t: InitiatorTask, e: FailureEvent, c: Context): void {
  if (t.live ? e.epoch !== t.epoch + 1 : e.rev <= t.rev) return;
  // The notice of its contract may have been missed: the epoch is used up all the same.
  t.epoch = Math.max(t.epoch, e.epoch);
  t.rev = e.rev;
  t.head = e.head;
  t.failure = e.failure;
  if (isHandedBack(e, t.left)) return handedBack(t, c);
  // Whoever names an agent chooses what it fails at.
  const alone = t.rung === "directed" || c.field(t).agents <= 1;
  c.breakers.failed(t.spec.capability, t.contractor, e.failure.code, c.now, alone);
  if (t.awarded !== undefined) {
    c.calibration.learn(
      t.awarded.from,
      t.spec.capability,
      t.awarded.bid.durationMs,
      undefined,
      false,
    );
  }
  nextAttempt(t, e.failure, c);
}

/** A record that does not fit what is known here: its author had no right to write it, or a
 * notice before it was missed. Only the records can tell; until then nothing rests on it. */
function onUsurped(t: InitiatorTask, e: Extract<Event, { on: "usurped" }>, c: Context): void {
  if (e.rev > t.rev && !t.live) c.out.push({ do: "reread" });
}

function onLost(t: InitiatorTask, e: Extract<Event, { on: "lost" }>, c: Context): void {
  if (t.phase !== "running") return;
  if (e.epoch !== (t.live ? t.epoch + 1 : t.epoch)) return;
  t.epoch = e.epoch;
  if (e.rev !== undefined && e.head !== undefined && e.rev > t.rev) {
    t.rev = e.rev;
    t.head = e.head;
  }
  if (t.contractor !== undefined) {
    const { contractor, epoch } = t;
    c.out.push({ do: "withdraw", contractor, epoch, reason: e.why, over: false });
    c.calibration.learn(t.contractor, t.spec.capability, 0, undefined, false);
    c.breakers.failed(t.spec.capability, t.contractor, "E_LOST", c.now);
  }
  t.failure = failureOf("E_LOST", e.why);
  nextAttempt(t, t.failure, c);
}

function onCancel(t: InitiatorTask, e: Extract<Event, { on: "cancel" }>, c: Context): void {
  if (e.rev <= t.rev && !t.live) return;
  t.rev = e.rev;
  t.head = e.head;
  withdraw(t, e.reason, true, c);
  end(t, "canceled", failureOf("E_CANCELED", e.reason || undefined), c);
}

/** Carries on from what the records say, at any point of a task's life. */
function adopt(t: InitiatorTask, view: TaskView, c: Context): void {
  if (view.outcome === undefined && knownBefore(t, view, c)) return;
  t.rev = view.rev;
  t.head = view.head;
  t.epoch = view.epoch;
  if (view.tier > t.tier) {
    const passed = [t.origin, ...(t.origin.otherwise ?? [])].slice(t.tier, view.tier);
    for (const { capability } of passed) t.fallen.push(`${capability}: before it was adopted`);
    setTier(t, view.tier, view.tierBase);
  } else if (view.tier === t.tier) t.tierBase = view.tierBase;
  t.left = view.left;
  t.contractor = view.contract?.contractor;
  t.failed = view.tried.filter((from) => from !== t.contractor);
  if (t.awarded?.from !== t.contractor) {
    t.awarded = t.order.find((b) => b.from === t.contractor);
  }
  if (view.outcome !== undefined) return close(t, c);
  if (view.cancel !== undefined) {
    withdraw(t, view.cancel.reason, true, c);
    return end(t, "canceled", failureOf("E_CANCELED", view.cancel.reason || undefined), c);
  }
  if (view.contractOpen && view.fenced) {
    withdraw(t, "fenced", false, c);
    if (isSpoiled(view)) return handedBack(t, c);
    t.failure = failureOf("E_FENCED", "a record without authority moved the task");
    return nextAttempt(t, { ...t.failure, retry: true }, c);
  }
  if (view.contractOpen && t.contractor !== undefined) {
    c.breakers.claimed(t.spec.capability, t.contractor);
    leaveWaiting(t, c);
    running(t, t.contractor, c);
    c.out.push({ do: "probe", contractor: t.contractor });
    return;
  }
  if (view.failure !== undefined) {
    t.failure = view.failure.failure;
    if (view.handedBack) return goOn(t, c);
    return nextAttempt(t, view.failure.failure, c);
  }
  begin(t, c);
}

/** A read that tells nothing new, or is older than a notice that came meanwhile. */
function knownBefore(t: InitiatorTask, view: TaskView, c: Context): boolean {
  const fresh = t.phase === "calling" && t.cfp === "";
  if (view.rev > t.rev || (fresh && view.rev === t.rev)) return false;
  if (fresh) {
    begin(t, c);
    return true;
  }
  if (t.phase === "ending") {
    if (view.rev === t.rev) return false;
    t.dueAt = c.now + REREAD_MS;
    return true;
  }
  const doubted = t.phase === "awarding" && t.rung !== "directed" && t.awarded === undefined;
  if (doubted) awardNext(t, c);
  return true;
}
