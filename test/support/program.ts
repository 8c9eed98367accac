// Runs `parley` (and `nats`) as a user would: as a process of its own, with a clean environment.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findOnPath } from "../../mesh/nats/server/child.ts";
import { natsCliPath } from "../../mesh/nats/server/index.ts";

const main = join(import.meta.dirname, "..", "..", "cli", "main.ts");

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Program {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** The next line on standard output that fits; rejects when the program ends before. */
  line(fits: RegExp): Promise<string>;
}

type Env = Record<string, string | undefined>;

/** What must not leak in from whoever runs the tests; the rest (PATH, NATS_SERVER_BIN) may. */
function cleanEnv(home: string, extra: Env): NodeJS.ProcessEnv {
  const env: Env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (
      /^(NATS_(?!SERVER_BIN)|PARLEY_(?!CACHE|OFFLINE|NATS_)|(NO|FORCE)_COLOR|NODE_OPTIONS)/.test(
        name,
      )
    ) {
      delete env[name];
    }
  }
  return { ...env, HOME: home, XDG_CONFIG_HOME: join(home, "config"), ...extra };
}

export function start(
  binary: string,
  args: readonly string[],
  home: string,
  extra: Env = {},
  input?: string,
): Program {
  const child = spawn(binary, args, {
    cwd: home,
    env: cleanEnv(home, extra),
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  // Who refuses an input need not read it to its end.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input ?? "");
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    for (const look of waiting) look();
  });
  return {
    process: child,
    ended,
    line: (fits) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find((line) => fits.test(line));
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
        void ended.then(({ code }) =>
          reject(new Error(`it ended (${code}) first: ${out}\n${err}`)),
        );
      }),
  };
}

export function startParley(
  args: readonly string[],
  home: string,
  env: Env = {},
  input?: string,
): Program {
  return start(process.execPath, [main, ...args], home, env, input);
}

export function parley(
  args: readonly string[],
  home: string,
  env: Env = {},
  input?: string,
): Promise<Ended> {
  return startParley(args, home, env, input).ended;
}

/** The stock `nats` program: NATS_CLI_BIN, PATH, or where `.ci/run` puts it. */
export function findNatsCli(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env.NATS_CLI_BIN) return env.NATS_CLI_BIN;
  const [onPath] = findOnPath("nats", env);
  if (onPath !== undefined) return onPath;
  const cached = natsCliPath(env);
  return existsSync(cached) ? cached : undefined;
}
