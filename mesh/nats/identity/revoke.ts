// Taking an identity back, in the folder and in the running server.
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { ParleyError } from "../../../contracts/failure.ts";
import { credsAuth } from "./authenticator.ts";
import { accountJwt, type Home, systemCreds } from "./folder.ts";
import { type IssuedIdentity, recordRevocation, requireIdentity, voidKeys } from "./identities.ts";

/** How long the server may take to answer, ms. */
const PUSH_TIMEOUT_MS = 5_000;

/**
 * How a server learnt of an account change: `pushed` into its full resolver, `reloaded` because it
 * holds accounts in memory, or `none` because no server was named.
 */
export type Delivery = "pushed" | "reloaded" | "none";

/**
 * Revokes a principal's credentials: connections made with them are cut, new ones refused, and
 * verifiers that read trust.json refuse what they sign. Also removes the creds file.
 * Without `pushTo` a server learns of it when it next starts.
 * @throws ParleyError E_NOT_FOUND for an unknown name; E_CONNECTION or E_STORE when the revocation
 *   is recorded but the server could not be told: call it again.
 */
export async function revokeIdentity(
  home: Home,
  name: string,
  pushTo?: string | string[],
): Promise<{ identity: IssuedIdentity; delivery: Delivery }> {
  const identity = await requireIdentity(home, name);
  if (identity.revokedAt === undefined) await recordRevocation(home, identity);
  const delivery = pushTo === undefined ? "none" : await pushAccount(home, pushTo);
  return { identity: await requireIdentity(home, name), delivery };
}

/**
 * The same for keys of which the folder has no note: agents that joined beside it made themselves
 * credentials with its keys.
 * @throws ParleyError as revokeIdentity
 */
export async function revokeKeys(
  home: Home,
  keys: readonly string[],
  pushTo?: string | string[],
): Promise<Delivery> {
  await voidKeys(home, keys, Date.now());
  return pushTo === undefined ? "none" : pushAccount(home, pushTo);
}

/** Brings a running server's mesh account up to date with the folder. */
export async function pushAccount(
  home: Home,
  servers: string | string[],
): Promise<Exclude<Delivery, "none">> {
  const creds = await systemCreds(home);
  const list = typeof servers === "string" ? servers.split(",") : servers;
  let nc: NatsConnection;
  try {
    nc = await connect({
      servers: list,
      authenticator: credsAuth(creds),
      name: "parley-push",
      timeout: PUSH_TIMEOUT_MS,
      maxReconnectAttempts: 0,
    });
  } catch (cause) {
    throw new ParleyError(
      "E_CONNECTION",
      `recorded, but no server at ${list.join(", ")} took ` +
        "it: when it is up, say the same again (a restart takes it up by itself)",
      { cause },
    );
  }
  try {
    const full = await request(nc, "$SYS.REQ.CLAIMS.UPDATE", await accountJwt(home));
    if (full !== undefined) return "pushed";
    const reload = await request(nc, `$SYS.REQ.SERVER.${nc.info?.server_id}.RELOAD`, "");
    if (reload !== undefined) return "reloaded";
    throw new ParleyError(
      "E_STORE",
      "recorded, but the server takes no account changes: reload " +
        "it (nats-server --signal reload)",
    );
  } finally {
    await nc.close();
  }
}

/** The system service's answer, or undefined when the server offers no such service. */
async function request(nc: NatsConnection, subject: string, body: string): Promise<unknown> {
  let answer: unknown;
  try {
    answer = (await nc.request(subject, body, { timeout: PUSH_TIMEOUT_MS })).json();
  } catch (error) {
    if ((error as { isNoResponders?: () => boolean }).isNoResponders?.()) return undefined;
    throw new ParleyError("E_STORE", `recorded, but the server did not answer ${subject}`, {
      cause: error,
    });
  }
  const refused = (answer as { error?: { description?: string } }).error;
  if (refused !== undefined) {
    throw new ParleyError(
      "E_STORE",
      `recorded, but the server refused the account: ` +
        `${refused.description ?? JSON.stringify(refused)}`,
    );
  }
  return answer;
}
