// A server that is not ours: `parley provision` and `parley up --server` make a mesh of it.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join as path } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { join } from "../../agent-sdk/index.ts";
import { openPeer } from "../../mesh/index.ts";
import { credentialsOf } from "../../mesh/local.ts";
import { addIdentity, mintUser, revokeIdentity } from "../../mesh/nats/identity/home.ts";
import { findServer } from "../../mesh/nats/server/find-server.ts";
import { silent, texts } from "../agent-sdk/fixture.ts";
import { startMesh, type TestMesh, tempDir } from "../support/nats-server.ts";
import { type Program, parley, startParley } from "../support/program.ts";

let mesh: TestMesh;
let program: Program | undefined;

beforeAll(async () => {
  mesh = await startMesh();
}, 30_000);
afterAll(async () => {
  program?.process.kill("SIGKILL");
  await program?.ended;
  await mesh?.stop();
});

const here = () => ["--server", mesh.server.url, "--home", mesh.home.dir];
const run = (...args: string[]) => parley([...args, ...here()], mesh.home.dir);
const up = () => startParley(["up", ...here(), "--json"], mesh.home.dir);

describe("a server of one's own", { timeout: 30_000 }, () => {
  it("has a configuration from `init`, which overwrites none", async () => {
    const { dir, remove } = await tempDir();
    onTestFinished(remove);
    const init = () => parley(["init", "--server-config", "own.conf"], dir);
    const { code, err } = await init();
    expect([code, err]).toEqual([0, expect.stringMatching(/next: nats-server -c own\.conf/)]);
    const { binary } = await findServer();
    const tried = await promisify(execFile)(binary, ["-t", "-c", "own.conf"], { cwd: dir });
    expect(tried.stderr).toContain("configuration file own.conf is valid");
    const again = await init();
    expect([again.code, again.err]).toEqual([2, expect.stringMatching(/own\.conf is there/)]);
    expect((await parley(["init", "--server-config", "other.conf"], dir)).code).toBe(0);
  });

  it("lacks everything, says the doctor; provision makes it, and repeats nothing", async () => {
    const before = await run("doctor");
    expect(before.code).toBe(1);
    expect(before.out).toMatch(/KV_mesh_tasks +missing\n +fix: parley provision makes it/);
    const made = await run("provision");
    expect(made.code).toBe(0);
    expect(made.out).toMatch(/^made stream KV_mesh_tasks$/m);
    expect(JSON.parse((await run("provision", "--json")).out)).toEqual({
      done: ["streams, buckets and consumers are in place"],
    });
    expect((await run("doctor", "--json")).code).toBe(0);
  });

  it("has as many copies as it was made with", async () => {
    const { code, err } = await run("provision", "--replicas", "3");
    expect(code).toBe(1);
    expect(err).toMatch(/KV_mesh_tasks has 1 copy, .* wants 3/);
  });

  it("is provisioned by an admin only", async () => {
    const { credsPath } = await addIdentity(mesh.home, { name: "looker", role: "observer" });
    const { code, err } = await run("provision", "--creds", credsPath);
    expect(code).toBe(1);
    expect(err).toMatch(/made by an admin; .* looker, with the role observer/);
    expect(err).toContain("code: E_PERMISSION");
  });

  it("takes no flag that is for a server of ours", async () => {
    const { code, err } = await run("up", "--port", "5000");
    expect(code).toBe(2);
    expect(err).toContain("--port is for a server that parley up starts");
  });

  it("is a mesh with `up --server`, and goes on when that ends", async () => {
    program = up();
    const told = JSON.parse(await program.line(/^\{/));
    expect(told).toMatchObject({ url: mesh.server.url, home: mesh.home.dir });
    expect(told.serverPid).toBeUndefined();

    const creds = await mintUser(mesh.home, {
      name: "ann",
      role: "contractor",
      capabilities: ["echo"],
    });
    const ann = await openPeer({
      ...credentialsOf(creds, mesh.home),
      servers: mesh.server.url,
      name: "ann",
      principal: "ann",
      agent: "w",
      role: "contractor",
      use: { initiator: false, submitter: false, intake: false },
    });
    ann.peer.host({
      name: "w",
      slots: 1,
      services: [
        {
          capability: { name: "echo", version: "1.0.0" },
          run: (r) => Promise.resolve({ output: r.input }),
        },
      ],
    });
    // The steward awards it: ann may not. The folder alone tells where the mesh is.
    const args = ["submit", "echo", '{"n":1}', "--wait", "--home", mesh.home.dir];
    const { out, err } = await parley(args, mesh.home.dir);
    expect([JSON.parse(out), err]).toEqual([{ n: 1 }, ""]);
    await ann.close(0);

    program.process.kill("SIGTERM");
    expect((await program.ended).code).toBe(0);
    expect(existsSync(path(mesh.home.dir, "up.json"))).toBe(false);
    expect((await run("task", "ls", "--json")).code).toBe(0);
  });

  it("takes back what an agent made itself beside the folder", async () => {
    const agent = await join({
      name: "guest",
      home: mesh.home.dir,
      server: mesh.server.url,
      log: silent,
    });
    await agent.serve(texts("visit"), (s) => s);
    expect((await run("identity", "show", "guest")).code).toBe(4);
    const { code, out } = await run("identity", "revoke", "guest", "--json");
    expect([code, JSON.parse(out)]).toEqual([
      0,
      expect.objectContaining({ name: "guest", state: "revoked", delivery: "pushed" }),
    ]);
    expect((await run("agents", "--all")).out).not.toContain("guest");
    const again = await run("identity", "revoke", "guest");
    expect([again.code, again.err]).toEqual([4, expect.stringMatching(/nobody named "guest"/)]);
    await agent.close().catch(() => undefined);
  });

  it("says so when the server takes its steward no more", async () => {
    program = up();
    await program.line(/^\{/);
    await revokeIdentity(mesh.home, "steward", mesh.server.url);
    const { code, err } = await program.ended;
    expect(code).toBe(1);
    expect(err).toMatch(/the server takes the steward no more/);
  });
});
