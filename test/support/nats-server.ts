// A real nats-server with a mesh's identity, in temporary folders, for tests.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Role } from "../../contracts/roles.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import { type Home, initHome, mintUser, writeServerConfig } from "../../mesh/nats/identity/home.ts";
import type { ServerConfig } from "../../mesh/nats/identity/server-config.ts";
import { type RunningServer, startServer } from "../../mesh/nats/server/run-server.ts";

export interface TestMesh {
  readonly home: Home;
  readonly server: RunningServer;
  /** A connection with fresh credentials; closed by `stop`. */
  join(name: string, role: Role, capabilities?: readonly string[]): Promise<NatsConnection>;
  stop(): Promise<void>;
}

/** A folder that goes when the returned function is called. */
export async function tempDir(): Promise<{ dir: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), "parley-test-"));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

export async function startMesh(
  config: Partial<Omit<ServerConfig, "include">> = {},
): Promise<TestMesh> {
  const { dir, remove } = await tempDir();
  const home = await initHome(dir, { name: "test" });
  const server = await startServer({ configFile: await writeServerConfig(home, config) });
  // A reload refuses a change of name, and compares the file with the name from the command line.
  await writeServerConfig(home, { ...config, serverName: server.name });
  const open: NatsConnection[] = [];
  return {
    home,
    server,
    join: async (name, role, capabilities = []) => {
      const nc = await connect({
        servers: server.url,
        name,
        inboxPrefix: `_INBOX.${name}`,
        authenticator: credsAuth(await mintUser(home, { name, role, capabilities })),
      });
      open.push(nc);
      return nc;
    },
    stop: async () => {
      await Promise.all(open.map((nc) => nc.close()));
      await server.stop();
      await remove();
    },
  };
}
