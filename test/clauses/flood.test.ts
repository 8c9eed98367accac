// P8.9: a desk that is full of what nobody can do hands it back, so that others are seen, and ends
// what it handed back by its deadline all the same.
import { expect, test } from "vitest";
import { OPEN_TASKS_MAX } from "../../contracts/index.ts";
import { IdleMarket, WORK_MS } from "../support/idle-market.ts";

/** More than a desk takes of ordinary urgency, over 9 s. */
const FLOOD = 0.92 * OPEN_TASKS_MAX;
const GAP_MS = 0.5;
const TIMEOUT_MS = 45_000;
/** An end after the deadline, ms: the bar of L1. */
const LATE_MS = 3_000;

test("P8.9: a flood of what nobody can do holds up nothing else, and ends in time", {
  timeout: 120_000,
}, async () => {
  const m = await new IdleMarket().open();
  const late: number[] = [];
  let ended = 0;
  for (let i = 0; i < FLOOD; i++) {
    m.world.after(i * GAP_MS, () => {
      const deadline = m.world.now + TIMEOUT_MS;
      const asked = { requires: { gpu: true }, timeoutMs: TIMEOUT_MS };
      const task = m.ina.peer?.submitters.submit("work", {}, asked);
      void task
        ?.then((tracker) => tracker.outcome())
        .then(({ state }) => {
          expect(state).toBe("expired");
          ended++;
          if (m.world.now > deadline + LATE_MS) late.push(m.world.now - deadline);
        });
    });
  }
  await m.pass(FLOOD * GAP_MS + 1_000);
  const counters = m.ina.peer?.counters.snapshot() ?? {};
  expect(counters["initiator.handed-back"]).toBeGreaterThan(100);
  for (let i = 0; i < 3; i++) {
    const took = m.submit(20);
    await m.until(() => took.length === 20, 10 * WORK_MS);
  }
  await m.until(() => ended === FLOOD, TIMEOUT_MS + LATE_MS);
  expect(late).toEqual([]);
});
