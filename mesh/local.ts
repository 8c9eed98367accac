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
import { provision } from "./nats/provision.ts";
import { type RunningServer, startServer } from "./nats/server/index.ts";
import { jwtTrust } from "./nats/trust.ts";

export type Profile = "dev" | "durable-1";

export interface LocalOptions {
  /** Identity folder; made when absent. Default: a temporary one that goes with the mesh. */
  home?: string;
  /** Where the server keeps its data; default: temporary. */
  storeDir?: string;
  port?: number;
  /** `dev`: default fsync; `durable-1`: every acknowledged write is on the disk. */
  profile?: Profile;
  audit?: boolean;
  monitor?: boolean;
  binary?: string;
  say?: (line: string) => void;
}

export interface LocalMesh {
  server: RunningServer;
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
  const configFile = await writeServerConfig(home, {
    port: -1,
    sync: profile === "dev" ? "dev" : "durable",
  });
  const server = await startServer({
    configFile,
    say,
    ...(o.storeDir === undefined ? {} : { storeDir: o.storeDir }),
    ...(o.port === undefined ? {} : { port: o.port }),
    ...(o.monitor === undefined ? {} : { monitor: o.monitor }),
    ...(o.binary === undefined ? {} : { binary: o.binary }),
  });
  const mesh: LocalMesh = {
    server,
    home,
    profile,
    mint: (name, role, capabilities = []) => mintUser(home, { name, role, capabilities }),
    async open(name, role, capabilities = [], extra = {}) {
      const creds = await mintUser(home, { name, role, capabilities });
      return openPeer({
        ...credentialsOf(creds, home),
        servers: server.url,
        name,
        principal: name,
        agent: "main",
        role,
        ...extra,
      });
    },
    async stop() {
      await server.stop();
      if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
    },
  };
  try {
    await provisionWith(home, server.url, o.audit ?? true, say);
  } catch (error) {
    await mesh.stop();
    throw error;
  }
  return mesh;
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

async function provisionWith(
  home: Home,
  url: string,
  audit: boolean,
  say: (line: string) => void,
): Promise<void> {
  const creds = await mintUser(home, { name: "provision", role: "admin" });
  const nc = await connectNats({
    servers: url,
    name: "parley provision",
    authenticator: credsAuth(creds),
    principal: "provision",
  });
  try {
    await provision(nc, { audit, say });
  } finally {
    await nc.close();
  }
}
