// B13: links of initiators go dead, cards change meanwhile, the links heal, and nothing is written
// any more: each view must equal the store all the same.
import { address } from "../../contracts/index.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { NatsCards } from "../../mesh/nats/cards.ts";
import { systemClock } from "../../mesh/nats/system.ts";
import type { StoredCardEntry } from "../../mesh/ports/index.ts";
import { type FrameProxy, startProxy } from "../proxy/index.ts";
import type { Bar, ChaosContext, Scenario } from "../scenario.ts";
import { pause, quantile } from "./links.ts";

const VIEW_MS_MAX = 2_000;
const VIEWS = 10;
const ROUNDS = 10;
const HOSTED = 40;
/** Cuts shorter and longer than what it takes to notice them, ms. */
const CUT_MS = [300, 900, 1_600, 2_200, 3_000];

/** Name and content of every card, in order. */
function shown(cards: readonly { principal: string; agent: string; text: string }[]): string {
  return cards
    .map((c) => `${address(c.principal, c.agent)} ${c.text}`)
    .sort()
    .join("\n");
}

function viewOf(peer: OpenPeer): string {
  return shown(
    peer.peer.registry.cards().map((c) => {
      const { principal, agent } = c;
      return { principal, agent, text: `${c.at} ${c.instance}` };
    }),
  );
}

function storeOf(entries: readonly StoredCardEntry[]): string {
  return shown(
    entries.map(({ principal, agent, body }) => {
      const card = JSON.parse(Buffer.from(body).toString()) as { at: number; instance: string };
      return { principal, agent, text: `${card.at} ${card.instance}` };
    }),
  );
}

interface Stage {
  mesh: LocalMesh;
  views: { peer: OpenPeer; proxy: FrameProxy }[];
  store: NatsCards;
  close(): Promise<void>;
}

async function stage(c: ChaosContext): Promise<Stage> {
  const mesh = await startLocalMesh({ audit: false });
  const views: Stage["views"] = [];
  for (let i = 0; i < VIEWS; i++) {
    const proxy = await startProxy({ to: mesh.server.url, seed: `${c.seed}/${i}` });
    const peer = await mesh.open(`view${i}`, "initiator", [], { servers: proxy.url });
    views.push({ peer, proxy });
  }
  const reader = await mesh.open("reader", "admin", [], { use: { initiator: false } });
  return {
    mesh,
    views,
    store: new NatsCards(reader.transport, systemClock, "reader"),
    async close() {
      await Promise.all(views.map((v) => v.proxy.heal()));
      await Promise.all([...views.map((v) => v.peer.close(0)), reader.close(0)]);
      await Promise.all(views.map((v) => v.proxy.close()));
      await mesh.stop();
    },
  };
}

/** A peer whose agents come while the links are dead, and one whose agents go. */
async function arrive(mesh: LocalMesh, name: string): Promise<OpenPeer> {
  const peer = await mesh.open(name, "contractor", ["work"]);
  for (let i = 0; i < HOSTED; i++) {
    peer.peer.host({
      name: `a${i}`,
      slots: 1,
      services: [
        { capability: { name: "work", version: "1.0.0" }, run: async () => ({ output: 0 }) },
      ],
    });
  }
  await peer.transport.flush();
  return peer;
}

/** Time from the heal until this view equals the store, ms. */
async function equalAfter(view: OpenPeer, store: string): Promise<number> {
  const begun = performance.now();
  while (viewOf(view) !== store) {
    if (performance.now() - begun > 5 * VIEW_MS_MAX) return Number.POSITIVE_INFINITY;
    await pause(5);
  }
  return performance.now() - begun;
}

/** The store once it shows all of this guest's cards and no other guest's. */
async function settled(store: NatsCards, guest: string): Promise<string> {
  for (;;) {
    const cards = await store.snapshot();
    const guests = cards.filter((e) => e.principal.startsWith("guest"));
    if (guests.length === HOSTED + 1 && guests.every((e) => e.principal === guest)) {
      return storeOf(cards);
    }
    await pause(20);
  }
}

async function run(c: ChaosContext): Promise<Bar[]> {
  const s = await stage(c);
  const tookMs: number[] = [];
  let stale = 0;
  let guest = await arrive(s.mesh, "guest0");
  try {
    for (let round = 0; round < ROUNDS && !c.signal.aborted; round++) {
      const forget = round >= ROUNDS / 2;
      const cutMs = CUT_MS[round % CUT_MS.length] as number;
      const before = await settled(s.store, `guest${round}`);
      for (const v of s.views) await equalAfter(v.peer, before);
      await Promise.all(s.views.map((v) => v.proxy.set({ cut: "both", forget })));
      const next = await arrive(s.mesh, `guest${round + 1}`);
      await guest.close(0);
      guest = next;
      await pause(cutMs);
      const store = await settled(s.store, `guest${round + 1}`);
      stale += s.views.filter((v) => viewOf(v.peer) !== store).length;
      await Promise.all(s.views.map((v) => v.proxy.heal()));
      const took = await Promise.all(s.views.map((v) => equalAfter(v.peer, store)));
      tookMs.push(...took);
      c.say(`cut ${cutMs} ms${forget ? ", forgotten" : ""}: ${Math.round(Math.max(...took))} ms`);
    }
  } finally {
    await guest.close(0);
    await s.close();
  }
  const good = tookMs.filter((ms) => ms <= VIEW_MS_MAX).length;
  const all = ROUNDS * VIEWS;
  const p50 = Math.round(quantile(tookMs, 0.5));
  const most = Math.round(Math.max(...tookMs));
  return [
    {
      id: "B13",
      text: `views equal to the store within ${VIEW_MS_MAX} ms of the heal, nothing written after`,
      figure: `${good} of ${tookMs.length}; p50 ${p50} ms, most ${most} ms; stale before ${stale}`,
      met: good === all && stale === all,
    },
  ];
}

export const scenario: Scenario = {
  name: "heal",
  about: "views after a dead link heals and nothing is written any more",
  bars: ["B13"],
  run,
};
