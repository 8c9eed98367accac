import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect as connectClient, type NatsConnection } from "@nats-io/transport-node";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { findServer } from "../../../mesh/nats/server/find-server.ts";
import { isAlive } from "../../../mesh/nats/server/lock-file.ts";
import {
  type RunningServer,
  type ServerOptions,
  ServerStartError,
  startServer,
} from "../../../mesh/nats/server/run-server.ts";
import { checkServerName, readServerInfo } from "../../../mesh/nats/server/server-info.ts";
import { program, scratchFolder } from "./fixtures.ts";

let binary = "";
beforeAll(async () => {
  binary = (await findServer()).binary;
}, 900_000);

async function start(options: ServerOptions = {}): Promise<RunningServer> {
  const server = await startServer({ binary, ...options });
  onTestFinished(() => server.stop());
  return server;
}

async function refusal(options: ServerOptions): Promise<string> {
  const error = await start(options).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ServerStartError);
  return (error as Error).message;
}

/** Says hello as a plain client and returns what comes back after PING. */
async function pingRaw(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  socket.write('CONNECT {"verbose":false}\r\nPING\r\n');
  await vi.waitFor(() => expect(text).toContain("PONG"), { interval: 2 });
  socket.destroy();
  return text;
}

async function reconnected(nc: NatsConnection): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === "reconnect") return;
  }
}

async function varz(server: RunningServer): Promise<Record<string, unknown>> {
  const response = await fetch(`${server.monitorUrl}/varz`);
  return (await response.json()) as Record<string, unknown>;
}

describe("a server of our own", () => {
  test("serves on loopback under its nonce, on a port of its own choice", async () => {
    const [a, b] = await Promise.all([start(), start()]);
    expect(a.url).toBe(`nats://127.0.0.1:${a.port}`);
    expect(a.name).toMatch(/^parley-[0-9a-f]{24}$/);
    for (const key of ["port", "name", "storeDir"] as const) expect(a[key]).not.toBe(b[key]);
    const info = await readServerInfo("127.0.0.1", a.port, 1_000);
    expect(info).toEqual({ serverName: a.name, version: a.version, jetstream: true });
    expect(await pingRaw(a.port)).toContain(a.name);
    expect(Object.values(a.addresses).flat()).toEqual([a.url]);
  });

  test("ends by stop, with nothing left, however often that is asked", async () => {
    const server = await start();
    await Promise.all([server.stop(), server.stop()]);
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(isAlive(server.pid)).toBe(false);
    expect(existsSync(dirname(server.logFile))).toBe(false);
    await expect(readServerInfo("127.0.0.1", server.port, 1_000)).rejects.toThrow("ECONNREFUSED");
    await expect(server.restart()).rejects.toThrow("stopped for good");
  });

  test("comes back on its port with its store, after an orderly end and after a kill", async () => {
    const server = await start({ monitor: true });
    const nc = await connectClient({ servers: server.url, reconnectTimeWait: 20 });
    onTestFinished(() => nc.close());
    const jsm = await jetstreamManager(nc);
    await jsm.streams.add({ name: "S", subjects: ["s"] });
    const { port, pid, monitorUrl } = server;
    await Promise.all([reconnected(nc), server.restart()]);
    expect([server.port, server.monitorUrl]).toEqual([port, monitorUrl]);
    expect(server.pid).not.toBe(pid);
    expect((await jetstream(nc).publish("s", "x")).seq).toBe(1);
    const again = reconnected(nc);
    server.kill("SIGKILL");
    expect(await server.exited).toEqual({ code: null, signal: "SIGKILL" });
    await Promise.all([again, server.restart()]);
    expect((await jetstream(nc).publish("s", "y")).seq).toBe(2);
  });

  test("takes configuration as text and as a file with includes of its own", async () => {
    const folder = scratchFolder();
    writeFileSync(join(folder, "own.conf"), 'include "more.conf"\nserver_name: theirs\n');
    writeFileSync(join(folder, "more.conf"), "max_payload: 2MB\nport: 4222\nhost: 0.0.0.0\n");
    const server = await start({
      config: 'ping_interval: "7s"',
      configFile: join(folder, "own.conf"),
      monitor: true,
    });
    expect(await varz(server)).toMatchObject({
      server_name: server.name,
      max_payload: 2 * 1024 * 1024,
      ping_interval: 7_000_000_000,
      host: "127.0.0.1",
    });
  });

  test("can do without JetStream and with more arguments", async () => {
    const server = await start({ jetstream: false, extraArgs: ["--user", "u", "--pass", "p"] });
    expect(await readServerInfo("127.0.0.1", server.port, 1_000)).toMatchObject({
      jetstream: false,
    });
    await expect(connectClient({ servers: server.url })).rejects.toThrow(/authorization/i);
    const nc = await connectClient({ servers: server.url, user: "u", pass: "p" });
    await nc.close();
  });

  test("keeps a store that was named, and lends it to one server at a time", async () => {
    const storeDir = join(scratchFolder(), "store");
    const first = await start({ storeDir });
    expect(await refusal({ storeDir })).toMatch(/store .* is in use by another server of ours/);
    await first.stop();
    expect(existsSync(join(storeDir, "jetstream"))).toBe(true);
    expect(existsSync(join(storeDir, "parley.lock"))).toBe(false);
    writeFileSync(join(storeDir, "parley.lock"), `${first.pid}\n`); // of somebody dead
    await start({ storeDir });
  });

  test("keeps its own store when asked", async () => {
    const server = await start({ keepStore: true });
    await server.stop();
    expect(existsSync(server.storeDir)).toBe(true);
    rmSync(dirname(server.storeDir), { recursive: true });
  });
});

describe("what is refused", () => {
  test("configuration that the server does not take, with its words", async () => {
    expect(await refusal({ config: "max_payload: many" })).toMatch(
      /ended while starting.*\n.*given\.conf:1:/s,
    );
  });

  test("a listener that is not loopback", async () => {
    const config = "websocket { host: 0.0.0.0, port: -1, no_tls: true }";
    expect(await refusal({ config })).toMatch(/would listen on ws:.*configure 127\.0\.0\.1/);
  });

  test("a port that is taken", async () => {
    const { port } = await start();
    expect(await refusal({ port })).toMatch(/address already in use/);
  });

  test("a program that is not there, and one that never gets ready", async () => {
    const folder = scratchFolder();
    expect(await refusal({ binary: join(folder, "none") })).toMatch(/ENOENT/);
    if (process.platform === "win32") return;
    const idle = program(folder, "idle", "exec /bin/sleep 20");
    const message = await refusal({ binary: idle, readyTimeoutMs: 50 });
    expect(message).toMatch(/not ready within 50 ms/);
  });

  test.skipIf(process.platform === "win32")("another server on that address", async () => {
    const neighbour = await start();
    // Claims the neighbour's address as its own, as a server that failed to bind would appear.
    const liar = program(
      scratchFolder(),
      "nats-server",
      'while [ "$1" != --ports_file_dir ]; do shift; done',
      `echo '{"nats":["${neighbour.url}"]}' > "$2/nats-server_1.ports"`,
      "exec /bin/sleep 20",
    );
    const message = await refusal({ binary: liar });
    expect(message).toMatch(/is answered by another nats-server, named "parley-/);
    expect(message).toContain(neighbour.name);
    const info = await readServerInfo("127.0.0.1", neighbour.port, 1_000);
    expect(() => checkServerName(info, "parley-other", "here")).toThrow("not by ours");
    expect(() => checkServerName(info, neighbour.name, "here")).not.toThrow();
  });
});

interface Owned {
  readonly owner: ChildProcess;
  readonly pid: number;
  readonly port: number;
  readonly folder: string;
  readonly storeDir: string;
}

async function ownerOf(ending: string, storeDir?: string): Promise<Owned> {
  const script = join(import.meta.dirname, "owner.ts");
  const args = [script, ending, binary, ...(storeDir === undefined ? [] : [storeDir])];
  const owner = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  onTestFinished(() => void owner.kill("SIGKILL"));
  const [line] = (await once(createInterface({ input: owner.stdout! }), "line")) as [string];
  const { pid, port, logFile, storeDir: store } = JSON.parse(line);
  return { owner, pid, port, folder: dirname(logFile), storeDir: store };
}

/** The server and, with `folder`, its files are gone. */
async function gone({ pid, port }: Owned, folder: string): Promise<void> {
  const limits = { timeout: 5_000, interval: 5 };
  await vi.waitFor(
    () => expect([isAlive(pid), existsSync(folder)]).toEqual([false, false]),
    limits,
  );
  await expect(readServerInfo("127.0.0.1", port, 1_000)).rejects.toThrow("ECONNREFUSED");
}

describe("the server goes when its owner goes", () => {
  test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)("by %s", async (signal) => {
    const owned = await ownerOf("wait");
    expect(isAlive(owned.pid)).toBe(true);
    owned.owner.kill(signal);
    await gone(owned, owned.folder);
  });

  test.each(["exit", "throw"])("by %s", async (ending) => {
    const owned = await ownerOf(ending);
    await gone(owned, owned.folder);
  });

  test("leaving a store that was named, closed in order and free", async () => {
    const storeDir = join(scratchFolder(), "store");
    const owned = await ownerOf("wait", storeDir);
    const lock = join(storeDir, "parley.lock");
    expect(existsSync(lock)).toBe(true);
    owned.owner.kill("SIGKILL");
    await gone(owned, lock);
    await gone(owned, owned.folder);
    await start({ storeDir });
  });
});

test.skipIf(process.platform === "win32")(
  "a guard that is killed takes its server along",
  async () => {
    const storeDir = join(scratchFolder(), "store");
    const server = await start({ storeDir });
    process.kill(Number(readFileSync(join(storeDir, "parley.lock"), "utf8")), "SIGKILL");
    expect(await server.exited).toEqual({ code: null, signal: "SIGKILL" });
    await vi.waitFor(() => expect(isAlive(server.pid)).toBe(false));
    await server.stop();
    expect(existsSync(join(storeDir, "parley.lock"))).toBe(false);
    expect(existsSync(dirname(server.logFile))).toBe(false);
  },
);

test("something that is no nats-server is told from one", async () => {
  const mute = createServer((socket) => socket.end("220 mail\r\n")).listen(0, "127.0.0.1");
  onTestFinished(() => void mute.close());
  await once(mute, "listening");
  const { port } = mute.address() as { port: number };
  await expect(readServerInfo("127.0.0.1", port, 1_000)).rejects.toThrow("not a nats-server");
});
