import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nkeyAuth } from "../../../mesh/nats/identity/authenticator.ts";
import { generateKey } from "../../../mesh/nats/identity/keys.ts";
import { serverConfig } from "../../../mesh/nats/identity/server-config.ts";
import {
  addStaticUser,
  describeKey,
  type Keyring,
  readKeyring,
  type StaticUser,
  staticUsersConfig,
  writeKeyring,
} from "../../../mesh/nats/identity/static-users.ts";
import { type RunningServer, startServer } from "../../../mesh/nats/server/run-server.ts";
import { tempDir } from "../../support/nats-server.ts";
import { publishVerdict, subscribeVerdict } from "../../support/permissions.ts";

let dir: string;
let remove: () => Promise<void>;
let server: RunningServer;
let keyring: Keyring = {};
const seeds = new Map<string, string>();

function add(user: StaticUser): void {
  const added = addStaticUser(keyring, user);
  keyring = added.keyring;
  seeds.set(user.name, added.key?.seed as string);
}

async function writeUsers(): Promise<void> {
  await writeFile(join(dir, "users.conf"), staticUsersConfig(keyring));
}

async function writeServer(serverName?: string): Promise<string> {
  const configFile = join(dir, "server.conf");
  await writeFile(
    configFile,
    serverConfig({
      include: "./users.conf",
      resolver: "none",
      ...(serverName ? { serverName } : {}),
    }),
  );
  return configFile;
}

function dial(name: string): Promise<NatsConnection> {
  return connect({
    servers: server.url,
    name,
    inboxPrefix: `_INBOX.${name}`,
    authenticator: nkeyAuth(seeds.get(name) as string),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
  });
}

beforeAll(async () => {
  ({ dir, remove } = await tempDir());
  add({ name: "root", role: "admin" });
  add({ name: "casey", role: "contractor", capabilities: ["ocr", "Sum"] });
  add({ name: "olga", role: "observer" });
  add({ name: "ina", role: "initiator" });
  await writeUsers();
  server = await startServer({ configFile: await writeServer() });
  // A reload refuses a change of name, and compares the file with the name on the command line.
  await writeServer(server.name);
});
afterAll(async () => {
  await server?.stop();
  await remove();
});

describe("static users on a real server", () => {
  it("have the permissions of their role, name and capabilities", async () => {
    const nc = await dial("casey");
    for (const subject of ["mesh.cfp.ocr.>", "mesh.cfp.Sum.>", "mesh.award.casey.>"]) {
      expect([subject, await subscribeVerdict(nc, subject)]).toEqual([subject, "permitted"]);
    }
    for (const subject of ["mesh.cfp.sum.>", "mesh.cfp.>", "mesh.award.olga.>", "mesh.>"]) {
      expect([subject, await subscribeVerdict(nc, subject)]).toEqual([subject, "refused"]);
    }
    expect(await publishVerdict(nc, "mesh.bid.ina.i.cfp1.casey.c")).toBe("permitted");
    expect(await publishVerdict(nc, "mesh.bid.ina.i.cfp1.olga.c")).toBe("refused");
    expect(await publishVerdict(nc, "$JS.API.INFO")).toBe("refused");
    await nc.close();
  });

  it("keep the denials of their role", async () => {
    const nc = await dial("olga");
    const call = "$JS.API.CONSUMER.DELETE.KV_mesh_tasks";
    expect(await publishVerdict(nc, `${call}.initiators-0`)).toBe("refused");
    expect(await publishVerdict(nc, `${call}.mine`)).toBe("permitted");
    await nc.close();
  });

  it("use JetStream, and hear of lost connections", async () => {
    const root = await dial("root");
    const jsm = await jetstreamManager(root);
    expect((await jsm.getAccountInfo()).limits).toBeDefined();
    const ina = await dial("ina");
    const events = ina.subscribe("mesh.sys.disconnect", { max: 1 });
    await ina.flush();
    const peer = await dial("casey");
    await peer.close();
    for await (const event of events) {
      expect(event.json()).toMatchObject({
        client: { name: "casey", user: keyring.casey?.publicKey },
      });
    }
    await root.close();
    await ina.close();
  });

  it("are taken with the library's own authenticator", async () => {
    const nc = await connect({
      servers: server.url,
      authenticator: nkeyAuthenticator(Buffer.from(seeds.get("casey") as string)),
    });
    await nc.flush();
    await nc.close();
  });

  it("are cut by a reload when removed, and let in when added; others stay", async () => {
    const [casey, olga] = [await dial("casey"), await dial("olga")];
    const { casey: _removed, ...rest } = keyring;
    keyring = rest;
    add({ name: "newcomer", role: "observer" });
    await writeUsers();
    server.kill("SIGHUP");
    expect(await casey.closed()).toMatchObject({ message: "Authorization Violation" });
    const newcomer = await dial("newcomer");
    await newcomer.close();
    await olga.flush();
    await olga.close();
  });
});

describe("the keyring", () => {
  it("is read as it was written, and empty when there is none", async () => {
    const path = join(dir, "keyring.json");
    expect(await readKeyring(path)).toEqual({});
    const { keyring: ring, key } = addStaticUser(
      {},
      {
        name: "a",
        role: "agent",
        capabilities: ["x", "x"],
      },
    );
    await writeKeyring(path, ring);
    expect(await readKeyring(path)).toEqual(ring);
    expect(await readFile(path, "utf8")).not.toContain(key?.seed);
  });

  it("says who a key is, in the shape of describeUser", () => {
    const key = generateKey("user").publicKey;
    const { keyring: ring } = addStaticUser(
      {},
      {
        name: "a",
        role: "contractor",
        capabilities: ["ocr"],
        publicKey: key,
      },
    );
    expect(describeKey(ring, key)).toEqual({
      ok: true,
      identity: {
        name: "a",
        publicKey: key,
        role: "contractor",
        capabilities: ["ocr"],
        issuedAt: expect.any(Number),
      },
    });
    expect(describeKey(ring, generateKey("user").publicKey)).toEqual({
      ok: false,
      reason: "unknown",
    });
  });

  it("refuses what would widen a permission or blur who is who", async () => {
    const { keyring: ring } = addStaticUser({}, { name: "a", role: "agent" });
    const publicKey = ring.a?.publicKey as string;
    const bad: [StaticUser, string][] = [
      [{ name: "a", role: "agent" }, "E_IDENTITY"],
      [{ name: "b", role: "agent", publicKey }, "E_IDENTITY"],
      [{ name: "b", role: "agent", publicKey: generateKey("account").publicKey }, "E_SCHEMA"],
      [{ name: "*", role: "agent" }, "E_SCHEMA"],
      [{ name: "b", role: "agent", capabilities: [">"] }, "E_SCHEMA"],
      [{ name: "b", role: "root" as "admin" }, "E_SCHEMA"],
    ];
    for (const [user, code] of bad) {
      expect(() => addStaticUser(ring, user)).toThrow(expect.objectContaining({ code }));
    }
    const path = join(dir, "bad.json");
    for (const text of [
      "{",
      "[]",
      JSON.stringify({ "a.b": ring.a }),
      JSON.stringify({ a: { ...ring.a, publicKey: "U" } }),
    ]) {
      await writeFile(path, text);
      await expect(readKeyring(path)).rejects.toMatchObject({ code: "E_IDENTITY" });
    }
  });
});
