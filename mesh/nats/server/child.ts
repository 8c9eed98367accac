// Running other programs with a time limit, and finding them on a search path. Every program is
// started without a shell, so no argument is ever interpreted.
import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Environment variables as the callers of this folder may inject them. */
export type Env = Readonly<Record<string, string | undefined>>;

/** Receives one line of plain text for a person about something that was done or decided. */
export type Say = (line: string) => void;

export interface ChildResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Why the program did not run to its end: not started, or killed at the time limit. */
  readonly failure?: string;
}

/** Output kept per stream, in characters; the end is what names the cause of a failure. */
const outputCharsMax = 256 * 1024;

/** Runs a program to its end. Never rejects: a program that cannot start or exceeds `timeoutMs`
 * (then it gets SIGKILL) is reported in `failure`. */
export function runChild(
  command: string,
  args: readonly string[],
  options: { readonly env: Env; readonly timeoutMs: number; readonly cwd?: string },
): Promise<ChildResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      env: { ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    let failure: string | undefined;
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout = (stdout + text).slice(-outputCharsMax);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-outputCharsMax);
    });
    const timer = setTimeout(() => {
      failure = `stopped after ${options.timeoutMs / 1000} s`;
      child.kill("SIGKILL");
      // A grandchild may hold the pipes open; the result must not wait for it.
      child.stdout.destroy();
      child.stderr.destroy();
    }, options.timeoutMs);
    const done = (code: number | null, signal: NodeJS.Signals | null): void => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr, ...(failure === undefined ? {} : { failure }) });
    };
    child.on("error", (error) => {
      failure ??= error.message;
      if (child.pid === undefined) done(null, null);
    });
    child.on("close", done);
  });
}

/** Why a finished program counts as failed, in one line, or `undefined` when it succeeded. */
export function failureOf(result: ChildResult): string | undefined {
  if (result.failure !== undefined) return result.failure;
  if (result.code === 0) return undefined;
  const lines = result.stderr.split("\n").map((line) => line.trim());
  const telling = lines.findLast((line) => line !== "") ?? "no message";
  return `exit ${result.code ?? result.signal}: ${telling}`;
}

/** Every executable file called `name` on the search path, in its order. */
export function findOnPath(name: string, env: Env): string[] {
  const found: string[] = [];
  const names = process.platform === "win32" ? [`${name}.exe`] : [name];
  for (const folder of (env.PATH ?? env.Path ?? "").split(delimiter)) {
    if (folder === "") continue;
    for (const each of names) {
      const file = join(folder, each);
      if (isExecutable(file) && !found.includes(file)) found.push(file);
    }
  }
  return found;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
