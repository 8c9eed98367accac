// The invariants, one function each, over one task's trace. Numbers: faults page, section 3.3/3.4.
import type { Case, Finding, Rule } from "./case.ts";
import type { DumpLine } from "./dump-file.ts";
import { EVIDENCE } from "./evidence.ts";
import { FLOW_RULES } from "./flow-rules.ts";
import { fold } from "./fold.ts";
import { type Operation, type Run, type Trace, whole } from "./traces.ts";

const NS = 1e6;
/** Most a task may outlive its deadline, ms (L1): one server, or one election. */
const LATE_MS = 3_000;
const LATE_ELECTION_MS = 15_000;
/** A spec whose delivery is lost comes again after this, ms: no deadline can be kept before.
 * Written down anew, as all that is judged. Source: `ack_wait`, docs/protocol.md. */
const DELIVERED_AGAIN_MS = 3_500;
/** What a fault broke is taken up again within this, ms: a spec whose delivery was under way then
 * comes again, perhaps twice. */
const RECOVERED_MS = 5_000;
/** A freed task is called again within this, ms, beyond its own pause (L2). */
const AGAIN_MS = 2_000;
/** So many contracts may be handed back by agents that stop without counting as attempts. */
const HAND_BACKS_MAX = 100;

/** Written by a process of the run: whoever else writes is an attacker, whose records are void. */
function honest(c: Case, who: string): boolean {
  return c.run.processOf.has(who);
}

/** S1: what was acknowledged is stored, at that revision, with that body. */
export function s1(c: Case): void {
  for (const o of c.trace.operations) {
    if (o.fate !== "ok") continue;
    c.judged("S1");
    const record = c.trace.records.find((r) => r.id === o.id && r.kind === o.op);
    if (record === undefined) c.found("S1", `${o.op} by ${o.who} was acknowledged and is gone`);
    else if (record.rev !== o.rev)
      c.found("S1", `${o.op} is stored at ${record.rev}, not ${o.rev}`);
    else if (record.d !== o.d) c.found("S1", `${o.op} is stored with another body`);
  }
  const { spec } = c.fold;
  for (const { record } of c.fold.contracts) {
    if (spec === undefined || record.award === undefined) continue;
    if (record.award.spec !== spec.d) c.found("S1", "the award carried another spec");
  }
}

/** S2: one terminal record, nothing after it; one try to commit per contract. */
export function s2(c: Case): void {
  if (c.fold.outcomes.length > 0) c.judged("S2");
  for (const r of c.fold.after) {
    if (honest(c, r.from)) c.found("S2", `${r.kind} ${r.rev} by ${r.from} after the outcome`);
  }
  const tried = new Map<string, string>();
  for (const o of c.trace.operations) {
    if (o.op !== "outcome" && o.op !== "failure") continue;
    // An end that an initiator declares may be tried again; a contractor commits once.
    if (!c.fold.contracts.some((k) => k.contractor === o.who && k.e === o.e)) continue;
    const key = `${o.who} ${o.e} ${o.fence}`;
    const before = tried.get(key);
    tried.set(key, o.id);
    if (before !== undefined && before !== o.id) {
      c.found("S2", `${o.who} wrote the end of epoch ${o.e} twice`);
    }
  }
}

/** S3: epochs grow by exactly one, one contractor each, as the award says. */
export function s3(c: Case): void {
  let last = 0;
  for (const { record, e } of c.fold.contracts) {
    c.judged("S3");
    if (e !== last + 1) c.found("S3", `epoch ${e} after ${last}`);
    if (record.award !== undefined && record.award.e !== e) {
      c.found("S3", `contract of epoch ${e} under an award of epoch ${record.award.e}`);
    }
    last = e;
  }
  for (const { record, why } of c.fold.void) {
    if (record.kind === "contract" && honest(c, record.from)) c.found("S3", `contract: ${why}`);
  }
}

/** S4: a result counts only from the contractor of the open contract. */
export function s4(c: Case): void {
  for (const r of c.fold.outcomes) if (r.state === "completed") c.judged("S4");
  for (const { record, why } of c.fold.void) {
    if (record.kind !== "outcome" || !honest(c, record.from)) continue;
    c.found("S4", `result by ${record.from}: ${why}`);
  }
}

/** S5: the fence. Every write is held to the task's last revision; a refused one is told. */
export function s5(c: Case): void {
  let before = 0;
  for (const r of c.trace.records) {
    if (honest(c, r.from)) {
      c.judged("S5");
      if (r.fence === undefined) c.found("S5", `${r.kind} ${r.rev} was written without a fence`);
      else if (r.fence !== before && before !== 0) {
        c.found("S5", `${r.kind} ${r.rev} was held to ${r.fence}, the task was at ${before}`);
      }
    }
    before = r.rev;
  }
  for (const { record, why } of c.fold.void) {
    if (record.kind === "failure" && honest(c, record.from)) c.found("S5", `failure: ${why}`);
  }
  handlers(c);
  zombies(c);
}

/** A handler starts once per contract, and only after the contract is stored. */
function handlers(c: Case): void {
  const started = new Set<string>();
  for (const s of c.trace.seen) {
    if (s.op !== "start") continue;
    const key = `${s.e}`;
    if (started.has(key)) c.found("S5", `epoch ${s.e} was started twice`);
    started.add(key);
    // A claim whose fate was unknown may have been made again.
    const claimed = c.trace.operations.some(
      (o) =>
        o.op === "contract" && o.who === s.who && o.e === s.e && o.fate === "ok" && o.ended <= s.t,
    );
    if (!claimed) c.found("S5", `${s.who} started epoch ${s.e} without a contract`);
  }
}

/** Whoever was refused, or told, knows it and tries no more. */
function zombies(c: Case): void {
  for (const o of c.trace.operations) {
    if (o.op !== "outcome" && o.op !== "failure") continue;
    if (declares(c, o)) continue;
    const told = c.trace.seen.filter((s) => s.op === "fenced" && s.who === o.who && s.e === o.e);
    const early = told.find((s) => s.t < o.begun && s.note?.startsWith("by ") === true);
    const itself = early?.note === "by itself";
    if (early !== undefined && !itself) {
      c.found("S5", `${o.who} was told that epoch ${o.e} is over and tried to commit`);
    }
    const contractor = c.fold.contracts.some((k) => k.contractor === o.who);
    if (o.fate !== "fail" || !contractor || told.length > 0) continue;
    if (whole(c.run, o.who, o.begun, o.ended))
      c.found("S5", `${o.who} was refused and not told so`);
  }
}

/** Is it the end that an agent declares which awarded the contract to itself, or has adopted the
 * task since? It is held to what stands last, not to what the agent wrote as a contractor. */
function declares(c: Case, o: Operation): boolean {
  const itself = c.fold.contracts.some(
    (k) => k.e === o.e && k.contractor === o.who && k.record.award?.by === o.who,
  );
  const adopted = c.trace.seen.some((s) => s.op === "adopt" && s.who === o.who && s.t <= o.begun);
  return (itself || adopted) && !c.trace.records.some((r) => r.from === o.who && r.rev === o.fence);
}

/** S7: an award rests on a bid for that call by that agent. */
export function s7(c: Case): void {
  const calls = new Set<string>();
  for (const s of c.trace.seen) {
    if (s.op === "cfp") calls.add(s.id ?? "");
    if (s.op !== "award" || !calls.has(s.id ?? "")) continue;
    if (!honest(c, s.to ?? "")) continue;
    c.judged("S7");
    const bid = c.run.bids.get(`${s.id} ${s.to}`);
    // The end of a killed process's file may be missing: then nothing can be said.
    if (bid === undefined && whole(c.run, s.to ?? "", s.t, s.t)) {
      c.found("S7", `${s.to} was awarded on call ${s.id} and had made no bid`);
    }
  }
  for (const { record } of c.fold.contracts) {
    const { award } = record;
    if (award === undefined || award.rung === "directed") continue;
    // The bids are for the contractor to keep.
    if (!honest(c, record.from)) continue;
    c.judged("S7");
    if (!award.bids.includes(record.from)) c.found("S7", `the award to ${record.from} has no bid`);
  }
}

/** S10: nothing from nothing. */
export function s10(c: Case): void {
  const { spec } = c.fold;
  const acts = c.trace.seen.filter((s) => s.op === "award" || s.op === "start");
  if (acts.length === 0) return;
  c.judged("S10");
  if (spec === undefined) c.found("S10", `${acts[0]?.op} for a task that nobody submitted`);
}

/** S11: what the run's own processes stored is signed by them. */
export function s11(c: Case): void {
  if (c.run.meta.proven !== true) return;
  for (const r of c.trace.records) {
    if (!honest(c, r.from)) continue;
    c.judged("S11");
    if (r.flaw !== undefined) c.found("S11", `${r.kind} ${r.rev} by ${r.from}: ${r.flaw}`);
  }
}

/** S12: nothing of a revoked identity is stored more than a second after. */
export function s12(c: Case): void {
  const { revoked } = c.run.meta;
  if (revoked === undefined) return;
  for (const r of c.trace.records) {
    const at = revoked[r.from.split(".")[0] ?? ""];
    if (at === undefined) continue;
    c.judged("S12");
    if (r.at > at + 1_000) c.found("S12", `${r.kind} ${r.rev} by ${r.from}, revoked before`);
  }
}

/** S13, L4: after the drain every accepted task has ended. */
export function s13(c: Case): void {
  if (c.run.meta.drained !== true || c.fold.spec === undefined) return;
  c.judged("S13");
  if (c.fold.outcomes.length === 0) c.found("S13", "accepted and never ended");
}

/** S14: at most as many attempts as the spec allows; what agents that stop hand back is none, nor
 * what others spoil. */
export function s14(c: Case): void {
  const most = c.fold.spec?.attemptsMax;
  if (most === undefined) return;
  c.judged("S14");
  const left = c.trace.records.filter((r) => r.kind === "failure" && r.leaving === true).length;
  const none = Math.min(left + c.fold.spoiled, HAND_BACKS_MAX);
  const last = (c.fold.contracts.at(-1)?.e ?? 0) - none;
  if (last > most) c.found("S14", `${last} attempts, ${most} are allowed`);
}

/** S16: what was refused is not there. */
export function s16(c: Case): void {
  for (const o of c.trace.operations) {
    if (o.fate !== "fail") continue;
    c.judged("S16");
    const record = c.trace.records.find((r) => r.id === o.id);
    if (record !== undefined) c.found("S16", `${o.op} ${record.rev} was refused and is stored`);
  }
}

/** Section 3.3, last line: an operation that ended before another began comes first. */
export function order(c: Case): void {
  const done = c.trace.operations.filter((o): o is Operation => o.fate === "ok");
  done.sort((a, b) => a.ended - b.ended);
  for (const later of done) {
    for (const earlier of done) {
      if (earlier.ended >= later.begun) break;
      c.judged("order");
      if (earlier.rev >= later.rev) {
        c.found("order", `${later.op} ${later.rev} began after ${earlier.op} ${earlier.rev}`);
      }
    }
  }
}

/** L1: terminal by deadline + X, where its spec could have been delivered twice by then, and where
 * what the last fault broke could have been taken up again. */
export function l1(c: Case): void {
  const { spec, outcomes } = c.fold;
  const end: DumpLine | undefined = outcomes[0];
  if (spec?.deadline === undefined || end === undefined) return;
  const calm = calmSince(c, end);
  if (calm === undefined) return;
  c.judged("L1");
  const late = c.run.meta.profile === "durable-3" ? LATE_ELECTION_MS : LATE_MS;
  if (end.at > Math.max(spec.deadline, spec.at + DELIVERED_AGAIN_MS, calm + RECOVERED_MS) + late) {
    c.found("L1", `ended ${Math.round(end.at - spec.deadline)} ms after its deadline`);
  }
}

/** When the last fault before this record began or ended, by the server's clock, ms; undefined:
 * one was not over, or nothing tells. */
function calmSince({ run, trace }: Case, record: DumpLine): number | undefined {
  if (run.faults.length === 0) return Number.NEGATIVE_INFINITY;
  const written = trace.operations.find((o) => o.fate === "ok" && o.rev === record.rev);
  if (written === undefined) return undefined;
  const open = new Map<string, number>();
  let last = Number.NEGATIVE_INFINITY;
  for (const { op, target, t } of run.faults) {
    if (t > written.ended) continue;
    last = Math.max(last, t);
    const what = `${op.split(" ")[1]} ${target}`;
    open.set(what, (open.get(what) ?? 0) + (op.startsWith("inv ") ? 1 : -1));
  }
  if ([...open.values()].some((n) => n > 0)) return undefined;
  return record.at - (written.ended - last) / NS;
}

/** L2: a task whose contract was lost goes on or waits its turn, when no fault is in the way. */
export function l2(c: Case): void {
  const { spec } = c.fold;
  for (const s of c.trace.seen) {
    if (s.op !== "lost" || s.e === undefined) continue;
    const pause = Math.min(30_000, (spec?.backoffMs ?? 200) * 2 ** (s.e - 1)) * 1.25;
    const until = s.t + (AGAIN_MS + pause) * NS;
    const near = c.run.faults.some((f) => f.t > s.t - 5e9 && f.t < until);
    if (near || !whole(c.run, s.who ?? "", s.t, until)) continue;
    c.judged("L2");
    const next =
      c.trace.seen.some((o) => o !== s && o.t >= s.t && o.t <= until && GOES_ON.has(o.op)) ||
      c.trace.operations.some((o) => o.begun >= s.t && o.begun <= until);
    if (!next) c.found("L2", `epoch ${s.e} was given up and nothing followed`);
  }
}

const GOES_ON = new Set(["cfp", "award", "adopt", "bid", "wait"]);

export const RULES: readonly Rule[] = [
  s1,
  s2,
  s3,
  s4,
  s5,
  s7,
  s10,
  s11,
  s12,
  s13,
  s14,
  s16,
  order,
  l1,
  l2,
  ...EVIDENCE,
  ...FLOW_RULES,
];

export function judgeTask(
  run: Run,
  trace: Trace,
  found: (f: Finding) => void,
  judged: Rule0,
): void {
  trace.records.sort((a, b) => a.rev - b.rev);
  trace.seen.sort((a, b) => a.t - b.t);
  const c: Case = {
    trace,
    run,
    fold: fold(trace.records),
    found: (rule, what) => found({ rule, task: trace.task, what }),
    judged,
  };
  for (const rule of RULES) rule(c);
}

type Rule0 = (rule: string) => void;
