// Joining with a bare NKey, where the server knows its users from its configuration.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join as path } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { join, type Mesh } from "../../agent-sdk/index.ts";
import { connectNats } from "../../mesh/nats/connect.ts";
import { nkeyAuth } from "../../mesh/nats/identity/authenticator.ts";
import { serverConfig } from "../../mesh/nats/identity/server-config.ts";
import {
  addStaticUser,
  type Keyring,
  staticUsersConfig,
  writeKeyring,
} from "../../mesh/nats/identity/static-users.ts";
import { provision } from "../../mesh/nats/provision.ts";
import { type RunningServer, startServer } from "../../mesh/nats/server/index.ts";
import { silent, texts } from "./fixture.ts";

const echo = texts("echo");
const seeds = new Map<string, string>();
const joined: Mesh[] = [];
let folder = "";
let server: RunningServer | undefined;

beforeAll(async () => {
  folder = await mkdtemp(path(tmpdir(), "parley-static-"));
  let keyring: Keyring = {};
  for (const user of [
    { name: "root", role: "admin" as const },
    { name: "alice", role: "agent" as const, capabilities: ["echo"] },
    { name: "bob", role: "submitter" as const },
  ]) {
    const added = addStaticUser(keyring, user);
    keyring = added.keyring;
    seeds.set(user.name, added.key?.seed ?? "");
  }
  await writeKeyring(path(folder, "keyring.json"), keyring);
  await writeFile(path(folder, "users.conf"), staticUsersConfig(keyring));
  const configFile = path(folder, "server.conf");
  await writeFile(configFile, serverConfig({ include: "./users.conf", resolver: "none" }));
  server = await startServer({ configFile });
  const nc = await connectNats({
    servers: server.url,
    name: "provision",
    principal: "root",
    authenticator: nkeyAuth(seeds.get("root") ?? ""),
  });
  await provision(nc, {});
  await nc.close();
}, 30_000);

afterAll(async () => {
  await Promise.all(joined.map((mesh) => mesh.close()));
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function joinWith(nkey: string): Promise<Mesh> {
  const options = { name: "worker", nkey, home: folder, log: silent, onSignals: "ignore" } as const;
  const mesh = await join({ ...options, server: server?.url ?? "" });
  joined.push(mesh);
  return mesh;
}

test("an NKey file and a seed serve, call and submit, with signatures checked", async () => {
  const file = path(folder, "alice.nk");
  await writeFile(file, `${seeds.get("alice")}\n`);
  const alice = await joinWith(file);
  await alice.serve(echo, (s) => s.toUpperCase());
  expect(alice.principal).toBe("alice");
  const bob = await joinWith(seeds.get("bob") ?? "");
  expect(await bob.call(echo, "live")).toBe("LIVE");
  expect(await (await bob.submit(echo, "durable")).result()).toBe("DURABLE");
  await expect(alice.serve(texts("more"), (s) => s)).rejects.toMatchObject({
    code: "E_PERMISSION",
  });
});

test("an NKey that the keyring lacks is refused, with what to do", async () => {
  const stranger = addStaticUser({}, { name: "x", role: "agent" }).key?.seed ?? "";
  await expect(joinWith(stranger)).rejects.toThrow(/is in no keyring\.json/);
});
