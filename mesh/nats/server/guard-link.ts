// The owner's end of the guard: starts it, gives orders, turns reports into promises.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { extname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Order, Report } from "./guard.ts";

/** How a process ended; one of the two is `null`. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One start of the server under the guard. */
export interface Run {
  readonly pid: Promise<number>;
  readonly exited: Promise<Exit>;
}

interface OpenRun {
  readonly started: PromiseWithResolvers<number>;
  readonly exited: PromiseWithResolvers<Exit>;
  pid?: number;
}

export class GuardLink {
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #gone: Promise<unknown>;
  #run: OpenRun | undefined;

  /** Starts the guard. `log` receives what it prints when it fails itself. */
  constructor(log: string) {
    // The guard is the sibling of this file: .ts in the repository, .js in the package.
    const file = join(import.meta.dirname, `guard${extname(import.meta.filename)}`);
    const out = openSync(log, "a");
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#process = spawn(process.execPath, [file], {
      env,
      detached: true, // out of the terminal's group: Ctrl-C must reach us first, not the guard
      stdio: ["pipe", "pipe", out],
      windowsHide: true,
    });
    closeSync(out);
    this.#gone = once(this.#process, "exit").catch(() => {});
    const { stdin, stdout, pid } = this.#process;
    if (pid === undefined || stdin === null || stdout === null) {
      this.#process.on("error", () => {});
      throw new Error(`the guard process cannot be started with ${process.execPath}`);
    }
    this.pid = pid;
    stdin.on("error", () => {}); // a guard that is gone shows in its exit
    createInterface({ input: stdout }).on("line", (line) => this.#read(JSON.parse(line)));
    void this.#gone.then(() => this.#orphaned());
  }

  order(order: Order): void {
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** Starts the server; only when none is running. */
  start(binary: string, args: readonly string[], log: string): Run {
    const run: OpenRun = {
      started: Promise.withResolvers(),
      exited: Promise.withResolvers(),
    };
    this.#run = run;
    this.order({ do: "start", binary, args, log });
    return { pid: run.started.promise, exited: run.exited.promise };
  }

  /** Lets go: the guard ends what still runs, removes what is temporary and exits. */
  async release(): Promise<void> {
    this.#process.stdin?.end();
    await this.#gone;
  }

  #read(report: Report): void {
    const run = this.#run;
    if (run === undefined) return;
    if (report.is === "started") {
      run.pid = report.pid;
      run.started.resolve(report.pid);
    } else if (report.is === "failed") {
      run.started.reject(new Error(report.reason));
    } else {
      this.#run = undefined;
      run.exited.resolve({ code: report.code, signal: report.signal });
    }
  }

  /** The guard itself is gone. Had it left a server behind (it was killed), we end it. */
  #orphaned(): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    run.started.reject(new Error("the guard process is gone"));
    run.started.promise.catch(() => {});
    if (run.pid === undefined) return;
    try {
      process.kill(run.pid, "SIGKILL");
    } catch {
      // It went with the guard.
    }
    run.exited.resolve({ code: null, signal: "SIGKILL" });
  }
}
