// What a submitter knows of one task: its events as they come, and its end.
import {
  type Address,
  type FailureRecord,
  failure,
  type Outcome,
  ParleyError,
  type Progress,
  type RecordKey,
  type TaskState,
} from "../../contracts/index.ts";
import {
  foldTask,
  mayHaveEnded,
  type ReadRecord,
  spoiledBy,
  supervises,
  type TaskView,
} from "../core/task-view.ts";
import type { Artefacts, Clock } from "../ports/index.ts";
import { openArtefact } from "./artefact.ts";
import type { Claim } from "./records.ts";

export type TaskEvent =
  | { type: "state"; state: TaskState; epoch: number; contractor: Address | undefined; rev: number }
  | {
      type: "progress";
      from: Address;
      epoch: number;
      done: number | undefined;
      note: string | undefined;
      partial: unknown;
    }
  | {
      type: "failure";
      epoch: number;
      code: string;
      message: string;
      /** Handed back by an agent that stops: no attempt. */
      leaving?: true;
    };

export interface TrackerHooks {
  cancel(reason: string): Promise<void>;
  look(): Promise<(ReadRecord & { key: RecordKey })[]>;
  /** A look for a missed notice was answered, or not. */
  looked?(tracker: Tracker, answered: boolean): void;
  /** Says a word to a contractor of the task (`ctx.hear`). */
  tell(to: Address, epoch: number, key: string, value: unknown): void;
  artefacts: Artefacts;
  /** Are contract notices of this task heard? Those of somebody else's tree are not. */
  claims: boolean;
  /** Of a live call: who works on it. */
  contractor?(): Address | undefined;
}

/** A submitter that has heard nothing for this long looks for itself, ms. */
const LOOK_MS = 15_000;
const FOLLOW_MS = 500;
/** Until it is looked again at an end whose proof was not to be had, ms; doubled each time. */
const DOUBT_MS = 500;
/** A word that must be heard is said again after this, ms; so often the task may be unreadable. */
const INSIST_MS = 250;
const UNREAD_MAX = 20;
/** Contract notices remembered per task; more attempts than that are looked up. */
const CLAIMS_MAX = 32;
const EVENTS_MAX = 10_000;
/** Reports kept until their contract is told; beyond that they are dropped, as any may be. */
const EARLY_MAX = 100;

export class Tracker {
  readonly task: string;
  readonly owner: string;
  readonly #clock: Clock;
  readonly #hooks: TrackerHooks;
  #outcome: Outcome | undefined;
  #abandoned: ParleyError | undefined;
  #enders: (() => void)[] = [];
  #events: TaskEvent[] = [];
  #listeners = new Set<() => void>();
  #timer: { cancel(): void } | undefined;
  /** Revisions of records that were told: notices and looks overlap. */
  #claims: Claim[] = [];
  #told = new Set<number>();
  /** Progress of an epoch whose contract has not been told yet: the two travel separately. */
  #early: Extract<TaskEvent, { type: "progress" }>[] = [];
  #contractors = new Map<number, Address>();
  #history: Promise<void> | undefined;
  #endRev = 0;
  #lookMs = LOOK_MS;
  #doubtMs = DOUBT_MS;
  rev = 0;
  head = "";
  state: TaskState = "submitted";

  constructor(task: string, owner: string, clock: Clock, hooks: TrackerHooks) {
    this.task = task;
    this.owner = owner;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  stored(rev: number, head: string): void {
    this.rev = rev;
    this.head = head;
    this.#arm();
  }

  /** Looks often: this task's notices go to somebody else. */
  follow(): void {
    this.#lookMs = FOLLOW_MS;
    this.#arm();
  }

  /** Its end, if it has come by now, as the records say. */
  async ended(): Promise<Outcome | undefined> {
    if (this.#outcome === undefined) {
      const { outcome, outcomeRev } = foldTask(await this.#hooks.look());
      if (outcome !== undefined) this.end(outcome, outcomeRev);
    }
    return this.#outcome;
  }

  get #isOver(): boolean {
    return this.#outcome !== undefined || this.#abandoned !== undefined;
  }

  #arm(inMs = this.#lookMs): void {
    this.#timer?.cancel();
    // What was under way when it ended, or was given up, wakes nobody any more.
    if (this.#isOver) return;
    this.#timer = this.#clock.after(inMs, () => {
      this.lookSoon();
      this.#arm();
    });
  }

  /** Reads the task's records in case a notice was missed. */
  lookSoon(): void {
    if (this.#isOver) return;
    this.#hooks.look().then(
      (records) => {
        this.#hooks.looked?.(this, true);
        const view = foldTask(records);
        for (const record of records) if (record.kind !== "outcome") this.onRecord(record);
        if (view.outcome !== undefined) return this.end(view.outcome, view.rev);
        if (mayHaveEnded(records)) return this.#doubt();
        const why = spoiledBy(records, view, this.#clock.wall());
        if (why !== undefined) this.end(this.#spoiled(view, why), view.rev);
      },
      () => {
        if (!this.#isOver) this.#hooks.looked?.(this, false);
      },
    );
  }

  /** Not stored: no more than what this handle tells whoever waits for it. */
  #spoiled({ epoch, left, head }: TaskView, why: string): Outcome {
    const message = `${why}; nobody sees to this task any more: submit it again under another id`;
    const about = {
      v: 1,
      kind: "outcome",
      task: this.task,
      epoch,
      attempts: epoch - left,
    } as const;
    const failed = { state: "failed", failure: failure("E_FENCED", message) } as const;
    return { ...about, ...failed, endedAt: Math.round(this.#clock.wall()), prev: head };
  }

  /** Looks again, later each time: forged records stay in doubt for ever. */
  #doubt(): void {
    this.#arm(Math.min(this.#doubtMs, this.#lookMs));
    this.#doubtMs *= 2;
  }

  /** A contract notice: who claimed, and after which revision. */
  claimed(claim: Claim): void {
    if (this.#claims.length < CLAIMS_MAX) this.#claims.push(claim);
  }

  /** Did the author of this result hold the contract that it was written under? */
  #held(record: ReadRecord): boolean {
    if (!this.#hooks.claims) return true;
    const claim = this.#claims.find((c) => c.rev === record.fence && c.from === record.from);
    return claim !== undefined && claim.after === record.terms?.rev;
  }

  onRecord(record: ReadRecord): void {
    if (record.flaw !== undefined || this.#told.has(record.rev)) return;
    this.#told.add(record.rev);
    if (record.kind === "outcome") {
      const outcome = record.body as Outcome;
      // A result without a proven award is nobody's (S4); other ends are an initiator's word.
      const lawful =
        outcome.state === "completed" ? record.terms !== undefined : supervises(record.role);
      if (!lawful) return;
      if (outcome.state !== "completed" || this.#held(record)) return this.end(outcome, record.rev);
      // An award alone is no contract: whether he held it, the records tell.
      return this.lookSoon();
    }
    if (record.rev > this.rev) {
      this.rev = record.rev;
      this.head = record.digest;
    }
    if (record.kind === "contract") {
      const { epoch, contractor } = record.body as { epoch: number; contractor: Address };
      this.#contractors.set(epoch, contractor);
      this.#state("running", epoch, contractor, record.rev);
      const early = this.#early;
      this.#early = early.filter((e) => e.epoch !== epoch);
      for (const e of early) if (e.epoch === epoch && e.from === contractor) this.#push(e);
      return;
    }
    if (record.kind === "failure") {
      const f = record.body as FailureRecord;
      this.#push({
        type: "failure",
        epoch: f.epoch,
        code: f.failure.code,
        message: f.failure.message,
        ...(f.leaving === true ? { leaving: true as const } : {}),
      });
      return this.#state("negotiating", f.epoch, undefined, record.rev);
    }
  }

  #state(state: TaskState, epoch: number, contractor: Address | undefined, rev: number): void {
    if (this.#outcome === undefined) this.state = state;
    this.#push({ type: "state", state, epoch, contractor, rev });
  }

  /**
   * A report of work under way. Of an own durable task only its contractor's is shown, and never
   * before its contract: the record and the message come by different ways, in any order.
   */
  onProgress(from: Address, p: Progress): void {
    const { epoch, done, note, partial } = p;
    const event = { type: "progress" as const, from, epoch, done, note, partial };
    if (this.#hooks.contractor !== undefined && this.#hooks.contractor() !== from) return;
    const contractor = this.#contractors.get(epoch);
    if (!this.#hooks.claims || contractor === from) return this.#push(event);
    if (contractor !== undefined || this.#early.length === EARLY_MAX) return;
    this.#early.push(event);
  }

  #push(event: TaskEvent): void {
    if (this.#events.length < EVENTS_MAX) this.#events.push(event);
    for (const wake of this.#listeners) wake();
  }

  end(outcome: Outcome, rev = this.rev): void {
    if (this.#isOver) return;
    this.#outcome = outcome;
    this.#endRev = rev;
    this.state = outcome.state;
    this.#finish();
  }

  /** Nothing is stored of it: it ends with its caller. */
  get isLive(): boolean {
    return this.#hooks.contractor !== undefined;
  }

  /** The peer stops; the task goes on without this handle. */
  abandon(error: ParleyError): void {
    if (this.#outcome !== undefined) return;
    this.#abandoned = error;
    this.#finish();
  }

  #finish(): void {
    this.#timer?.cancel();
    for (const ender of this.#enders.splice(0)) ender();
    for (const wake of this.#listeners) wake();
  }

  onEnd(run: () => void): void {
    if (this.#isOver) run();
    else this.#enders.push(run);
  }

  /** The terminal record, whatever its state. */
  outcome(signal?: AbortSignal): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        signal?.removeEventListener("abort", abort);
        if (this.#outcome !== undefined) resolve(this.#outcome);
        else reject(this.#abandoned);
      };
      const abort = () => reject(signal?.reason);
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      this.onEnd(settle);
    });
  }

  /** The output of a completed task; any other end is thrown as a ParleyError. */
  async result(signal?: AbortSignal): Promise<unknown> {
    const outcome = await this.outcome(signal);
    if (outcome.state !== "completed") {
      if (outcome.failure !== undefined) throw ParleyError.from(outcome.failure);
      throw new ParleyError("E_HANDLER", `the task ended as ${outcome.state}`);
    }
    if (outcome.outputRef === undefined) return outcome.output;
    const bytes = await this.#hooks.artefacts.get(outcome.outputRef);
    return openArtefact(bytes);
  }

  /**
   * Events so far and to come, up to the end, which is the last of them.
   * @param history read the task's records first, so that none of its changes is missing
   */
  async *events(history = false): AsyncGenerator<TaskEvent> {
    if (history) {
      this.#history ??= this.#readHistory();
      await this.#history;
    }
    let at = 0;
    for (;;) {
      while (at < this.#events.length) yield this.#events[at++]!;
      const end = this.#outcome;
      // Its end was told of before the notice of its contract could be proven.
      if (history && end !== undefined && end.epoch > 0 && !this.#contractors.has(end.epoch)) {
        await this.#readHistory();
        while (at < this.#events.length) yield this.#events[at++]!;
      }
      if (end !== undefined) {
        const { state, epoch } = end;
        yield { type: "state", state, epoch, contractor: undefined, rev: this.#endRev };
      }
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#listeners.delete(wake);
          resolve();
        };
        this.#listeners.add(wake);
      });
    }
  }

  /** Notices that came meanwhile may be ahead of what is read: put in order once. */
  async #readHistory(): Promise<void> {
    const records = await this.#hooks.look().catch(() => []);
    for (const record of records) this.onRecord(record);
    this.#events.sort((a, b) => a.epoch - b.epoch || place(a) - place(b));
  }

  async cancel(reason = "canceled by the submitter"): Promise<void> {
    if (this.#outcome !== undefined) return;
    await this.#hooks.cancel(reason);
    await this.outcome();
  }

  /**
   * Says a word to whoever holds the contract until the task has ended: it may change hands.
   * @returns false: nobody has held it yet, or it cannot be found out who does
   */
  async insist(key: string, value: unknown): Promise<boolean> {
    let unread = 0;
    let wake = () => {};
    this.onEnd(() => wake());
    while (!this.#isOver) {
      const view = await this.#hooks.look().then(foldTask, () => undefined);
      if (view === undefined && ++unread > UNREAD_MAX) return false;
      if (view?.outcome !== undefined) this.end(view.outcome, view.outcomeRev);
      else if (view !== undefined && view.contract === undefined) return false;
      else if (view?.contract !== undefined && view.contractOpen) {
        this.#hooks.tell(view.contract.contractor, view.epoch, `=${key}`, value);
      }
      await new Promise<void>((resolve) => {
        const timer = this.#clock.after(INSIST_MS, resolve);
        wake = () => {
          timer.cancel();
          resolve();
        };
        if (this.#outcome !== undefined) wake();
      });
    }
    return true;
  }
}

/** Order within one epoch: it runs, reports, fails, is negotiated again. */
function place(e: TaskEvent): number {
  if (e.type === "state") return e.state === "running" ? 0 : 3;
  return e.type === "progress" ? 1 : 2;
}
