// The guard: a small process of its own between us and one nats-server. It starts the server,
// passes signals on, and outlives its owner just long enough to clean up. Its standard input is
// a pipe that only the owner holds; when the owner goes, by exit, crash or kill -9, the kernel
// closes the pipe and the guard ends the server and removes what is temporary. Nothing here
// depends on the operating system (no death signals, no process groups).
//
// Orders, one JSON object per line on standard input; reports likewise on standard output.
import { type ChildProcess, spawn } from "node:child_process";
import { openSync, rmSync } from "node:fs";
import { createInterface } from "node:readline";

export type Order =
  | { readonly do: "hold"; readonly remove: readonly string[]; readonly graceMs: number }
  | {
      readonly do: "start";
      readonly binary: string;
      readonly args: readonly string[];
      readonly log: string;
    }
  | { readonly do: "signal"; readonly signal: NodeJS.Signals };

export type Report =
  | { readonly is: "started"; readonly pid: number }
  | { readonly is: "failed"; readonly reason: string }
  | { readonly is: "exited"; readonly code: number | null; readonly signal: NodeJS.Signals | null };

let server: ChildProcess | undefined;
let remove: readonly string[] = [];
let graceMs = 0;
let ending = false;

function report(line: Report): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function start(binary: string, args: readonly string[], log: string): void {
  const out = openSync(log, "a");
  const child = spawn(binary, args, { stdio: ["ignore", out, out], windowsHide: true });
  server = child;
  child.on("spawn", () => report({ is: "started", pid: child.pid ?? 0 }));
  child.on("error", (error) => {
    if (child.pid !== undefined) return;
    server = undefined;
    report({ is: "failed", reason: error.message });
    if (ending) leave();
  });
  child.on("exit", (code, signal) => {
    server = undefined;
    report({ is: "exited", code, signal });
    if (ending) leave();
  });
}

function obey(order: Order): void {
  if (order.do === "hold") {
    remove = order.remove;
    graceMs = order.graceMs;
  } else if (order.do === "start") {
    if (server === undefined && !ending) start(order.binary, order.args, order.log);
  } else {
    server?.kill(order.signal);
  }
}

/** The owner is gone or done. A store that is kept gets `graceMs` for an orderly end. */
function end(): void {
  if (ending) return;
  ending = true;
  if (server === undefined) return leave();
  server.kill(graceMs > 0 ? "SIGTERM" : "SIGKILL");
  setTimeout(() => server?.kill("SIGKILL"), graceMs);
}

function leave(): void {
  for (const path of remove) {
    rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  }
  process.exit(0);
}

// The owner may be gone already when a report is written.
process.stdout.on("error", () => {});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
const orders = createInterface({ input: process.stdin });
orders.on("line", (line) => obey(JSON.parse(line) as Order));
orders.on("close", end);
