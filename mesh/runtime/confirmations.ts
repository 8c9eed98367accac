// A contractor says that its outcome is stored. A task that nobody supervises any more and that
// has no outcome would be lost, so the initiator looks before it lets go: many at a time.
import { type RecordKey, recordKey } from "../../contracts/index.ts";
import type { Deps } from "./dependencies.ts";

/** Looks are gathered for this long, ms. The submitter has its outcome already, so only the number
 * of looks depends on it: at 10 ms most were for one task (5 % of a simulated mesh's events). */
const GATHER_MS = 100;
/** Records per look. The server answers for at most 1,024. */
const LOOK_MAX = 128;
/** A look that fails, or a reader that lags, is tried again after this, ms, so often. */
const AGAIN_MS = 250;
const TRIES_MAX = 4;

interface Question {
  key: RecordKey;
  tries: number;
  then: (stored: boolean) => void;
}

export class Confirmations {
  readonly #d: Deps;
  #waiting: Question[] = [];
  #timer: { cancel(): void } | undefined;

  constructor(dependencies: Deps) {
    this.#d = dependencies;
  }

  /** Calls back once it is known whether the record is there. */
  ask(key: RecordKey, then: (stored: boolean) => void): void {
    this.#queue({ key, tries: 0, then }, GATHER_MS);
  }

  #queue(question: Question, ms: number): void {
    this.#waiting.push(question);
    this.#timer ??= this.#d.clock.after(ms, () => {
      this.#timer = undefined;
      while (this.#waiting.length > 0) void this.#look(this.#waiting.splice(0, LOOK_MAX));
    });
  }

  async #look(questions: Question[]): Promise<void> {
    let stored = new Set<string>();
    try {
      stored = await this.#d.ledger.stored(questions.map((q) => q.key));
    } catch (error) {
      this.#d.log.warn({ error: String(error) }, "outcomes could not be looked up; again soon");
    }
    for (const q of questions) {
      if (stored.has(recordKey(q.key))) q.then(true);
      else if (++q.tries >= TRIES_MAX) q.then(false);
      else this.#queue(q, AGAIN_MS);
    }
  }

  stop(): void {
    this.#timer?.cancel();
    this.#waiting = [];
  }
}
