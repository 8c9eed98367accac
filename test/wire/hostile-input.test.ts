// Bytes that nobody should send, on every core subject that takes input, by a client whose
// credentials permit it: each is dropped and counted; nothing stops, nothing is stored.
import { monitorEventLoopDelay } from "node:perf_hooks";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RUNGS } from "../../contracts/index.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import { HOSTILE_BYTES } from "../support/hostile-bytes.ts";
import { counted, json, msgpack, until } from "./fixture.ts";
import { call, ina, mal, meanwhile, SAMPLES, sue, wes, wire } from "./hostile-cast.ts";
import { type Wrong, wrongOnes } from "./wrong-messages.ts";

/** How much longer than a plain send the event loop may be held, ms: 50 and the machine's noise. */
const HELD_MS = 250;
const LARGE = HOSTILE_BYTES.filter((h) => h.fault === "too_large").length;

/** The longest that the event loop was held, ms. */
async function held(run: () => Promise<void>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: 5 });
  histogram.enable();
  await run();
  histogram.disable();
  return histogram.max / 1e6;
}

interface Target {
  name: string;
  subject: () => string;
  at: () => OpenPeer;
  counter: string;
  /** What this subject takes for good. */
  valid: Record<string, unknown>;
}

const CALL = {
  v: 1,
  kind: "cfp",
  cfp: "c1",
  task: "t1",
  priority: 5,
  windowMs: 20,
  version: "1.0.0",
  requires: { gpu: true },
  hints: { size: 3 },
  deadline: 2e12,
  costMax: 5,
  exclude: ["wes.main"],
  crowd: 3,
};

const TARGETS: readonly Target[] = [
  ...RUNGS.map((rung) => ({
    name: `mesh.cfp, ${rung}`,
    subject: () => `mesh.cfp.echo.${rung}.mal.main`,
    at: () => wes,
    counter: "refused.cfp.",
    valid: CALL,
  })),
  {
    name: "mesh.bid",
    subject: () => `mesh.bid.ina.main.${call}.mal.main`,
    at: () => ina,
    counter: "refused.bid.",
    valid: {
      v: 1,
      kind: "bid",
      startMs: 0,
      durationMs: 1,
      cost: 1,
      confidence: 1,
      load: 0,
      slots: 1,
      validMs: 1,
    },
  },
  {
    name: "mesh.award",
    subject: () => "mesh.award.wes.main.mal.main",
    at: () => wes,
    counter: "refused.award.",
    valid: {
      v: 1,
      kind: "award",
      terms: new Uint8Array([0x80]),
      sig: new Uint8Array(64),
      spec: new Uint8Array([0x80]),
    },
  },
  {
    name: "mesh.idle",
    subject: () => "mesh.idle.rare.mal.main",
    at: () => ina,
    counter: "refused.idle.",
    valid: { v: 1, kind: "idle", slots: 1 },
  },
  {
    name: "mesh.offer",
    subject: () => "mesh.offer.wes.main.mal.main",
    at: () => wes,
    counter: "refused.offer.",
    valid: { v: 1, kind: "offer", capability: "echo", urgency: 1, call: CALL },
  },
  ...(["ina", "sue"] as const).map((to) => ({
    name: `mesh.beat to ${to}`,
    subject: () => `mesh.beat.${to}.main.mal.main`,
    at: () => (to === "ina" ? ina : sue),
    counter: "refused.beat.",
    valid: { v: 1, kind: "beat", tasks: [["sue", "t1", 1]], lagMs: 0 },
  })),
  {
    name: "mesh.live",
    subject: () => "mesh.live.wes.main",
    at: () => wes,
    counter: "refused.live.",
    valid: { v: 1, kind: "live", owner: "sue", task: "t1", epoch: 1, from: "mal.main" },
  },
  ...(["ina", "wes", "sue"] as const).map((to) => ({
    name: `mesh.msg to ${to}`,
    subject: () => `mesh.msg.${to}.main.mal.main`,
    at: () => ({ ina, wes, sue })[to],
    counter: "refused.msg.",
    valid: {
      v: 1,
      kind: "progress",
      owner: "sue",
      task: "t1",
      epoch: 1,
      n: 0,
      done: 0.5,
      note: "n",
    },
  })),
];

/** Sends all and waits until each is counted; says by which names. */
async function blast(target: Target, messages: readonly Uint8Array[]) {
  const peer = target.at();
  const before = peer.peer.counters.snapshot();
  const late = () => counted(peer, "bid.late") - (before["bid.late"] ?? 0);
  const sum = (all: Record<string, number>) =>
    Object.entries(all).reduce((n, [k, v]) => (k.startsWith(target.counter) ? n + v : n), 0);
  const done = () => sum(peer.peer.counters.snapshot()) - sum(before) + late();
  for (const bytes of messages) mal.nc.publish(target.subject(), bytes);
  await mal.nc.flush();
  await until(
    () => done() >= messages.length,
    () => `${target.name}: ${done()} of ${messages.length} counted`,
  );
  expect(done()).toBe(messages.length);
  const after = peer.peer.counters.snapshot();
  const by: Record<string, number> = {};
  for (const [name, n] of Object.entries(after)) {
    const more = n - (before[name] ?? 0);
    if (name.startsWith(target.counter) && more > 0) by[name.slice(target.counter.length)] = more;
  }
  return { by, late: late() };
}

describe("on a core subject", () => {
  test.each(TARGETS)("$name drops and counts every hostile document", async (target) => {
    const plain = await held(async () => {
      for (const bytes of SAMPLES) mal.nc.publish("mesh.msg.nobody.main.mal.main", bytes);
      await mal.nc.flush();
    });
    await meanwhile(async () => {
      let found: Awaited<ReturnType<typeof blast>> | undefined;
      const hostile = await held(async () => {
        // A new call may come up in the middle: then what was meant for the old one is late.
        do found = await blast(target, SAMPLES);
        while (found.late > 0);
      });
      expect(hostile).toBeLessThan(plain + HELD_MS);
      const by = found?.by ?? {};
      if (target.counter === "refused.award." || target.counter === "refused.msg.") {
        // Larger documents are let in here, and then fit nothing.
        expect(by.E_NOT_UNDERSTOOD).toBeGreaterThan(100);
      } else {
        expect(by).toEqual({ E_NOT_UNDERSTOOD: SAMPLES.length - LARGE, E_TOO_LARGE: LARGE });
      }
    });
  });

  test.each(TARGETS)(
    "$name tells version, kind and misfit apart, in both formats",
    async (target) => {
      const wrong = wrongOnes(target.valid).filter((w) => target.name !== "mesh.award" || w.opaque);
      for (const encode of target.name === "mesh.award" ? [msgpack] : [json, msgpack]) {
        for (const code of ["E_VERSION", "E_KIND", "E_SCHEMA"] as const) {
          const mine = wrong.filter((w) => w.code === code);
          expect(mine.length).toBeGreaterThan(0);
          let found: Awaited<ReturnType<typeof blast>>;
          do
            found = await blast(
              target,
              mine.map((w: Wrong) => encode(w.value)),
            );
          while (found.late > 0);
          expect([code, found.by]).toEqual([code, { [code]: mine.length }]);
        }
      }
    },
  );

  test("random bytes do no more than that", async () => {
    await meanwhile(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 }),
          fc.constantFrom(...TARGETS),
          async (messages, target) => {
            await blast(target, messages);
          },
        ),
        { numRuns: 60 },
      ),
    );
  });

  test("leaves the store as it was, to the last byte", async () => {
    await ina.transport.flush();
    const before = await wire.store();
    for (const target of TARGETS) await blast(target, SAMPLES);
    for (const bytes of [Buffer.from("{"), Buffer.from([0x80]), Buffer.from('{"__proto__":1}')]) {
      for (const door of ["submit", "call"]) await mal.request(`mesh.${door}.echo`, bytes);
    }
    expect(await wire.store()).toEqual(before);
  });

  test("an award for an agent that is not here is heard by nobody", async () => {
    const award = mal.request("mesh.award.wes.ghost.mal.main", msgpack({}));
    await expect(award).rejects.toThrow(/no responders/);
  });
});

test("in the end the waiting task is still open, and the mesh still works", async () => {
  expect(ina.peer.initiators.open).toBe(1);
  await meanwhile(async () => undefined);
});
