// Rules that weigh evidence: what an award explains of itself, who gave a contract up and why,
// whether every record was noted, how much an agent had at hand at a time.
import { NEAR_EQUAL } from "../mesh/core/policy.ts";
import type { Case, Finding, Rule } from "./case.ts";
import type { DumpLine } from "./dump-file.ts";
import type { Contract } from "./fold.ts";
import type { HistoryLine } from "./format.ts";
import { type Run, type Trace, whole } from "./traces.ts";

const NS = 1e6;
/** Bids grow stale while awards wait for claims: beyond this the best may rightly be left out. */
const FRESH_MS = 1_000;
/** What an end may be ahead of the server's clock, ms. */
const EARLY_MS = 1_000;
const TOLERANCE = 1e-9;

/** S7: the contractor is not ruled out, nor is the task for another alone; nobody better who bid
 * was passed over. */
export function s7Choice(c: Case): void {
  const before = new Set<string>();
  for (const contract of c.fold.contracts) {
    const { record, contractor } = contract;
    if (c.fold.spec?.exclude?.includes(contractor)) {
      c.found("S7", `${contractor} was ruled out by the submitter and awarded`);
    }
    const { only = contractor } = c.fold.spec ?? {};
    if (only !== contractor) c.found("S7", `${contractor} was awarded what is for ${only} alone`);
    bestBid(c, record, before);
    before.add(contractor);
  }
}

function bestBid(c: Case, record: DumpLine, avoided: ReadonlySet<string>): void {
  const { award } = record;
  const wanted = c.fold.spec?.policy;
  if (award === undefined || award.rung === "directed") return;
  if (wanted !== undefined && award.policy !== wanted) {
    c.found("S7", `awarded by policy ${award.policy}, the spec asks for ${wanted}`);
  }
  const { scores, bids } = award;
  const awards = c.trace.seen.filter((s) => s.op === "award" && s.id === award.cfp);
  const call = c.trace.seen.find((s) => s.op === "cfp" && s.id === award.cfp);
  const last = awards.findLast((s) => s.to === record.from);
  if (scores === undefined || call === undefined || last === undefined) return;
  if (last.t - call.t > FRESH_MS * NS) return;
  c.judged("S7");
  const { spoken = [] } = award;
  const tried = new Set([...awards.filter((s) => s.t <= last.t).map((s) => s.to), ...spoken]);
  const mine = scores[bids.indexOf(record.from)];
  const others = scores.filter((_, i) => !tried.has(bids[i]) && !avoided.has(bids[i] ?? ""));
  const best = Math.min(...others);
  if (mine === undefined || others.length === 0) return;
  if (mine <= best + Math.abs(best) * NEAR_EQUAL + TOLERANCE) return;
  c.found("S7", `${record.from} (${mine}) was preferred to a bid of ${best} (${award.policy})`);
}

/** S3: a contract ends by a record, or because somebody gave it up and said so. */
export function s3Replaced(c: Case): void {
  const { contracts } = c.fold;
  for (let i = 1; i < contracts.length; i++) {
    const [old, next] = [contracts[i - 1] as Contract, contracts[i] as Contract];
    const between = c.trace.records.some((r) => r.rev > old.record.rev && r.rev < next.record.rev);
    // Without the award the initiator's file has lost its end, and perhaps this too.
    const awarded = c.trace.seen.find((s) => s.op === "award" && s.e === next.e);
    if (between || awarded === undefined) continue;
    c.judged("S3");
    const given = c.trace.seen.some((s) => s.op === "lost" && s.e === old.e && s.t <= awarded.t);
    if (!given) c.found("S3", `epoch ${next.e} began while epoch ${old.e} stood`);
  }
}

/** S3: an end needs its cause: a cancel of somebody who may, a deadline that has passed. */
export function s3Ends(c: Case): void {
  const [end] = c.fold.outcomes;
  const { spec, cancel } = c.fold;
  if (end === undefined || spec === undefined) return;
  if (end.state === "canceled") {
    c.judged("S3");
    const owner = c.trace.task.split(".")[0];
    const may = (r: DumpLine) =>
      r.from === spec.from || r.from.split(".")[0] === owner || c.run.processOf.has(r.from);
    if (cancel === undefined) c.found("S3", "canceled, and nobody had asked for it");
    else if (!c.trace.records.some((r) => r.kind === "cancel" && r.rev < end.rev && may(r))) {
      c.found("S3", `canceled at the word of ${cancel.from}, whose task it is not`);
    }
  }
  if (end.state === "expired" && spec.deadline !== undefined) {
    c.judged("S3");
    const early = Math.round(spec.deadline - end.at);
    if (early > EARLY_MS) c.found("S3", `expired ${early} ms before its deadline`);
  }
}

/** `revoked` (bar B8): nobody loses a contract who is at work, and whom no fault has hit. */
export function revoked(c: Case): void {
  for (const lost of c.trace.seen) {
    if (lost.op !== "lost") continue;
    c.judged("revoked");
    const his = (s: HistoryLine) => s.who === lost.to && s.e === lost.e;
    const start = c.trace.seen.find((s) => s.op === "start" && his(s) && s.t <= lost.t);
    const stop = c.trace.seen.find((s) => s.op === "stop" && his(s));
    if (start === undefined || stop === undefined || stop.t <= lost.t) continue;
    if (excused(c.run, start.t, lost)) continue;
    c.found("revoked", `${lost.to} was at work on epoch ${lost.e} and no fault had hit it`);
  }
}

/** Was there a fault on one of the two, or on something that both need? */
function excused(run: Run, from: number, lost: HistoryLine): boolean {
  const processes = (who: string) => [...(run.processOf.get(who) ?? []), who.split(".")[0] ?? ""];
  const concerned = [...processes(lost.who ?? ""), ...processes(lost.to ?? "")];
  const known = new Set([...run.processOf.keys()].flatMap(processes));
  return run.faults.some(
    (f) =>
      f.t <= lost.t &&
      f.t >= from - 5_000 * NS &&
      (concerned.includes(f.target) || !known.has(f.target)),
  );
}

/** S10: every claim answers an award of its own: a repeated award is not claimed again. */
export function s10Claims(c: Case): void {
  const claims = new Map<string, number>();
  for (const o of c.trace.operations) {
    if (o.op !== "contract") continue;
    const key = `${o.who} ${o.e}`;
    const n = (claims.get(key) ?? 0) + 1;
    claims.set(key, n);
    const awards = c.trace.seen.filter((s) => s.op === "award" && s.to === o.who && s.e === o.e);
    // An initiator that died may have made awards that its file does not hold.
    const killed = c.run.faults.some(
      (f) => f.op.endsWith(" kill") && f.t > o.begun - 5_000 * NS && f.t <= o.begun,
    );
    if (killed || awards.length === 0) continue;
    if (!awards.every((s) => whole(c.run, s.who ?? "", s.t, o.begun))) continue;
    c.judged("S10");
    if (n > awards.length) {
      c.found("S10", `${o.who} claimed epoch ${o.e} ${n} times for ${awards.length} awards`);
    }
  }
}

/** S15: every record was noted by its author, and names the one that it follows. */
export function s15(c: Case): void {
  const newest = newestNoted(c.run);
  let before: DumpLine | undefined;
  for (const r of c.trace.records) {
    const last = newest.get(r.from);
    // What a process stored before something else that it noted, it had noted too.
    const lives = c.run.processOf.get(r.from)?.length ?? 0;
    if (last !== undefined && last > r.rev && r.flaw === undefined && lives === 1) {
      c.judged("S15");
      const noted = c.trace.operations.some((o) => o.id === r.id);
      if (!noted) c.found("S15", `${r.kind} ${r.rev} by ${r.from} is in no history`);
    }
    const linked = r.kind === "contract" || r.kind === "failure" || r.kind === "outcome";
    if (linked && before?.head !== undefined && r.prev !== undefined && last !== undefined) {
      c.judged("S15");
      const sound = before.flaw === undefined && r.flaw === undefined;
      if (sound && r.prev !== before.head) {
        c.found("S15", `${r.kind} ${r.rev} does not name ${before.kind} ${before.rev} before it`);
      }
    }
    before = r;
  }
}

const NOTED = new WeakMap<Run, Map<string, number>>();

/** Per author, the newest revision that its history tells of. */
function newestNoted(run: Run): Map<string, number> {
  const known = NOTED.get(run);
  if (known !== undefined) return known;
  const newest = new Map<string, number>();
  for (const trace of run.traces.values()) {
    for (const o of trace.operations) {
      if (o.fate === "ok") newest.set(o.who, Math.max(newest.get(o.who) ?? 0, o.rev));
    }
  }
  NOTED.set(run, newest);
  return newest;
}

export const EVIDENCE: readonly Rule[] = [s7Choice, s3Replaced, s3Ends, revoked, s10Claims, s15];

/** S7: no agent works on more at a time than the slots that `meta.json` declares for it. */
export function judgeSlots(
  run: Run,
  found: (f: Finding) => void,
  judged: (rule: string) => void,
): void {
  const { slots } = run.meta;
  if (slots === undefined) return;
  const spans = new Map<string, [number, number, string][]>();
  for (const trace of run.traces.values()) {
    for (const s of trace.seen) {
      if (s.op !== "start" || s.who === undefined || slots[s.who] === undefined) continue;
      const mine = spans.get(s.who) ?? [];
      mine.push([s.t, Math.min(endOf(trace, s), deathOf(run, s)), trace.task]);
      spans.set(s.who, mine);
    }
  }
  for (const [who, mine] of spans) {
    mine.sort((a, b) => a[0] - b[0]);
    const most = slots[who] as number;
    for (const [start, , task] of mine) {
      judged("S7");
      const busy = mine.filter(([from, to]) => from <= start && to > start).length;
      const what = `${who} had ${busy} at hand and has ${most} slots`;
      if (busy > most) found({ rule: "S7", task, what });
    }
  }
}

/** A kill ends whatever the process was at. */
function deathOf(run: Run, start: HistoryLine): number {
  const principal = start.who?.split(".")[0];
  const kill = run.faults.find(
    (f) => f.op === "inv kill" && f.target === principal && f.t >= start.t,
  );
  return kill?.t ?? Number.POSITIVE_INFINITY;
}

/** The slot is free when the handler is through: when its end is written, not when it is stored. */
function endOf(trace: Trace, start: HistoryLine): number {
  const mine = (o: { who?: string; e?: number }) => o.who === start.who && o.e === start.e;
  const stop = trace.seen.find((s) => s.op === "stop" && mine(s) && s.t >= start.t);
  const written = trace.operations.find(
    (o) => (o.op === "outcome" || o.op === "failure") && mine(o) && o.begun >= start.t,
  );
  return Math.min(stop?.t ?? Number.POSITIVE_INFINITY, written?.begun ?? Number.POSITIVE_INFINITY);
}
