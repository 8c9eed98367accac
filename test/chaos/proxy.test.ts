// The frame reader against arbitrary cuts, and each rule of the proxy against a real server.
import { connect as tcpConnect } from "node:net";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Frame, FrameReader, LINE_BYTES_MAX, matches } from "../../chaos/proxy/frames.ts";
import { type FrameProxy, type Rules, startProxy } from "../../chaos/proxy/index.ts";
import { type RunningServer, startServer } from "../../mesh/nats/server/index.ts";
import { until } from "../wire/fixture.ts";

const token = fc.stringMatching(/^[A-Za-z0-9_$-]{1,12}$/);
const subject = fc.array(token, { minLength: 1, maxLength: 5 }).map((t) => t.join("."));
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  // Payloads that look like frames, with line ends in bad places.
  fc
    .constantFrom("PING\r\n", "\r\n", "MSG a 1 3\r\nabc\r\n", "\n\n\r", "-ERR 'x'\r\n")
    .map(Buffer.from),
);
const verb = (word: string) => fc.constantFrom(word, word.toLowerCase());
const space = fc.constantFrom(" ", "  ", "\t");

type Made = { frame: Buffer; verb: string; subject: string | undefined };

const message: fc.Arbitrary<Made> = fc
  .record({
    kind: fc.constantFrom("PUB", "HPUB", "MSG", "HMSG"),
    lower: fc.boolean(),
    subject,
    reply: fc.option(subject, { nil: undefined }),
    head: payload,
    body: payload,
    gap: space,
  })
  .map(({ kind, lower, subject, reply, head, body, gap }) => {
    const parts = [lower ? kind.toLowerCase() : kind, subject];
    if (kind.endsWith("MSG")) parts.push("17");
    if (reply !== undefined) parts.push(reply);
    const headed = kind.startsWith("H");
    const bytes = headed ? Buffer.concat([head, body]) : Buffer.from(body);
    if (headed) parts.push(String(head.length));
    parts.push(String(bytes.length));
    const line = Buffer.from(`${parts.join(gap)}\r\n`);
    return { frame: Buffer.concat([line, bytes, Buffer.from("\r\n")]), verb: kind, subject };
  });

const control: fc.Arbitrary<Made> = fc
  .oneof(
    verb("PING"),
    verb("PONG"),
    fc.constant("+OK"),
    fc.constant("-ERR 'Permissions Violation'"),
    fc.constant('INFO {"a":"MSG x 1 2"}'),
    fc.constant('CONNECT {"verbose":false}'),
    fc.tuple(subject, fc.nat()).map(([s, n]) => `SUB ${s} ${n}`),
    fc.nat().map((n) => `UNSUB ${n}`),
  )
  .map((line) => ({
    frame: Buffer.from(`${line}\r\n`),
    verb: (line.split(" ")[0] as string).toUpperCase(),
    subject: undefined,
  }));

const stream = fc.array(fc.oneof(message, control), { maxLength: 30 });

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((c) => c % (bytes.length + 1)))].sort((a, b) => a - b);
  const edges = [0, ...at, bytes.length];
  return edges.slice(1).map((end, i) => bytes.subarray(edges[i], end));
}

function read(chunks: readonly Uint8Array[]): { frames: Frame[]; reader: FrameReader } {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame));
  for (const chunk of chunks) reader.push(chunk);
  return { frames, reader };
}

describe("the frame reader", () => {
  test("gives the same frames however the stream is cut", () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 60 }), (made, cuts) => {
        const whole = Buffer.concat(made.map((m) => m.frame));
        const { frames, reader } = read(cutAt(whole, cuts));
        expect(frames.map((f) => [f.verb, f.subject, Buffer.from(f.bytes)])).toEqual(
          made.map((m) => [m.verb, m.subject, m.frame]),
        );
        expect([reader.held, reader.raw]).toEqual([0, false]);
      }),
      { numRuns: 300 },
    );
  });

  test("passes on every byte once and in order, whatever the bytes", () => {
    const junk = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b)),
        fc
          .constantFrom("MSG ", "PUB a 5\r\n", "HMSG a 1 99999999999\r\n", "PUB a -1\r\n", "\r\n")
          .map(Buffer.from),
      ),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(junk, fc.array(fc.nat(), { maxLength: 30 }), (parts, cuts) => {
        const whole = Buffer.concat(parts);
        const { frames, reader } = read(cutAt(whole, cuts));
        const rest = reader.rest();
        expect(Buffer.concat([...frames.map((f) => f.bytes), rest]).equals(whole)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("byte by byte, 4 MB take time in proportion to 1 MB", () => {
    const timeOf = (size: number): number => {
      const frame = Buffer.concat([Buffer.from(`PUB a ${size}\r\n`), Buffer.alloc(size + 2)]);
      const begun = performance.now();
      const frames: Frame[] = [];
      const reader = new FrameReader((f) => frames.push(f));
      for (let i = 0; i < frame.length; i++) reader.push(frame.subarray(i, i + 1));
      expect(frames.length).toBe(1);
      return performance.now() - begun;
    };
    timeOf(250_000);
    expect(timeOf(4_000_000)).toBeLessThan(40 * Math.max(5, timeOf(1_000_000)) * 0.4);
  });

  test("a line without an end is held up to its bound, then passes unread", () => {
    const { frames, reader } = read(Array(20).fill(Buffer.alloc(LINE_BYTES_MAX / 16, 65)));
    expect(reader.raw).toBe(true);
    expect(reader.held).toBe(0);
    expect(frames.reduce((n, f) => n + f.bytes.length, 0)).toBe((LINE_BYTES_MAX / 16) * 20);
  });

  test("patterns fit subjects as the server has it", () => {
    const cases: [string, string, boolean][] = [
      ["a.b", "a.b", true],
      ["a.*", "a.b", true],
      ["a.*", "a.b.c", false],
      ["a.>", "a.b.c", true],
      ["a.>", "a", false],
      [">", "a", true],
      ["*.b", "a.b", true],
      ["a.b.c", "a.b", false],
    ];
    for (const [p, s, fits] of cases) expect([p, s, matches(p, s)]).toEqual([p, s, fits]);
  });
});

let server: RunningServer;
let proxy: FrameProxy;
const open: NatsConnection[] = [];

async function client(url = proxy.url, extra = {}): Promise<NatsConnection> {
  const nc = await connect({
    servers: url,
    reconnectTimeWait: 20,
    maxReconnectAttempts: -1,
    ...extra,
  });
  open.push(nc);
  return nc;
}

/** A listener's messages, numbered, as they came. */
async function listener(nc: NatsConnection, on = "t.>"): Promise<string[]> {
  const seen: string[] = [];
  nc.subscribe(on, { callback: (_, m) => void seen.push(m.string()) });
  await nc.flush();
  return seen;
}

const numbers = (n: number): string[] => Array.from({ length: n }, (_, i) => String(i));

describe("with a real server", () => {
  beforeAll(async () => {
    server = await startServer({
      jetstream: false,
      config: 'cluster { name: c, listen: "127.0.0.1:-1" }',
    });
  }, 30_000);
  afterAll(async () => {
    await server.stop();
  });
  beforeEach(async () => {
    proxy = await startProxy({ to: server.url, seed: 7 });
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((nc) => nc.close()));
    await proxy.close();
  });

  /** Publishes 0..n-1 directly, heard through the proxy under these rules. */
  async function sent(rules: Rules, n: number, on = "t.x") {
    const here = await client();
    const there = await client(server.url);
    const seen = await listener(here);
    await proxy.set(rules);
    for (const i of numbers(n)) there.publish(on, i);
    await there.flush();
    return { here, there, seen };
  }

  test("without rules everything passes, large, headed and pipelined, both ways", async () => {
    const here = await client();
    const seen = await listener(here);
    const big = "x".repeat(900_000);
    const h = headers();
    h.set("A", "b");
    for (const i of numbers(500)) here.publish("t.a", i, { headers: h });
    here.publish("t.big", big);
    await here.flush();
    expect(seen).toEqual([...numbers(500), big]);
    expect(proxy.counts.up.messages).toBe(501);
    expect(proxy.counts.unread).toBe(0);
  });

  test("INFO leads nobody past the proxy", async () => {
    const route = server.addresses.cluster?.[0] as string;
    const config = `cluster { name: c, listen: "127.0.0.1:-1", routes: ["${route}"] }`;
    const second = await startServer({ jetstream: false, config });
    try {
      const direct = await client(server.url);
      const urls = () => direct.info?.connect_urls ?? [];
      await until(() => urls().length === 2, "the server's word of the other one");
      const here = await client();
      expect(here.info?.connect_urls).toBeUndefined();
      expect(here.info?.server_id).toBe(direct.info?.server_id);
    } finally {
      await second.stop();
    }
  });

  test("a cut holds both ways, tells nobody, and goes on when healed", async () => {
    const { here, there, seen } = await sent({ cut: "both" }, 10);
    here.publish("u.x", "up");
    const heard = await listener(there, "u.x");
    await there.flush();
    expect([seen, heard, here.isClosed()]).toEqual([[], [], false]);
    await proxy.heal();
    await until(() => seen.length === 10 && heard.length === 1, "what was held back");
    expect(seen).toEqual(numbers(10));
  });

  test("a one-way cut stops one way only", async () => {
    const { here, there, seen } = await sent({ cut: "down" }, 10);
    const heard = await listener(there, "u.x");
    here.publish("u.x", "up");
    await until(() => heard.length === 1, "the way up");
    expect(seen).toEqual([]);
    await proxy.set({ cut: "up" });
    await until(() => seen.length === 10, "the way down");
    here.publish("u.x", "up again");
    await there.flush();
    expect(heard).toEqual(["up"]);
  });

  test("a connection made during a cut is made after it", async () => {
    await proxy.set({ cut: "both" });
    const made = client();
    await until(() => proxy.counts.open === 1, "the attempt");
    await proxy.heal();
    await (await made).flush();
  });

  test("a forgotten link stays dead when healed; its client finds out by its pings", async () => {
    const here = await client(proxy.url, { pingInterval: 100, maxPingOut: 2 });
    const seen = await listener(here);
    const there = await client(server.url);
    await proxy.set({ cut: "both", forget: true });
    await proxy.heal();
    there.publish("t.x", "lost");
    await until(() => proxy.counts.connections === 2, "a new connection");
    await here.flush();
    there.publish("t.x", "found");
    await until(() => seen.length === 1, "the new link");
    expect(seen).toEqual(["found"]);
    expect(proxy.counts.forgotten).toBe(1);
  });

  test("reset ends open connections, refuse keeps new ones out until healed", async () => {
    const here = await client();
    const seen = await listener(here);
    await proxy.set({ reset: true, refuse: true });
    expect(proxy.counts.reset).toBe(1);
    await expect(connect({ servers: proxy.url, reconnect: false })).rejects.toThrow(/refused/);
    await proxy.heal();
    await until(() => proxy.counts.open === 1, "the client's return");
    await here.flush();
    here.publish("t.x", "back");
    await until(() => seen.length === 1, "the subscription's return");
  });

  test("drops a share of the messages on the subjects named, by the seed", async () => {
    const rules = { messages: [{ direction: "down", subject: "t.x", drop: 0.3 }] } as const;
    const { here, there, seen } = await sent(rules, 1_000);
    for (const i of numbers(100)) there.publish("t.y", `y${i}`);
    await there.flush();
    await here.flush();
    expect(seen.filter((s) => s.startsWith("y")).length).toBe(100);
    const kept = seen.filter((s) => !s.startsWith("y"));
    expect(kept.length).toBe(1_000 - proxy.counts.down.dropped);
    expect(Math.abs(kept.length - 700)).toBeLessThan(60);
    const again = await startProxy({ to: server.url, seed: 7 });
    const first = proxy;
    proxy = again;
    const second = await sent(rules, 1_000);
    await second.here.flush();
    expect(second.seen).toEqual(kept);
    await first.close();
  });

  test("duplicates messages both ways, and no control frame", async () => {
    const { here, there, seen } = await sent({ messages: [{ duplicate: 1 }] }, 50);
    const heard = await listener(there, "u.x");
    for (const i of numbers(50)) here.publish("u.x", i);
    await here.flush();
    await until(() => heard.length === 100 && seen.length === 100, "both copies of each");
    expect(heard).toEqual(numbers(50).flatMap((i) => [i, i]));
    await here.flush();
    expect(here.isClosed()).toBe(false);
  });

  test("holds back a share, while others and pings pass", async () => {
    const rules = { messages: [{ hold: { share: 0.5, minMs: 100, maxMs: 300 } }] };
    const { here, seen } = await sent(rules, 200);
    await here.flush();
    expect(seen.length).toBe(200 - proxy.counts.down.held);
    expect(proxy.counts.down.held).toBeGreaterThan(60);
    await until(() => seen.length === 200, "those held back");
    expect(seen).not.toEqual(numbers(200));
    expect([...seen].sort()).toEqual(numbers(200).sort());
  });

  test("swaps neighbours and loses none", async () => {
    const { seen } = await sent({ messages: [{ swap: 0.5 }] }, 101);
    await until(() => seen.length === 101, "all");
    expect([...seen].sort()).toEqual(numbers(101).sort());
    expect(seen).not.toEqual(numbers(101));
    // Nobody moves by more than one place and what waited for it.
    expect(Math.max(...seen.map((s, i) => Math.abs(Number(s) - i)))).toBeLessThanOrEqual(2);
    expect(proxy.counts.down.swapped).toBeGreaterThan(20);
  });

  test("delays with jitter in order", async () => {
    const { here, seen } = await sent({ line: [{ delayMs: 60, jitterMs: 40 }] }, 50);
    const begun = performance.now();
    await here.flush();
    const tookMs = performance.now() - begun;
    expect(tookMs).toBeGreaterThan(115);
    expect(tookMs).toBeLessThan(1_000);
    expect(seen).toEqual(numbers(50));
  });

  test("limits the bandwidth", async () => {
    const here = await client();
    await proxy.set({ line: [{ direction: "up", bytesPerS: 200_000 }] });
    const begun = performance.now();
    here.publish("t.x", "x".repeat(100_000));
    await here.flush();
    const tookMs = performance.now() - begun;
    expect(tookMs).toBeGreaterThan(400);
    expect(tookMs).toBeLessThan(1_500);
  });

  test("slices writes at any byte, and both ends still understand each other", async () => {
    await proxy.set({ line: [{ sliceBytesMax: 7 }] });
    const here = await client();
    const seen = await listener(here);
    for (const i of numbers(300)) here.publish("t.x", i);
    await here.flush();
    expect(seen).toEqual(numbers(300));
  });

  test("what is no NATS protocol passes unread, to the server's own end of it", async () => {
    const socket = tcpConnect({ host: "127.0.0.1", port: proxy.port });
    socket.resume();
    socket.on("error", () => undefined);
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.write(`PUB a b c d e f 12x\r\n${"y".repeat(100)}`);
    await closed;
    expect(proxy.counts.unread).toBe(1);
    expect(proxy.counts.up.bytes).toBe(121);
    await until(() => proxy.counts.open === 0, "the link's end");
  });
});
