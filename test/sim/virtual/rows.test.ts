// P8.5: what nobody can do holds up nothing that somebody could; and who refuses what it is offered
// is not asked without an end.
import { describe, expect, test } from "vitest";
import type { TaskOptions } from "../../../mesh/runtime/submitters.ts";
import { LOCAL } from "../../../sim/virtual/network.ts";
import { type Bid, IdleMarket, WORK_MS } from "../../support/idle-market.ts";

const impossible: [string, TaskOptions, number][] = [
  ["an attribute that no agent has", { requires: { gpu: true } }, 300],
  ["less than any agent costs", { budget: 1 }, 300],
  ["a version that is not there", { version: "2.0.0" }, 300],
  ["an agent that is away", { to: "away.w", only: true }, 40],
];

describe("P8.5: behind many that ask for", () => {
  test.each(impossible)("%s, the others go on", async (_, options, count) => {
    const m = await new IdleMarket().open();
    const never = m.submit(count, options);
    await m.pass(5_000);
    // Each at a time at which all agents have long been idle.
    for (let i = 0; i < 5; i++) {
      const [took] = [m.submit(1)];
      await m.until(() => took.length === 1, 1_000);
      expect(took[0]).toBeLessThan(WORK_MS + 10);
      await m.pass(3_000);
    }
    const burst = m.submit(80);
    await m.until(() => burst.length === 80, 2_000);
    expect(never).toEqual([]);
  });

  test("a different price each, the others go on", async () => {
    const m = await new IdleMarket().open();
    for (let i = 0; i < 300; i++) m.submit(1, { budget: i / 100 });
    await m.pass(5_000);
    const burst = m.submit(80);
    await m.until(() => burst.length === 80, 2_000);
    // Of those that wait for one price, whoever pays more is not held up by who pays less.
    const paid = m.submit(8, { budget: 5 });
    await m.until(() => paid.length === 8, 2_000);
  });

  test.each([
    [100, "a"],
    [100, "b"],
    [100, "c"],
    [1_000, "d"],
  ])(
    "what agents turn down by their own judgement (%i), the others go on (%s)",
    async (n, seed) => {
      const large: TaskOptions = { hints: { size: 100 } };
      const bid: Bid = ({ hints }, own) => ((hints?.size ?? 1) > 10 ? undefined : own);
      const m = await new IdleMarket({ bid, seed }).open();
      const never = m.submit(n, large);
      for (let i = 0; i < 5; i++) {
        await m.pass(3_000);
        const took = m.submit(1, { hints: { size: 1 } });
        await m.until(() => took.length === 1, 1_000);
        expect(took[0]).toBeLessThan(WORK_MS + 10);
      }
      const burst = m.submit(80, { hints: { size: 1 } });
      await m.until(() => burst.length === 80, 600);
      expect(never).toEqual([]);
    },
  );
});

test("P8.3: agents that turn everything down are not asked without an end", async () => {
  // Each message may come twice: what one answer begets must not beget two.
  const quality = { ...LOCAL, replay: 0.1, duplicate: 0.1 };
  const m = await new IdleMarket({ bid: () => undefined, quality }).open();
  m.submit(100);
  await m.pass(5_000);
  // A spare agent that takes everything makes the others hear of work again and again.
  const before = m.broker.received;
  await m.pass(20_000);
  const perSecond = (m.broker.received - before) / 20;
  // A hundred tasks are told to be in hand every 1.75 s; all else is little.
  expect(perSecond).toBeLessThan(250);
});

test("P9.1: a spec is handed out at once, however long there was none", async () => {
  const m = await new IdleMarket().open();
  for (let i = 0; i < 60; i++) {
    // Through the moment at which the initiator's pulls expire, 10 s after they were sent.
    await m.pass(9_900 + ((i * 211) % 700));
    const took = m.submit(1);
    await m.until(() => took.length === 1, 5_000);
    expect(took[0]).toBeLessThan(WORK_MS + 10);
  }
});
