// The parent's end of the worker processes.
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { ParleyError } from "../../contracts/index.ts";
import type { WorkerOrder, WorkerPlan, WorkerReport } from "./orders.ts";

const ANSWER_MS_MAX = 30_000;

export class Worker {
  readonly plan: WorkerPlan;
  alive = true;
  stopped = false;
  /** Is it started again when it ends? */
  restart = true;
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  #waiting: { is: string; settle: PromiseWithResolvers<WorkerReport> }[] = [];

  constructor(plan: WorkerPlan, died: (worker: Worker) => void) {
    this.plan = plan;
    const file = join(import.meta.dirname, "..", "worker.ts");
    this.#child = fork(file, [], { stdio: ["ignore", 2, 2, "ipc"] });
    const gone = Promise.withResolvers<void>();
    this.gone = gone.promise;
    this.#child.on("message", (report: WorkerReport) => this.#read(report));
    this.#child.on("error", () => undefined); // shows in its exit
    this.#child.on("exit", () => {
      this.alive = false;
      for (const { settle } of this.#waiting.splice(0)) settle.reject(this.#death());
      gone.resolve();
      died(this);
    });
  }

  async open(): Promise<void> {
    await this.#ask({ do: "open", plan: this.plan }, "open");
  }

  async tally(): Promise<Extract<WorkerReport, { is: "tally" }>> {
    return (await this.#ask({ do: "tally" }, "tally")) as Extract<WorkerReport, { is: "tally" }>;
  }

  stall(ms: number, everyMs: number): void {
    this.#child.send({ do: "stall", ms, everyMs } satisfies WorkerOrder, () => undefined);
  }

  signal(signal: NodeJS.Signals): void {
    if (signal === "SIGSTOP") this.stopped = true;
    if (signal === "SIGCONT") this.stopped = false;
    this.#child.kill(signal);
  }

  async close(): Promise<void> {
    if (!this.alive) return;
    if (this.stopped) this.signal("SIGCONT");
    const hard = setTimeout(() => this.#child.kill("SIGKILL"), 8_000);
    await this.#ask({ do: "close" }, "closed").catch(() => undefined);
    await this.gone;
    clearTimeout(hard);
  }

  #ask(order: WorkerOrder, is: WorkerReport["is"]): Promise<WorkerReport> {
    if (!this.alive) return Promise.reject(this.#death());
    const settle = Promise.withResolvers<WorkerReport>();
    const timer = setTimeout(() => {
      const text = `${this.plan.name} did not answer "${order.do}" within ${ANSWER_MS_MAX} ms`;
      settle.reject(new ParleyError("E_TIMEOUT", text));
    }, ANSWER_MS_MAX);
    this.#waiting.push({ is, settle });
    this.#child.send(order, (error) => {
      if (error !== null) settle.reject(this.#death());
    });
    return settle.promise.finally(() => clearTimeout(timer));
  }

  #read(report: WorkerReport): void {
    const at = this.#waiting.findIndex((w) => w.is === report.is || report.is === "failed");
    const found = at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
    if (report.is !== "failed") return found?.settle.resolve(report);
    found?.settle.reject(
      new ParleyError("E_CONNECTION", `${this.plan.name} failed: ${report.reason}`),
    );
  }

  #death(): ParleyError {
    return new ParleyError("E_LOST", `worker ${this.plan.name} is gone`);
  }
}
