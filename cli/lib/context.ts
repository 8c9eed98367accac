// Contexts of the nats program: named connections in files, which Parley reads and never writes.
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { CliError } from "./errors.ts";

const ContextSchema = z.object({
  url: z.string().optional(),
  token: z.string().optional(),
  user: z.string().optional(),
  password: z.string().optional(),
  creds: z.string().optional(),
  nkey: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
  ca: z.string().optional(),
  inbox_prefix: z.string().optional(),
});
export type NatsContext = z.infer<typeof ContextSchema>;

type Env = Readonly<Record<string, string | undefined>>;

function folder(env: Env): string {
  const config = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), ".config");
  return join(config, "nats");
}

/** The context that `nats context select` chose. */
export async function selectedContext(env: Env): Promise<string | undefined> {
  const text = await readFile(join(folder(env), "context.txt"), "utf8").catch(() => "");
  return text.trim() === "" ? undefined : text.trim();
}

export async function readContext(name: string, env: Env): Promise<NatsContext> {
  const path = join(folder(env), "context", `${name}.json`);
  const text = /[/\\]/.test(name) ? undefined : await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) {
    throw new CliError("E_NOT_FOUND", `there is no nats context "${name}" (looked for ${path})`, {
      next: "nats context ls    (what is there), or: nats context add",
    });
  }
  try {
    return onlyGiven(ContextSchema.parse(JSON.parse(text)));
  } catch (cause) {
    throw new CliError("E_USAGE", `${path} is no nats context: ${(cause as Error).message}`, {
      next: `nats context edit ${name}`,
      cause,
    });
  }
}

/** The nats program writes empty strings for what is not set. */
function onlyGiven(context: NatsContext): NatsContext {
  return Object.fromEntries(
    Object.entries(context).filter(([, value]) => value !== undefined && value !== ""),
  );
}

/** Path of a file as a context names it; other stores of secrets are not opened. */
export function localPath(location: string, env: Env): string {
  const scheme = /^([a-z]+):\/\//.exec(location)?.[1];
  if (scheme !== undefined && scheme !== "file") {
    throw new CliError("E_USAGE", `credentials from ${scheme}:// are not read by parley`, {
      next: "name a file: --creds FILE",
    });
  }
  const path = location.replace(/^file:\/\//, "");
  return path.startsWith("~/") ? join(env.HOME || homedir(), path.slice(2)) : path;
}
