// Looks that nobody answered: one asks for all, until somebody answers.
import { describe, expect, test } from "vitest";
import { MissedLooks } from "../../mesh/runtime/missed-looks.ts";
import { VirtualClock } from "../../sim/virtual/clock.ts";
import { World } from "../../sim/virtual/world.ts";

/** So many tasks whose looks are answered from a moment on, and how often each asked when, ms. */
function tasks(count: number, answersFromMs: number) {
  const world = new World({ seed: 1 });
  const clock = new VirtualClock(world, (event) => event());
  const missed = new MissedLooks(clock);
  const asked: number[] = [];
  const known = new Set<number>();
  const all = Array.from({ length: count }, (_, i) => ({
    lookSoon() {
      asked.push(world.now);
      if (world.now < answersFromMs) return missed.missed(this);
      known.add(i);
      missed.answered();
    },
  }));
  return { world, missed, asked, known, all };
}

describe("looks at tasks that nobody answered", () => {
  test("are repeated by one of them, later each time, and by all once it is answered", async () => {
    const { world, asked, known, all } = tasks(1_000, 3_000);
    for (const task of all) task.lookSoon();
    await world.run({ untilMs: 10_000 });
    expect(known.size).toBe(1_000);
    const again = asked.slice(1_000);
    expect(again.slice(0, 4)).toEqual([250, 750, 1_750, 3_750]);
    expect(again.slice(4).every((at) => at === 3_750)).toBe(true);
    expect(again).toHaveLength(3 + 1_000);
  });

  test("are repeated by another where the one who asked has ended meanwhile", async () => {
    const { world, missed, asked, all } = tasks(3, Number.POSITIVE_INFINITY);
    const [first] = all as [(typeof all)[number]];
    for (const task of all) task.lookSoon();
    // Its turn comes; it ends before anybody answers.
    first.lookSoon = () => missed.leave(first);
    await world.run({ untilMs: 10_000 });
    expect(asked.length).toBeGreaterThan(3);
  });

  test("are not repeated for a task that has ended, nor after a new connection", async () => {
    const { world, missed, asked, all } = tasks(2, Number.POSITIVE_INFINITY);
    for (const task of all) task.lookSoon();
    for (const task of all) missed.leave(task);
    await world.run({ untilMs: 10_000 });
    expect(asked).toHaveLength(2);
    for (const task of all) task.lookSoon();
    missed.forget();
    await world.run({ untilMs: 20_000 });
    expect(asked).toHaveLength(4);
  });
});
