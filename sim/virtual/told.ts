// What submitters are told of their tasks, against what is stored: nothing else, and soon.
import type { RecordKey, TaskState } from "../../contracts/index.ts";
import type { Tracker } from "../../mesh/runtime/tracker.ts";
import type { World } from "./world.ts";

/** Tasks that ended are asked about again so long, ms: half of what the store keeps them. */
const ASKED_AGAIN_MS = 30_000;

interface End {
  state: string;
  epoch: number;
  atMs: number;
}

interface Awaited {
  tracker: Tracker;
  submitter: string;
}

export class Told {
  readonly #world: World;
  readonly judges: boolean;
  readonly #ends = new Map<string, End>();
  /** Trackers of processes that live, by task. */
  readonly #awaited = new Map<string, Awaited>();
  #healedMs = 0;
  /** What was told that is not so, in words. */
  readonly wrong: string[] = [];
  /** Longest between a stored end, or the end of all faults, and its telling, ms of the world. */
  latestMs = 0;

  /** @param judges false: it only knows who has not been told yet, of a million tasks too */
  constructor(world: World, judges = true) {
    this.#world = world;
    this.judges = judges;
  }

  /** Trackers of tasks that have ended, whose submitter does not know it yet. */
  get late(): string[] {
    return [...this.#awaited]
      .filter(([task]) => this.#ends.has(task))
      .map(([task, { submitter }]) => `${submitter}.${task}: ended, its submitter is not told`);
  }

  /** The first end that is stored. */
  stateOf(task: string): string | undefined {
    return this.#ends.get(task)?.state;
  }

  /** Does everybody know of every end? */
  get isDone(): boolean {
    return this.#awaited.size === 0;
  }

  awaits(task: string, submitter: string, tracker: Tracker): void {
    const awaited = { tracker, submitter };
    this.#awaited.set(task, awaited);
    tracker.outcome().then(
      ({ state, epoch }) => {
        if (this.#awaited.get(task) !== awaited) return;
        this.#awaited.delete(task);
        this.#told(`${submitter}.${task}`, { state, epoch }, this.#ends.get(task));
      },
      () => undefined,
    );
  }

  #told(task: string, told: { state: TaskState; epoch: number }, end: End | undefined): void {
    if (!this.judges) return;
    const said = `${task}: its submitter was told "${told.state}" of epoch ${told.epoch}`;
    if (end === undefined) {
      this.wrong.push(`${said}, and no end is stored`);
    } else if (end.state !== told.state || end.epoch !== told.epoch) {
      this.wrong.push(`${said}, "${end.state}" of epoch ${end.epoch} is stored`);
    } else if (this.#healedMs > 0) {
      const since = Math.max(end.atMs, this.#healedMs);
      this.latestMs = Math.max(this.latestMs, this.#world.now - since);
    }
  }

  /** Its process died, and all that it waited for. @returns what it may ask about again */
  forget(submitter: string): string[] {
    const lost = [...this.#awaited].filter(([, awaited]) => awaited.submitter === submitter);
    for (const [task] of lost) this.#awaited.delete(task);
    const tasks = lost.map(([task]) => task);
    const longAgo = this.#world.now - ASKED_AGAIN_MS;
    return tasks.filter((task) => (this.#ends.get(task)?.atMs ?? this.#world.now) > longAgo);
  }

  /** The end of a task: the first, others count for nothing. */
  stored({ task, n }: RecordKey, body: Uint8Array): void {
    if (!this.judges || this.#ends.has(task)) return;
    const { state } = JSON.parse(Buffer.from(body).toString()) as { state: string };
    this.#ends.set(task, { state, epoch: Number(n), atMs: this.#world.now });
  }

  healed(): void {
    this.#healedMs = this.#world.now;
  }
}
