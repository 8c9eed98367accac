// Waiting tasks that ask for all sorts of things: more sorts than there are rows for.
import { describe, expect, test } from "vitest";
import type { Spec } from "../../contracts/index.ts";
import { newTask } from "../../mesh/core/initiator-task.ts";
import { type Entry, newEntry } from "../../mesh/runtime/desk.ts";
import { WaitingRooms } from "../../mesh/runtime/waiting-rooms.ts";
import { VirtualClock } from "../../sim/virtual/clock.ts";
import { World } from "../../sim/virtual/world.ts";

/** As many as have a row of their own. */
const ROWS = 64;

class Hall {
  readonly world = new World({ seed: 1 });
  readonly clock = new VirtualClock(this.world, (event) => event());
  readonly offers: { entry: Entry; to: string }[] = [];
  #idle: (m: unknown) => void = () => undefined;
  #count = 0;
  readonly rooms = new WaitingRooms<Entry>(
    {
      clock: this.clock,
      clocks: { date: 0 },
      random: { next: () => 0.5 },
      counters: { add: () => undefined },
      registry: { onChange: () => () => undefined, card: () => undefined },
      transport: {
        subscribe: (_: string, hear: (m: unknown) => void) => {
          this.#idle = hear;
          return { unsubscribe: () => undefined };
        },
      },
      inbound: { read: () => ({ slots: 1 }) },
    } as never,
    {
      offer: (entry, to) => void this.offers.push({ entry, to }),
      spokenFor: () => false,
      recall: () => undefined,
      blocked: () => false,
    },
  );

  task(requires: Record<string, unknown> | undefined): Entry {
    const task = `t${this.#count++}`;
    const wishes = { deadline: 1e12, priority: 4, ...(requires === undefined ? {} : { requires }) };
    const spec = { task, owner: "sue", capability: "work", ...wishes } as unknown as Spec;
    const t = newTask(spec, "sue.main", false, 1, "d");
    const d = { clock: this.clock, clocks: { date: this.clock.now() } } as unknown;
    return newEntry(d as Parameters<typeof newEntry>[0], t, new Uint8Array(0));
  }

  wait(requires: Record<string, unknown>): Entry {
    const entry = this.task(requires);
    Object.assign(entry.t, { phase: "waiting", waitingSince: this.clock.now(), cfp: entry.t.id });
    this.rooms.enter(entry);
    return entry;
  }

  /** An agent has a free slot, and refuses all that it is offered. @returns what that was */
  refusesAll(from: string): Entry[] {
    const seen: Entry[] = [];
    this.#idle({ subject: `mesh.idle.work.${from}` });
    for (let offer = this.offers.shift(); offer !== undefined; offer = this.offers.shift()) {
      const { entry } = offer;
      seen.push(entry);
      entry.offeredUntil = 0;
      const refusal = { on: "refusal", cfp: entry.t.cfp, from, award: false } as const;
      this.rooms.heard(entry, { ...refusal, reason: "ineligible", freeInMs: undefined });
    }
    return seen;
  }
}

describe("those who ask for all sorts of things", () => {
  test("are each offered once, though one of their like has a row of its own by now", () => {
    const hall = new Hall();
    const rows = Array.from({ length: ROWS }, (_, i) => hall.wait({ x: i }));
    const first = hall.wait({ big: true });
    const second = hall.wait({ small: true });
    for (const entry of rows) hall.rooms.leave(entry);
    const like = hall.wait({ big: true });
    expect(new Set(hall.refusesAll("con.w"))).toEqual(new Set([first, second, like]));
  });

  test("are stuck, whatever newcomers who ask for nothing are taken", async () => {
    const hall = new Hall();
    for (let i = 0; i < 2 * ROWS; i++) hall.wait({ x: i });
    await hall.world.run({ untilMs: 6_000 });
    hall.rooms.taken(hall.task(undefined));
    expect(hall.rooms.stuck(1_000)).toHaveLength(2 * ROWS);
  });

  test("are not, where one of them is taken", async () => {
    const hall = new Hall();
    const all = Array.from({ length: 2 * ROWS }, (_, i) => hall.wait({ x: i }));
    await hall.world.run({ untilMs: 6_000 });
    hall.rooms.taken(all[2 * ROWS - 1] as Entry);
    expect(hall.rooms.stuck(1_000)).toHaveLength(ROWS);
  });
});
