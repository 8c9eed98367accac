// The store of cards on a real server: who is in it, and who only seems to be.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { NatsCards } from "../../mesh/nats/cards.ts";
import { connectNats } from "../../mesh/nats/connect.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import type { Link } from "../../mesh/nats/link.ts";
import { systemClock } from "../../mesh/nats/system.ts";
import { NatsTransport } from "../../mesh/nats/transport.ts";
import type { Incoming } from "../../mesh/ports/index.ts";
import { until } from "../wire/fixture.ts";

let mesh: LocalMesh;
let transport: NatsTransport;

beforeAll(async () => {
  mesh = await startLocalMesh();
  transport = new NatsTransport(
    await connectNats({
      servers: mesh.server.url,
      name: "host",
      principal: "host",
      authenticator: credsAuth(await mesh.mint("host", "admin")),
    }),
  );
}, 30_000);
afterAll(async () => {
  await transport.close();
  await mesh.stop();
});

/** The same thing, but for one of its methods. */
function but<T extends object>(thing: T, name: keyof T, method: unknown): T {
  return new Proxy(thing, {
    get: (_, asked) => {
      if (asked === name) return method;
      const value = Reflect.get(thing, asked);
      return typeof value === "function" ? value.bind(thing) : value;
    },
  });
}

/** The same link, on which what is stored of one agent is said to be ten minutes old. */
function remembering(agent: string): Link {
  const old = (m: Incoming): Incoming => {
    if (m.header("Nats-Subject")?.endsWith(`.${agent}`) !== true) return m;
    const then = new Date(Date.now() - 600_000).toISOString();
    return but(m, "header", (name: string) => (name === "Nats-Time-Stamp" ? then : m.header(name)));
  };
  return but<Link>(transport, "subscribe", (pattern: string, handler: (m: Incoming) => void) =>
    transport.subscribe(pattern, (m) => handler(old(m))),
  );
}

test("a card that a killed server brought back is none, however long it stays", async () => {
  const cards = new NatsCards(transport, systemClock, "host");
  const names = async (store: NatsCards) => (await store.snapshot()).map((e) => e.agent).sort();
  for (const name of ["dead", "here"]) cards.announce("host", name, Buffer.from("{}"), "1.", 60);
  await until(async () => (await names(cards)).length === 2, "both are stored");
  expect(await names(new NatsCards(remembering("dead"), systemClock, "host"))).toEqual(["here"]);
  // Who left is newer too.
  cards.leave("host", "here");
  await until(async () => (await names(cards)).length === 1, "one has left");
  expect(await names(new NatsCards(remembering("dead"), systemClock, "host"))).toEqual([]);
});
