// Three servers of ours: what is written stays, whoever goes, and a planned stop costs no election.
import { rm } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type RecordKey, TASKS_STREAM } from "../../../contracts/index.ts";
import { type LocalMesh, startLocalMesh } from "../../../mesh/local.ts";
import { connectNats } from "../../../mesh/nats/connect.ts";
import { credsAuth } from "../../../mesh/nats/identity/authenticator.ts";
import { NatsLedger } from "../../../mesh/nats/ledger.ts";
import { provision, streamConfigs } from "../../../mesh/nats/provision.ts";
import type { Cluster } from "../../../mesh/nats/server/cluster.ts";
import { isAlive } from "../../../mesh/nats/server/lock-file.ts";
import { consumerConfigs } from "../../../mesh/nats/stream-configs.ts";
import { systemClock } from "../../../mesh/nats/system.ts";
import { NatsTransport } from "../../../mesh/nats/transport.ts";
import type { WriteResult } from "../../../mesh/ports/index.ts";
import { tempDir } from "../../support/nats-server.ts";
import { json } from "../../wire/fixture.ts";

let dir: string;
let remove: () => Promise<void>;
let mesh: LocalMesh;
const options = () => ({
  profile: "durable-3" as const,
  home: join(dir, "home"),
  storeDir: join(dir, "store"),
});

beforeAll(async () => {
  ({ dir, remove } = await tempDir());
  mesh = await startLocalMesh(options());
}, 60_000);
afterAll(async () => {
  await mesh.stop();
  await remove();
}, 30_000);

let names = 0;

async function connection(): Promise<NatsConnection> {
  const name = `test${++names}`;
  const nc = await connectNats({
    servers: mesh.urls,
    name,
    principal: name,
    authenticator: credsAuth(await mesh.mint(name, "admin")),
  });
  onTestFinished(() => nc.close());
  return nc;
}

interface Writer {
  ledger: NatsLedger;
  /** The record `n` of a task, held to what must be its newest revision; 0: none yet. */
  write(task: string, n: number, guard: number): Promise<WriteResult>;
}

async function writer(): Promise<Writer> {
  const nc = await connection();
  const ledger = new NatsLedger(new NatsTransport(nc), systemClock, `test${names}`);
  onTestFinished(() => ledger.stop());
  const self = { toPrincipal: "_", toAgent: "_", fromPrincipal: "ann", fromAgent: "main" };
  return {
    ledger,
    write(task, n, guard) {
      const kind = n === 0 ? ("spec" as const) : ("cancel" as const);
      const key: RecordKey = { owner: "ann", task, kind, n: String(n), ...self };
      const id = crypto.randomUUID();
      const write = { key, body: json({ task, id }), headers: {}, guard, id };
      return new Promise((resolve) => ledger.write(write, resolve));
    },
  };
}

function revOf(result: WriteResult): number {
  expect(result).toMatchObject({ ok: true });
  return result.ok ? result.rev : 0;
}

const cluster = () => mesh.cluster as Cluster;

async function leader(): Promise<number> {
  const i = await cluster().leader(TASKS_STREAM);
  expect(i).toBeDefined();
  return i as number;
}

test("every stream, bucket and consumer has three copies; another number is named", async () => {
  const nc = await connection();
  const { groups, size } = await cluster().standing();
  expect(size).toBe(3);
  const copies = (stream: string, consumer?: string) =>
    groups.find((g) => g.stream === stream && g.consumer === consumer)?.others.length;
  for (const { name } of streamConfigs({})) expect([name, copies(name)]).toEqual([name, 2]);
  for (const { durable_name: name } of consumerConfigs()) {
    expect([name, copies(TASKS_STREAM, name)]).toEqual([name, 2]);
  }

  await expect(provision(nc, { replicas: 1 })).rejects.toMatchObject({
    code: "E_STORE",
    message: expect.stringContaining(`stream ${TASKS_STREAM} has 3 copies, this profile wants 1`),
  });
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const [first] = consumerConfigs();
  const name = first?.durable_name as string;
  await jsm.consumers.update(TASKS_STREAM, name, { num_replicas: 1 });
  await expect(provision(nc, { replicas: 3 })).rejects.toMatchObject({
    code: "E_STORE",
    message: expect.stringContaining(`consumer ${TASKS_STREAM} > ${name} has 1 copy`),
  });
  await jsm.consumers.update(TASKS_STREAM, name, { num_replicas: 3 });
  await provision(nc, { replicas: 3 });
}, 20_000);

test("a planned stop of the leader costs no election, and the server comes back", async () => {
  await cluster().whole();
  const { write } = await writer();
  revOf(await write("before", 0, 0));
  const old = await leader();
  let last = performance.now();
  let gap = 0;
  let stopping = true;
  const writing = (async () => {
    for (let n = 0; stopping; n++) {
      revOf(await write(`during${n}`, 0, 0));
      gap = Math.max(gap, performance.now() - last);
      last = performance.now();
    }
  })();
  await cluster().stopMember(old);
  expect(isAlive(mesh.cluster?.servers[old]?.pid as number)).toBe(false);
  expect(await leader()).not.toBe(old);
  revOf(await write("after", 0, 0));
  stopping = false;
  await writing;
  // An election takes 4 s at the least; a write that was lost on its way is repeated after 2 s.
  expect(gap).toBeLessThan(3_000);
  await cluster().start(old);
  await cluster().whole();
}, 20_000);

test("when the leader is killed, fenced writes go on and none is lost", async () => {
  await cluster().whole();
  const { write, ledger } = await writer();
  const first = revOf(await write("killed", 0, 0));
  const old = await leader();
  await cluster().signal(old, "SIGKILL");
  const second = revOf(await write("killed", 1, first));
  // The fence holds over the change of leaders.
  expect(await write("killed", 2, first)).toEqual({ ok: false, fault: "conflict", rev: second });
  expect((await ledger.read("ann", "killed")).map((r) => r.rev)).toEqual([first, second]);
  expect(await leader()).not.toBe(old);
}, 40_000);

test("whoever reaches the port between the servers must show the password", async () => {
  const running = (await leader()) as number;
  const [address] = cluster().servers[running]?.addresses.cluster ?? [];
  const { hostname, port } = new URL(address as string);
  const socket = connectSocket(Number(port), hostname);
  let said = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  socket.on("error", () => undefined);
  socket.write('CONNECT {"name":"x","user":"route","pass":"wrong"}\r\nPING\r\n');
  await new Promise((resolve) => socket.on("close", resolve));
  expect(said).toContain("Authorization Violation");
  expect(said).not.toContain("PONG");
});

test("stopped in order and started again on the same stores, it has what it had", async () => {
  const pids = cluster().servers.map((s) => s.pid);
  await mesh.stop();
  expect(pids.filter(isAlive)).toEqual([]);
  mesh = await startLocalMesh(options());
  const { ledger } = await writer();
  expect(await ledger.read("ann", "killed")).toHaveLength(2);

  await mesh.stop();
  await rm(join(dir, "store", "cluster.json"));
  await expect(startLocalMesh(options())).rejects.toMatchObject({ code: "E_STORE" });
}, 40_000);
