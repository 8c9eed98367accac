// The folder itself: layout, making, opening, and the files that the server reads.
import { join, resolve } from "node:path";
import { z } from "zod";
import { ParleyError } from "../../../contracts/failure.ts";
import { isToken, tokenAdvice } from "../../../contracts/ids.ts";
import { ROLES, type Role } from "../../../contracts/roles.ts";
import { meshAccountClaims, systemAccountClaims, type Trust } from "./account.ts";
import { type Creds, formatCreds, parseCreds } from "./creds.ts";
import { isErrno, json, makeDir, readIfThere, readJson, writeSecret } from "./files.ts";
import { mintAccountJwt, mintOperatorJwt, mintSystemUserJwt } from "./jwt.ts";
import { generateKey, type KeyPair, keyFromSeed } from "./keys.ts";
import { includePath, type ServerConfig, serverConfig } from "./server-config.ts";

export interface Home {
  /** Absolute path of the folder. */
  readonly dir: string;
  /** Rewritten by revokeIdentity. */
  trust: Trust;
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
    /** Of one server of several, counted from 1. */
    member: (n: number) => ({
      config: join(dir, `server-${n}.conf`),
      accounts: join(dir, `accounts-${n}`),
    }),
    systemCreds: join(dir, "system.creds"),
    creds: join(dir, "creds"),
    credsOf: (name: string) => join(dir, "creds", `${name}.creds`),
    agents: join(dir, "agents"),
    agentKey: (principal: string, agent: string) => join(dir, "agents", `${principal}.${agent}.nk`),
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
  const trust: Trust = {
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

/** As writeServerConfig, for server `n` (from 1) of a cluster: a file and accounts of its own. */
export async function writeMemberConfig(
  home: Home,
  n: number,
  config: Partial<Omit<ServerConfig, "include">>,
): Promise<string> {
  const files = homeFiles(home.dir);
  const member = files.member(n);
  const include = includePath(member.config, files.serverAuth);
  const text = serverConfig({
    resolver: "full",
    accountsDir: member.accounts,
    ...config,
    include,
  });
  await writeSecret(member.config, text);
  return member.config;
}

/** What a verifier must know. @throws ParleyError E_IDENTITY, saying what to do. */
export async function readTrust(dir: string): Promise<Trust> {
  const files = homeFiles(resolve(dir));
  const trust = await readJson(files.trust, TrustSchema);
  if (trust !== undefined) return trust;
  throw new ParleyError(
    "E_IDENTITY",
    (await readIfThere(files.operatorSeed)) === undefined
      ? `there is no mesh identity in ${dir}: make one with parley init, or name its folder in ` +
          "PARLEY_HOME"
      : `${files.trust} is missing: restore it from a copy. Where parley init was interrupted ` +
          "and nobody has credentials yet, move the folder away and run it again",
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

/** The credentials that may push account changes. @throws ParleyError E_IDENTITY. */
export async function systemCreds(home: Home): Promise<Creds> {
  const path = homeFiles(home.dir).systemCreds;
  const text = await readIfThere(path);
  if (text === undefined) {
    throw new ParleyError("E_IDENTITY", `${path} is missing: restore it from a copy`);
  }
  return parseCreds(text);
}
