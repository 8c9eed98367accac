// Submits the planned tasks in real time and notes when each has ended.
import type { OpenPeer } from "../../mesh/index.ts";
import type { Tracker } from "../../mesh/runtime/tracker.ts";
import type { WorkloadTask } from "../workload/task.ts";
import type { Plan } from "./plan.ts";
import { type SimInput, wallMs } from "./sim-agent.ts";

export interface Submission {
  readonly id: string;
  /** Wall clock, ms. */
  readonly submitMs: number;
}

export interface SubmissionOptions {
  readonly policy: string;
  /** Called with the reason when a submission was not accepted. */
  readonly refused: (id: string, reason: string) => void;
}

export class Submissions {
  readonly made: Submission[] = [];
  /** Outcomes that the submitter was told of itself. */
  heard = 0;
  readonly #peer: OpenPeer["peer"];
  readonly #plan: Plan;
  readonly #options: SubmissionOptions;
  #open = new Set<string>();
  #trackers = new Map<string, Tracker>();
  #settled: (() => void) | undefined;

  constructor(peer: OpenPeer["peer"], plan: Plan, options: SubmissionOptions) {
    this.#peer = peer;
    this.#plan = plan;
    this.#options = options;
  }

  /** Submitted and, as far as is known here, without an outcome. */
  get open(): number {
    return this.#open.size;
  }

  /** Resolves when the last task was handed in, or at once when `stop` is aborted. */
  submitAll(stop: AbortSignal): Promise<void> {
    const { tasks } = this.#plan;
    const origin = performance.now();
    let next = 0;
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const end = (): void => {
        clearTimeout(timer);
        stop.removeEventListener("abort", end);
        resolve();
      };
      const turn = (): void => {
        const now = performance.now() - origin;
        for (; next < tasks.length; next++) {
          const task = tasks[next] as WorkloadTask;
          // A timer of less than a millisecond would fire after one.
          if (task.arriveMs > now + 0.5) {
            timer = setTimeout(turn, Math.floor(task.arriveMs - now));
            return;
          }
          this.#submit(task);
        }
        end();
      };
      stop.addEventListener("abort", end, { once: true });
      if (stop.aborted) end();
      else turn();
    });
  }

  #submit(task: WorkloadTask): void {
    const { id, serviceMs, outputTokens } = task;
    const input: SimInput = { serviceMs, outputTokens };
    this.made.push({ id, submitMs: wallMs() });
    this.#open.add(id);
    this.#peer.submitters
      .submit(task.capability, input, {
        task: id,
        timeoutMs: this.#plan.timeoutMs,
        hints: { durationMs: serviceMs, size: Math.max(1, outputTokens) },
        award: { policy: this.#options.policy },
      })
      .then((tracker) => {
        this.#trackers.set(id, tracker);
        tracker.onEnd(() => {
          this.heard++;
          this.ended(id);
        });
      })
      .catch((error: unknown) => {
        this.#options.refused(id, error instanceof Error ? error.message : String(error));
        this.ended(id);
      });
  }

  /** A task has its outcome, whoever found out. */
  ended(id: string): void {
    this.#trackers.delete(id);
    if (this.#open.delete(id) && this.#open.size === 0) this.#settled?.();
  }

  /** Resolves when nothing is open; one caller at a time. */
  settled(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#settled = resolve;
    });
  }

  /** Asks for every open task to be canceled; resolves when that is stored, or has failed. */
  async cancelOpen(reason: string): Promise<void> {
    await Promise.allSettled([...this.#trackers.values()].map((one) => one.cancel(reason)));
  }
}
