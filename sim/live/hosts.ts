// The parent's end of the host processes: starts them, gives orders, gathers what they report, and
// goes on without those that die.
import { type ChildProcess, fork } from "node:child_process";
import { extname, join } from "node:path";
import { ParleyError } from "../../contracts/index.ts";
import type { Execution, Order, Report, ReportKind, StartOrder, Tally } from "./messages.ts";

/** How long all agents of a host may take to join, ms. */
const START_MS_MAX = 60_000;
/** An answer to any other order, on top of what the order itself may take, ms. */
const ANSWER_MS_MAX = 20_000;
/** A drained host that does not end by itself is killed after this, ms. */
const EXIT_MS_MAX = 2_000;

type Waiting = { kind: ReportKind; settle: PromiseWithResolvers<Report> };

export class HostProcess {
  readonly name: string;
  readonly agents: number;
  readonly executions: Execution[] = [];
  last: Tally = { executions: [], running: 0, sent: 0, counters: {} };
  alive = true;
  /** How it ended, when it did. */
  end = "";
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  #waiting: Waiting[] = [];
  #leaving = false;

  /** @param died is called when it ends without having been asked to */
  constructor(name: string, agents: number, died: (host: HostProcess) => void) {
    this.name = name;
    this.agents = agents;
    // The sibling of this file: .ts in the repository, .js in the package.
    const file = join(import.meta.dirname, `host${extname(import.meta.filename)}`);
    this.#child = fork(file, [], { stdio: ["ignore", 2, 2, "ipc"], execArgv: [] });
    this.#child.on("message", (report: Report) => this.#read(report));
    this.#child.on("error", () => undefined); // a host that cannot be reached shows in its exit
    const gone = Promise.withResolvers<void>();
    this.gone = gone.promise;
    this.#child.on("exit", (code, signal) => {
      this.alive = false;
      this.end = signal ?? `exit ${code}`;
      this.last = { ...this.last, running: 0 };
      for (const { settle } of this.#waiting.splice(0)) settle.reject(this.#death());
      gone.resolve();
      if (!this.#leaving) died(this);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async start(order: StartOrder): Promise<void> {
    await this.#ask(order, "hosted", START_MS_MAX);
  }

  async meet(agents: number): Promise<number> {
    const report = await this.#ask({ do: "meet", agents }, "met", ANSWER_MS_MAX);
    return report.is === "met" ? report.agents : 0;
  }

  /** Ends the warm-up. */
  async begin(): Promise<void> {
    await this.#ask({ do: "begin" }, "begun", ANSWER_MS_MAX);
  }

  async tally(): Promise<void> {
    await this.#ask({ do: "tally" }, "tally", ANSWER_MS_MAX);
  }

  /** Leaves the mesh in order and ends. Never rejects: a host may die on the way. */
  async drain(graceMs: number): Promise<void> {
    if (!this.alive) return;
    this.#leaving = true;
    await this.#ask({ do: "drain", graceMs }, "drained", graceMs + ANSWER_MS_MAX).catch(() => {});
    if (this.#child.connected) this.#child.disconnect();
    await this.kill(EXIT_MS_MAX);
  }

  /** Makes sure that it is gone, the hard way after `afterMs`. */
  async kill(afterMs: number): Promise<void> {
    this.#leaving = true;
    if (!this.alive) return;
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), afterMs);
    await this.gone;
    clearTimeout(timer);
  }

  #ask(order: Order, kind: ReportKind, timeoutMs: number): Promise<Report> {
    if (!this.alive) return Promise.reject(this.#death());
    const settle = Promise.withResolvers<Report>();
    const timer = setTimeout(() => {
      const text = `${this.name} did not answer "${order.do}" within ${timeoutMs / 1_000} s`;
      settle.reject(new ParleyError("E_TIMEOUT", text));
    }, timeoutMs);
    this.#waiting.push({ kind, settle });
    this.#child.send(order, (error) => {
      if (error !== null) settle.reject(this.#death());
    });
    return settle.promise.finally(() => clearTimeout(timer));
  }

  #read(report: Report): void {
    if (report.is === "tally" || report.is === "drained") {
      this.last = report.tally;
      this.executions.push(...report.tally.executions);
    }
    if (report.is === "failed") {
      const error = new ParleyError("E_CONNECTION", `${this.name}: ${report.reason}`);
      for (const { settle } of this.#waiting.splice(0)) settle.reject(error);
      return;
    }
    const at = this.#waiting.findIndex((one) => one.kind === report.is);
    if (at >= 0) this.#waiting.splice(at, 1)[0]?.settle.resolve(report);
  }

  #death(): ParleyError {
    return new ParleyError("E_LOST", `${this.name} (process ${this.pid}) is gone (${this.end})`);
  }
}

/** What all hosts together have counted, the dead ones up to their last report. */
export function sumTallies(hosts: readonly HostProcess[]): {
  sent: number;
  running: number;
  counters: Record<string, number>;
} {
  const counters: Record<string, number> = {};
  let sent = 0;
  let running = 0;
  for (const { last } of hosts) {
    sent += last.sent;
    running += last.running;
    for (const [name, count] of Object.entries(last.counters)) {
      counters[name] = (counters[name] ?? 0) + count;
    }
  }
  return { sent, running, counters };
}
