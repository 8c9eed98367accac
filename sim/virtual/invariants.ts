// The judge inside a simulated world: it reads every line of the history and every record as they
// are made, and names the first event that breaks a rule (S1 to S16, by the faults page's numbers).

import type { Finding, Rule } from "../../check/case.ts";
import { checkHistory, type Report } from "../../check/checker.ts";
import { Notary } from "../../check/dump-file.ts";
import { fold } from "../../check/fold.ts";
import type { HistoryLine } from "../../check/format.ts";
import { RULES } from "../../check/rules.ts";
import { addLine, addRecord, emptyRun, type Operation, type Run } from "../../check/traces.ts";
import type { StoredRecord } from "../../mesh/ports/index.ts";

/** What these rules ask for may come later: they are judged when the run is over. */
const AT_THE_END: ReadonlySet<string> = new Set(["l1", "l2", "s15"]);
const AT_ONCE: readonly Rule[] = RULES.filter((rule) => !AT_THE_END.has(rule.name));

export interface InvariantOptions {
  /** Slots by address of agent. */
  slots: Readonly<Record<string, number>>;
  /** Public keys by principal, of a world that signs. */
  keys?: Readonly<Record<string, string>> | undefined;
  /** Messages are lost without a fault that explains it, so silence proves nothing. */
  lossy: boolean;
}

export interface FirstViolation extends Finding {
  /** Events of the history before it, and when it was, ms of world time. */
  event: number;
  atMs: number;
}

/** Whoever judges a run while it goes on. */
export interface EventJudge {
  /** The first rule that broke; undefined as long as all hold. */
  readonly first: FirstViolation | undefined;
  line(line: HistoryLine): void;
  /** Judges the task that the record belongs to, as it stands now. */
  stored(record: StoredRecord, nowMs: number): void;
  /** Everything again, and what can only be told at the end.
   * @param drained every task came to its end, or had the time for it */
  conclude(drained: boolean): Report;
  /** Gives back what it holds, also where a run failed. */
  end(): void;
}

export class Invariants implements EventJudge {
  first: FirstViolation | undefined;
  readonly #run: Run = emptyRun();
  readonly #pending = new Map<string, Operation>();
  readonly #notary: Notary;
  readonly #lossy: boolean;

  constructor(options: InvariantOptions) {
    this.#notary = new Notary(options.keys);
    this.#lossy = options.lossy;
    this.#run.meta = { profile: "virtual", slots: { ...options.slots } };
  }

  line(line: HistoryLine): void {
    addLine(this.#run, line, this.#pending);
  }

  stored(record: StoredRecord, nowMs: number): void {
    const line = this.#notary.line(record);
    addRecord(this.#run, line);
    const trace = this.#run.traces.get(line.task);
    if (trace === undefined || this.first !== undefined) return;
    const found = (rule: string, what: string): void => {
      if (this.#excused(rule)) return;
      this.first ??= { rule, what, task: line.task, event: this.#run.events, atMs: nowMs };
    };
    const judged = (): void => undefined;
    const c = { trace, run: this.#run, fold: fold(trace.records), found, judged };
    for (const rule of AT_ONCE) rule(c);
  }

  #excused(rule: string): boolean {
    return this.#lossy && rule === "revoked";
  }

  conclude(drained: boolean): Report {
    this.#run.meta.drained = drained && this.first === undefined;
    const report = checkHistory(this.#run);
    const violations = report.violations.filter((v) => !this.#excused(v.rule));
    const verdict =
      violations.length > 0 ? "invalid" : report.why === undefined ? "valid" : "vacuous";
    return { ...report, violations, verdict };
  }

  end(): void {}
}
