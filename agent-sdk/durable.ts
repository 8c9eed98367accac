// Durable handlers: what a handler did is written down as it goes, so that whoever holds the next
// contract goes on where it stopped. The handler runs again from its first line; everything that
// it did through this is answered from the journal (event sourcing of a program, as in Temporal
// and Restate, without a server that owns it).
//
// The boundary: between two journalled acts a handler must do the same whenever it is run with the
// same input. Time, chance, I/O and what other branches do belong into `step`, `now`, `random`, or
// a branch of `all`.
import {
  FAILURES,
  type Failure,
  type FailureCode,
  failure as failureOf,
  ParleyError,
  TIMER_MS_MAX,
} from "../contracts/index.ts";
import type { Capability, InputOf, OutputOf } from "./capability.ts";
import type { DurableRun } from "./durable-run.ts";
import { TerminalError } from "./errors.ts";
import type { TaskHandle } from "./handle.ts";
import type { SubmitOptions } from "./options.ts";

export interface StepOptions {
  /** Further tries of the step itself, before its failure is the handler's. Default 0. */
  retries?: number;
  /** First pause between tries, ms; doubled each time. Default 200. */
  backoffMs?: number;
  /** Known by this name, and not by its place among the acts. */
  key?: string;
}

/** A branch of `all` or `race`: it gets acts of its own, and a signal. */
export type Branch<T> = (acts: DurableActs) => Promise<T> | T;

/** What a handler can do so that it is done once. */
export interface DurableActs {
  readonly signal: AbortSignal;
  /**
   * Runs `fn` once and keeps what it gave (JSON). A TerminalError is kept too, and an error that
   * the handler caught and went on from; after any other the next attempt tries the step again. Its
   * effect on the world happens at least once: give it the key, the same in every attempt.
   */
  step<T>(
    name: string,
    fn: (about: { key: string; signal: AbortSignal }) => Promise<T> | T,
    options?: StepOptions,
  ): Promise<T>;
  /** What the step of this `key` gave in an earlier attempt; undefined when it was not done. */
  recall<T>(key: string): Promise<T | undefined>;
  /** The sub-task that was made under this `key`, by whoever held the contract; undefined when
   * nobody made it. Makes none. */
  find<C extends Capability>(
    capability: C,
    key: string,
  ): Promise<TaskHandle<OutputOf<C>> | undefined>;
  /** Waits, also over a change of contractor. @param ms from the first time it was asked */
  sleep(ms: number): Promise<void>;
  /**
   * Asks a person (or whoever may answer for the task's owner) and waits, also over a change of
   * contractor. `parley task ls --needs-input` shows it, `parley task answer` answers it.
   */
  ask<T = unknown>(question: unknown, options?: AskOptions): Promise<T>;
  /**
   * Waits for a word under this key, which whoever may answer for the task's owner sends unasked
   * (`parley workflow cancel`). It is not written down: keep with `step` what follows from it.
   */
  hear(key: string): Promise<unknown>;
  /** The wall clock, the same in every attempt, ms since the epoch. */
  now(): Promise<number>;
  /** In [0, 1), the same in every attempt. */
  random(): Promise<number>;
  /**
   * A durable sub-task for the same owner: at most this deadline and budget, canceled with it.
   * Made once at this place of the handler: the next contractor finds it under the same id.
   */
  submit<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options?: SubmitOptions,
  ): Promise<TaskHandle<OutputOf<C>>>;
  /** Runs branches side by side; the first failure aborts the others. */
  all<const T extends readonly Branch<unknown>[]>(
    branches: T,
  ): Promise<{ -readonly [K in keyof T]: Awaited<ReturnType<T[K]>> }>;
  /** The first branch to succeed, in every attempt the same one; the others are aborted. */
  race<T>(branches: readonly Branch<T>[]): Promise<T>;
}

const PAUSE_MS = 200;
const NOBODY = "nobody answered in time";

/** Acts in one scope: the handler's own, or one branch's. */
export interface AskOptions {
  /** How long to wait for an answer, ms; without it, until the task's deadline. */
  timeoutMs?: number;
  /** The answer when nobody gave one in time; without it the act fails with E_TIMEOUT. */
  otherwise?: unknown;
}

export class Acts implements DurableActs {
  readonly signal: AbortSignal;
  readonly #durable: DurableRun;
  readonly #scope: string;
  #place = 0;

  constructor(durable: DurableRun, scope: string, signal: AbortSignal) {
    this.#durable = durable;
    this.#scope = scope;
    this.signal = signal;
  }

  /** Places are given when asked, so that what is asked for together keeps its order. */
  #next(): number {
    return this.#place++;
  }

  #at(key?: string): string {
    return key === undefined ? `${this.#scope}${this.#next()}` : `${this.#scope}=${key}`;
  }

  submit<C extends Capability>(
    capability: C,
    input: InputOf<C>,
    options: SubmitOptions = {},
  ): Promise<TaskHandle<OutputOf<C>>> {
    // Its branch may be cut off before the author's own signal is given.
    const own = options.signal;
    const signal = own === undefined ? this.signal : AbortSignal.any([own, this.signal]);
    const { key, ...rest } = options;
    return this.#durable.task(this.#at(key), capability, input, { ...rest, signal });
  }

  find<C extends Capability>(
    capability: C,
    key: string,
  ): Promise<TaskHandle<OutputOf<C>> | undefined> {
    return this.#durable.find(this.#at(key), capability);
  }

  async step<T>(
    name: string,
    fn: (about: { key: string; signal: AbortSignal }) => Promise<T> | T,
    options: StepOptions = {},
  ): Promise<T> {
    const place = this.#at(options.key);
    const { key, entry } = await this.#durable.at(place, "step", name);
    if (entry?.failure !== undefined) throw asThrown(entry.failure, entry.value);
    if (entry !== undefined) return entry.value as T;
    await this.#durable.settle();
    const about = { key: this.#durable.idAt(key), signal: this.signal };
    const value = await this.#try(key, name, () => fn(about), options);
    await this.#durable.keep(key, "step", name, value === undefined ? {} : { value });
    return asKept(value);
  }

  async recall<T>(key: string): Promise<T | undefined> {
    return (await this.#durable.entry(this.#at(key)))?.value as T | undefined;
  }

  async #try<T>(
    key: string,
    name: string,
    fn: () => Promise<T> | T,
    { retries = 0, backoffMs = PAUSE_MS }: StepOptions,
  ): Promise<T> {
    for (let tries = 0; ; tries++) {
      this.signal.throwIfAborted();
      try {
        return await fn();
      } catch (error) {
        // Cut off, it has not failed.
        if (this.signal.aborted) throw error;
        if (isTerminal(error)) {
          const message = (error as Error).message.slice(0, 4_096).toWellFormed();
          const failure = { code: "E_TERMINAL" as FailureCode, message, retry: false };
          await this.#durable.keep(key, "step", name, { failure });
          throw error;
        }
        if (tries >= retries) {
          const failure = failureOf(
            "E_HANDLER",
            error instanceof Error ? error.message : undefined,
          );
          this.#durable.failed({ key, op: "step", d: name, failure, value: likenessOf(error) });
          throw error;
        }
        await pause(backoffMs * 2 ** tries, this.signal);
      }
    }
  }

  async sleep(ms: number): Promise<void> {
    checkDuration("sleep", ms);
    this.signal.throwIfAborted();
    const name = String(ms);
    const { key, entry } = await this.#durable.at(this.#at(), "sleep", name);
    const until = (entry?.value as number | undefined) ?? this.#durable.now() + ms;
    if (entry === undefined) await this.#durable.keep(key, "sleep", name, { value: until });
    await pause(until - this.#durable.now(), this.signal);
  }

  async ask<T>(question: unknown, { timeoutMs, otherwise }: AskOptions = {}): Promise<T> {
    const { journal } = this.#durable.run;
    if (journal === undefined) throw new ParleyError("E_HANDLER", "a live call can ask nobody");
    if (timeoutMs !== undefined) checkDuration("timeoutMs of ask", timeoutMs);
    this.signal.throwIfAborted();
    const at = this.#at();
    const { key, entry } = await this.#durable.at(at, "ask", "question");
    const answered = await this.#durable.at(`${at}!`, "ask", "question");
    if (answered.entry?.failure !== undefined) throw ParleyError.from(answered.entry.failure);
    if (answered.entry !== undefined) return answered.entry.value as T;
    this.#durable.ask(key);
    const until =
      (entry?.value as { until?: number } | undefined)?.until ??
      (timeoutMs === undefined ? undefined : this.#durable.now() + timeoutMs);
    const late = new AbortController();
    const waiting = journal.answer(key, AbortSignal.any([this.signal, late.signal]));
    // It may end while the question is being stored, when nobody waits for it yet.
    waiting.catch(() => undefined);
    if (entry === undefined) {
      const value = until === undefined ? { question } : { question, until };
      await this.#durable.keep(key, "ask", "question", { value });
    }
    const over = new AbortController();
    if (until !== undefined) {
      const left = Math.max(0, until - this.#durable.now());
      pause(left, over.signal).then(
        () => late.abort(new ParleyError("E_TIMEOUT", NOBODY)),
        () => undefined,
      );
    }
    const value = await waiting
      .catch(async (error: unknown) => {
        const isLate = late.signal.aborted && !this.signal.aborted;
        if (isLate && otherwise !== undefined) return otherwise;
        if (isLate) await this.#durable.answer(key, { failure: failureOf("E_TIMEOUT", NOBODY) });
        throw error;
      })
      .finally(() => over.abort());
    await this.#durable.answer(key, { value });
    return value as T;
  }

  hear(key: string): Promise<unknown> {
    const { journal } = this.#durable.run;
    if (journal === undefined) return new Promise(() => undefined);
    return journal.answer(`${this.#scope}=${key}`, this.signal);
  }

  now(): Promise<number> {
    return this.#value("now", () => this.#durable.now());
  }

  random(): Promise<number> {
    return this.#value("random", () => Math.random());
  }

  async #value(op: "now" | "random", make: () => number): Promise<number> {
    this.signal.throwIfAborted();
    const { key, entry } = await this.#durable.at(this.#at(), op, op);
    if (entry !== undefined) return entry.value as number;
    const value = make();
    await this.#durable.keep(key, op, op, { value });
    return value;
  }

  #branch(place: number, index: number, signal: AbortSignal): Acts {
    return new Acts(this.#durable, `${this.#scope}${place}.${index}/`, signal);
  }

  async all<const T extends readonly Branch<unknown>[]>(
    branches: T,
  ): Promise<{ -readonly [K in keyof T]: Awaited<ReturnType<T[K]>> }> {
    const place = this.#next();
    const stop = new AbortController();
    const signal = AbortSignal.any([this.signal, stop.signal]);
    try {
      const running = branches.map(async (branch, i) => branch(this.#branch(place, i, signal)));
      return (await Promise.all(running)) as never;
    } catch (error) {
      // How far the others came is a matter of time: a later attempt may fail before it gets there.
      for (const i of branches.keys()) this.#durable.drop(`${this.#scope}${place}.${i}/`);
      // Not the error itself: it may say that this task changes hands, which is another's end here.
      stop.abort(new ParleyError("E_CANCELED", "another branch failed", { cause: error }));
      throw error;
    }
  }

  async race<T>(branches: readonly Branch<T>[]): Promise<T> {
    if (branches.length === 0) throw new ParleyError("E_SCHEMA", "a race of no branches");
    const place = this.#next();
    const name = `of ${branches.length}`;
    const { key, entry } = await this.#durable.at(`${this.#scope}${place}`, "step", name);
    const stop = new AbortController();
    const signal = AbortSignal.any([this.signal, stop.signal]);
    const known = entry?.value as number | undefined;
    const chosen = known === undefined ? [...branches.keys()] : [known];
    const running = chosen.map(async (i) => {
      const value = await (branches[i] as Branch<T>)(this.#branch(place, i, signal));
      return { i, value };
    });
    const won = await Promise.any(running).catch((error: unknown) => {
      // Cut off with the whole task, none of them has lost.
      this.signal.throwIfAborted();
      if (!(error instanceof AggregateError)) throw error;
      throw error.errors.find((each) => !isTerminal(each)) ?? error.errors[0];
    });
    const others = [...branches.keys()].filter((i) => i !== won.i);
    const losers = others.map((i) => `${this.#scope}${place}.${i}/`);
    if (known === undefined) await this.#durable.choose(key, name, won.i, losers);
    else for (const scope of losers) this.#durable.drop(scope);
    stop.abort(new ParleyError("E_CANCELED", "another branch was first"));
    for (const each of running) each.catch(() => undefined);
    return won.value;
  }
}

/** As every later attempt gets it: a handler that works now works then. */
function asKept<T>(value: T): T {
  const text = JSON.stringify(value);
  return text === undefined ? (undefined as T) : JSON.parse(text);
}

/** A moment that has passed is over at once. */
function checkDuration(of: string, ms: number): void {
  if (Number.isFinite(ms)) return;
  throw new ParleyError("E_SCHEMA", `${of} must be a number of ms, not ${ms}`);
}

/** What a handler tells errors apart by, beside their message. */
function likenessOf(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined;
  const { name, code } = error as { name?: unknown; code?: unknown };
  const text = (value: unknown) =>
    typeof value === "string" ? value.slice(0, 64).toWellFormed() : undefined;
  return { name: text(name), code: text(code) };
}

/** A failure of an earlier attempt, as like as can be to what was thrown then. */
function asThrown(failure: Failure, likeness: unknown): Error {
  if (failure.code === "E_TERMINAL") return new TerminalError(failure.message);
  const { name, code } = (likeness ?? {}) as { name?: string; code?: string };
  if (name === undefined || name === "ParleyError") {
    return ParleyError.from(code === undefined ? failure : { ...failure, ...codeOf(code) });
  }
  return Object.assign(new Error(failure.message), {
    name,
    ...(code === undefined ? {} : { code }),
  });
}

function codeOf(code: string): { code?: FailureCode } {
  return Object.hasOwn(FAILURES, code) ? { code: code as FailureCode } : {};
}

function isTerminal(error: unknown): boolean {
  return error instanceof Error && (error as { retry?: unknown }).retry === false;
}

/** @throws the signal's reason */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const end = performance.now() + ms;
  for (;;) {
    signal.throwIfAborted();
    const left = Math.min(TIMER_MS_MAX, end - performance.now());
    if (!(left > 0)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, left);
      signal.addEventListener("abort", done, { once: true });
      function done() {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      }
    });
  }
}
