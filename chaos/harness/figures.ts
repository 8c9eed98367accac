// Detection and recovery, read off the histories: from the fault to the word that a contract is
// taken back, and to the same task running elsewhere.
import type { Run } from "../../check/traces.ts";

export interface Quantiles {
  p50: number;
  p99: number;
  n: number;
}

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
  return { p50: Math.round(at(0.5)), p99: Math.round(at(0.99)), n: sorted.length };
}

export interface Timings {
  detectMs: number[];
  recoverMs: number[];
  suspectMs: number[];
  /** Contracts taken from a process that no fault had touched. */
  wrong: number;
}

/** How long before the revocation a fault of its process may lie, ns. */
const BLAME_NS = 60e9;

/** @param kinds faults counted from, e.g. `kill`, `stop` */
export function timings(run: Run, kinds: readonly string[]): Timings {
  const t: Timings = { detectMs: [], recoverMs: [], suspectMs: [], wrong: 0 };
  const hits = new Map<string, { op: string; t: number }[]>();
  for (const f of run.faults) {
    const [phase, op = ""] = f.op.split(" ");
    if (phase !== "inv" && op !== "died") continue;
    const known = hits.get(f.target) ?? [];
    // Of a kill that was planned, its death is no second fault.
    if (op === "died" && known.at(-1)?.op === "kill") continue;
    known.push({ op, t: f.t });
    hits.set(f.target, known);
  }
  for (const trace of run.traces.values()) {
    trace.seen.sort((a, b) => a.t - b.t);
    for (const lost of trace.seen) {
      if (lost.op !== "lost") continue;
      const principal = lost.to?.split(".")[0] ?? "";
      const hit = (hits.get(principal) ?? []).findLast((h) => h.t <= lost.t);
      if (hit === undefined || lost.t - hit.t > BLAME_NS) {
        t.wrong++;
        continue;
      }
      if (!kinds.includes(hit.op)) continue;
      t.detectMs.push((lost.t - hit.t) / 1e6);
      const next = trace.seen.find((s) => s.op === "start" && s.t > lost.t);
      if (next !== undefined) t.recoverMs.push((next.t - hit.t) / 1e6);
      const doubt = trace.seen.find((s) => s.op === "suspect" && s.t > hit.t && s.t <= lost.t);
      if (doubt !== undefined) t.suspectMs.push((doubt.t - hit.t) / 1e6);
    }
  }
  return t;
}
