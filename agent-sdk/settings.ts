// Where the mesh is and who we are there, as told: by options, else by the environment (the names
// of the `nats` CLI), else by what `parley up` left in the home folder.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { ParleyError } from "../contracts/index.ts";

export interface PlaceOptions {
  /** `nats://host:port`, or several with commas between them. */
  server?: string;
  /** A `.creds` file, or its text. */
  creds?: string;
  /** A file with an NKey seed (static users), or the seed itself. */
  nkey?: string;
  /** Name of a context of the `nats` CLI. */
  context?: string;
  /** The mesh's identity folder; default `.parley`. */
  home?: string;
}

export interface TlsFiles {
  caFile?: string;
  certFile?: string;
  keyFile?: string;
}

/** Everything that was said, before any key is read. */
export interface Place {
  servers: string[];
  creds: string | undefined;
  nkey: string | undefined;
  /** Folders where the mesh's public trust may be, nearest first. */
  homes: string[];
  tls: TlsFiles | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

const START = "start one here with: parley up, or name one in NATS_URL";

/** @throws ParleyError E_CONNECTION when there is no address, E_SCHEMA for a broken context. */
export function findPlace(options: PlaceOptions, env: Env = process.env): Place {
  const said = fromOptions(options, env);
  const told = fromEnvironment(env);
  const home = resolve(options.home ?? (env.PARLEY_HOME || ".parley"));
  const up = readUp(home);
  const address = said.url ?? told.url ?? up?.url;
  if (address === undefined) {
    throw new ParleyError("E_CONNECTION", `there is no mesh to join: ${START}`);
  }
  const servers = address
    .split(",")
    .map((s) => s.trim())
    .filter((s) => s !== "");
  // A home that was named outranks credentials of the environment, a default one does not.
  const named = said.creds !== undefined || said.nkey !== undefined || options.home !== undefined;
  const who = named ? said : told;
  return {
    servers,
    creds: who.creds,
    nkey: who.creds === undefined ? who.nkey : undefined,
    homes: [
      ...new Set([
        ...besideFile(who.creds ?? who.nkey),
        home,
        ...(up?.home === undefined ? [] : [up.home]),
      ]),
    ],
    tls: said.tls ?? told.tls,
  };
}

interface Told {
  url?: string | undefined;
  creds?: string | undefined;
  nkey?: string | undefined;
  tls?: TlsFiles | undefined;
}

function fromOptions(o: PlaceOptions, env: Env): Told {
  const context = o.context === undefined ? {} : readContext(o.context, env);
  return {
    url: o.server ?? context.url,
    tls: context.tls,
    ...(o.creds !== undefined || o.nkey !== undefined
      ? { creds: o.creds, nkey: o.nkey }
      : { creds: context.creds, nkey: context.nkey }),
  };
}

function fromEnvironment(env: Env): Told {
  const context = env.NATS_CONTEXT ? readContext(env.NATS_CONTEXT, env) : {};
  const creds = env.NATS_CREDS || undefined;
  const nkey = env.NATS_NKEY || undefined;
  return {
    url: env.NATS_URL || context.url,
    tls: context.tls,
    ...(creds !== undefined || nkey !== undefined
      ? { creds, nkey }
      : { creds: context.creds, nkey: context.nkey }),
  };
}

/** `creds/NAME.creds` of an identity folder lies below it; a copied file has trust.json beside. */
function besideFile(source: string | undefined): string[] {
  if (source === undefined || isSecretText(source)) return [];
  const folder = dirname(resolve(source));
  return [folder, dirname(folder)];
}

/** Was the secret itself given instead of the name of its file? */
export function isSecretText(text: string): boolean {
  return text.includes("-----BEGIN") || /^\s*SU[A-Z2-7]{56}\s*$/.test(text);
}

/** What `parley up` leaves in the home folder while its server runs. */
function readUp(home: string): { url: string; home: string | undefined } | undefined {
  const found = readObject(join(home, "up.json"));
  if (typeof found?.url !== "string") return undefined;
  return { url: found.url, home: typeof found.home === "string" ? resolve(found.home) : undefined };
}

/** A context of the `nats` CLI: `$XDG_CONFIG_HOME/nats/context/NAME.json`. */
function readContext(name: string, env: Env): Told {
  const config = env.XDG_CONFIG_HOME || join(homedir(), ".config");
  const path = isAbsolute(name) ? name : join(config, "nats", "context", `${name}.json`);
  const context = readObject(path);
  if (context === undefined) {
    throw new ParleyError(
      "E_SCHEMA",
      `there is no NATS context "${name}" (${path}); see: nats context ls`,
    );
  }
  const text = (field: string): string | undefined => {
    const value = context[field];
    return typeof value === "string" && value !== "" ? expandHome(value) : undefined;
  };
  const tls: TlsFiles = {};
  const [caFile, certFile, keyFile] = [text("ca"), text("cert"), text("key")];
  if (caFile !== undefined) tls.caFile = caFile;
  if (certFile !== undefined) tls.certFile = certFile;
  if (keyFile !== undefined) tls.keyFile = keyFile;
  return {
    url: text("url"),
    creds: text("creds"),
    nkey: text("nkey"),
    ...(Object.keys(tls).length > 0 ? { tls } : {}),
  };
}

function expandHome(path: string): string {
  return path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
}

/** Undefined when there is no such file. @throws ParleyError E_SCHEMA when it is no JSON object. */
function readObject(path: string): Record<string, unknown> | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new ParleyError("E_SCHEMA", `${path} cannot be read: ${(error as Error).message}`);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through: the same advice.
  }
  throw new ParleyError("E_SCHEMA", `${path} is not a JSON object: mend or remove it`);
}
