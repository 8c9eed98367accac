import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ROLES } from "../../../contracts/roles.ts";
import { roleBySigningKey } from "../../../mesh/nats/identity/account.ts";
import { parseCreds } from "../../../mesh/nats/identity/creds.ts";
import {
  addIdentity,
  defaultHomeDir,
  initHome,
  listIdentities,
  mintUser,
  openHome,
  readTrust,
  renewIdentity,
} from "../../../mesh/nats/identity/home.ts";
import { describeUser } from "../../../mesh/nats/identity/jwt.ts";
import { keyFromSeed } from "../../../mesh/nats/identity/keys.ts";
import { revokeIdentity } from "../../../mesh/nats/identity/revoke.ts";
import { tempDir } from "../../support/nats-server.ts";

let dir: string;
let remove: () => Promise<void>;
beforeEach(async () => {
  ({ dir, remove } = await tempDir());
});
afterEach(() => remove());

const withCode = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

describe("initHome", () => {
  it("makes a folder that only its owner can read, and openHome reads it back", async () => {
    const home = await initHome(join(dir, "new", "home"), { name: "test" });
    const names = await readdir(home.dir, { recursive: true, withFileTypes: true });
    expect(names.length).toBeGreaterThan(12);
    for (const entry of names) {
      const { mode } = await stat(join(entry.parentPath, entry.name));
      expect((mode & 0o777).toString(8)).toBe(entry.isDirectory() ? "700" : "600");
    }
    const opened = await openHome(home.dir);
    expect(opened.trust).toEqual(home.trust);
    expect(new Set(Object.values(home.trust.roles)).size).toBe(ROLES.length);
    for (const role of ROLES) {
      expect(opened.keys.roles[role].publicKey).toBe(home.trust.roles[role]);
    }
  });

  it("keeps secrets out of what is handed out", async () => {
    const home = await initHome(dir, { name: "test" });
    const { keys } = home;
    const seeds = [keys.operator, keys.system, keys.account, ...Object.values(keys.roles)].map(
      (key) => key.seed,
    );
    for (const file of ["trust.json", "nats-auth.conf", "operator.jwt"]) {
      const text = await readFile(join(dir, file), "utf8");
      for (const seed of seeds) expect(text).not.toContain(seed);
    }
  });

  it("refuses to overwrite and says what to do", async () => {
    const { trust } = await initHome(dir, { name: "test" });
    await expect(initHome(dir, { name: "other" })).rejects.toEqual(
      withCode("E_IDENTITY", /move that folder away/),
    );
    expect(await readTrust(dir)).toEqual(trust);
  });

  it("refuses a mesh name that is no token", async () => {
    await expect(initHome(dir, { name: "my mesh" })).rejects.toEqual(
      withCode("E_SCHEMA", /"my-mesh" would do/),
    );
  });
});

describe("openHome", () => {
  it("says how to make one where there is none", async () => {
    await expect(openHome(dir)).rejects.toEqual(withCode("E_IDENTITY", /parley init/));
  });

  it("tells a making that was interrupted from one that never began", async () => {
    await initHome(dir, { name: "test" });
    await rm(join(dir, "trust.json"));
    await expect(openHome(dir)).rejects.toEqual(withCode("E_IDENTITY", /interrupted/));
  });

  it("refuses a key that is not the one in trust.json", async () => {
    await initHome(dir, { name: "test" });
    const path = join(dir, "keys", "role-agent.nk");
    await writeFile(path, await readFile(join(dir, "keys", "role-admin.nk")));
    await expect(openHome(dir)).rejects.toEqual(withCode("E_IDENTITY", /role-agent.nk is not/));
  });

  it("is looked for in PARLEY_HOME, else in .parley", () => {
    expect(defaultHomeDir({ PARLEY_HOME: "/srv/mesh" })).toBe("/srv/mesh");
    expect(defaultHomeDir({})).toBe(resolve(".parley"));
  });
});

describe("identities", () => {
  it("come as creds files whose JWT says role and capabilities", async () => {
    const home = await initHome(dir, { name: "test" });
    const { credsPath, identity } = await addIdentity(home, {
      name: "ocr-1",
      role: "contractor",
      capabilities: ["ocr", "Sum"],
      expiresInMs: 60_000,
    });
    const creds = parseCreds(await readFile(credsPath));
    expect((await stat(credsPath)).mode & 0o777).toBe(0o600);
    expect(keyFromSeed(creds.seed).publicKey).toBe(identity.publicKey);
    const { account, revocations } = home.trust;
    expect(describeUser(creds.jwt, roleBySigningKey(home.trust), { account, revocations })).toEqual(
      { ok: true, identity },
    );
    expect(identity).toMatchObject({ expiresAt: identity.issuedAt + 60_000 });
  });

  it("are listed by name, with what was revoked", async () => {
    const home = await initHome(dir, { name: "test" });
    await addIdentity(home, { name: "b", role: "observer" });
    await addIdentity(home, { name: "a", role: "submitter" });
    await revokeIdentity(home, "b");
    expect(await listIdentities(await openHome(dir))).toMatchObject([
      { name: "a", role: "submitter" },
      { name: "b", role: "observer", revokedAt: expect.any(Number) },
    ]);
  });

  it("are given once, also when two ask at once, until revoked", async () => {
    const home = await initHome(dir, { name: "test" });
    const add = () => addIdentity(home, { name: "a", role: "agent" });
    const both = await Promise.allSettled([add(), add()]);
    expect(both.map((one) => one.status).sort()).toEqual(["fulfilled", "rejected"]);
    await expect(add()).rejects.toEqual(withCode("E_IDENTITY", /parley identity revoke a/));
    const { identity: old } = await revokeIdentity(home, "a");
    const { identity: fresh } = await add();
    expect(fresh.publicKey).not.toBe(old.publicKey);
    expect(Object.keys((await readTrust(dir)).revocations)).toEqual([old.publicKey]);
  });

  it("are void for verifiers once revoked, and their creds file is gone", async () => {
    const home = await initHome(dir, { name: "test" });
    const { credsPath } = await addIdentity(home, { name: "a", role: "agent" });
    const { jwt } = parseCreds(await readFile(credsPath));
    await revokeIdentity(home, "a");
    const { revocations } = await readTrust(dir);
    expect(describeUser(jwt, roleBySigningKey(home.trust), { revocations })).toEqual({
      ok: false,
      reason: "revoked",
    });
    await expect(stat(credsPath)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("are renewed with the same key", async () => {
    const home = await initHome(dir, { name: "test" });
    const first = await addIdentity(home, {
      name: "a",
      role: "contractor",
      capabilities: ["ocr"],
      expiresInMs: 60_000,
    });
    const second = await renewIdentity(home, "a", { expiresInMs: 120_000 });
    expect(second.identity).toMatchObject({
      publicKey: first.identity.publicKey,
      role: "contractor",
      capabilities: ["ocr"],
      expiresAt: second.identity.issuedAt + 120_000,
    });
    await revokeIdentity(home, "a");
    await expect(renewIdentity(home, "a")).rejects.toEqual(
      withCode("E_IDENTITY", /parley identity add a --role contractor/),
    );
  });

  it("refuse names, roles and lengths that cannot be, and unknown names", async () => {
    const home = await initHome(dir, { name: "test" });
    const bad = [
      { name: "a.b", role: "agent" },
      { name: "_", role: "agent" },
      { name: "../x", role: "agent" },
      { name: "a", role: "agent", capabilities: ["*"] },
      { name: "a", role: "root" },
      { name: "a", role: "agent", expiresInMs: 0 },
    ] as Parameters<typeof addIdentity>[1][];
    for (const one of bad) {
      await expect(addIdentity(home, one)).rejects.toMatchObject({ code: "E_SCHEMA" });
    }
    expect(await listIdentities(home)).toEqual([]);
    await addIdentity(home, { name: "alice", role: "agent" });
    await expect(revokeIdentity(home, "bob")).rejects.toEqual(
      withCode("E_NOT_FOUND", /known: alice/),
    );
    await expect(revokeIdentity(home, "../trust")).rejects.toMatchObject({ code: "E_NOT_FOUND" });
  });

  it("are minted by the thousand within seconds", async () => {
    const home = await initHome(dir, { name: "test" });
    const begun = performance.now();
    const keys = new Set<string>();
    for (let i = 0; i < 1000; i++) {
      const { identity } = await mintUser(home, {
        name: `agent-${i}`,
        role: "agent",
        capabilities: ["ocr", "sum"],
      });
      keys.add(identity.publicKey);
    }
    expect(keys.size).toBe(1000);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});
