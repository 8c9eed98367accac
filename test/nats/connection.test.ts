// What a connection and the ledger on it do while the link is dead, on a real server, through a
// proxy that cuts it.
import type { Server } from "@nats-io/nats-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type FrameProxy, startProxy } from "../../chaos/proxy/index.ts";
import { type RecordKey, recordSubject, taskGuard } from "../../contracts/index.ts";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { connectNats, leastRecent } from "../../mesh/nats/connect.ts";
import { directGet } from "../../mesh/nats/direct-get.ts";
import { fateOf, parseAck } from "../../mesh/nats/fate.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import { NatsLedger } from "../../mesh/nats/ledger.ts";
import { systemClock } from "../../mesh/nats/system.ts";
import { NatsTransport } from "../../mesh/nats/transport.ts";
import type { StoredRecord, Write, WriteResult } from "../../mesh/ports/index.ts";
import { json, until } from "../wire/fixture.ts";

let mesh: LocalMesh;
let proxy: FrameProxy;
const open: { transport: NatsTransport; ledger: NatsLedger }[] = [];
let names = 0;

beforeAll(async () => {
  mesh = await startLocalMesh();
}, 30_000);
afterAll(() => mesh.stop());
beforeEach(async () => {
  proxy = await startProxy({ to: mesh.server.url, seed: 1 });
});
afterEach(async () => {
  await proxy.heal();
  for (const { transport, ledger } of open.splice(0)) {
    ledger.stop();
    await transport.close();
  }
  await proxy.close();
});

async function link(url = proxy.url, mayRead = true) {
  const name = `link${++names}`;
  const connection = await connectNats({
    servers: url,
    name,
    principal: name,
    authenticator: credsAuth(await mesh.mint(name, "admin")),
  });
  const transport = new NatsTransport(connection);
  const ledger = new NatsLedger(transport, systemClock, name, mayRead);
  await transport.flush();
  const both = { name, transport, ledger };
  open.push(both);
  return both;
}

let ids = 0;

/** A record of one's own; the first of its task unless a fence is given. */
function write(owner: string, over: Partial<Write> = {}, kind = "spec", task = `t${ids}`): Write {
  const self = { toPrincipal: owner, toAgent: "main", fromPrincipal: owner, fromAgent: "main" };
  const key: RecordKey = { owner, task, kind: kind as RecordKey["kind"], n: "0", ...self };
  const id = `id${String(++ids).padStart(24, "0")}`;
  return { key, body: json({ task, id }), headers: {}, guard: 0, id, ...over };
}

function stored(ledger: NatsLedger, w: Write): Promise<WriteResult> {
  return new Promise((resolve) => ledger.write(w, resolve));
}

function state(transport: NatsTransport, wanted: string): Promise<void> {
  return until(() => transport.state() === wanted, `the connection to be ${wanted}`);
}

test("a dead link is noticed within 1.6 s, and left when it was only forgotten", async () => {
  const { transport } = await link();
  const found: number[] = [];
  for (let i = 0; i < 3; i++) {
    const begun = performance.now();
    await proxy.set({ cut: "both", forget: true });
    await proxy.heal();
    await state(transport, "down");
    found.push(performance.now() - begun);
    await state(transport, "up");
    expect(performance.now() - begun).toBeLessThan(2_000);
  }
  expect(Math.max(...found)).toBeLessThan(1_600);
  expect(Math.min(...found)).toBeGreaterThan(900);
}, 20_000);

test("a dead link that is full to the brim is left as soon, with bounded memory", async () => {
  const { transport } = await link();
  await proxy.set({ cut: "both", forget: false });
  const before = process.memoryUsage();
  const data = new Uint8Array(512 * 1024);
  const begun = performance.now();
  // Far more than the link's buffers take: the client alone would wait for them to empty.
  while (transport.state() === "up") {
    for (let i = 0; i < 20; i++) transport.publish("mesh.msg.a.b.c.d", data);
    await new Promise(setImmediate);
    if (performance.now() - begun > 4_000) break;
  }
  expect(performance.now() - begun).toBeLessThan(1_700);
  expect(transport.dropped).toBeGreaterThan(0);
  const after = process.memoryUsage();
  const grown = after.arrayBuffers + after.external - before.arrayBuffers - before.external;
  expect(grown / 2 ** 20).toBeLessThan(200);
  await proxy.heal();
  await state(transport, "up");
  await transport.flush();
}, 20_000);

test("without a link messages are dropped and counted, requests refused", async () => {
  const { transport } = await link();
  const other = await link(mesh.server.url);
  const heard: string[] = [];
  other.transport.subscribe("mesh.msg.>", (m) => void heard.push(Buffer.from(m.data).toString()));
  await other.transport.flush();
  await proxy.set({ refuse: true, reset: true });
  await state(transport, "down");
  for (let i = 0; i < 10; i++) transport.publish("mesh.msg.a.b.c.d", Buffer.from(`old ${i}`));
  expect(transport.dropped).toBe(10);
  const begun = performance.now();
  const asked = transport.request("mesh.who.a.b", new Uint8Array(0), { timeoutMs: 5_000 });
  await expect(asked).rejects.toMatchObject({ code: "E_CONNECTION" });
  const wanted = { multi_last: ["$KV.mesh_tasks.>"] };
  const read = directGet(transport, systemClock, "x", "KV_mesh_tasks", wanted, 5_000);
  await expect(read).rejects.toMatchObject({ code: "E_CONNECTION" });
  expect(performance.now() - begun).toBeLessThan(500);
  await proxy.heal();
  await state(transport, "up");
  transport.publish("mesh.msg.a.b.c.d", Buffer.from("new"));
  await transport.flush();
  await until(() => heard.length > 0, "the new message");
  await other.transport.flush();
  expect(heard).toEqual(["new"]);
});

test("a read whose link dies ends with it, not with its timeout", async () => {
  const { transport } = await link();
  await proxy.set({ cut: "down" });
  const wanted = { multi_last: ["$KV.mesh_tasks.>"] };
  const read = directGet(transport, systemClock, "x", "KV_mesh_tasks", wanted, 60_000);
  const begun = performance.now();
  await expect(read).rejects.toMatchObject({ code: "E_CONNECTION" });
  expect(performance.now() - begun).toBeLessThan(2_000);
});

test("a read is only over when no part of it is missing", async () => {
  const { name, transport, ledger } = await link();
  for (let i = 0; i < 20; i++) await stored(ledger, write(name, {}, "spec", `part${i}`));
  const wanted = { multi_last: [`$KV.mesh_tasks.${name}.>`] };
  const get = () => directGet(transport, systemClock, name, "KV_mesh_tasks", wanted, 2_000);
  const inbox = `_INBOX.${name}.>`;
  const hold = { share: 0.5, minMs: 20, maxMs: 200 };
  await proxy.set({ messages: [{ direction: "down", subject: inbox, hold, duplicate: 0.2 }] });
  const sequences = (await get()).map((m) => Number(m.header("Nats-Sequence")));
  expect(sequences.length).toBe(20);
  expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
  await proxy.set({ messages: [{ direction: "down", subject: inbox, drop: 0.2 }] });
  await expect(get()).rejects.toMatchObject({ code: "E_TIMEOUT" });
});

test("writes made during an outage land once each within a second of its end", async () => {
  const { name, transport, ledger } = await link();
  await proxy.set({ refuse: true, reset: true });
  await state(transport, "down");
  const writes = Array.from({ length: 50 }, (_, i) => write(name, {}, "spec", `out${i}`));
  const results = writes.map((w) => stored(ledger, w));
  await proxy.heal();
  await state(transport, "up");
  const begun = performance.now();
  expect(await Promise.all(results)).toEqual(
    results.map(() => ({ ok: true, rev: expect.any(Number), duplicate: false })),
  );
  expect(performance.now() - begun).toBeLessThan(1_000);
  expect(ledger.pending).toBe(0);
});

test("a write whose answer is lost on a dying link is found, not written twice", async () => {
  const { name, transport, ledger } = await link();
  const other = await link(mesh.server.url);
  await proxy.set({ cut: "down" });
  const w = write(name);
  const result = stored(ledger, w);
  const guard = taskGuard(name, w.key.task);
  const records = () => other.ledger.read(name, w.key.task);
  await until(async () => (await records()).length === 1, `the write under ${guard}`);
  // Somebody follows before the first try's answer was ever heard.
  const rev = (await records())[0]?.rev as number;
  const next = write(name, { guard: rev }, "cancel", w.key.task);
  expect(await stored(other.ledger, next)).toMatchObject({ ok: true });
  await state(transport, "down");
  await proxy.heal();
  expect(await result).toEqual({ ok: true, rev, duplicate: true });
  expect((await records()).length).toBe(2);
}, 20_000);

test.each([true, false])(
  "a write that landed before the server was killed is found (may read all: %s, or its own)",
  async (mayRead) => {
    const { name, transport, ledger } = await link(proxy.url, mayRead);
    const other = await link(mesh.server.url);
    await proxy.set({ cut: "down" });
    const w = write(name);
    const result = stored(ledger, w);
    const records = () => other.ledger.read(name, w.key.task);
    await until(async () => (await records()).length === 1, "the write");
    const rev = (await records())[0]?.rev as number;
    mesh.server.kill("SIGKILL");
    await mesh.server.exited;
    await mesh.server.restart();
    await state(transport, "down");
    await proxy.heal();
    // The server answers the repeat with a conflict: with this very write.
    expect(await result).toEqual({ ok: true, rev, duplicate: true });
  },
  20_000,
);

test("a repeat that meets somebody else's record is a conflict", async () => {
  const { name, ledger } = await link();
  const other = await link(mesh.server.url);
  const taken = await stored(other.ledger, write(name, {}, "spec", "taken"));
  const acks = { direction: "up", subject: "$KV.>", drop: 1 } as const;
  await proxy.set({ messages: [acks] });
  const result = stored(ledger, write(name, {}, "cancel", "taken"));
  await until(() => proxy.counts.up.dropped > 0, "the first try's loss");
  await proxy.heal();
  expect(await result).toEqual({
    ok: false,
    fault: "conflict",
    rev: taken.ok ? taken.rev : 0,
  });
}, 20_000);

function record(w: Write, over: Partial<StoredRecord> & { id?: string } = {}): StoredRecord {
  const header = (name: string) => (name === "Nats-Msg-Id" ? (over.id ?? w.id) : undefined);
  return { key: w.key, rev: 5, storedAt: 0, body: w.body, header, ...over };
}

test("a fate is read from what is stored, or stays unknown", () => {
  const w = write("o", { guard: 4 });
  const mine = record(w);
  expect(fateOf(w, [mine], undefined)).toEqual({ ok: true, rev: 5, duplicate: true });
  // The same id over other bytes, or at another place, is not this write.
  const forged = record(w, { body: json({}) });
  expect(fateOf(w, [forged], undefined)).toEqual({ ok: false, fault: "conflict", rev: 5 });
  const elsewhere = record(w, { key: { ...w.key, kind: "cancel" } });
  expect(fateOf(w, [elsewhere], undefined)).toMatchObject({ fault: "conflict" });
  // Nothing newer than the fence: a late try could still land.
  const before = record(w, { rev: 4, id: "other" });
  expect(fateOf(w, [before], undefined)).toBeUndefined();
  expect(fateOf(w, [], undefined)).toBeUndefined();
  // A replica behind the revision that the leader named proves nothing.
  const foreign = record(w, { id: "other" });
  expect(fateOf(w, [foreign], 9)).toBeUndefined();
  expect(fateOf(w, [foreign], 5)).toMatchObject({ fault: "conflict" });
});

test("an id that is on its way through the cluster is no refusal", () => {
  const ack = (err_code: number, code: number) =>
    parseAck(
      json({
        error: { code, err_code, description: "duplicate message id is in process" },
        stream: "KV_mesh_tasks",
      }),
      "KV_mesh_tasks",
    );
  expect(ack(10158, 409)).toMatchObject({ ok: false, fault: "unknown" });
  expect(ack(10164, 400)).toMatchObject({ ok: false, fault: "unknown" });
  expect(recordSubject(write("o").key)).toContain("$KV.mesh_tasks.o.");
});

test("the word of another stream, or of no stream, says nothing of a write", () => {
  for (const said of [{ stream: "mesh_registry", seq: 7 }, { seq: 7 }, { error: { code: 404 } }]) {
    expect(parseAck(json(said), "KV_mesh_tasks")).toBeUndefined();
  }
});

test("no more writes are taken on than the memory allows", async () => {
  const { name, transport, ledger } = await link();
  await proxy.set({ refuse: true, reset: true });
  await state(transport, "down");
  const body = new Uint8Array(1024 * 1024);
  const before = process.memoryUsage().arrayBuffers;
  let refused = 0;
  for (let i = 0; i < 200; i++) {
    ledger.write(write(name, { body: body.slice() }), (r) => {
      if (!r.ok && r.fault === "unknown") refused++;
    });
  }
  expect(refused).toBe(200 - 64);
  expect(ledger.pending).toBe(64);
  expect((process.memoryUsage().arrayBuffers - before) / 2 ** 20).toBeLessThan(260);
});

test("a connection that ends is opened again to the server tried longest ago", () => {
  const server = (listen: string, lastConnect: number) => ({ listen, lastConnect }) as Server;
  const pool = [server("lost", 3_000), server("older", 1_000), server("old", 2_000)];
  expect(leastRecent(pool)?.listen).toBe("older");
  expect(leastRecent([server("only", 1)])?.listen).toBe("only");
  expect(leastRecent([server("lost", 5), server("a", 0), server("b", 0)])?.listen).toBe("a");
});
