// Hands the tasks of a workload in, each at its moment, and knows which ones are still open.

import { PRIORITY_MAX } from "../../contracts/index.ts";
import { type Prng, pick } from "../../mesh/core/prng.ts";
import type { TaskOptions } from "../../mesh/runtime/submitters.ts";
import type { Submission } from "../live/submissions.ts";
import type { WorkloadTask } from "../workload/task.ts";
import { COMPOSE, type ComposeInput, PATIENT } from "./composers.ts";
import type { FaultPlan } from "./faults.ts";
import type { VirtualHost } from "./hosts.ts";
import type { Parts } from "./parts.ts";
import type { Told } from "./told.ts";
import type { World } from "./world.ts";

/** A submission that was not stored is made again under its id, as its error asks, after, ms. */
const AGAIN_MS = 1_000;
const AGAIN_MAX = 10;

export interface ArrivalsOptions {
  policy: string;
  /** Deadline of each task from its submission, ms. */
  timeoutMs: number;
  /** What is special about some of them. */
  plan: Pick<FaultPlan, "fail" | "poison" | "cancel" | "exclude" | "hasty" | "needs" | "parts">;
  /** Addresses of agents, for tasks that rule somebody out. */
  agents: readonly string[];
  /** Hears of whoever waits for an end; absent: nobody looks. */
  told: Told;
  /** Hears of what is to be done in parts. */
  parts?: Parts | undefined;
}

/** What is special about one task. */
interface Special {
  fails: number;
  cancelAfterMs?: number;
  timeoutMs?: number;
  asks: TaskOptions;
  /** Above 0: somebody has it done in so many parts. */
  parts: number;
}

const PARTS_MAX = 4;
/** More attempts than any task has. */
const ALWAYS = 1_000;
/** Of those that ask for something special, how many ask for what nobody has. They wait for a while
 * only, and so long at most, ms: a run is over when all are. */
export const IMPOSSIBLE_SHARE = 0.4;
const IMPOSSIBLE_MS = 8_000;
/** A task with little time has its own length times this at most, and so much at least, ms. */
const HASTY_MAX = 3;
const HASTY_MS_MIN = 50;

const ORDINARY: Special = { fails: 0, asks: {}, parts: 0 };

const IMPOSSIBLE: readonly TaskOptions[] = [
  { requires: { even: "neither" } },
  { budget: 0 },
  { version: "9.0.0" },
  { to: "away.w", only: true },
];

export class Arrivals {
  readonly #world: World;
  readonly #submitters: readonly VirtualHost[];
  readonly #tasks: readonly WorkloadTask[];
  readonly #o: ArrivalsOptions;
  readonly #submissions = new Map<string, Submission[]>();
  #open = new Map<string, string>();
  readonly #prng: Prng;
  #next = 0;
  #originMs = 0;
  /** Submissions that were given up. */
  refused = 0;

  constructor(
    world: World,
    submitters: readonly VirtualHost[],
    tasks: readonly WorkloadTask[],
    options: ArrivalsOptions,
  ) {
    this.#world = world;
    this.#submitters = submitters;
    this.#tasks = tasks;
    this.#o = options;
    this.#prng = world.random.fork("arrivals");
    for (const { name } of submitters) this.#submissions.set(name, []);
  }

  get made(): number {
    return this.#next;
  }

  get open(): number {
    return this.#open.size;
  }

  get isDone(): boolean {
    return this.#next === this.#tasks.length && this.#open.size === 0;
  }

  submissionsOf(submitter: string): readonly Submission[] {
    return this.#submissions.get(submitter) ?? [];
  }

  openTasks(): { id: string; owner: string }[] {
    return [...this.#open].map(([id, owner]) => ({ id, owner }));
  }

  start(): void {
    this.#originMs = this.#world.now;
    this.#arm();
  }

  /** One event for the next task only: a million of them need not wait in the queue. */
  #arm(): void {
    const task = this.#tasks[this.#next];
    if (task === undefined) return;
    this.#world.at(this.#originMs + task.arriveMs, () => {
      const host = this.#submitters[this.#next % this.#submitters.length] as VirtualHost;
      this.#next++;
      this.#open.set(task.id, host.name);
      const made = this.#submissions.get(host.name) as Submission[];
      made.push({ id: task.id, submitMs: host.clock.wall() });
      const special = this.#special(task);
      host.run(() => this.#submit(host, task, special, 0));
      this.#arm();
    });
  }

  /** Does every attempt at this task fail? */
  isPoison(task: WorkloadTask): boolean {
    return this.#special(task).fails === ALWAYS;
  }

  /** Does it ask for what nobody has? */
  isImpossible(task: WorkloadTask): boolean {
    return IMPOSSIBLE.includes(this.#special(task).asks);
  }

  #special({ id, serviceMs }: WorkloadTask): Special {
    const { fail = 0, poison = 0, cancel = 0, exclude = 0, hasty = 0, needs = 0 } = this.#o.plan;
    const { parts = 0 } = this.#o.plan;
    if (fail + poison + cancel + exclude + hasty + needs + parts === 0) return ORDINARY;
    const prng = this.#prng.fork(id);
    const is = (share: number) => prng.next() < share;
    const fails = is(fail) ? 1 : is(poison) ? ALWAYS : 0;
    const special: Special = { fails, asks: {}, parts: 0 };
    if (is(cancel)) special.cancelAfterMs = prng.next() * 2 * serviceMs;
    const own = prng.fork("parts");
    if (own.next() < parts) return { ...special, fails: 0, parts: 1 + own.int(PARTS_MAX) };
    // Half of the agents remain at least: somebody has to do it.
    const most = Math.min(3, Math.floor(this.#o.agents.length / 2));
    if (is(exclude) && most > 0) {
      const few = 1 + prng.int(most);
      special.asks.exclude = Array.from({ length: few }, () => pick(prng, this.#o.agents));
    }
    if (is(hasty)) {
      special.timeoutMs = Math.round(HASTY_MS_MIN + prng.next() * HASTY_MAX * serviceMs);
    }
    if (!is(needs)) return special;
    if (is(IMPOSSIBLE_SHARE)) {
      special.asks = pick(prng, IMPOSSIBLE);
      special.timeoutMs = Math.round(prng.next() * IMPOSSIBLE_MS) + HASTY_MS_MIN;
    } else {
      special.asks = this.#asks(prng);
    }
    return special;
  }

  /** What some agents have, so that somebody can do it. */
  #asks(prng: Prng): TaskOptions {
    const priority = prng.int(PRIORITY_MAX + 1);
    switch (prng.int(this.#o.agents.length < 2 ? 1 : 3)) {
      case 0:
        return { priority };
      case 1:
        return { priority, requires: { even: prng.next() < 0.5 } };
      default:
        return { priority, to: pick(prng, this.#o.agents), only: prng.next() < 0.5 };
    }
  }

  /** Its process is a new one: it submits all again whose end it was not told, as a user would who
   * kept the ids; so each is the same task. */
  returned(host: VirtualHost): void {
    const untold = new Set(this.#o.told.forget(host.name));
    for (const task of this.#tasks.slice(0, this.#next)) {
      const mine = this.#open.get(task.id) === host.name || untold.has(task.id);
      if (mine) this.#submit(host, task, this.#special(task), 0);
    }
  }

  #submit(host: VirtualHost, task: WorkloadTask, special: Special, tries: number): void {
    const { id, serviceMs, outputTokens } = task;
    const { fails, asks, timeoutMs, cancelAfterMs, parts } = special;
    const again = (): void => {
      if (tries + 1 < AGAIN_MAX) {
        host.clock.after(AGAIN_MS, () => this.#submit(host, task, special, tries + 1));
      } else {
        this.refused++;
        this.#open.delete(id);
      }
    };
    const { peer, lives } = host;
    // It is dead: once it is back, `returned` submits all that is open.
    if (peer === undefined) return;
    if (parts > 0) this.#o.parts?.expect(id, parts);
    const composed: ComposeInput = { parts, partMs: serviceMs / parts };
    const plain = { serviceMs, outputTokens, ...(fails > 0 ? { fails } : {}) };
    peer.submitters
      .submit(parts > 0 ? COMPOSE : task.capability, parts > 0 ? composed : plain, {
        task: id,
        ...(parts > 0 ? { retry: PATIENT } : {}),
        timeoutMs: timeoutMs ?? this.#o.timeoutMs,
        ...asks,
        hints: { durationMs: serviceMs, size: Math.max(1, outputTokens) },
        award: { policy: this.#o.policy },
      })
      .then((tracker) => {
        this.#o.told.awaits(id, host.name, tracker);
        if (cancelAfterMs === undefined) return;
        const cancel = () => tracker.cancel("no longer needed").catch(() => undefined);
        host.clock.after(cancelAfterMs, () => void (host.lives === lives && cancel()));
      }, again);
  }

  /** The task has its outcome in the store. */
  ended(id: string): void {
    this.#open.delete(id);
  }
}
