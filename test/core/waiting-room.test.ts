import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AGING_MS } from "../../contracts/index.ts";
import { FAIR, urgency, type Waiter, WaitingRoom } from "../../mesh/core/waiting-room.ts";

function waiter(task: string, over: Partial<Waiter> = {}): Waiter {
  return { task, row: "", priority: 5, since: 0, deadline: 1_800_000_060_000, ...over };
}

function roomOf(...waiters: Waiter[]): WaitingRoom {
  const room = new WaitingRoom();
  for (const w of waiters) room.enter(w);
  return room;
}

const names = (list: Waiter[]): string[] => list.map((w) => w.task);
const anyone = (): boolean => true;

describe("order", () => {
  test("higher priority first", () => {
    const room = roomOf(waiter("low", { priority: 1 }), waiter("high", { priority: 9 }));
    expect(names(room.pick(2, anyone))).toEqual(["high", "low"]);
  });

  test("among equals, who has waited longer; then the nearer deadline", () => {
    const room = roomOf(
      waiter("later", { since: 10 }),
      waiter("far", { deadline: 1_800_000_120_000 }),
      waiter("near"),
    );
    expect(names(room.pick(3, anyone))).toEqual(["near", "far", "later"]);
  });

  test("of one moment, whose spec was stored first, whoever entered first", () => {
    const [first, second] = [waiter("a", { specRev: 7 }), waiter("b", { specRev: 9 })];
    const room = roomOf(second, first);
    expect(names(room.pick(2, anyone))).toEqual(["a", "b"]);
    // Looked at and put back they keep their places.
    expect(names(room.pick(1, (w) => w.task === "b"))).toEqual(["b"]);
    expect(names(room.pick(2, anyone))).toEqual(["a", "b"]);
  });

  test("dates of today leave enough digits for moments and deadlines", () => {
    const since = 1_795_000_000_000;
    const at = (task: string, ms: number, timeoutMs: number): Waiter =>
      waiter(task, { since: since + ms, deadline: since + timeoutMs });
    const room = roomOf(
      at("third", 0.25, 60_000),
      at("second", 0, 60_000),
      at("first", 0, 30_000),
      at("fourth", 3_600_000, 10),
      at("fifth", 3_600_000.25, 10),
    );
    const order = ["first", "second", "third", "fourth", "fifth"];
    expect(names(room.pick(5, anyone))).toEqual(order);
  });

  test("aging: a level of priority for every AGING_MS of waiting", () => {
    const old = waiter("old", { priority: 4, since: 0 });
    const young = waiter("young", { priority: 5, since: AGING_MS + 1 });
    expect(names(roomOf(young, old).pick(1, anyone))).toEqual(["old"]);
    const younger = waiter("younger", { priority: 5, since: AGING_MS - 1 });
    expect(names(roomOf(old, younger).pick(1, anyone))).toEqual(["younger"]);
    expect(urgency(old, AGING_MS)).toBe(5);
    expect(urgency(young, 0)).toBe(5);
  });

  test("nobody starves: the lowest priority passes any that comes 90 s later", () => {
    const old = waiter("old", { priority: 0, since: 0 });
    const young = waiter("young", { priority: 9, since: 9 * AGING_MS + 1 });
    expect(names(roomOf(young, old).pick(1, anyone))).toEqual(["old"]);
  });

  test("agrees with urgency at any moment", () => {
    const one = fc.record({
      priority: fc.integer({ min: 0, max: 9 }),
      since: fc.integer({ min: 0, max: 10_000_000 }),
    });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 30 }), (list) => {
        const room = roomOf(...list.map((w, i) => waiter(`t${i}`, w)));
        const now = 20_000_000;
        const picked = room.pick(list.length, anyone).map((w) => urgency(w, now));
        expect(picked).toEqual([...picked].sort((a, b) => b - a));
        expect(picked).toHaveLength(list.length);
      }),
    );
  });
});

describe("pick", () => {
  test("leaves the picked ones in the room", () => {
    const room = roomOf(waiter("a"), waiter("b"));
    expect(names(room.pick(2, anyone)).sort()).toEqual(["a", "b"]);
    expect(names(room.pick(2, anyone)).sort()).toEqual(["a", "b"]);
    expect(room.size).toBe(2);
  });

  test("passes over whom the caller does not take", () => {
    const room = roomOf(waiter("a", { priority: 9 }), waiter("b"), waiter("c", { priority: 1 }));
    expect(names(room.pick(1, (w) => w.task !== "a"))).toEqual(["b"]);
    expect(names(room.pick(3, anyone))).toEqual(["a", "b", "c"]);
  });

  test("looks at a bounded number only", () => {
    const room = roomOf(...Array.from({ length: 500 }, (_, i) => waiter(`t${i}`)));
    let looked = 0;
    const nobody = () => {
      looked++;
      return false;
    };
    room.pick(2, nobody);
    expect(looked).toBe(256);
    expect(room.size).toBe(500);
  });

  test("finds the last behind many that the caller does not take, with time", () => {
    const many = Array.from({ length: 2_000 }, (_, i) => waiter(`t${i}`));
    const room = roomOf(...many, waiter("last"));
    let tries = 1;
    while (room.pick(1, (w) => w.task === "last").length === 0) tries++;
    expect(tries).toBe(8);
  });

  test("leaves a row of such for the others at once", () => {
    const many = Array.from({ length: 2_000 }, (_, i) => waiter(`t${i}`, { priority: 9 }));
    const room = roomOf(...many, waiter("last", { row: "other" }));
    expect(names(room.pick(1, (w) => w.task === "last"))).toEqual(["last"]);
  });

  test("who left, or left and came back, is seen once and as he is now", () => {
    const room = roomOf(waiter("a", { priority: 9 }), waiter("b"));
    room.leave("a");
    expect([room.has("a"), room.size]).toEqual([false, 1]);
    room.enter(waiter("a", { priority: 1 }));
    expect(names(room.pick(5, anyone))).toEqual(["b", "a"]);
  });

  test("a room that many enter and leave keeps its order and everybody in it", () => {
    const room = roomOf(waiter("stays", { priority: 0 }));
    for (let i = 0; i < 1_000; i++) {
      room.enter(waiter(`t${i}`, { priority: 9 }));
      room.leave(`t${i}`);
    }
    room.enter(waiter("new", { priority: 1 }));
    expect(names(room.pick(5, anyone))).toEqual(["new", "stays"]);
    expect([...room.waiters()]).toHaveLength(2);
  });
});

describe("steps of workflows", () => {
  test("go by the longest way to the end, whoever came first", () => {
    const room = roomOf(
      waiter("short", { rank: 10 }),
      waiter("long", { rank: 500, since: 900 }),
      waiter("middle", { rank: 90, since: 100 }),
    );
    expect(names(room.pick(3, anyone))).toEqual(["long", "middle", "short"]);
  });

  test("do not pass a higher priority", () => {
    const room = roomOf(waiter("step", { rank: 1e9 }), waiter("urgent", { priority: 6 }));
    expect(names(room.pick(2, anyone))).toEqual(["urgent", "step"]);
  });

  test("keep nobody waiting for ever: every so many turns go by age", () => {
    const room = roomOf(waiter("old", { since: -1_000_000 }));
    let served = 0;
    for (let n = 0; n < 4 * FAIR; n++) {
      room.enter(waiter(`step${n}`, { rank: 1_000, since: n }));
      const [first] = room.pick(1, anyone);
      room.leave(first!.task);
      if (first!.task === "old") break;
      served++;
    }
    expect(served).toBe(FAIR - 1);
  });

  test("that left are not picked, and nobody is picked twice", () => {
    const list = Array.from({ length: 500 }, (_, i) => waiter(`s${i}`, { rank: i % 7 }));
    const room = roomOf(...list);
    for (const w of list.slice(0, 400)) room.leave(w.task);
    const picked = names(room.pick(200, anyone));
    expect(new Set(picked).size).toBe(picked.length);
    expect(picked.every((task) => Number(task.slice(1)) >= 400)).toBe(true);
  });
});

describe("rows", () => {
  test("those of a row that is not open are passed over, however many they are", () => {
    const blocked = Array.from({ length: 2_000 }, (_, i) =>
      waiter(`b${i}`, { row: "gpu", priority: 9, since: i }),
    );
    const room = roomOf(...blocked, waiter("plain", { since: 5_000 }));
    let looked = 0;
    const take = (): boolean => ++looked > 0;
    expect(names(room.pick(3, take, (row) => row !== "gpu"))).toEqual(["plain"]);
    expect(looked).toBe(1);
    expect(names(room.pick(1, anyone))).toEqual(["b0"]);
  });

  test("over all rows the order is that of one row", () => {
    const one = fc.record({
      priority: fc.integer({ min: 0, max: 9 }),
      since: fc.integer({ min: 0, max: 60_000 }),
      rank: fc.option(fc.integer({ min: 0, max: 9_000 }), { nil: undefined }),
      row: fc.constantFrom("", "a", "b", "c"),
      leaves: fc.boolean(),
    });
    const open = fc.subarray(["", "a", "b", "c"]);
    fc.assert(
      fc.property(fc.array(one, { maxLength: 40 }), open, (list, rows) => {
        const apart = new WaitingRoom();
        const together = new WaitingRoom();
        for (const [i, { leaves, ...over }] of list.entries()) {
          // No two alike: among equals a row of its own may be asked first.
          const w = waiter(`t${i}`, { ...over, since: over.since + i / 64 });
          apart.enter(w);
          if (leaves) apart.leave(w.task);
          else if (rows.includes(w.row)) together.enter({ ...w, row: "" });
        }
        const picked = apart.pick(50, anyone, (row) => rows.includes(row));
        const ranks = new Set(list.map(({ rank }) => rank).filter((rank) => rank !== undefined));
        const expected = names(together.pick(50, anyone));
        expect(names(picked).sort()).toEqual([...expected].sort());
        if (ranks.size === list.filter(({ rank }) => rank !== undefined).length) {
          expect(names(picked)).toEqual(expected);
        }
      }),
    );
  });

  test("an empty row is told once, and forgotten", () => {
    const room = roomOf(waiter("a", { row: "x" }), waiter("b", { row: "x" }));
    expect([room.leave("a"), room.leave("a"), room.leave("b")]).toEqual([
      undefined,
      undefined,
      "x",
    ]);
    expect(room.pick(1, anyone)).toEqual([]);
  });
});
