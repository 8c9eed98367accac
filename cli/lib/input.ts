// JSON that people give: as an argument, in a pipe, in a file.
import { readFile } from "node:fs/promises";
import { ARTEFACT_BYTES_MAX } from "../../contracts/limits.ts";
import { CliError, usage } from "./errors.ts";
import { orInterrupted } from "./interrupt.ts";

/** A task's input: JSON, or `-` for JSON on standard input. Nothing at all is `{}`. */
export async function readInput(text: string | undefined): Promise<unknown> {
  if (text === undefined) return {};
  const bytes = text === "-" ? await orInterrupted(readPipe()) : Buffer.from(text);
  return parsed(
    "the input",
    bytes,
    `quote it for the shell, as in: '{"text":"hello"}' , or pipe it in with -`,
  );
}

/**
 * All of standard input. Read as a stream: where a pipe does not block, a synchronous read fails
 * as soon as its writer is slower than we are.
 */
async function readPipe(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  if (process.stdin.isTTY) process.stderr.write("reading JSON; Ctrl-D ends it\n");
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > ARTEFACT_BYTES_MAX) {
      const most = `${ARTEFACT_BYTES_MAX / 1024 / 1024} MiB`;
      throw new CliError("E_TOO_LARGE", `more than ${most} on standard input`, {
        next: "store it where the agents can read it, and give its address",
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A file of JSON; - for a pipe. */
export async function readJsonFile(file: string): Promise<unknown> {
  return parseJson(file, await readBytes(file));
}

/** A file; - for a pipe. */
export async function readBytes(file: string): Promise<Buffer> {
  if (file === "-") return orInterrupted(readPipe());
  return readFile(file).catch((error: Error) => {
    throw usage(error.message);
  });
}

export function parseJson(file: string, bytes: Uint8Array): unknown {
  return parsed(file === "-" ? "standard input" : file, bytes);
}

/** Decoded without the mark that some editors put before a text. */
function parsed(what: string, bytes: Uint8Array, next?: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch (error) {
    throw usage(`${what} is no JSON: ${(error as Error).message}`, next);
  }
}
