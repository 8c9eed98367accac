// The pieces that the simulated world is made of, each alone.
import fc from "fast-check";
import { expect, test } from "vitest";
import { CfpSchema } from "../../../contracts/index.ts";
import { createPrng } from "../../../mesh/core/prng.ts";
import { encodeMsgpack } from "../../../mesh/runtime/codec/codec.ts";
import { Counters } from "../../../mesh/runtime/counters.ts";
import { Inbound } from "../../../mesh/runtime/inbound.ts";
import { BySeq } from "../../../sim/virtual/broker/by-seq.ts";
import { Consumer } from "../../../sim/virtual/broker/consumer.ts";
import { Interest, type Interested } from "../../../sim/virtual/broker/interest.ts";
import { VirtualMessage } from "../../../sim/virtual/broker/message.ts";
import { Rights } from "../../../sim/virtual/broker/permissions.ts";
import type { Stored, Stream } from "../../../sim/virtual/broker/stream.ts";
import { VirtualClock } from "../../../sim/virtual/clock.ts";
import { Lane } from "../../../sim/virtual/network.ts";
import { onGrid } from "../../../sim/virtual/queue.ts";
import { secretBytes, VirtualRandom } from "../../../sim/virtual/random.ts";
import { World } from "../../../sim/virtual/world.ts";

test("events happen in the order of their moments, then in the order they came", async () => {
  const world = new World({ seed: 1 });
  const seen: string[] = [];
  world.at(5, () => void seen.push(`b ${world.now}`));
  world.at(5, () => void seen.push(`c ${world.now}`));
  world.at(2, () => {
    seen.push(`a ${world.now}`);
    world.at(1, () => void seen.push(`late ${world.now}`));
  });
  expect(await world.run()).toBe("idle");
  expect(seen).toEqual(["a 2", "late 2", "b 5", "c 5"]);
});

for (const drain of ["now", "turns"] as const) {
  test(`promises of one event have their say before the next event (${drain})`, async () => {
    const world = new World({ seed: 1, drain });
    const seen: string[] = [];
    world.at(1, () => {
      (async () => {
        for (let i = 0; i < 5; i++) await null;
        seen.push("first");
        world.at(1, () => void seen.push("its own"));
      })();
    });
    world.at(1, () => void seen.push("second"));
    await world.run();
    expect(seen).toEqual(["first", "second", "its own"]);
  });
}

test("a run ends at its time, at its condition, or with what an event throws", async () => {
  const world = new World({ seed: 1 });
  let n = 0;
  const tick = (): void => {
    n++;
    world.after(10, tick);
  };
  tick();
  expect(await world.run({ untilMs: 55 })).toBe("time");
  expect([n, world.now]).toEqual([6, 55]);
  expect(await world.run({ until: () => n === 8 })).toBe("met");
  world.after(1, () => {
    throw new Error("broken");
  });
  await expect(world.run()).rejects.toThrow("broken");
});

test("a host's clock runs at its own speed, and its timers with it", async () => {
  const world = new World({ seed: 1 });
  const clock = new VirtualClock(world, (event) => event(), { startMs: 100, rate: 2 });
  const seen: [number, number][] = [];
  clock.after(10, () => void seen.push([world.now, clock.now()]));
  clock.after(0, () => void seen.push([world.now, clock.now()]));
  const gone = clock.after(3, () => void seen.push([-1, -1]));
  gone.cancel();
  await world.run();
  expect(seen).toEqual([
    [0.5, 101],
    [5, 110],
  ]);
  clock.drift(0.5);
  clock.after(10, () => void seen.push([world.now, clock.now()]));
  await world.run();
  expect(seen.at(-1)).toEqual([25, 120]);
});

test("ids are 128 bits of base32, and the same ones for the same seed", () => {
  const ids = (seed: number) => {
    const random = new VirtualRandom(createPrng(seed));
    return Array.from({ length: 1_000 }, () => random.id());
  };
  expect(ids(7)).toEqual(ids(7));
  expect(new Set([...ids(7), ...ids(8)]).size).toBe(2_000);
  for (const id of ids(7)) expect(id).toMatch(/^[a-z2-7]{26}$/);
  const secret = secretBytes(createPrng(1));
  expect(secret(40)).toHaveLength(40);
  expect(secret(32).equals(secret(32))).toBe(false);
});

async function arrivals(quality: object, messages: number): Promise<number[]> {
  const world = new World({ seed: 3 });
  const lane = new Lane(world, world.random.fork("lane"), {
    latencyMs: 1,
    jitterMs: 1,
    loss: 0,
    duplicate: 0,
    reorder: 0,
    ...quality,
  });
  const seen: number[] = [];
  for (let i = 0; i < messages; i++) {
    world.at(i / 10, () => lane.send(() => void seen.push(i)));
  }
  await world.run();
  return seen;
}

test("a lane keeps its order; loss, repeats and overtaking come as often as told", async () => {
  const all = Array.from({ length: 2_000 }, (_, i) => i);
  expect(await arrivals({}, 2_000)).toEqual(all);
  const lossy = await arrivals({ loss: 0.1 }, 2_000);
  expect(lossy.length).toBeGreaterThan(1_740);
  expect(lossy.length).toBeLessThan(1_860);
  expect(lossy).toEqual([...lossy].sort((a, b) => a - b));
  const twice = await arrivals({ duplicate: 0.1 }, 2_000);
  expect(twice.length).toBeGreaterThan(2_140);
  expect([...new Set(twice)]).toEqual(all);
  const mixed = await arrivals({ reorder: 0.1 }, 2_000);
  expect([...mixed].sort((a, b) => a - b)).toEqual(all);
  const overtaken = mixed.filter((n, i) => i > 0 && n < (mixed[i - 1] as number)).length;
  expect(overtaken).toBeGreaterThan(50);
});

test("a cut lane holds what it gets, in order, until it is mended or reset", async () => {
  const world = new World({ seed: 3 });
  const quality = { latencyMs: 1, jitterMs: 0, loss: 0, duplicate: 0, reorder: 0 };
  const lane = new Lane(world, world.random.fork("lane"), quality);
  const seen: [string, number][] = [];
  const send = (name: string): void => lane.send(() => void seen.push([name, world.now]));
  send("before");
  lane.cut();
  world.at(10, () => send("a"));
  world.at(20, () => send("b"));
  world.at(100, () => lane.mend());
  await world.run();
  expect(seen.map(([name]) => name)).toEqual(["before", "a", "b"]);
  expect(seen[0]?.[1]).toBe(1);
  expect(seen[1]?.[1]).toBeGreaterThan(100);
  expect(seen[2]?.[1]).toBeLessThan(100 + 201);
  lane.cut();
  send("lost");
  lane.reset();
  lane.mend();
  await world.run();
  expect(seen).toHaveLength(3);
});

test("the end of a connection is heard after what it said, and holds up no other", async () => {
  const world = new World({ seed: 4 });
  const quality = { latencyMs: 1, jitterMs: 0, loss: 0, duplicate: 0, reorder: 0 };
  const lane = new Lane(world, world.random.fork("lane"), quality);
  const seen: [string, number][] = [];
  const see = (name: string) => (): void => void seen.push([name, world.now]);
  lane.send(see("said"), 5);
  lane.sendEnd(see("end of the first"));
  lane.cut();
  lane.reset();
  lane.sendEnd(see("end of the second"));
  world.at(10_000, () => {
    lane.mend();
    lane.send(see("the third"));
  });
  await world.run();
  expect(seen.map(([name]) => name)).toEqual([
    "said",
    "end of the first",
    "the third",
    "end of the second",
  ]);
  expect(seen[2]?.[1]).toBe(10_001);
});

test("moments lie on a grid that adding up never leaves", () => {
  let sum = 0;
  for (let i = 0; i < 10_000; i++) sum = onGrid(sum + 0.1);
  expect(Number.isInteger(sum * 1_024)).toBe(true);
  expect(onGrid(sum)).toBe(sum);
});

interface Sub extends Interested {
  name: string;
}

test("the tree of interest agrees with a plain comparison, also after removals", () => {
  const prng = createPrng("interest");
  const tokens = ["a", "b", "c"];
  const pick = (): string => tokens[prng.int(3)] as string;
  const tree = new Interest<Sub>();
  const subs: Sub[] = [];
  for (let i = 0; i < 300; i++) {
    const pattern = Array.from({ length: 1 + prng.int(4) }, () =>
      prng.next() < 0.3 ? "*" : pick(),
    );
    if (prng.next() < 0.3) pattern.push(">");
    const queue = prng.next() < 0.5 ? `q${prng.int(2)}` : undefined;
    const sub = { pattern: pattern.join("."), queue, place: 0, name: String(i) };
    subs.push(sub);
    tree.add(sub);
  }
  for (const sub of subs.splice(0, 100)) tree.remove(sub);
  for (let i = 0; i < 300; i++) {
    const subject = Array.from({ length: 1 + prng.int(5) }, pick);
    const found = { plain: [] as Sub[], groups: [] as Sub[][] };
    tree.match(subject, found);
    const wanted = subs.filter((s) => fits(s.pattern, subject));
    const names = (list: Sub[]) => list.map((s) => s.name).sort();
    expect(names(found.plain)).toEqual(names(wanted.filter((s) => s.queue === undefined)));
    expect(names(found.groups.flat())).toEqual(names(wanted.filter((s) => s.queue !== undefined)));
  }
  for (const sub of subs) tree.remove(sub);
  const left = { plain: [] as Sub[], groups: [] as Sub[][] };
  tree.match(["a"], left);
  expect(left).toEqual({ plain: [], groups: [] });
});

function fits(pattern: string, subject: string[]): boolean {
  const text = pattern
    .split(".")
    .map((t) => (t === "*" ? "[^.]+" : t === ">" ? ".+" : t))
    .join("\\.");
  return new RegExp(`^${text}$`).test(subject.join("."));
}

test("the table of sequences agrees with a map, also where whole pages are gone", () => {
  const step = fc.record({ add: fc.integer({ min: 0, max: 1_500 }), drop: fc.nat(4_000) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.nat(9_000), (steps, from) => {
      const [table, map] = [new BySeq<number>(), new Map<number, number>()];
      let last = 0;
      let first = 1;
      for (const { add, drop } of steps) {
        for (let i = 0; i < add; i++) {
          table.add(++last, -last);
          map.set(last, -last);
        }
        for (const end = first + drop; first < end; first++) {
          if (first % 7 === 0) continue;
          table.delete(first);
          map.delete(first);
        }
      }
      for (let seq = 7; seq < from; seq += 7) {
        table.delete(seq);
        map.delete(seq);
      }
      expect(table.size).toBe(map.size);
      expect([...table.values(from)]).toEqual([...map.values()].filter((v) => -v >= from));
      for (const seq of [0, 1, from, first, last, last + 1]) {
        expect(table.get(seq)).toBe(map.get(seq));
      }
    }),
    { numRuns: 50 },
  );
});

test("a role's rights hold for its own name and capabilities, and for nobody else's", () => {
  const rights = new Rights("contractor", "ann", ["dig"]);
  const may = (subject: string) => rights.mayPublish(subject.split("."));
  const hear = (pattern: string) => rights.maySubscribe(pattern.split("."));
  expect(may("mesh.bid.ini.main.c1.ann.w")).toBe(true);
  expect(may("mesh.bid.ini.main.c1.bob.w")).toBe(false);
  expect(may("mesh.idle.dig.ann.w")).toBe(true);
  expect(may("mesh.idle.sing.ann.w")).toBe(false);
  expect(may("$KV.mesh_tasks.o.t.contract.1.i.main.ann.w")).toBe(true);
  expect(may("$KV.mesh_tasks.o.t.contract.1.i.main.bob.w")).toBe(false);
  expect(may("$JS.API.STREAM.PURGE.KV_mesh_tasks")).toBe(false);
  expect([hear("mesh.cfp.dig.all.*.*"), hear("mesh.cfp.*.all.*.*")]).toEqual([true, false]);
  expect([hear("mesh.rec.*.ann.>"), hear("mesh.rec.>")]).toEqual([true, false]);
  // An answer.
  expect([may("_INBOX.bob.1"), may("_INBOX.bob")]).toEqual([true, false]);
  const guard = new Rights("observer", "eye", []);
  const next = "$JS.API.CONSUMER.MSG.NEXT.KV_mesh_tasks";
  const pull = (name: string) => guard.mayPublish(`${next}.${name}`.split("."));
  expect([pull("mine"), pull("initiators-1"), pull("janitor")]).toEqual([true, false, false]);
});

test("what many hear is read once, and what is refused is refused by each", () => {
  const counters = [new Counters(), new Counters()];
  const readers = counters.map((c) => new Inbound(c));
  const cfp = { v: 1, kind: "cfp", cfp: "c1", task: "t1", priority: 0, windowMs: 20 };
  const sound = new VirtualMessage("mesh.cfp.sum.s8.1", encodeMsgpack(cfp));
  const [first, second] = readers.map((r) => r.read("cfp", CfpSchema, sound));
  expect(first).toMatchObject({ cfp: "c1" });
  expect(second).toBe(first);

  const unsound = new VirtualMessage("mesh.cfp.sum.s8.1", encodeMsgpack({ ...cfp, v: 2 }));
  expect(readers.map((r) => r.read("cfp", CfpSchema, unsound))).toEqual([undefined, undefined]);
  const refused = { "refused.cfp.E_VERSION": 1 };
  expect(counters.map((c) => c.snapshot())).toEqual([refused, refused]);
});

test("a late answer counts as long as nobody was handed the message again", async () => {
  const world = new World({ seed: 1 });
  const stored = { seq: 1, subject: "s", data: new Uint8Array(0), at: 0 } as Stored;
  const stream = { config: { name: "S" }, get: () => stored } as unknown as Stream;
  const config = { name: "c", filter: ">", ackWaitMs: 100, pendingMax: 10 };
  for (const [answer, copies] of [
    ["+ACK", 1],
    ["-NAK", 2],
    ["", 1],
  ] as const) {
    let handed = 0;
    const emit = (_: string, m: VirtualMessage): void => {
      if (m.status === 0) handed++;
    };
    const consumer = new Consumer(world, stream, config, { emit, hears: () => true }, String);
    consumer.offer(stored);
    consumer.pull("r1", 1, 50, 0);
    // The ack wait is over, and nobody has asked for more.
    world.after(200, () => consumer.answer(1, Buffer.from(answer)));
    world.after(300, () => consumer.pull("r2", 1, 50, 0));
    await world.run({ untilMs: world.now + 350 });
    expect([answer, handed]).toEqual([answer, copies]);
  }
});
