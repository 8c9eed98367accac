// One connection to NATS, tuned so that it always comes back (nats-facts 3.7): endless attempts,
// short jittered waits, native signatures. Dead links are noticed by LinkWatch (NatsTransport).

import type { Authenticator, NatsConnection, Server } from "@nats-io/nats-core";
import { connect, type NodeConnectionOptions } from "@nats-io/transport-node";
import { ParleyError } from "../../contracts/index.ts";
import { limitRedial } from "./link-watch.ts";

/**
 * The client's own pings, ms, for connections that nobody watches: two in a row without an answer
 * end a link after 20 to 30 s. Faster ones belong to LinkWatch, which also counts other messages
 * as signs of life: the client does not, and gave up links that were only full.
 */
const PING_INTERVAL_MS = 10_000;
/**
 * Time for an attempt to connect again, ms. An attempt that began on a dead link is lost with it,
 * and TCP repeats its first packet after 1, 3 and 7 s: a new attempt is sooner there once the link
 * is back. Signing in takes 1 ms, and 0.7 s when 1,000 come back at once.
 */
const REDIAL_MS = 3_000;

export interface ConnectOptions {
  servers: string | string[];
  /** Shown by the server's own tools. */
  name: string;
  authenticator?: Authenticator;
  /** The principal: its inboxes are `_INBOX.<principal>.>`. */
  principal?: string;
  tls?: NodeConnectionOptions["tls"];
  /** How long the first connection may take, ms. */
  timeoutMs?: number;
}

/** The one that was tried longest ago: the client would begin with the one that it just lost, and
 * where that is frozen, not gone, spend all of REDIAL_MS on it. */
export function leastRecent(pool: readonly Server[]): Server | null {
  return pool.reduce<Server | null>(
    (best, s) => (best === null || s.lastConnect < best.lastConnect ? s : best),
    null,
  );
}

export async function connectNats(o: ConnectOptions): Promise<NatsConnection> {
  const options: NodeConnectionOptions = {
    servers: o.servers,
    name: o.name,
    maxReconnectAttempts: -1,
    reconnectToServer: leastRecent,
    reconnectTimeWait: 100,
    reconnectJitter: 500,
    reconnectJitterTLS: 500,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    timeout: o.timeoutMs ?? 10_000,
    ignoreAuthErrorAbort: false,
    ...(o.authenticator ? { authenticator: o.authenticator } : {}),
    ...(o.principal === undefined ? {} : { inboxPrefix: `_INBOX.${o.principal}` }),
    ...(o.tls ? { tls: o.tls } : {}),
  };
  try {
    const connection = await connect(options);
    limitRedial(connection, REDIAL_MS);
    return connection;
  } catch (error) {
    const where = Array.isArray(o.servers) ? o.servers.join(", ") : o.servers;
    const text = error instanceof Error ? error.message : String(error);
    const denied = /authoriz|authent|credential|nkey|jwt/i.test(text);
    throw new ParleyError(
      denied ? "E_PERMISSION" : "E_CONNECTION",
      denied
        ? `${where} refused these credentials (${text}); check --creds, or: parley identity ls`
        : `no NATS server at ${where} (${text}); start one with: parley up`,
      { cause: error },
    );
  }
}
