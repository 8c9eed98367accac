// What went wrong, why, what to do next, and a code that scripts can rely on.
import { InvalidArgumentError } from "commander";
import { type FailureCode, ParleyError } from "../../contracts/failure.ts";

/** Exit status of the program. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  noConnection: 3,
  notFound: 4,
  timeout: 5,
  interrupted: 130,
} as const;

export type CliCode = FailureCode | "E_USAGE" | "E_PORT" | "E_RUNNING" | "E_CHECK" | "E_NO_SERVER";

const EXIT_BY_CODE: Partial<Record<CliCode, number>> = {
  E_USAGE: EXIT.usage,
  E_SCHEMA: EXIT.usage,
  E_CONNECTION: EXIT.noConnection,
  E_NOT_FOUND: EXIT.notFound,
  E_NO_CAPABILITY: EXIT.notFound,
  E_TIMEOUT: EXIT.timeout,
  E_DEADLINE: EXIT.timeout,
  E_NO_BID: EXIT.timeout,
};

/** What to do next, where the message of a ParleyError does not say it. */
const NEXT: Partial<Record<CliCode, string>> = {
  E_CONNECTION: "parley up    (or name a server: --server nats://host:4222)",
  E_PERMISSION: "parley doctor    (says what these credentials may do)",
  E_NO_CAPABILITY: "parley caps    (what the agents offer)",
  E_NOT_FOUND: "parley task ls    (what is there)",
  E_TIMEOUT: "parley doctor    (is somebody there to answer?)",
  E_NO_BID: "parley agents    (who is there, with how many slots)",
  E_DEADLINE: "give it more time: --timeout 5m",
};

/** What is wrong with a file or folder that somebody named. */
const FILE_ERRORS = new Set(["EACCES", "EEXIST", "EISDIR", "ENOENT", "ENOTDIR", "EPERM", "EROFS"]);

export interface CliErrorOptions {
  next?: string;
  exit?: number;
  cause?: unknown;
}

export class CliError extends Error {
  readonly code: CliCode;
  readonly exit: number;
  readonly next: string | undefined;

  constructor(code: CliCode, message: string, options: CliErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "CliError";
    this.code = code;
    this.exit = options.exit ?? exitOf(code);
    this.next = options.next ?? NEXT[code];
  }
}

export function usage(message: string, next?: string): CliError {
  return new CliError("E_USAGE", message, next === undefined ? {} : { next });
}

/** A signal ended the command: nothing is said about it, the status says it. */
export class Interrupted extends Error {
  readonly exit: number;

  constructor(signal: "SIGINT" | "SIGTERM" | "SIGHUP") {
    super(`ended by ${signal}`);
    this.name = "Interrupted";
    this.exit = { SIGINT: EXIT.interrupted, SIGTERM: 143, SIGHUP: 129 }[signal];
  }
}

export function exitOf(code: CliCode): number {
  return EXIT_BY_CODE[code] ?? EXIT.failed;
}

/** Whatever was thrown, as an error that can be shown. */
export function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof ParleyError) {
    return new CliError(error.code, error.message, { cause: error });
  }
  // A name or id that a command looked at itself: commander says only what it looks at.
  if (error instanceof InvalidArgumentError) return usage(error.message);
  const e = error as NodeJS.ErrnoException;
  if (
    e?.path !== undefined &&
    e.syscall?.startsWith("spawn") === false &&
    FILE_ERRORS.has(e.code ?? "")
  ) {
    return usage(e.message, "name a file or folder that is there, and may be read and written");
  }
  if (e?.name === "EncodeError") return usage(e.message);
  if (e?.code === "ENOSPC" || e?.code === "EDQUOT") {
    return new CliError("E_HANDLER", e.message, {
      cause: e,
      next: "make room, or write elsewhere",
    });
  }
  if (e?.name === "ServerNotFoundError" || e?.name === "ServerStartError") {
    return new CliError("E_NO_SERVER", e.message, { cause: e, next: "parley up --help" });
  }
  return new CliError("E_HANDLER", e?.message ?? String(error), {
    cause: error,
    next: "this is a fault of Parley itself: report it, with PARLEY_TRACE=1 for where it was",
  });
}

/** `what: why`, then what to do next, then the code: one line each. */
export function errorLines(error: Pick<CliError, "code" | "message" | "next">): string[] {
  return [
    `parley: ${error.message}`,
    ...(error.next === undefined ? [] : [`  next: ${error.next}`]),
    `  code: ${error.code}`,
  ];
}
