// Who was given credentials: minting, adding, renewing, listing, and noting a revocation.
import { readdir, rm } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import { ParleyError } from "../../../contracts/failure.ts";
import { ROLES, type Role } from "../../../contracts/roles.ts";
import { type Creds, formatCreds, parseCreds } from "./creds.ts";
import { isErrno, json, makeDir, readIfThere, readJson, writeSecret } from "./files.ts";
import { type Home, homeFiles, readTrust, writeServerAuth } from "./folder.ts";
import { checkNames, type Identity, isPrincipalName, mintUserJwt } from "./jwt.ts";
import { generateKey, type KeyPair, keyFromSeed } from "./keys.ts";

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

/**
 * The key of an agent that joins beside the folder under a name of its own: the same at each start,
 * since what it wrote is proven by it. Where the folder cannot be written, a new one.
 */
export async function agentKey(home: Home, principal: string, agent: string): Promise<KeyPair> {
  const files = homeFiles(home.dir);
  const path = files.agentKey(principal, agent);
  const key = generateKey("user");
  try {
    await makeDir(files.agents);
    await writeSecret(path, `${key.seed}\n`, { exclusive: true });
    return key;
  } catch (error) {
    if (["EACCES", "EPERM", "EROFS"].some((code) => isErrno(error, code))) return key;
    if (!isErrno(error, "EEXIST")) throw error;
  }
  const seed = async () => (await readIfThere(path))?.trim() ?? "";
  // Another process may be about to write it.
  for (let tries = 0; tries < 50 && (await seed()) === ""; tries++) await setTimeout(20);
  try {
    return keyFromSeed(await seed());
  } catch (cause) {
    const fix = "restore it, or remove it: what this agent wrote is not proven any more then";
    throw new ParleyError("E_IDENTITY", `${path} holds no key: ${fix}`, { cause });
  }
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
 * New credentials for the same name, key and role, in the same file: programs that pass a reading
 * function to credsAuth take them up at their next connection.
 * @param options `capabilities`: beside those that it has; `expiresInMs`: by default as long as the
 * ones before were given for
 * @throws ParleyError E_NOT_FOUND, or E_IDENTITY when they were revoked.
 */
export async function renewIdentity(
  home: Home,
  name: string,
  options: { expiresInMs?: number; capabilities?: readonly string[] } = {},
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
  const { expiresAt, issuedAt, role } = before;
  const expiresInMs = options.expiresInMs ?? (expiresAt && expiresAt - issuedAt);
  const capabilities = [...before.capabilities, ...(options.capabilities ?? [])];
  const { identity, ...creds } = await mintFor(
    home,
    { name, role, capabilities, ...(expiresInMs === undefined ? {} : { expiresInMs }) },
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

/** What was signed with these keys until then counts no more, here and at servers to come. */
export async function voidKeys(home: Home, keys: readonly string[], at: number): Promise<void> {
  // Another process may have revoked somebody since this home was opened.
  const { revocations } = await readTrust(home.dir);
  const added = Object.fromEntries(keys.map((key) => [key, Math.floor(at / 1000)]));
  home.trust = { ...home.trust, revocations: { ...revocations, ...added } };
  await writeSecret(homeFiles(home.dir).trust, json(home.trust));
  await writeServerAuth(home);
}

/** Notes a revocation in the folder; the server learns of it through revokeIdentity. */
export async function recordRevocation(home: Home, identity: IssuedIdentity): Promise<void> {
  const files = homeFiles(home.dir);
  const revokedAt = Math.max(Date.now(), identity.issuedAt);
  await voidKeys(home, [identity.publicKey], revokedAt);
  // After the rest, so that a revocation that was interrupted is done again.
  await writeSecret(files.identity(identity.name), json({ ...identity, revokedAt }));
  await rm(files.credsOf(identity.name), { force: true });
}
