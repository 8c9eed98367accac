// The verdict on a run: valid, invalid with the smallest witness, or vacuous.

import type { Finding } from "./case.ts";
import { judgeSlots } from "./evidence.ts";
import { fold } from "./fold.ts";
import { judgeTask } from "./rules.ts";
import type { Run, Trace } from "./traces.ts";

export interface Violation {
  rule: string;
  /** Tasks in which it shows. */
  tasks: number;
  task: string;
  what: string;
  /** That task's timeline, with the faults that overlap it. */
  witness: string[];
}

export interface Report {
  verdict: "valid" | "invalid" | "vacuous";
  /** Why it is vacuous. */
  why?: string;
  violations: Violation[];
  /** How often each rule had something to judge. */
  judged: Record<string, number>;
  /** Rules that this history gives no evidence for, and why. */
  notJudged: Record<string, string>;
  counts: Record<string, number>;
}

/** Rules without evidence in a history of tasks alone. */
const ELSEWHERE: Record<string, string> = {
  S6: "records name no moment at which a lease ends; revocation by epoch (S5) stands for it",
  L3: "views are compared by the scenario that heals a link",
  L5: "judged by the scenario in which nobody is capable",
};

const NUMBERS = [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16].map((n) => `S${n}`);
const ALSO = ["order", "revoked", "L1", "L2"];

export function checkHistory(run: Run): Report {
  const judged: Record<string, number> = {};
  const worst = new Map<string, { finding: Finding; size: number; tasks: Set<string> }>();
  const counts = newCounts();
  const found = (finding: Finding) => {
    const trace = run.traces.get(finding.task) as Trace;
    const size = trace.records.length + trace.operations.length + trace.seen.length;
    const known = worst.get(finding.rule);
    if (known === undefined) {
      worst.set(finding.rule, { finding, size, tasks: new Set([finding.task]) });
      return;
    }
    known.tasks.add(finding.task);
    if (size < known.size) Object.assign(known, { finding, size });
  };
  const judge = (rule: string) => {
    judged[rule] = (judged[rule] ?? 0) + 1;
  };
  for (const trace of run.traces.values()) {
    judgeTask(run, trace, found, judge);
    count(counts, trace);
  }
  judgeSlots(run, found, judge);
  const violations = [...worst].map(([rule, { finding, tasks }]) => ({
    rule,
    tasks: tasks.size,
    task: finding.task,
    what: finding.what,
    witness: timeline(run, run.traces.get(finding.task) as Trace),
  }));
  counts.events = run.events;
  counts.faults = run.faults.filter((f) => f.op.startsWith("inv ")).length;
  const notJudged: Record<string, string> = { ...ELSEWHERE };
  for (const rule of [...NUMBERS, ...ALSO]) {
    if (judged[rule] === undefined) notJudged[rule] = "nothing in this history could break it";
  }
  const why = vacuity(run, counts);
  const verdict = violations.length > 0 ? "invalid" : why === undefined ? "valid" : "vacuous";
  return {
    verdict,
    ...(why === undefined ? {} : { why }),
    violations: violations.sort((a, b) => a.rule.localeCompare(b.rule)),
    judged,
    notJudged,
    counts,
  };
}

function newCounts(): Record<string, number> {
  const names = ["accepted", "completed", "failed", "canceled", "expired", "rejected", "lost"];
  return Object.fromEntries([...names, "duplicated", "staleCommits", "fenced"].map((n) => [n, 0]));
}

function count(counts: Record<string, number>, trace: Trace): void {
  const add = (name: string, n = 1) => {
    counts[name] = (counts[name] ?? 0) + n;
  };
  const acknowledged = trace.operations.some((o) => o.op === "spec" && o.fate === "ok");
  const f = fold(trace.records);
  add("fenced", trace.seen.filter((s) => s.op === "fenced").length);
  if (!acknowledged && f.spec === undefined) return;
  add("accepted");
  const [end] = f.outcomes;
  if (end === undefined) add("lost");
  else add(end.state ?? "failed");
  add("duplicated", Math.max(0, f.outcomes.length - 1));
  const stale = f.void.filter((v) => v.record.kind === "outcome" && v.record.flaw === undefined);
  add("staleCommits", stale.length);
}

/** A run in which nothing happened proves nothing. */
function vacuity(run: Run, counts: Record<string, number>): string | undefined {
  const { accepted = 0 } = counts;
  if (accepted === 0) return "no task was accepted";
  const { planned } = run.meta;
  if (planned?.tasks !== undefined && accepted < 0.9 * planned.tasks) {
    return `${accepted} of ${planned.tasks} planned tasks were accepted`;
  }
  const ended = accepted - (counts.lost ?? 0) - (counts.expired ?? 0) - (counts.rejected ?? 0);
  if (ended < 0.9 * accepted && planned?.tasks !== undefined) {
    return `${ended} of ${accepted} tasks ran to an end`;
  }
  const seen = run.faults.filter((f) => f.op.startsWith("ok ")).length;
  if (planned?.faults !== undefined && seen < planned.faults) {
    return `${seen} of ${planned.faults} planned faults were seen`;
  }
  return undefined;
}

/** What happened to one task, oldest first: ms since its first event. */
export function timeline(run: Run, trace: Trace): string[] {
  const lines: [number, string][] = [];
  for (const o of trace.operations) {
    lines.push([o.begun, `${o.who} writes ${o.op} e=${o.e} held to ${o.fence}`]);
    if (o.fate === "open") continue;
    lines.push([o.ended, `${o.who} ${o.op} e=${o.e}: ${o.fate}${o.rev > 0 ? ` at ${o.rev}` : ""}`]);
  }
  for (const s of trace.seen) {
    const to = s.to === undefined ? "" : ` -> ${s.to}`;
    lines.push([s.t, `${s.who} ${s.op}${to} e=${s.e ?? 0} ${s.note ?? ""}`.trimEnd()]);
  }
  lines.sort((a, b) => a[0] - b[0]);
  const from = lines[0]?.[0] ?? 0;
  const until = lines.at(-1)?.[0] ?? 0;
  for (const f of run.faults) {
    if (f.t >= from - 1e9 && f.t <= until) lines.push([f.t, `NEMESIS ${f.op} ${f.target}`]);
  }
  lines.sort((a, b) => a[0] - b[0]);
  const told = lines
    .slice(0, 200)
    .map(([t, text]) => `${((t - from) / 1e6).toFixed(1)} ms  ${text}`);
  const stored = trace.records.map(
    (r) =>
      `stored ${r.rev} ${r.kind} e=${r.e ?? 0} by ${r.from} held to ${r.fence ?? "nothing"}` +
      `${r.state === undefined ? "" : ` ${r.state}`}${r.flaw === undefined ? "" : ` (${r.flaw})`}`,
  );
  return [...told, ...stored];
}
