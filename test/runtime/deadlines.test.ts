// One queue of due moments: what is not due any more leaves it soon, and nothing is in it twice.
import { describe, expect, test } from "vitest";
import { Deadlines, type Due } from "../../mesh/runtime/deadlines.ts";
import { VirtualClock } from "../../sim/virtual/clock.ts";
import { World } from "../../sim/virtual/world.ts";

const DAY_MS = 24 * 3_600_000;

function queue() {
  const world = new World({ seed: 1 });
  const clock = new VirtualClock(world, (event) => event());
  const fired: { at: number; item: Item }[] = [];
  const deadlines = new Deadlines<Item>(clock, (item) => {
    fired.push({ at: Math.round(world.now), item });
    item.t.dueAt = Number.POSITIVE_INFINITY;
  });
  const item = (dueAt: number): Item => {
    const made = { t: { dueAt }, queuedAt: Number.POSITIVE_INFINITY };
    deadlines.add(made);
    return made;
  };
  return { world, deadlines, fired, item };
}

interface Item extends Due {
  t: { dueAt: number };
}

describe("what is due", () => {
  test("comes once, at its moment, however far off", async () => {
    const { world, fired, item, deadlines } = queue();
    const far = item(DAY_MS);
    const near = item(10);
    for (let i = 0; i < 100; i++) deadlines.add(far);
    await world.run({ untilMs: 2 * DAY_MS });
    expect(fired).toEqual([
      { at: 10, item: near },
      { at: DAY_MS, item: far },
    ]);
  });

  test("comes at the earlier of two moments, and at the later one again", async () => {
    const { world, fired, item, deadlines } = queue();
    const one = item(100_000);
    one.t.dueAt = 50;
    deadlines.add(one);
    await world.run({ untilMs: 60 });
    one.t.dueAt = 100_000;
    deadlines.add(one);
    await world.run({ untilMs: DAY_MS });
    expect(fired.map(({ at }) => at)).toEqual([50, 100_000]);
  });

  test("and is not any more is let go of within a minute", async () => {
    const { world, fired, item } = queue();
    for (let i = 0; i < 1_000; i++) item(DAY_MS).t.dueAt = Number.POSITIVE_INFINITY;
    const end = await world.run({ untilMs: 61_000 });
    expect(fired).toEqual([]);
    // Nothing is left that would wake anybody.
    expect(end).toBe("idle");
  });
});
