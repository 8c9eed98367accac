import { readFile } from "node:fs/promises";
import { connect, credsAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { afterEach, describe, expect, it } from "vitest";
import { credsAuth } from "../../../mesh/nats/identity/authenticator.ts";
import { type Creds, parseCreds } from "../../../mesh/nats/identity/creds.ts";
import {
  addIdentity,
  mintUser,
  openHome,
  renewIdentity,
} from "../../../mesh/nats/identity/home.ts";
import { revokeIdentity } from "../../../mesh/nats/identity/revoke.ts";
import { startMesh, type TestMesh } from "../../support/nats-server.ts";

let mesh: TestMesh;
afterEach(() => mesh?.stop());

function dial(creds: Creds): Promise<NatsConnection> {
  return connect({
    servers: mesh.server.url,
    authenticator: credsAuth(creds),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
  });
}

async function added(name: string): Promise<{ creds: Creds; nc: NatsConnection }> {
  const { credsPath } = await addIdentity(mesh.home, { name, role: "agent" });
  const creds = parseCreds(await readFile(credsPath));
  return { creds, nc: await dial(creds) };
}

describe.each([
  { resolver: "full", delivery: "pushed" },
  { resolver: "memory", delivery: "reloaded" },
] as const)("revoking with a $resolver resolver", ({ resolver, delivery }) => {
  it("cuts the live connection, refuses new ones, spares others, outlives a restart", async () => {
    mesh = await startMesh({ resolver });
    const bob = await added("bob");
    const carol = await added("carol");
    const sameConnection = carol.nc.info?.client_id;
    const done = await revokeIdentity(mesh.home, "bob", mesh.server.url);
    expect(done).toMatchObject({ delivery, identity: { revokedAt: expect.any(Number) } });
    // Unlimited reconnect attempts: it ends only because the server refuses the credentials.
    expect(await bob.nc.closed()).toMatchObject({ message: "Authorization Violation" });
    await expect(dial(bob.creds)).rejects.toThrow("Authorization Violation");
    await carol.nc.flush();
    expect(carol.nc.info?.client_id).toBe(sameConnection);

    await mesh.server.restart();
    await expect(dial(bob.creds)).rejects.toThrow("Authorization Violation");
    const again = await dial(carol.creds);
    await again.close();
    await carol.nc.close();
  });
});

describe("revoking", () => {
  it("without a server takes hold when it next starts, from another process too", async () => {
    mesh = await startMesh();
    const bob = await added("bob");
    const done = await revokeIdentity(await openHome(mesh.home.dir), "bob");
    expect(done.delivery).toBe("none");
    await bob.nc.flush();
    await mesh.server.restart();
    expect(await bob.nc.closed()).toMatchObject({ message: "Authorization Violation" });
  });

  it("can be said again when the server was away", async () => {
    mesh = await startMesh();
    const bob = await added("bob");
    await expect(revokeIdentity(mesh.home, "bob", "nats://127.0.0.1:1")).rejects.toMatchObject({
      code: "E_CONNECTION",
      message: expect.stringContaining("recorded"),
    });
    await bob.nc.flush();
    await revokeIdentity(mesh.home, "bob", mesh.server.url);
    expect(await bob.nc.closed()).toMatchObject({ message: "Authorization Violation" });
  });

  it("lets somebody new have the name", async () => {
    mesh = await startMesh();
    const bob = await added("bob");
    await revokeIdentity(mesh.home, "bob", mesh.server.url);
    await bob.nc.closed();
    const other = await added("bob");
    await other.nc.close();
  });
});

describe("credentials", () => {
  it("are taken by the library's own authenticator", async () => {
    mesh = await startMesh();
    const { credsPath } = await addIdentity(mesh.home, { name: "olga", role: "observer" });
    const nc = await connect({
      servers: mesh.server.url,
      inboxPrefix: "_INBOX.olga",
      authenticator: credsAuthenticator(new Uint8Array(await readFile(credsPath))),
    });
    const info = (await nc.request("$SYS.REQ.USER.INFO", "")).json<{ data: { account: string } }>();
    expect(info.data.account).toBe(mesh.home.trust.account);
    await nc.close();
  });

  it("that were renewed are taken up by the next connection of the same client", async () => {
    mesh = await startMesh();
    const { credsPath } = await addIdentity(mesh.home, {
      name: "short",
      role: "agent",
      expiresInMs: 1_000,
    });
    let creds = parseCreds(await readFile(credsPath));
    const nc = await connect({
      servers: mesh.server.url,
      authenticator: credsAuth(() => creds),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 20,
    });
    await renewIdentity(mesh.home, "short", { expiresInMs: 3_600_000 });
    creds = parseCreds(await readFile(credsPath));
    const seen: string[] = [];
    for await (const { type } of nc.status()) {
      seen.push(type);
      if (type === "reconnect") break;
    }
    expect(seen).toContain("disconnect");
    await nc.close();
  });

  it("with as many capabilities as allowed, of full length, still connect", async () => {
    mesh = await startMesh();
    const capabilities = Array.from({ length: 256 }, (_, i) => `cap-${i}-`.padEnd(64, "x"));
    const nc = await mesh.join("big", "agent", capabilities);
    await nc.flush();
  });

  it("of another mesh are refused", async () => {
    mesh = await startMesh();
    const other = await startMesh();
    try {
      const stranger = await mintUser(other.home, { name: "eve", role: "admin" });
      await expect(dial(stranger)).rejects.toThrow("Authorization Violation");
    } finally {
      await other.stop();
    }
  });
});
