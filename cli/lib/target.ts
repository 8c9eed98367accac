// Which server, as whom, and whom to trust. From flags, then the environment, then a nats context,
// then the server that `parley up` left running.
import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { isToken, tokenAdvice } from "../../contracts/ids.ts";
import { TIMER_MS_MAX } from "../../contracts/limits.ts";
import type { Role } from "../../contracts/roles.ts";
import type { ConnectOptions } from "../../mesh/nats/connect.ts";
import { roleBySigningKey, type Trust } from "../../mesh/nats/identity/account.ts";
import { credsAuth, nkeyAuth } from "../../mesh/nats/identity/authenticator.ts";
import { type Creds, parseCreds } from "../../mesh/nats/identity/creds.ts";
import { defaultHomeDir, homeFiles, readTrust } from "../../mesh/nats/identity/home.ts";
import { describeUser } from "../../mesh/nats/identity/jwt.ts";
import { keyFromSeed } from "../../mesh/nats/identity/keys.ts";
import { readKeyring } from "../../mesh/nats/identity/static-users.ts";
import { jwtTrust, keyringTrust } from "../../mesh/nats/trust.ts";
import type { Signer, Trust as TrustPort } from "../../mesh/ports/index.ts";
import { localPath, type NatsContext, readContext, selectedContext } from "./context.ts";
import { CliError, usage } from "./errors.ts";
import { lengthOf } from "./parse.ts";
import { type Purpose, STANDING, standingCreds } from "./standing.ts";
import { readUp, type UpFile } from "./up-file.ts";

export interface Globals {
  server?: string;
  creds?: string;
  nkey?: string;
  context?: string;
  home?: string;
  name?: string;
  /** Milliseconds. */
  timeout?: number;
  json?: boolean;
  quiet?: boolean;
}

export interface Target {
  servers: string[];
  /** Where the address was taken from, for people. */
  serversFrom: string;
  principal: string;
  /** Undefined when nothing here can tell. */
  role: Role | undefined;
  /** Where the credentials were taken from, for people. */
  credsFrom: string;
  /** Absolute, ms; absent when they do not expire. */
  expiresAt?: number;
  authenticator?: NonNullable<ConnectOptions["authenticator"]>;
  signer?: Signer;
  jwt?: string;
  /** Absent: signatures cannot be checked. */
  trust?: TrustPort;
  tls?: NonNullable<ConnectOptions["tls"]>;
  home: string;
  up: UpFile | undefined;
  timeoutMs: number;
}

type Env = Readonly<Record<string, string | undefined>>;

const SERVER_DEFAULT = "nats://127.0.0.1:4222";
/** As in the nats program. */
const TIMEOUT_MS_DEFAULT = 5_000;

export function homeOf(globals: Globals, env: Env = process.env): string {
  return globals.home === undefined ? defaultHomeDir(env) : resolve(globals.home);
}

export async function findTarget(
  globals: Globals,
  purpose: Purpose,
  env: Env = process.env,
): Promise<Target> {
  const home = homeOf(globals, env);
  // Only `up` makes one. What a folder that is not there leaves out would be looked for elsewhere.
  if (globals.home !== undefined && !existsSync(home)) {
    throw usage(`${home} (--home) is not there`, `parley up --home ${globals.home}    (makes it)`);
  }
  if (globals.home !== undefined && !statSync(home).isDirectory()) {
    throw usage(`${home} (--home) is no folder`, "name the mesh's folder, as parley init made it");
  }
  const up = await readUp(home);
  if (globals.server?.replaceAll(",", "").trim() === "") {
    throw usage("--server is empty", "--server nats://host:4222, or leave it out");
  }
  const server = globals.server ?? given(env.NATS_URL);
  const contextName =
    globals.context ??
    given(env.NATS_CONTEXT) ??
    (server === undefined && up === undefined && !isMesh(globals, home)
      ? await selectedContext(env)
      : undefined);
  const context = contextName === undefined ? {} : await readContext(contextName, env);
  const url = server ?? context.url ?? up?.url ?? SERVER_DEFAULT;
  const found = await credentials({ globals, env, context, contextName, home, purpose });
  return {
    servers: url
      .split(",")
      .map((one) => one.trim())
      .filter((one) => one !== ""),
    serversFrom: serversFrom(globals, env, context, contextName, up),
    home,
    up,
    timeoutMs: Math.min(TIMER_MS_MAX, globals.timeout ?? timeoutIn(env) ?? TIMEOUT_MS_DEFAULT),
    ...(context.ca === undefined && context.cert === undefined ? {} : { tls: tls(context, env) }),
    ...found,
  };
}

/** A folder that was named, or holds a mesh: what was selected for another is not meant. */
function isMesh(globals: Globals, home: string): boolean {
  return globals.home !== undefined || existsSync(homeFiles(home).trust);
}

function timeoutIn(env: Env): number | undefined {
  const text = given(env.NATS_TIMEOUT);
  const ms = text === undefined ? undefined : lengthOf(text);
  if (text === undefined || ms !== undefined) return ms;
  throw usage(`NATS_TIMEOUT "${text}" is no length of time`, "NATS_TIMEOUT=5s, or leave it unset");
}

function given(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}

function serversFrom(
  globals: Globals,
  env: Env,
  context: NatsContext,
  name: string | undefined,
  up: UpFile | undefined,
): string {
  if (globals.server !== undefined) return "--server";
  if (given(env.NATS_URL) !== undefined) return "NATS_URL";
  if (context.url !== undefined) return `nats context ${name}`;
  return up === undefined ? "the default" : `parley up (process ${up.pid})`;
}

function tls(context: NatsContext, env: Env): NonNullable<ConnectOptions["tls"]> {
  return {
    ...(context.ca === undefined ? {} : { caFile: localPath(context.ca, env) }),
    ...(context.cert === undefined ? {} : { certFile: localPath(context.cert, env) }),
    ...(context.key === undefined ? {} : { keyFile: localPath(context.key, env) }),
  };
}

type Found = Pick<
  Target,
  "principal" | "role" | "credsFrom" | "authenticator" | "signer" | "jwt" | "trust" | "expiresAt"
>;

interface Search {
  globals: Globals;
  env: Env;
  context: NatsContext;
  contextName: string | undefined;
  home: string;
  purpose: Purpose;
}

async function credentials(s: Search): Promise<Found> {
  const { globals, env, context } = s;
  const trust = await readTrust(s.home).catch(() => undefined);
  const inContext = `nats context ${s.contextName}`;
  const places: [string | undefined, "creds" | "nkey", string][] = [
    [globals.creds, "creds", "--creds"],
    [globals.nkey, "nkey", "--nkey"],
    [given(env.NATS_CREDS), "creds", "NATS_CREDS"],
    [given(env.NATS_NKEY), "nkey", "NATS_NKEY"],
    [context.creds, "creds", inContext],
    [context.nkey, "nkey", inContext],
  ];
  const place = places.find(([location]) => location !== undefined);
  if (place?.[0] !== undefined) {
    const path = localPath(place[0], env);
    const text = await readFile(path, "utf8").catch((cause: unknown) => {
      throw new CliError("E_USAGE", `${path} (${place[2]}) cannot be read`, {
        next: "parley identity ls    (whose credentials are where)",
        cause,
      });
    });
    const from = `${path} (${place[2]})`;
    return place[1] === "creds"
      ? fromCreds(s, parseCreds(text), trust, from)
      : fromNkey(s, text.trim(), from);
  }
  if (context.user !== undefined || context.token !== undefined) return fromPassword(s, inContext);
  if (trust !== undefined) {
    const who = STANDING[s.purpose];
    return fromCreds(
      s,
      await standingCreds(s.home, who),
      trust,
      homeFiles(s.home).credsOf(who.name),
    );
  }
  return { principal: named(s, undefined) ?? "cli", role: undefined, credsFrom: "none" };
}

function fromCreds(s: Search, creds: Creds, trust: Trust | undefined, from: string): Found {
  const common = {
    authenticator: credsAuth(creds),
    signer: keyFromSeed(creds.seed),
    jwt: creds.jwt,
    credsFrom: from,
  };
  if (trust !== undefined) {
    const who = describeUser(creds.jwt, roleBySigningKey(trust), {
      account: trust.account,
      revocations: trust.revocations,
    });
    if (who.ok) {
      const { name, role, expiresAt } = who.identity;
      return {
        ...common,
        principal: name,
        role,
        trust: jwtTrust(trust, () => Date.now()),
        ...(expiresAt === undefined ? {} : { expiresAt }),
      };
    }
    if (who.reason === "expired" || who.reason === "revoked") {
      throw new CliError("E_IDENTITY", `the credentials in ${from} are ${who.reason}`, {
        next: "parley identity add NAME --role ROLE",
      });
    }
  }
  // Credentials of a mesh whose folder is not here: usable, but nobody's signature can be proven.
  return { ...common, principal: named(s, nameIn(creds.jwt)) ?? "cli", role: undefined };
}

/** The name inside a JWT, unproven: the server judges the credentials. */
function nameIn(jwt: string): string | undefined {
  try {
    const body = Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString("utf8");
    const { name } = JSON.parse(body) as { name?: unknown };
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}

function named(s: Search, inside: string | undefined): string | undefined {
  const name =
    s.globals.name ?? inside ?? /^_INBOX\.([^.]+)$/.exec(s.context.inbox_prefix ?? "")?.[1];
  if (name === undefined || isToken(name)) return name;
  throw usage(tokenAdvice("the principal's name", name), "say who it is: --name NAME");
}

async function fromNkey(s: Search, seed: string, from: string): Promise<Found> {
  const signer = keyFromSeed(seed);
  const keyring = await readKeyring(`${s.home}/keyring.json`);
  const entry = Object.entries(keyring).find(([, e]) => e.publicKey === signer.publicKey);
  const name = named(s, entry?.[0]);
  if (name === undefined) {
    throw usage(
      `no keyring tells whose NKey ${signer.publicKey} is`,
      `put the mesh's keyring.json into ${s.home}, or say who it is: --name NAME`,
    );
  }
  return {
    principal: name,
    role: entry?.[1].role,
    credsFrom: from,
    signer,
    authenticator: nkeyAuth(signer),
    ...(entry === undefined ? {} : { trust: keyringTrust(keyring) }),
  };
}

function fromPassword(s: Search, from: string): Found {
  const { user, password, token } = s.context;
  return {
    principal: named(s, undefined) ?? "cli",
    role: undefined,
    credsFrom: from,
    authenticator: () =>
      token === undefined ? { user: user ?? "", pass: password ?? "" } : { auth_token: token },
  };
}
