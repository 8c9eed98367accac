// `parley up`: usable as soon as it says so, gone in order on Ctrl-C, gone all the same on kill -9.
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openPeer } from "../../mesh/index.ts";
import { credentialsOf } from "../../mesh/local.ts";
import { mintUser, openHome } from "../../mesh/nats/identity/home.ts";
import { isAlive } from "../../mesh/nats/server/lock-file.ts";
import { tempDir } from "../support/nats-server.ts";
import { type Program, parley, startParley } from "../support/program.ts";

let dir: string;
let remove: () => Promise<void>;
let program: Program | undefined;
const serverPids: number[] = [];

beforeEach(async () => {
  ({ dir, remove } = await tempDir());
});
afterEach(async () => {
  program?.process.kill("SIGKILL");
  await program?.ended;
  program = undefined;
  // A killed program's server goes a moment later, and writes until then.
  for (const pid of serverPids.splice(0)) await gone(pid);
  await remove();
});

interface Told {
  url: string;
  home: string;
  pid: number;
  serverPid: number;
  profile: string;
  creds: Record<string, string>;
}

async function up(...args: string[]): Promise<Told> {
  program = startParley(["up", "--port", "0", "--json", ...args], dir);
  const told = JSON.parse(await program.line(/^\{/));
  serverPids.push(told.serverPid);
  return told;
}

/** Until the server's process is gone; a poll, since it is no child of ours. */
async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await pause(20);
}

function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connectSocket(Number(port), hostname);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

describe("parley up", { timeout: 60_000 }, () => {
  it("makes a mesh that the other commands find, and stops in order on Ctrl-C", async () => {
    const told = await up();
    expect(told).toMatchObject({ profile: "dev", home: join(dir, ".parley") });
    const left = JSON.parse(await readFile(join(told.home, "up.json"), "utf8"));
    expect(left).toMatchObject({ url: told.url, pid: told.pid, home: told.home, profile: "dev" });
    for (const name of ["operator", "cli", "observer"]) {
      expect(existsSync(told.creds[name] as string)).toBe(true);
    }

    // Nothing but the working folder tells where the mesh is.
    const doctor = await parley(["doctor", "--json"], dir);
    expect([doctor.code, doctor.err]).toEqual([0, ""]);
    const home = await openHome(told.home);
    const creds = await mintUser(home, { name: "ann", role: "agent", capabilities: ["echo"] });
    const ann = await openPeer({
      ...credentialsOf(creds, home),
      servers: told.url,
      name: "ann",
      principal: "ann",
      agent: "main",
      role: "contractor",
    });
    ann.peer.host({
      name: "w",
      slots: 1,
      services: [
        {
          capability: { name: "echo", version: "1.0.0" },
          run: async (r) => ({ output: r.input }),
        },
      ],
    });
    const done = await parley(["submit", "echo", '{"hello":"mesh"}', "--wait"], dir);
    expect([done.code, done.out]).toEqual([0, '{"hello":"mesh"}\n']);
    await ann.close(0);

    const again = await parley(["up", "--port", "0"], dir);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining("is up already")]);

    program?.process.kill("SIGINT");
    expect((await program?.ended)?.code).toBe(130);
    expect(await answers(told.url)).toBe(false);
    expect(isAlive(told.serverPid)).toBe(false);
    expect(existsSync(join(told.home, "up.json"))).toBe(false);
    const after = await parley(["agents", "-s", told.url], dir);
    expect([after.code, after.err]).toEqual([3, expect.stringContaining("parley up")]);
  });

  it("keeps tasks over a restart, and its identity", async () => {
    const first = await up();
    const { out: task } = await parley(["submit", "nobody", '{"n":1}'], dir);
    program?.process.kill("SIGTERM");
    // Asked to end by a supervisor: that is no failure.
    expect((await program?.ended)?.code).toBe(0);
    const second = await up("--profile", "durable-1");
    expect(second.creds).toEqual(first.creds);
    const got = await parley(["task", "get", task.trim(), "--json"], dir);
    expect(JSON.parse(got.out)).toMatchObject({ task: task.trim(), owner: "cli", faults: [] });
    const doctor = await parley(["doctor", "--json"], dir);
    expect(JSON.parse(doctor.out)).toContainEqual({
      check: "durability",
      verdict: "ok",
      text: expect.stringContaining("durable-1"),
    });
  });

  it("kill -9 leaves no server behind, and nothing that stands in the way", async () => {
    const told = await up();
    program?.process.kill("SIGKILL");
    await program?.ended;
    await gone(told.serverPid);
    expect(await answers(told.url)).toBe(false);
    // What it left in up.json is not believed any more.
    expect(existsSync(join(told.home, "up.json"))).toBe(true);
    // Nor when its process's number is somebody else's by now, as in a container.
    const left = { ...JSON.parse(await readFile(join(told.home, "up.json"), "utf8")) };
    await writeFile(join(told.home, "up.json"), JSON.stringify({ ...left, pid: process.pid }));
    const next = await up();
    expect(next.serverPid).not.toBe(told.serverPid);
    expect((await parley(["agents"], dir)).code).toBe(0);
    const twice = await parley(["up", "--port", "0"], dir);
    expect([twice.code, twice.err]).toEqual([1, expect.stringContaining("is up already")]);
  });

  it("says so when its server is killed", async () => {
    const told = await up();
    process.kill(told.serverPid, "SIGKILL");
    const ended = await program?.ended;
    expect(ended?.code).toBe(1);
    expect(ended?.err).toContain("nats-server ended by itself");
  });
});
