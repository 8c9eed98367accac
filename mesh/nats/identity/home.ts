// The identity folder of a mesh, `.parley/`: its keys, what verifiers must know, the server's part,
// and who was given credentials.
//
//   operator.nk  operator.jwt   who may make accounts
//   keys/*.nk                   system account, mesh account, one signing key per role
//   trust.json                  public keys per role, revocations: all that a verifier needs
//   nats-auth.conf              included by nats-server.conf; no secrets
//   accounts/                   where the server keeps the accounts that were pushed to it
//   server.conf                 for the servers that Parley starts itself
//   system.creds                pushes account changes into a running server
//   creds/<name>.creds          ordinary credentials, for Parley and the nats CLI
//   identities/<name>.json      who they were given to; no secrets
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { ParleyError } from "../../../contracts/failure.ts";
import { isToken, tokenAdvice } from "../../../contracts/ids.ts";
import { ROLES, type Role } from "../../../contracts/roles.ts";
import { meshAccountClaims, systemAccountClaims, type TrustFile } from "./account.ts";
import { formatCreds, parseCreds, type Creds } from "./creds.ts";
import { isErrno, makeDir, readIfThere, writeSecret } from "./files.ts";
import {
  checkNames,
  isPrincipalName,
  mintAccountJwt,
  mintOperatorJwt,
  mintSystemUserJwt,
  mintUserJwt,
  type Identity,
} from "./jwt.ts";
import { generateKey, keyFromSeed, type KeyPair } from "./keys.ts";
import { includePath, serverConfig, type ServerConfig } from "./server-config.ts";

export interface Home {
  /** Absolute path of the folder. */
  readonly dir: string;
  /** Rewritten by revokeIdentity. */
  trust: TrustFile;
  readonly keys: {
    readonly operator: KeyPair;
    readonly system: KeyPair;
    readonly account: KeyPair;
    readonly roles: Readonly<Record<Role, KeyPair>>;
  };
}

/** `$PARLEY_HOME`, else `.parley` in the working folder. */
export function defaultHomeDir(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.PARLEY_HOME || ".parley");
}

/** Where things are in an identity folder. */
export function homeFiles(dir: string) {
  return {
    operatorSeed: join(dir, "operator.nk"),
    operatorJwt: join(dir, "operator.jwt"),
    keys: join(dir, "keys"),
    key: (name: string) => join(dir, "keys", `${name}.nk`),
    trust: join(dir, "trust.json"),
    serverAuth: join(dir, "nats-auth.conf"),
    serverConfig: join(dir, "server.conf"),
    accounts: join(dir, "accounts"),
    systemCreds: join(dir, "system.creds"),
    creds: join(dir, "creds"),
    credsOf: (name: string) => join(dir, "creds", `${name}.creds`),
    identities: join(dir, "identities"),
    identity: (name: string) => join(dir, "identities", `${name}.json`),
  };
}

const TrustSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  operator: z.string(),
  systemAccount: z.string(),
  account: z.string(),
  roles: z.record(z.enum(ROLES), z.string()),
  revocations: z.record(z.string(), z.number()),
});

const IdentityFileSchema = z.object({
  name: z.string(),
  publicKey: z.string(),
  role: z.enum(ROLES),
  capabilities: z.array(z.string()),
  issuedAt: z.number(),
  expiresAt: z.number().exactOptional(),
  revokedAt: z.number().exactOptional(),
});

/** Somebody who was given credentials. */
export type IssuedIdentity = Identity & {
  /** Absolute, ms. */
  revokedAt?: number;
};

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ParleyError("E_IDENTITY", `${path} cannot be read: restore it from a copy`, {
      cause,
    });
  }
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/**
 * Makes a new mesh's identity in `dir`.
 * @throws ParleyError E_IDENTITY when one is there already; nothing is overwritten.
 */
export async function initHome(dir: string, options: { name: string }): Promise<Home> {
  if (!isToken(options.name)) {
    throw new ParleyError("E_SCHEMA", tokenAdvice("mesh name", options.name));
  }
  const files = homeFiles(resolve(dir));
  for (const path of [resolve(dir), files.keys, files.creds, files.identities]) {
    await makeDir(path);
  }
  const operator = generateKey("operator");
  await writeSecret(files.operatorSeed, `${operator.seed}\n`, { exclusive: true }).catch(
    (error: unknown) => {
      if (!isErrno(error, "EEXIST")) throw error;
      throw new ParleyError(
        "E_IDENTITY",
        `${dir} holds a mesh's identity already: use it as it ` +
          "is, or move that folder away first (credentials made from it would be void)",
      );
    },
  );
  const keys = {
    operator,
    system: generateKey("account"),
    account: generateKey("account"),
    roles: Object.fromEntries(ROLES.map((r) => [r, generateKey("account")])) as Record<
      Role,
      KeyPair
    >,
  };
  await writeSecret(files.key("system"), `${keys.system.seed}\n`);
  await writeSecret(files.key("account"), `${keys.account.seed}\n`);
  for (const role of ROLES) {
    await writeSecret(files.key(`role-${role}`), `${keys.roles[role].seed}\n`);
  }
  const trust: TrustFile = {
    version: 1,
    name: options.name,
    operator: operator.publicKey,
    systemAccount: keys.system.publicKey,
    account: keys.account.publicKey,
    roles: Object.fromEntries(ROLES.map((r) => [r, keys.roles[r].publicKey])) as Record<
      Role,
      string
    >,
    revocations: {},
  };
  const home: Home = { dir: resolve(dir), trust, keys };
  await writeOperator(home);
  await writeServerAuth(home);
  // Last: a folder without it is one whose making was interrupted.
  await writeSecret(files.trust, json(trust));
  return home;
}

async function writeOperator(home: Home): Promise<void> {
  const files = homeFiles(home.dir);
  await writeSecret(
    files.operatorJwt,
    `${await mintOperatorJwt(home.trust.name, home.keys.operator, {
      system_account: home.trust.systemAccount,
    })}\n`,
  );
  const user = generateKey("user");
  const jwt = await mintSystemUserJwt("system", user.publicKey, home.keys.system);
  await writeSecret(files.systemCreds, formatCreds({ jwt, seed: user.seed }));
}

/** The mesh account's JWT, as the server should hold it now. */
export function accountJwt(home: Home): Promise<string> {
  return mintAccountJwt(
    home.trust.name,
    home.trust.account,
    meshAccountClaims(home.trust),
    home.keys.operator,
  );
}

/**
 * Writes `nats-auth.conf` from the keys, the revocations and this version's permission templates.
 * Call it before a server starts, so that templates are never older than the program.
 */
export async function writeServerAuth(home: Home): Promise<void> {
  const files = homeFiles(home.dir);
  const operatorJwt = (await readIfThere(files.operatorJwt))?.trim();
  if (operatorJwt === undefined) {
    throw new ParleyError("E_IDENTITY", `${files.operatorJwt} is missing: restore it from a copy`);
  }
  const { trust } = home;
  const system = await mintAccountJwt(
    "SYS",
    trust.systemAccount,
    systemAccountClaims(),
    home.keys.operator,
  );
  await writeSecret(
    files.serverAuth,
    [
      `# Identity of the mesh "${trust.name}", for nats-server: operator, accounts, roles.`,
      "# Written by `parley init` and `parley identity revoke`; no secrets inside.",
      "# The including file says which resolver keeps the accounts.",
      `operator: ${operatorJwt}`,
      `system_account: ${trust.systemAccount}`,
      "resolver_preload {",
      `  ${trust.systemAccount}: ${system}`,
      `  ${trust.account}: ${await accountJwt(home)}`,
      "}",
      "",
    ].join("\n"),
  );
}

/**
 * Writes `nats-auth.conf` anew and `server.conf` around it, for a server that gets its store as an
 * argument (mesh/nats/server); gives the path of the latter.
 */
export async function writeServerConfig(
  home: Home,
  config: Partial<Omit<ServerConfig, "include">> = {},
): Promise<string> {
  const files = homeFiles(home.dir);
  await writeServerAuth(home);
  await writeSecret(
    files.serverConfig,
    serverConfig({
      resolver: "full",
      accountsDir: files.accounts,
      ...config,
      include: includePath(files.serverConfig, files.serverAuth),
    }),
  );
  return files.serverConfig;
}

/** What a verifier must know. @throws ParleyError E_IDENTITY, saying what to do. */
export async function readTrust(dir: string): Promise<TrustFile> {
  const files = homeFiles(resolve(dir));
  const trust = await readJson(files.trust, TrustSchema);
  if (trust !== undefined) return trust;
  throw new ParleyError(
    "E_IDENTITY",
    (await readIfThere(files.operatorSeed)) === undefined
      ? `there is no mesh identity in ${dir}: make one with parley init, or name its folder in ` +
          "PARLEY_HOME"
      : `the making of ${dir} was interrupted: remove it and run parley init again`,
  );
}

/** @throws ParleyError E_IDENTITY when there is none, or a key is missing or does not fit. */
export async function openHome(dir: string): Promise<Home> {
  const trust = await readTrust(dir);
  const files = homeFiles(resolve(dir));
  const load = async (path: string, expected: string): Promise<KeyPair> => {
    const seed = await readIfThere(path);
    if (seed === undefined) {
      throw new ParleyError("E_IDENTITY", `${path} is missing: restore it from a copy`);
    }
    const key = keyFromSeed(seed);
    if (key.publicKey === expected) return key;
    throw new ParleyError(
      "E_IDENTITY",
      `${path} is not the key that trust.json names: restore both from the same copy`,
    );
  };
  const roles = await Promise.all(
    ROLES.map(
      async (role) => [role, await load(files.key(`role-${role}`), trust.roles[role])] as const,
    ),
  );
  return {
    dir: resolve(dir),
    trust,
    keys: {
      operator: await load(files.operatorSeed, trust.operator),
      system: await load(files.key("system"), trust.systemAccount),
      account: await load(files.key("account"), trust.account),
      roles: Object.fromEntries(roles) as Record<Role, KeyPair>,
    },
  };
}

export interface NewIdentity {
  name: string;
  role: Role;
  capabilities?: readonly string[];
  /** Length, ms; without it the credentials do not expire. */
  expiresInMs?: number;
}

export type MintedUser = Creds & { identity: Identity };

/**
 * Credentials in memory, written nowhere and so not listed; a name may be minted twice.
 * @throws ParleyError E_SCHEMA when a name, a capability or the role is not allowed.
 */
export function mintUser(home: Home, user: NewIdentity): Promise<MintedUser> {
  return mintFor(home, user, generateKey("user"));
}

async function mintFor(home: Home, user: NewIdentity, key: KeyPair): Promise<MintedUser> {
  const roleKey = home.keys.roles[user.role];
  if (!ROLES.includes(user.role)) {
    throw new ParleyError("E_SCHEMA", `role "${user.role}" must be one of ${ROLES.join(", ")}`);
  }
  const { expiresInMs } = user;
  if (expiresInMs !== undefined && !(expiresInMs >= 1000)) {
    throw new ParleyError("E_SCHEMA", "credentials must last a second at least");
  }
  const issuedAt = Math.floor(Date.now() / 1000) * 1000;
  const expires = expiresInMs === undefined ? {} : { expiresAt: issuedAt + expiresInMs };
  const capabilities = [...new Set(user.capabilities ?? [])];
  const jwt = await mintUserJwt(
    {
      name: user.name,
      publicKey: key.publicKey,
      capabilities,
      account: home.trust.account,
      ...expires,
    },
    roleKey,
  );
  const identity: Identity = {
    name: user.name,
    publicKey: key.publicKey,
    role: user.role,
    capabilities,
    issuedAt,
    ...expires,
  };
  return { jwt, seed: key.seed, identity };
}

function isVoid(identity: IssuedIdentity): boolean {
  return identity.revokedAt !== undefined || (identity.expiresAt ?? Infinity) <= Date.now();
}

/** Undefined when nobody of that name was given credentials. */
export function readIdentity(home: Home, name: string): Promise<IssuedIdentity | undefined> {
  if (!isPrincipalName(name)) return Promise.resolve(undefined);
  return readJson(homeFiles(home.dir).identity(name), IdentityFileSchema);
}

/**
 * Gives somebody credentials: `creds/<name>.creds`. A name is given once; it is free again when
 * its credentials have expired or were revoked.
 * @throws ParleyError E_SCHEMA for a bad name, E_IDENTITY for one that is taken.
 */
export async function addIdentity(
  home: Home,
  user: NewIdentity,
): Promise<{ credsPath: string; identity: Identity }> {
  checkNames(user.name, user.capabilities ?? []);
  const files = homeFiles(home.dir);
  const before = await readIdentity(home, user.name);
  const free = before !== undefined && isVoid(before);
  const { identity, ...creds } = await mintUser(home, user);
  await writeSecret(files.identity(user.name), json(identity), { exclusive: !free }).catch(
    (error: unknown) => {
      if (!isErrno(error, "EEXIST")) throw error;
      throw new ParleyError(
        "E_IDENTITY",
        `"${user.name}" has credentials already: revoke them ` +
          `first (parley identity revoke ${user.name}), or take another name`,
      );
    },
  );
  const credsPath = files.credsOf(user.name);
  await writeSecret(credsPath, formatCreds(creds));
  return { credsPath, identity };
}

/**
 * New credentials for the same name, key, role and capabilities, in the same file: programs that
 * pass a reading function to credsAuth take them up at their next connection.
 * @throws ParleyError E_NOT_FOUND, or E_IDENTITY when they were revoked.
 */
export async function renewIdentity(
  home: Home,
  name: string,
  options: { expiresInMs?: number } = {},
): Promise<{ credsPath: string; identity: Identity }> {
  const files = homeFiles(home.dir);
  const before = await requireIdentity(home, name);
  const text = await readIfThere(files.credsOf(name));
  if (before.revokedAt !== undefined || text === undefined) {
    throw new ParleyError(
      "E_IDENTITY",
      `"${name}" has no credentials left to renew: ` +
        `parley identity add ${name} --role ${before.role}`,
    );
  }
  const { identity, ...creds } = await mintFor(
    home,
    {
      name,
      role: before.role,
      capabilities: before.capabilities,
      ...options,
    },
    keyFromSeed(parseCreds(text).seed),
  );
  await writeSecret(files.credsOf(name), formatCreds(creds));
  await writeSecret(files.identity(name), json(identity));
  return { credsPath: files.credsOf(name), identity };
}

/** Everybody who was given credentials, by name. */
export async function listIdentities(home: Home): Promise<IssuedIdentity[]> {
  const files = await readdir(homeFiles(home.dir).identities);
  const names = files.filter((f) => f.endsWith(".json")).map((f) => f.slice(0, -".json".length));
  const found = await Promise.all(names.sort().map((name) => readIdentity(home, name)));
  return found.filter((identity) => identity !== undefined);
}

/** @throws ParleyError E_NOT_FOUND, naming who is there. */
export async function requireIdentity(home: Home, name: string): Promise<IssuedIdentity> {
  const found = await readIdentity(home, name);
  if (found !== undefined) return found;
  const names = (await listIdentities(home)).map((identity) => identity.name);
  throw new ParleyError(
    "E_NOT_FOUND",
    `nobody named "${name}" was given credentials here; ` +
      (names.length > 0 ? `known: ${names.slice(0, 20).join(", ")}` : "nobody was, so far"),
  );
}

/** Notes a revocation in the folder; the server learns of it through revokeIdentity. */
export async function recordRevocation(home: Home, identity: IssuedIdentity): Promise<void> {
  const files = homeFiles(home.dir);
  const revokedAt = Math.max(Date.now(), identity.issuedAt);
  // Another process may have revoked somebody since this home was opened.
  const { revocations } = await readTrust(home.dir);
  home.trust = {
    ...home.trust,
    revocations: { ...revocations, [identity.publicKey]: Math.floor(revokedAt / 1000) },
  };
  await writeSecret(files.trust, json(home.trust));
  await writeSecret(files.identity(identity.name), json({ ...identity, revokedAt }));
  await writeServerAuth(home);
  await rm(files.credsOf(identity.name), { force: true });
}

/** The credentials that may push account changes. @throws ParleyError E_IDENTITY. */
export async function systemCreds(home: Home): Promise<Creds> {
  const path = homeFiles(home.dir).systemCreds;
  const text = await readIfThere(path);
  if (text === undefined) {
    throw new ParleyError("E_IDENTITY", `${path} is missing: restore it from a copy`);
  }
  return parseCreds(text);
}
