// What a durable handler did, as its run knows it: the journal's entries, and sub-tasks by place.
//
// Invariants
//   D1  What stands at a place is answered from the journal; whoever asks for something else there
//       is refused.
//   D2  A failure that the handler caught, and after which it began another act, is written down
//       with that act: every later attempt goes the same way.
//   D3  A sub-task's id says where it was made and how often anew: after an attempt that failed, or
//       since a predecessor made it that had lost the task already.
import { createHash } from "node:crypto";
import {
  type Failure,
  failure as failureOf,
  type JournalEntry,
  type Outcome,
  ParleyError,
} from "../contracts/index.ts";
import type { Run } from "../mesh/index.ts";
import type { Capability, InputOf, OutputOf } from "./capability.ts";
import type { EndingHandle, TaskHandle } from "./handle.ts";
import type { SubmitOptions } from "./options.ts";

/** Acts in one scope are told apart by their place and held to their name. */
interface Place {
  key: string;
  entry: JournalEntry | undefined;
}

interface Past {
  entries: Map<string, JournalEntry>;
  /** Attempts that failed, not those that were lost. */
  failures: number;
}

/** How sub-tasks are made, and found. */
export interface SubTaskMaker {
  make<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options: SubmitOptions,
  ): Promise<EndingHandle<OutputOf<C>>>;
  /** The one of this id that is stored; undefined: there is none. */
  find<C extends Capability>(
    capability: C,
    owner: string,
    task: string,
  ): Promise<EndingHandle<OutputOf<C>> | undefined>;
}

/** Predecessors that made the same sub-task too late, each, before it is given up. Guess. */
const STALE_MAX = 8;

/** The journal of one run, loaded when it is first needed. */
export class DurableRun {
  readonly run: Run;
  readonly #now: () => number;
  readonly #tasks: SubTaskMaker;
  #loading: Promise<Past> | undefined;
  readonly #used = new Set<string>();
  /** Scopes whose entries may stay unused: branches that lost a race. */
  readonly #dropped: string[] = [];
  /** Keys of questions that have no answer. */
  readonly #questions = new Set<string>();
  /** Failures of this attempt that no act has followed, and those that one has. */
  #failed: JournalEntry[] = [];
  readonly #caught: JournalEntry[] = [];
  /** Somebody else goes on with the task: whoever waits for a sub-task of it is to stop. */
  readonly #left = new AbortController();
  /** Thrown into the handler, which may catch it like any other. */
  #changed: ParleyError | undefined;

  constructor(run: Run, tasks: SubTaskMaker, now: () => number = Date.now) {
    this.run = run;
    this.#tasks = tasks;
    this.#now = now;
    const { signal } = run;
    const leave = () => !isEnd(signal.reason) && this.#left.abort(signal.reason);
    signal?.addEventListener("abort", leave, { once: true });
  }

  now(): number {
    return this.#now();
  }

  #past(): Promise<Past> {
    if (this.#loading === undefined) {
      this.#loading = this.#load();
      // A store that is away for a moment fails the act that asked, not all that come after it.
      this.#loading.catch(() => {
        this.#loading = undefined;
      });
    }
    return this.#loading;
  }

  async #load(): Promise<Past> {
    const { entries, failures } = (await this.run.journal?.read()) ?? { entries: [], failures: 0 };
    return { entries: new Map(entries.map((entry) => [entry.key, entry])), failures };
  }

  /** An act failed. The next attempt tries it anew, unless another act follows it in this one. */
  failed(entry: Pick<JournalEntry, "key" | "op" | "d" | "value"> & { failure: Failure }): void {
    // What is known by a name may be done in any order: nothing follows from what comes after.
    if (entry.key.includes("=")) return;
    const { code, message } = entry.failure;
    const failure = { code, message: message.slice(0, 256).toWellFormed(), retry: true };
    this.#failed.push({ ...entry, d: labelOf(entry.d ?? ""), failure });
  }

  #begins(key: string): void {
    if (this.#failed.length === 0) return;
    const caught = this.#failed.filter((entry) => follows(key, entry.key));
    this.#failed = this.#failed.filter((entry) => !caught.includes(entry));
    this.#caught.push(...caught);
  }

  /** A sub-task, made once at its place. One that did not complete is final for this attempt. */
  async task<C extends Capability>(
    place: string,
    capability: C,
    input: InputOf<C>,
    options: SubmitOptions,
  ): Promise<TaskHandle<OutputOf<C>>> {
    this.#begins(place);
    const { entries, failures } = await this.#past();
    const make = (again: number) =>
      this.#tasks.make(capability, input, { task: this.idAt(place, again), ...options });
    await this.settle();
    if (options.task !== undefined) return make(0);
    const known = entries.get(place);
    if (known?.op === "task") {
      await this.at(place, "task", capability.name);
      return make(Number(known.value));
    }
    let stale = 0;
    for (let again = 0; ; again++) {
      const handle = await make(again);
      const end = again - stale < failures ? await handle.ended() : undefined;
      if (end === undefined || end.state === "completed") {
        const cut = end === undefined && again - stale < failures;
        return this.#followed(place, capability.name, handle, again, make, cut);
      }
      if (isStale(end)) stale++;
    }
  }

  /** The newest sub-task that was made at this place; none is made. */
  async find<C extends Capability>(
    place: string,
    capability: C,
  ): Promise<TaskHandle<OutputOf<C>> | undefined> {
    const { owner } = this.run.spec;
    for (let again = 0, last: EndingHandle<OutputOf<C>> | undefined; ; again++) {
      const handle = await this.#tasks.find(capability, owner, this.idAt(place, again));
      if (handle === undefined) return last;
      const end = await handle.ended();
      if (end === undefined || end.state === "completed") return handle;
      last = handle;
    }
  }

  /** Notes how it ends, and makes it anew where a predecessor had no right to make it.
   * @param mayBeCut it was under way when an attempt failed: that may have canceled it */
  #followed<Output>(
    place: string,
    name: string,
    first: TaskHandle<Output>,
    begun: number,
    make: (again: number) => Promise<TaskHandle<Output>>,
    mayBeCut: boolean,
  ): TaskHandle<Output> {
    let cut = mayBeCut;
    const most = begun + Math.min(STALE_MAX, this.run.epoch - 1);
    let handle = first;
    let again = begun;
    let noted = false;
    const { signal: over } = this.#left;
    const outcome = async (signal?: AbortSignal): Promise<Outcome> => {
      const until = signal === undefined ? over : AbortSignal.any([signal, over]);
      for (;;) {
        const end = await handle.outcome(until);
        if (isStale(end) && again < most) {
          handle = await make(++again);
          continue;
        }
        // An attempt that failed had cut it off, and it took its time to end.
        if (cut && end.failure?.code === "E_CANCELED") {
          cut = false;
          handle = await make(++again);
          continue;
        }
        if (end.state !== "completed" && !noted) {
          noted = true;
          const failure = end.failure ?? failureOf("E_HANDLER", end.state);
          this.failed({ key: place, op: "task", d: name, value: again, failure });
        }
        return end;
      }
    };
    return {
      get task() {
        return handle.task;
      },
      owner: first.owner,
      outcome,
      result: (signal) => outcome(signal).then(() => handle.result(signal)),
      output: () => outcome().then(() => handle.output()),
      events: () => handle.events(),
      cancel: (reason, how) => handle.cancel(reason, how),
    };
  }

  async entry(key: string): Promise<JournalEntry | undefined> {
    this.#used.add(key);
    return (await this.#past()).entries.get(key);
  }

  /** What stands at this place. @throws ParleyError E_JOURNAL when something else does */
  async at(key: string, op: JournalEntry["op"], name: string): Promise<Place> {
    this.#begins(key);
    const entry = (await this.#past()).entries.get(key);
    this.#used.add(key);
    if (entry === undefined) return { key, entry };
    const said = `${op} "${labelOf(name)}"`;
    const was = `${entry.op} "${labelOf(entry.d ?? "")}"`;
    if (said === was) return { key, entry };
    this.#changed ??= changed(`at ${key} the journal has ${was}, the handler asks for ${said}`);
    throw this.#changed;
  }

  async keep(key: string, op: JournalEntry["op"], name: string, rest: Partial<JournalEntry>) {
    const entry = { key, op, d: labelOf(name), ...rest };
    await this.#write([entry]);
    // Asked for again under that name, it is what it will be in every later attempt.
    if (!key.includes("=")) return;
    (await this.#past()).entries.set(key, JSON.parse(JSON.stringify(entry)));
  }

  /** With the failures that were caught, which come first. */
  async #write(entries: readonly JournalEntry[]): Promise<void> {
    const caught = this.#caught.splice(0);
    try {
      const all = [...caught, ...entries];
      await Promise.all(all.map((entry) => this.run.journal?.append(entry)));
    } catch (error) {
      this.#caught.unshift(...caught);
      throw error;
    }
  }

  /** What failed and was caught is written down before something that cannot be taken back. */
  async settle(): Promise<void> {
    if (this.#caught.length > 0) await this.#write([]);
  }

  /** A question is to be asked. @throws ParleyError E_CANCELED in a branch that has lost */
  ask(key: string): void {
    if (this.#isDropped(key)) throw new ParleyError("E_CANCELED", "another branch was first");
    this.#questions.add(key);
  }

  /** Nobody waits for an answer any more. */
  async answer(key: string, rest: Pick<JournalEntry, "value" | "failure">): Promise<void> {
    this.#questions.delete(key);
    await this.#write([answerTo(key, rest)]);
  }

  /** One of several scopes was first: what the others ask is open no more.
   * @param key of the choice */
  async choose(key: string, name: string, value: number, losers: readonly string[]): Promise<void> {
    this.#dropped.push(...losers);
    const lost = [...this.#questions].filter((q) => losers.some((scope) => q.startsWith(scope)));
    for (const q of lost) this.#questions.delete(q);
    const failure = failureOf("E_CANCELED", "another branch was first");
    const closed = lost.map((q) => answerTo(q, { failure }));
    await this.#write([{ key, op: "step", d: labelOf(name), value }, ...closed]);
  }

  drop(scope: string): void {
    this.#dropped.push(scope);
  }

  #isDropped(key: string): boolean {
    return this.#dropped.some((scope) => key.startsWith(scope));
  }

  /** The handler has ended: it must have asked for everything that its journal holds. */
  async check(): Promise<void> {
    if (this.#changed !== undefined) throw this.#changed;
    if (this.#loading === undefined) return;
    for (const [key, entry] of (await this.#loading).entries) {
      // What is known by a name has no place where it would have to be asked for.
      if (this.#used.has(key) || key.includes("=")) continue;
      if (this.#isDropped(key)) continue;
      throw changed(
        `the journal has ${entry.op} "${entry.d}" at ${key}, the handler ended without`,
      );
    }
  }

  /** An id that is the same in every attempt. */
  idAt(place: string, again = 0): string {
    const { owner, task } = this.run.spec;
    return subTaskId(owner, task, place, again);
  }
}

/**
 * The id of what a task made at this place; `=key` where it was made under a name.
 * @param again how often it was made anew after a failed attempt; set off by what is in no key
 */
export function subTaskId(owner: string, task: string, place: string, again = 0): string {
  const text = `${owner}.${task}/${place}${again === 0 ? "" : `\n${again}`}`;
  return createHash("sha256").update(text).digest("base64url").slice(0, 32);
}

/** An answer stands under its question's key with a mark. */
function answerTo(key: string, rest: Pick<JournalEntry, "value" | "failure">): JournalEntry {
  return { key: `${key}!`, op: "ask", d: "question", ...rest };
}

/** A task that ends has what it waits for ended too. */
function isEnd(reason: unknown): boolean {
  const code = reason instanceof ParleyError ? reason.code : undefined;
  return code === "E_CANCELED" || code === "E_DEADLINE";
}

/** Stored when its author's contract was over: nobody did anything of it. */
function isStale({ state, failure }: Outcome): boolean {
  return state === "rejected" && failure?.code === "E_AUTHORITY";
}

/** Does the act at this place come after that one, as the handler takes them? Of branches side by
 * side neither does; nor can it be told of what is known by a name. */
function follows(key: string, before: string): boolean {
  if (key.includes("=")) return false;
  const [its, others] = [key.split("/"), before.split("/")];
  const at = its.findIndex((part, i) => part !== others[i]);
  return Number.parseInt(its[at] ?? "", 10) > Number.parseInt(others[at] ?? "", 10);
}

/** What is kept of an act's name. */
function labelOf(name: string): string {
  const [line = ""] = name.split("\n");
  return line.slice(0, 64).toWellFormed();
}

function changed(difference: string): ParleyError {
  return new ParleyError(
    "E_JOURNAL",
    `${difference}: the handler was changed while this task was under way. Serve the old version ` +
      "beside the new one until its tasks have ended",
  );
}
