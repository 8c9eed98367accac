// Cancels of tasks that are on nobody's desk: handed back by a full one, or whoever had them is
// gone. Their spec may come again minutes later; whoever canceled is not to wait for that (P11.4).
import { failure, parseRecordSubject, patterns, type RecordKey } from "../../contracts/index.ts";
import { newTask, pathOf } from "../core/initiator-task.ts";
import { foldTask } from "../core/task-view.ts";
import type { Subscription } from "../ports/index.ts";
import type { Deps } from "./dependencies.ts";
import type { InitiatorOptions } from "./desk.ts";
import { storeEnd } from "./tender.ts";

/** Whoever has it on his desk ends it before that, ms. */
const STRAY_MS = 1_000;
/** Looked at together, so that ten thousand cancels are not ten thousand reads at once. Guess. */
const READS_MAX = 16;
/** Cancels that wait for their look; what is beyond waits for its spec to come again. */
const WAITING_MAX = 100_000;
/** One of all initiators looks. */
const QUEUE = "canceled";

export class StrayCancels {
  readonly #d: Deps;
  readonly #o: InitiatorOptions;
  #heard: Subscription | undefined;
  #waiting: { key: RecordKey; dueAt: number }[] = [];
  #reads = 0;
  #timer: { cancel(): void } | undefined;

  constructor(dependencies: Deps, options: InitiatorOptions) {
    this.#d = dependencies;
    this.#o = options;
  }

  open(): void {
    const { transport, clock } = this.#d;
    const hear = (subject: string) => {
      const key = parseRecordSubject(subject);
      if (key === undefined || this.#waiting.length >= WAITING_MAX) return;
      this.#waiting.push({ key, dueAt: clock.now() + STRAY_MS });
      this.#arm();
    };
    this.#heard = transport.subscribe(
      patterns.cancelsToAnybody,
      (m) => hear(m.header("Nats-Subject") ?? ""),
      { queue: QUEUE },
    );
  }

  stop(): void {
    this.#heard?.unsubscribe();
    this.#timer?.cancel();
    this.#waiting = [];
  }

  #arm(): void {
    const [first] = this.#waiting;
    if (first === undefined || this.#timer !== undefined || this.#reads >= READS_MAX) return;
    const { clock } = this.#d;
    this.#timer = clock.after(Math.max(0, first.dueAt - clock.now()), () => {
      this.#timer = undefined;
      while (this.#reads < READS_MAX && (this.#waiting[0]?.dueAt ?? Infinity) <= clock.now()) {
        this.#reads++;
        const { key } = this.#waiting.shift() as { key: RecordKey };
        const over = () => {
          this.#reads--;
          this.#arm();
        };
        this.#look(key).then(over, over);
      }
      this.#arm();
    });
  }

  /** Not readable, or not stored since somebody wrote meanwhile: its spec comes again, later. */
  async #look({ owner, task }: RecordKey): Promise<void> {
    const records = await this.#d.records.read(owner, task);
    const { spec, submitter, cancel, ...view } = foldTask(records);
    if (view.outcome !== undefined || cancel === undefined) return;
    if (spec === undefined || submitter === undefined) return;
    // Under contract: whoever adopts it tells the contractor to stop, and is handed it soon.
    const before = records.slice(
      0,
      records.findIndex((r) => r.body === cancel),
    );
    if (foldTask(before).contractOpen) return;
    const t = newTask(spec, submitter, false, view.rev, view.head);
    t.epoch = view.epoch;
    const about = { task: pathOf(t), e: t.epoch, who: this.#o.agent };
    this.#d.history?.note({ k: "obs", op: "adopt", ...about });
    const why = failure("E_CANCELED", cancel.reason || undefined);
    const ok = await new Promise<boolean>((resolve) =>
      storeEnd(this.#d, this.#o, t, "canceled", why, resolve),
    );
    if (ok) this.#d.counters.add("ended.canceled");
  }
}
