// A mesh of one's own on this machine: identity, server, streams. What `parley up`, the live
// simulation, the benches and the tests start from.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ParleyError, type Role } from "../contracts/index.ts";
import { type OpenOptions, type OpenPeer, openPeer } from "./index.ts";
import { connectNats } from "./nats/connect.ts";
import { credsAuth } from "./nats/identity/authenticator.ts";
import type { Creds } from "./nats/identity/creds.ts";
import {
  type Home,
  homeFiles,
  initHome,
  mintUser,
  openHome,
  writeServerConfig,
} from "./nats/identity/home.ts";
import { keyFromSeed } from "./nats/identity/keys.ts";
import type { SyncProfile } from "./nats/identity/server-config.ts";
import { type ProvisionOptions, provision } from "./nats/provision.ts";
import {
  CLUSTER_SIZE,
  type Cluster,
  type RunningServer,
  startCluster,
  startServer,
} from "./nats/server/index.ts";
import { jwtTrust } from "./nats/trust.ts";

/**
 * `dev`: default fsync; `durable-1`: every acknowledged write is on the disk; `durable-3`: on the
 * disks of two of three servers.
 */
export type Profile = "dev" | "durable-1" | "durable-3";

export interface LocalOptions {
  /** Identity folder; made when absent. Default: a temporary one that goes with the mesh. */
  home?: string;
  /** Where the server keeps its data; default: temporary. */
  storeDir?: string;
  /** The same for each of three servers, when each has a disk of its own. */
  storeDirs?: readonly string[];
  /** Of three servers the first's; the others take the next two. */
  port?: number;
  profile?: Profile;
  /** Another way to sync than the profile's, to show what it is good for. */
  sync?: SyncProfile;
  /** Start a server of three again that ends by itself; default false. */
  supervise?: boolean;
  audit?: boolean;
  monitor?: boolean;
  binary?: string;
  say?: (line: string) => void;
}

export interface LocalMesh {
  /** The one server, or the first of three. */
  server: RunningServer;
  /** Where to connect: all of them. */
  urls: string[];
  /** The three of `durable-3`. */
  cluster?: Cluster;
  home: Home;
  profile: Profile;
  /** New credentials, in memory. */
  mint(name: string, role: Role, capabilities?: readonly string[]): Promise<Creds>;
  /** A peer with new credentials. */
  open(
    name: string,
    role: Role,
    capabilities?: readonly string[],
    extra?: Partial<OpenOptions>,
  ): Promise<OpenPeer>;
  stop(): Promise<void>;
}

export async function startLocalMesh(o: LocalOptions = {}): Promise<LocalMesh> {
  const say = o.say ?? (() => undefined);
  const profile = o.profile ?? "dev";
  const temporary =
    o.home === undefined ? await mkdtemp(join(tmpdir(), "parley-home-")) : undefined;
  const dir = o.home ?? join(temporary as string, "home");
  const home = await openOrInit(dir, say);
  const servers = await startServers(home, o, say);
  const { urls } = servers;
  const mesh: LocalMesh = {
    ...servers,
    home,
    profile,
    mint: (name, role, capabilities = []) => mintUser(home, { name, role, capabilities }),
    async open(name, role, capabilities = [], extra = {}) {
      const creds = await mintUser(home, { name, role, capabilities });
      return openPeer({
        ...credentialsOf(creds, home),
        servers: urls,
        name,
        principal: name,
        agent: "main",
        role,
        ...extra,
      });
    },
    async stop() {
      await (servers.cluster ?? servers.server).stop();
      if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
    },
  };
  try {
    await provisionWith(home, urls, {
      audit: o.audit ?? true,
      replicas: servers.cluster === undefined ? 1 : CLUSTER_SIZE,
      say,
    });
  } catch (error) {
    await mesh.stop();
    throw error;
  }
  return mesh;
}

async function startServers(
  home: Home,
  o: LocalOptions,
  say: (line: string) => void,
): Promise<Pick<LocalMesh, "server" | "urls" | "cluster">> {
  const options = {
    say,
    ...(o.storeDir === undefined ? {} : { storeDir: o.storeDir }),
    ...(o.port === undefined ? {} : { port: o.port }),
    ...(o.monitor === undefined ? {} : { monitor: o.monitor }),
    ...(o.binary === undefined ? {} : { binary: o.binary }),
  };
  if (o.profile === "durable-3") {
    const cluster = await startCluster({
      ...options,
      home,
      supervise: o.supervise === true,
      ...(o.sync === undefined ? {} : { sync: o.sync }),
      ...(o.storeDirs === undefined ? {} : { storeDirs: o.storeDirs }),
    });
    return { cluster, urls: cluster.urls, server: cluster.servers[0] as RunningServer };
  }
  const sync = o.sync ?? (o.profile === "durable-1" ? "durable" : "dev");
  const configFile = await writeServerConfig(home, { port: -1, sync });
  const server = await startServer({ ...options, configFile });
  return { server, urls: [server.url] };
}

/** What a peer needs of its credentials: authenticator, signing key, JWT, and whom to trust. */
export function credentialsOf(creds: Creds, home: Pick<Home, "trust">) {
  return {
    authenticator: credsAuth(creds),
    signer: keyFromSeed(creds.seed),
    jwt: creds.jwt,
    trust: jwtTrust(home.trust, () => Date.now()),
  };
}

async function openOrInit(dir: string, say: (line: string) => void): Promise<Home> {
  try {
    return await openHome(dir);
  } catch (error) {
    if (!(error instanceof ParleyError) || error.code !== "E_IDENTITY") throw error;
    const home = await initHome(dir, { name: "mesh" });
    say(`made a mesh identity in ${homeFiles(dir).trust.replace(/[^/\\]+$/, "")}`);
    return home;
  }
}

async function provisionWith(home: Home, urls: string[], options: ProvisionOptions): Promise<void> {
  const creds = await mintUser(home, { name: "provision", role: "admin" });
  const nc = await connectNats({
    servers: urls,
    name: "parley provision",
    authenticator: credsAuth(creds),
    principal: "provision",
  });
  try {
    await provision(nc, options);
  } finally {
    await nc.close();
  }
}
