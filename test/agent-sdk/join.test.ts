// Where `join` looks for the mesh and for an identity, and what it says when it finds none.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join as path } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { join } from "../../agent-sdk/index.ts";
import { findPlace } from "../../agent-sdk/settings.ts";
import { addIdentity, homeFiles, revokeIdentity } from "../../mesh/nats/identity/home.ts";
import type { Log } from "../../mesh/ports/log.ts";
import { codeOf, silent, texts, useMesh } from "./fixture.ts";

const mesh = useMesh();
let dir = "";

beforeEach(async () => {
  dir = await mkdtemp(path(tmpdir(), "parley-join-"));
  for (const name of ["NATS_URL", "NATS_CREDS", "NATS_NKEY", "NATS_CONTEXT"]) {
    vi.stubEnv(name, "");
  }
  vi.stubEnv("PARLEY_HOME", path(dir, "none"));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true, force: true });
});

describe("the address", () => {
  test("of an option, else of the environment, else of `parley up`", async () => {
    const home = path(dir, "home");
    await mkdir(home);
    await writeFile(path(home, "up.json"), JSON.stringify({ url: "nats://up:1", home }));
    const env = { PARLEY_HOME: home, XDG_CONFIG_HOME: dir };
    expect(findPlace({}, env)).toMatchObject({ servers: ["nats://up:1"], homes: [home] });
    expect(findPlace({}, { ...env, NATS_URL: "nats://env:1, nats://env:2" }).servers).toEqual([
      "nats://env:1",
      "nats://env:2",
    ]);
    expect(
      findPlace({ server: "nats://said:1" }, { ...env, NATS_URL: "nats://env:1" }).servers,
    ).toEqual(["nats://said:1"]);
  });

  test("of a context of the nats CLI, with its credentials and certificates", async () => {
    await mkdir(path(dir, "nats", "context"), { recursive: true });
    await writeFile(
      path(dir, "nats", "context", "lab.json"),
      JSON.stringify({
        url: "tls://lab:4222",
        creds: "~/lab.creds",
        nkey: "",
        ca: "/lab/ca.pem",
        password: "",
      }),
    );
    const place = findPlace({}, { NATS_CONTEXT: "lab", XDG_CONFIG_HOME: dir });
    expect(place).toMatchObject({ servers: ["tls://lab:4222"], tls: { caFile: "/lab/ca.pem" } });
    expect(place.creds).toMatch(/^\/.*lab\.creds$/);
    expect(findPlace({ context: "lab", creds: "mine.creds" }, { XDG_CONFIG_HOME: dir }).creds).toBe(
      "mine.creds",
    );
    expect(() => findPlace({ context: "nowhere" }, { XDG_CONFIG_HOME: dir })).toThrow(
      /no NATS context "nowhere".*nats context ls/,
    );
  });

  test("missing: says how to start a mesh", async () => {
    const nowhere = join({ name: "x" });
    await expect(nowhere).rejects.toThrow(/no mesh to join.*parley up/);
    await expect(nowhere).rejects.toMatchObject({ code: "E_CONNECTION" });
    // For whoever runs a sample first: the advice, and no stack trace around it.
    await expect(nowhere).rejects.toMatchObject({
      stack: expect.not.stringContaining("\n") as string,
    });
  });

  test("of nobody: says so at once", async () => {
    const wrong = join({ name: "x", server: "nats://127.0.0.1:1", home: mesh.local.home.dir });
    await expect(wrong).rejects.toThrow(/no NATS server at nats:\/\/127\.0\.0\.1:1.*parley up/);
  });
});

describe("a name", () => {
  test.each([
    ["name", { name: "a.b" }],
    ["agent", { name: "a", agent: "b c" }],
    ["name", { name: "_" }],
  ])("%s that is no token is refused: %j", async (what, options) => {
    await expect(mesh.join("x", options)).rejects.toThrow(new RegExp(`^${what} "`));
  });
});

test("options that are none are refused with what to write", async () => {
  for (const options of ["ann", {}, undefined]) {
    await expect(join(options as never)).rejects.toThrow('join({ name: "ann" })');
  }
});

describe("the identity", () => {
  test("of what `parley up` left: nothing to say but the name", async () => {
    const { server, home } = mesh.local;
    await writeFile(path(home.dir, "up.json"), JSON.stringify({ url: server.url, home: home.dir }));
    vi.stubEnv("PARLEY_HOME", home.dir);
    const echo = texts("echo-up");
    const agent = await join({ name: "upper", log: silent });
    await agent.serve(echo, (s) => s);
    expect(await agent.call(echo, "hi")).toBe("hi");
    expect(agent.principal).toBe("upper");
    await agent.close();
    await rm(path(home.dir, "up.json"));
  });

  test("grows with what is served, several at once, while tasks run", async () => {
    const said: string[] = [];
    const log: Log = {
      ...silent,
      warn: (_fields, text) => void said.push(text),
      child: () => log,
    };
    const agent = await mesh.join("grower", { log });
    const [one, two, three] = [texts("grow-1"), texts("grow-2"), texts("grow-3")];
    await agent.serve(one, async (s) => {
      await agent.serve(three, (t) => `${t}!`);
      return s;
    });
    expect(await agent.call(one, "x")).toBe("x");
    await agent.serve(two, (s) => s);
    const other = await mesh.join("grower-friend");
    expect(await Promise.all([two, three].map((c) => other.call(c, "y")))).toEqual(["y", "y!"]);
    const [card] = await agent.agents({ capability: three });
    expect(card?.capabilities.map((c) => c.name)).toEqual(["grow-1", "grow-3", "grow-2"]);
    // Each capability takes a reconnect, which nobody need worry about.
    expect(said).toEqual([]);
  });

  test("of a creds file serves what it covers, and says how to get the rest", async () => {
    const { server, home } = mesh.local;
    const echo = texts("echo-creds");
    const { credsPath } = await addIdentity(home, {
      name: "given",
      role: "agent",
      capabilities: ["echo-creds"],
    });
    vi.stubEnv("NATS_URL", server.url);
    vi.stubEnv("NATS_CREDS", credsPath);
    const agent = await join({ name: "worker", log: silent });
    expect(agent.address).toMatch(/^given\.worker-[0-9a-f]{6}$/);
    await agent.serve(echo, (s) => s);
    expect(await agent.call(echo, "hi")).toBe("hi");
    await expect(agent.serve(texts("more"), (s) => s)).rejects.toThrow(
      /"given" do not cover more; .*identity renew given --cap echo-creds --cap more/,
    );
    await agent.close();
  });

  test("two processes under one name are two agents of one principal", async () => {
    const who = texts("who-replica");
    const replicas = [await mesh.join("replica"), await mesh.join("replica")];
    await Promise.all(replicas.map((m) => m.serve(who, () => m.address)));
    const caller = await mesh.join("replica-caller");
    await mesh.sees(caller, who, 2);
    for (const { address } of replicas) {
      expect(await caller.call(who, "", { to: address, only: true })).toBe(address);
      const handle = await caller.submit(who, "", { to: address, only: true });
      expect(await handle.result()).toBe(address);
    }
    const many = await Promise.all(Array.from({ length: 20 }, () => replicas[0]!.call(who, "")));
    expect(new Set(many)).toEqual(new Set(replicas.map((m) => m.address)));
  });

  test("as text works; without the mesh's trust.json it says what to copy", async () => {
    const { server, home } = mesh.local;
    const { credsPath } = await addIdentity(home, { name: "texted", role: "submitter" });
    const text = await readFile(credsPath, "utf8");
    const options = { name: "x", server: server.url, creds: text, log: silent };
    await expect(join(options)).rejects.toThrow(/trust\.json .* beside the creds file/);
    await writeFile(path(dir, "copied.creds"), text);
    await writeFile(path(dir, "trust.json"), await readFile(homeFiles(home.dir).trust, "utf8"));
    const agent = await join({ ...options, creds: path(dir, "copied.creds") });
    expect(agent.principal).toBe("texted");
    await expect(agent.serve(texts("a"), (s) => s)).rejects.toThrow(
      /role submitter.*may not serve/,
    );
    await expect(agent.agents()).rejects.toThrow(/may not agents/);
    await agent.close();
    const bare = await mesh.join("bare", { roles: { initiator: false } });
    await expect(bare.agents()).rejects.toThrow(/does not follow the cards/);
  });

  test("revoked is refused, by creds and by name", async () => {
    const { server, home } = mesh.local;
    const { credsPath } = await addIdentity(home, { name: "gone", role: "agent" });
    const text = await readFile(credsPath, "utf8");
    await revokeIdentity(home, "gone");
    const options = { name: "gone", server: server.url, home: home.dir, log: silent };
    await expect(join({ ...options, creds: text })).rejects.toThrow(/revoked/);
    await expect(join(options)).rejects.toThrow(/"gone" was revoked/);
  });

  test("of nobody: names the command that makes one", async () => {
    const alone = join({ name: "alone", server: mesh.local.server.url });
    await expect(alone).rejects.toThrow(/parley identity add alone --role agent/);
    expect(await codeOf(join({ name: "a", server: "x", creds: path(dir, "no.creds") }))).toBe(
      "E_IDENTITY",
    );
  });
});

test("an aborted signal leaves the mesh, and keeps from joining", async () => {
  const control = new AbortController();
  const echo = texts("echo-abort");
  const agent = await mesh.join("leaver", { signal: control.signal });
  await agent.serve(echo, (s) => s);
  const left = new Promise<void>((resolve) => agent.onClosed(resolve));
  control.abort();
  await left;
  await expect(agent.call(echo, "")).rejects.toMatchObject({ code: "E_DRAINING" });
  await expect(mesh.join("late", { signal: control.signal })).rejects.toThrow(/abort/i);
});
