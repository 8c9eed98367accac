// The books of tasks that are done in parts: which parts there are, and whether they were done.
import type { RecordKey, Spec } from "../../contracts/index.ts";

interface Part {
  parent: string;
  state: string | undefined;
}

export class Parts {
  readonly #parts = new Map<string, Part>();
  readonly #wanted = new Map<string, number>();
  #open = 0;

  /** Parts that have no end yet. */
  get open(): number {
    return this.#open;
  }

  /** A task that is to be done in so many parts. */
  expect(task: string, parts: number): void {
    this.#wanted.set(task, parts);
  }

  has(task: string): boolean {
    return this.#parts.has(task);
  }

  stored({ task, kind }: RecordKey, body: Uint8Array): void {
    if (kind === "spec") {
      const { parent } = JSON.parse(Buffer.from(body).toString()) as Spec;
      if (parent === undefined || this.#parts.has(task)) return;
      this.#parts.set(task, { parent: parent.task, state: undefined });
      this.#open++;
    } else if (kind === "outcome") {
      const part = this.#parts.get(task);
      if (part === undefined || part.state !== undefined) return;
      part.state = (JSON.parse(Buffer.from(body).toString()) as { state: string }).state;
      this.#open--;
    }
  }

  /** Completed tasks whose parts were not each done once, in words. */
  wrong(isCompleted: (task: string) => boolean): string[] {
    const done = new Map<string, number>();
    for (const { parent, state } of this.#parts.values()) {
      if (state === "completed") done.set(parent, (done.get(parent) ?? 0) + 1);
    }
    return [...this.#wanted]
      .filter(([task, parts]) => isCompleted(task) && done.get(task) !== parts)
      .map(([task, parts]) => `${task}: completed with ${done.get(task) ?? 0} of ${parts} parts`);
  }
}
