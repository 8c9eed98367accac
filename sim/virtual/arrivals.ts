// Hands the tasks of a workload in, each at its moment, and knows which ones are still open.
import type { Submission } from "../live/submissions.ts";
import type { WorkloadTask } from "../workload/task.ts";
import type { VirtualHost } from "./hosts.ts";
import type { World } from "./world.ts";

/** A submission that was not stored is made again under its id, as its error asks, after, ms. */
const AGAIN_MS = 1_000;
const AGAIN_MAX = 10;

export interface ArrivalsOptions {
  policy: string;
  /** Deadline of each task from its submission, ms. */
  timeoutMs: number;
}

export class Arrivals {
  readonly #world: World;
  readonly #submitters: readonly VirtualHost[];
  readonly #tasks: readonly WorkloadTask[];
  readonly #o: ArrivalsOptions;
  readonly #submissions = new Map<string, Submission[]>();
  #open = new Map<string, string>();
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
      host.run(() => this.#submit(host, task, 0));
      this.#arm();
    });
  }

  #submit(host: VirtualHost, task: WorkloadTask, tries: number): void {
    const { id, capability, serviceMs, outputTokens } = task;
    const again = (): void => {
      if (tries + 1 < AGAIN_MAX) {
        host.clock.after(AGAIN_MS, () => this.#submit(host, task, tries + 1));
      } else {
        this.refused++;
        this.#open.delete(id);
      }
    };
    const { peer } = host;
    if (peer === undefined) return again();
    peer.submitters
      .submit(
        capability,
        { serviceMs, outputTokens },
        {
          task: id,
          timeoutMs: this.#o.timeoutMs,
          hints: { durationMs: serviceMs, size: Math.max(1, outputTokens) },
          award: { policy: this.#o.policy },
        },
      )
      .then(() => undefined, again);
  }

  /** The task has its outcome in the store. */
  ended(id: string): void {
    this.#open.delete(id);
  }
}
