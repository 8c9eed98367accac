// The mesh that a run plays on: a private one with a server of its own, or one that is there.
import type { Role } from "../../contracts/index.ts";
import { type OpenPeer, openPeer } from "../../mesh/index.ts";
import { credentialsOf, startLocalMesh } from "../../mesh/local.ts";
import { connectNats } from "../../mesh/nats/connect.ts";
import { dumpRecords } from "../../mesh/nats/dump.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import type { Creds } from "../../mesh/nats/identity/creds.ts";
import { defaultHomeDir, type Home, mintUser, openHome } from "../../mesh/nats/identity/home.ts";
import { NatsTransport } from "../../mesh/nats/transport.ts";
import type { StoredRecord } from "../../mesh/ports/index.ts";
import type { Settings } from "./settings.ts";

export interface SimMesh {
  readonly url: string;
  readonly home: Home;
  /** Durability, as the report names it. */
  readonly profile: string;
  /** Set apart from whatever else lives there; empty on a private mesh. */
  readonly suffix: string;
  mint(name: string, role: Role, capabilities?: readonly string[]): Promise<Creds>;
  /** Messages in and out since the server started; undefined when it cannot be asked. */
  serverMessages(): Promise<{ in: number; out: number } | undefined>;
  stop(): Promise<void>;
}

/** Rejects with ParleyError E_IDENTITY, ServerStartError or ServerNotFoundError. */
export async function openSimMesh(
  settings: Settings,
  say: (line: string) => void,
): Promise<SimMesh> {
  const { server, home: dir, profile } = settings;
  if (server !== undefined) {
    const home = await openHome(dir ?? defaultHomeDir());
    return {
      url: server,
      home,
      profile: "external",
      suffix: `-${Date.now().toString(36)}`,
      mint: (name, role, capabilities = []) => mintUser(home, { name, role, capabilities }),
      serverMessages: () => Promise.resolve(undefined),
      stop: () => Promise.resolve(),
    };
  }
  const local = await startLocalMesh({
    profile,
    say,
    monitor: true,
    ...(dir === undefined ? {} : { home: dir }),
  });
  return {
    url: local.server.url,
    home: local.home,
    profile,
    suffix: "",
    mint: local.mint,
    serverMessages: () => askServer(local.server.monitorUrl),
    stop: () => local.stop(),
  };
}

async function askServer(
  monitorUrl: string | undefined,
): Promise<{ in: number; out: number } | undefined> {
  if (monitorUrl === undefined) return undefined;
  try {
    const answer = await fetch(`${monitorUrl}/varz`, { signal: AbortSignal.timeout(2_000) });
    const { in_msgs, out_msgs } = (await answer.json()) as { in_msgs: number; out_msgs: number };
    return { in: in_msgs, out: out_msgs };
  } catch {
    return undefined; // the figure is a luxury: a run goes on without it
  }
}

/** A peer that only submits: its principal owns all tasks of the run. */
export async function openSubmitter(
  mesh: SimMesh,
  principal: string,
  signing: boolean,
): Promise<OpenPeer> {
  const creds = await mesh.mint(principal, "submitter");
  const { authenticator, ...proof } = credentialsOf(creds, mesh.home);
  return openPeer({
    servers: mesh.url,
    name: `parley sim ${principal}`,
    principal,
    agent: "main",
    role: "submitter",
    authenticator,
    ...(signing ? proof : {}),
  });
}

export interface Reader {
  records(options: { pattern: string; fromRev?: number }): AsyncGenerator<StoredRecord>;
  close(): Promise<void>;
}

/** Reads what the server keeps, with an observer's rights. */
export async function openReader(mesh: SimMesh, principal: string): Promise<Reader> {
  const creds = await mesh.mint(principal, "observer");
  const connection = await connectNats({
    servers: mesh.url,
    name: `parley sim ${principal}`,
    principal,
    authenticator: credsAuth(creds),
  });
  const transport = new NatsTransport(connection);
  return {
    records: (options) => dumpRecords(transport, { ...options, principal }),
    close: () => transport.close(),
  };
}
