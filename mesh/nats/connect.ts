// One connection to NATS, tuned so that it always comes back (nats-facts 3.7): endless attempts,
// short jittered waits, native signatures.

import type { Authenticator, NatsConnection } from "@nats-io/nats-core";
import { connect, type NodeConnectionOptions } from "@nats-io/transport-node";
import { ParleyError } from "../../contracts/index.ts";

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

export async function connectNats(o: ConnectOptions): Promise<NatsConnection> {
  const options: NodeConnectionOptions = {
    servers: o.servers,
    name: o.name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 500,
    reconnectJitterTLS: 500,
    pingInterval: 10_000,
    maxPingOut: 2,
    timeout: o.timeoutMs ?? 10_000,
    ignoreAuthErrorAbort: false,
    ...(o.authenticator ? { authenticator: o.authenticator } : {}),
    ...(o.principal === undefined ? {} : { inboxPrefix: `_INBOX.${o.principal}` }),
    ...(o.tls ? { tls: o.tls } : {}),
  };
  try {
    return await connect(options);
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
