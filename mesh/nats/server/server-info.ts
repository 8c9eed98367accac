// The first thing a nats-server says on a new connection, read from a plain socket: who it is.
// Whoever only tries to connect may be talking to a neighbour's server on the same port.
import { connect } from "node:net";

/** What we read of the INFO line; the server sends more. */
export interface ServerInfo {
  readonly serverName: string;
  readonly version: string;
  readonly jetstream: boolean;
}

const infoBytesMax = 64 * 1024;

/** Connects, reads the INFO line, hangs up. Rejects when nothing or something else answers
 * within `timeoutMs` (a server with `handshake_first` TLS says nothing before the handshake). */
export function readServerInfo(host: string, port: number, timeoutMs: number): Promise<ServerInfo> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect({ host, port });
    const fail = (reason: string): void => {
      socket.destroy();
      reject(new Error(`${host}:${port}: ${reason}`));
    };
    socket.setTimeout(timeoutMs, () => fail(`no INFO line within ${timeoutMs} ms`));
    socket.on("error", (error) => fail(error.message));
    socket.on("close", () => fail("closed before its INFO line"));
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\r\n");
      if (end === -1) {
        if (text.length > infoBytesMax) fail("not a nats-server");
        return;
      }
      const info = parseInfo(text.slice(0, end));
      if (info === undefined) return fail("not a nats-server");
      resolve(info);
      socket.destroy();
    });
  });
}

function parseInfo(line: string): ServerInfo | undefined {
  if (!line.startsWith("INFO ")) return undefined;
  try {
    const info = JSON.parse(line.slice(5)) as Record<string, unknown>;
    if (typeof info.server_name !== "string" || typeof info.version !== "string") return undefined;
    return {
      serverName: info.server_name,
      version: info.version,
      jetstream: info.jetstream === true,
    };
  } catch {
    return undefined;
  }
}

/** Throws unless the server that answered is the one that was started under `nonce`. */
export function checkServerName(info: ServerInfo, nonce: string, address: string): void {
  if (info.serverName === nonce) return;
  throw new Error(
    `${address} is answered by another nats-server, named ${JSON.stringify(info.serverName)}, ` +
      `not by ours (${nonce}): nothing was sent to it. Choose another port.`,
  );
}
