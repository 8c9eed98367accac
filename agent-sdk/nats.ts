// Who we are on the server: credentials that were given, or an identity minted from the mesh's
// own folder. The one file of the agent-sdk that knows mesh/nats.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isToken, ParleyError, type Role } from "../contracts/index.ts";
import type { OpenOptions, OpenPeer } from "../mesh/index.ts";
import { roleBySigningKey } from "../mesh/nats/identity/account.ts";
import { credsAuth, nkeyAuth } from "../mesh/nats/identity/authenticator.ts";
import { type Creds, parseCreds } from "../mesh/nats/identity/creds.ts";
import { CredsFile } from "../mesh/nats/identity/creds-file.ts";
import {
  agentKey,
  type Home,
  homeFiles,
  openHome,
  readIdentity,
  readTrust,
} from "../mesh/nats/identity/home.ts";
import { describeUser, IDENTITY_REFUSALS, mintUserJwt } from "../mesh/nats/identity/jwt.ts";
import { generateKey, type KeyPair, keyFromSeed } from "../mesh/nats/identity/keys.ts";
import { describeKey, readKeyring } from "../mesh/nats/identity/static-users.ts";
import { readServerInfo } from "../mesh/nats/server/server-info.ts";
import { jwtTrust, keyringTrust } from "../mesh/nats/trust.ts";
import { isSecretText, type Place } from "./settings.ts";

/** How long a connection may take to come back with more capabilities, ms. */
const REJOIN_MS = 10_000;

/** An identity, and what it takes to act under it. */
export interface Access {
  readonly principal: string;
  readonly role: Role;
  /** What it may serve by now. */
  readonly capabilities: readonly string[];
  /** Can it be given more capabilities without anybody's help? */
  readonly grows: boolean;
  /** Adds capabilities. @throws ParleyError E_PERMISSION, with the command that does it. */
  grow(capabilities: readonly string[]): Promise<void>;
  connection(): Pick<OpenOptions, "authenticator" | "signer" | "jwt" | "trust" | "servers" | "tls">;
}

/**
 * @param agent its name, where that is a fixed one
 * @throws ParleyError E_IDENTITY, saying which file is missing or what to run
 */
export async function openAccess(place: Place, name: string, agent?: string): Promise<Access> {
  if (place.creds !== undefined) return credsAccess(place, place.creds);
  if (place.nkey !== undefined) return nkeyAccess(place, await readSeed(place.nkey));
  return homeAccess(place, name, agent);
}

/** How long a server may take to say its first line, ms. */
const HELLO_MS = 5_000;

/** @throws ParleyError E_CONNECTION when none of the servers is there. */
export async function reachServer(place: Place): Promise<void> {
  const said = place.servers.map(async (server) => {
    const url = new URL(server.includes("://") ? server : `nats://${server}`);
    await readServerInfo(url.hostname.replace(/^\[|\]$/g, ""), Number(url.port || 4222), HELLO_MS);
  });
  try {
    await Promise.any(said);
  } catch (error) {
    const why = error instanceof AggregateError ? String(error.errors[0]?.message) : String(error);
    throw new ParleyError(
      "E_CONNECTION",
      `no NATS server at ${place.servers.join(", ")} ` + `(${why}); start one with: parley up`,
    );
  }
}

function reach(place: Place) {
  return { servers: place.servers, ...(place.tls === undefined ? {} : { tls: place.tls }) };
}

function lacks(name: string, capabilities: readonly string[], wanted: readonly string[]): never {
  const missing = wanted.filter((c) => !capabilities.includes(c));
  const all = [...new Set([...capabilities, ...wanted])].map((c) => `--cap ${c}`).join(" ");
  throw new ParleyError(
    "E_PERMISSION",
    `the credentials of "${name}" do not cover ` +
      `${missing.join(", ")}; widen them (beside the mesh's folder): parley identity renew ` +
      `${name} ${all}`,
  );
}

// ---- credentials that were given ----------------------------------------------------------------

async function readSecret(source: string, what: string): Promise<string> {
  if (isSecretText(source)) return source;
  try {
    return await readFile(source, "utf8");
  } catch (cause) {
    throw new ParleyError(
      "E_IDENTITY",
      `the ${what} ${resolve(source)} cannot be read: ${(cause as Error).message}`,
      { cause },
    );
  }
}

async function readCreds(source: string): Promise<Creds> {
  return parseCreds(await readSecret(source, "creds file"));
}

async function readSeed(source: string): Promise<KeyPair> {
  const text = await readSecret(source, "NKey file");
  const seed = /SU[A-Z2-7]{56}/.exec(text)?.[0];
  if (seed === undefined) {
    throw new ParleyError("E_IDENTITY", `${source} holds no user NKey seed (SU…)`);
  }
  return keyFromSeed(seed);
}

async function credsAccess(place: Place, source: string): Promise<Access> {
  const creds = await readCreds(source);
  let refused = "";
  for (const home of place.homes) {
    const trust = await readTrust(home).catch(() => undefined);
    if (trust === undefined) continue;
    const describe = ({ jwt }: Creds) => {
      const { account, revocations } = trust;
      return describeUser(jwt, roleBySigningKey(trust), { now: Date.now(), account, revocations });
    };
    const described = describe(creds);
    if (!described.ok) {
      refused ||= `${IDENTITY_REFUSALS[described.reason]} (by ${join(home, "trust.json")})`;
      continue;
    }
    const file = new CredsFile(isSecretText(source) ? undefined : source, creds);
    return givenAccess(place, file, described.identity, {
      trust: jwtTrust(trust, () => Date.now()),
      covered: (now) => {
        const found = describe(now);
        return found.ok ? found.identity.capabilities : [];
      },
    });
  }
  throw new ParleyError(
    "E_IDENTITY",
    refused !== ""
      ? `these credentials will not do: ${refused}; make new ones with: parley identity add`
      : "whom to trust in this mesh is not known: put its trust.json (it holds no secrets) " +
          "beside the creds file, or name the mesh's folder in PARLEY_HOME",
  );
}

function givenAccess(
  place: Place,
  given: CredsFile,
  who: { name: string; role: Role; capabilities: readonly string[] },
  how: { trust: ReturnType<typeof jwtTrust>; covered(creds: Creds): readonly string[] },
): Access {
  const { trust, covered } = how;
  const signer = keyFromSeed(given.read().seed);
  let { capabilities } = who;
  return {
    principal: who.name,
    role: who.role,
    get capabilities() {
      return capabilities;
    },
    grows: false,
    async grow(wanted) {
      const now = covered(given.read());
      if (!wanted.every((name) => now.includes(name))) lacks(who.name, now, wanted);
      capabilities = now;
    },
    connection: () => {
      const authenticator = credsAuth(() => given.read());
      return { ...reach(place), authenticator, signer, jwt: given.read().jwt, trust };
    },
  };
}

async function nkeyAccess(place: Place, key: KeyPair): Promise<Access> {
  for (const home of place.homes) {
    const keyring = await readKeyring(join(home, "keyring.json"));
    const described = describeKey(keyring, key.publicKey);
    if (!described.ok) continue;
    const { name, role, capabilities } = described.identity;
    return fixed(
      place,
      { name, role, capabilities },
      {
        authenticator: nkeyAuth(key),
        signer: key,
        trust: keyringTrust(keyring),
      },
    );
  }
  throw new ParleyError(
    "E_IDENTITY",
    `${key.publicKey} is in no keyring.json: put the mesh's ` +
      "keyring (it holds no secrets) beside the NKey file, or name its folder in PARLEY_HOME",
  );
}

function fixed(
  place: Place,
  who: { name: string; role: Role; capabilities: readonly string[] },
  keys: Omit<ReturnType<Access["connection"]>, "servers" | "tls">,
): Access {
  return {
    principal: who.name,
    role: who.role,
    capabilities: who.capabilities,
    grows: false,
    async grow(wanted) {
      lacks(who.name, who.capabilities, wanted);
    },
    connection: () => ({ ...reach(place), ...keys }),
  };
}

// ---- the mesh's own folder ----------------------------------------------------------------------

async function homeAccess(place: Place, name: string, agent?: string): Promise<Access> {
  let why: unknown;
  for (const dir of place.homes) {
    const home = await openHome(dir).catch((error: unknown) => {
      why ??= error;
      return undefined;
    });
    if (home !== undefined) return mintedAccess(place, home, name, agent);
    const given = homeFiles(dir).credsOf(name);
    const creds = isToken(name) ? await readCreds(given).catch(() => undefined) : undefined;
    if (creds !== undefined) return credsAccess(place, given);
  }
  const reason = why instanceof Error ? ` (${why.message})` : "";
  throw new ParleyError(
    "E_IDENTITY",
    `nobody said who "${name}" is: name a creds file in ` +
      `NATS_CREDS, made with: parley identity add ${name} --role agent --cap CAPABILITY${reason}`,
  );
}

async function mintedAccess(
  place: Place,
  home: Home,
  name: string,
  agent: string | undefined,
): Promise<Access> {
  const issued = await readIdentity(home, name);
  if (issued?.revokedAt !== undefined) {
    throw new ParleyError(
      "E_IDENTITY",
      `"${name}" was revoked; take another name, or make it ` +
        `anew with: parley identity add ${name} --role agent`,
    );
  }
  // The key that the name has already, so that its replicas are one principal with one key.
  const kept =
    issued === undefined
      ? undefined
      : await readCreds(homeFiles(home.dir).credsOf(name)).catch(() => undefined);
  const own = async () =>
    agent === undefined ? generateKey("user") : await agentKey(home, name, agent);
  const key = kept === undefined ? await own() : keyFromSeed(kept.seed);
  const trust = jwtTrust(home.trust, () => Date.now());
  let capabilities: readonly string[] = issued?.capabilities ?? [];
  let creds = await mint(home, name, key, capabilities);
  return {
    principal: name,
    role: "agent",
    grows: true,
    get capabilities() {
      return capabilities;
    },
    async grow(wanted) {
      const all = [...new Set([...capabilities, ...wanted])];
      creds = await mint(home, name, key, all);
      capabilities = all;
    },
    connection: () => ({
      ...reach(place),
      authenticator: credsAuth(() => creds),
      signer: key,
      jwt: creds.jwt,
      trust,
    }),
  };
}

async function mint(
  home: Home,
  name: string,
  key: KeyPair,
  capabilities: readonly string[],
): Promise<Creds> {
  const jwt = await mintUserJwt(
    {
      name,
      publicKey: key.publicKey,
      capabilities: [...capabilities],
      account: home.trust.account,
    },
    home.keys.roles.agent,
  );
  return { jwt, seed: key.seed };
}

// ---- a wider identity for an open connection ----------------------------------------------------

/**
 * Reconnects so that the server sees the new JWT: permissions are fixed per connection.
 * Subscriptions and running contracts survive it as they survive any reconnect.
 * @throws ParleyError E_CONNECTION when the server does not take us back in time.
 */
export async function rejoin(open: OpenPeer, jwt: string | undefined): Promise<void> {
  if (jwt !== undefined) open.peer.options.jwt = jwt;
  const { transport } = open;
  open.peer.renewing = true;
  try {
    await renewed(transport);
    await transport.established();
  } finally {
    open.peer.renewing = false;
  }
}

function renewed(transport: OpenPeer["transport"]): Promise<void> {
  return new Promise<void>((done, fail) => {
    const timer = setTimeout(
      () =>
        fail(
          new ParleyError(
            "E_CONNECTION",
            "the server did not take the connection back in time; trying on in the background",
          ),
        ),
      REJOIN_MS,
    );
    let wentDown = false;
    transport.onState((state) => {
      if (state === "down") wentDown = true;
      if (state !== "up" || !wentDown) return;
      clearTimeout(timer);
      done();
    });
    transport.renew();
  });
}
