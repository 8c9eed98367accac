// P8.5 and P8.8, further: rows of many kinds, prices by size and prices that fall, cards that
// change, and newcomers that keep coming. All of these once left idle agents beside what they could
// have done, most of them for ever.
import { describe, expect, test } from "vitest";
import { type Bid, IdleMarket, WORK_MS } from "../../support/idle-market.ts";

/** Eighty tasks take four agents so long at least, ms. */
const BURST_MS = (80 / 4) * WORK_MS;

const kinds: [string, (m: IdleMarket, i: number) => void][] = [
  ["a version each that is not there", (m, i) => m.submit(1, { version: `9.0.${i}` })],
  ["an agent each that is away", (m, i) => m.submit(1, { to: `away.w${i}`, only: true })],
  [
    "exclusions each, at a budget below every price",
    (m, i) => m.submit(1, { budget: 3, exclude: [`gone.x${i}`] }),
  ],
];

describe("P8.5: behind four hundred tasks that ask for", () => {
  test.each(kinds)("%s, the others go on", async (_, submit) => {
    const m = await new IdleMarket().open();
    for (let i = 0; i < 400; i++) submit(m, i);
    await m.pass(5_000);
    const burst = m.submit(80);
    await m.until(() => burst.length === 80, 2 * BURST_MS);
  });
});

test("P8.5: of those who would pay the same, the small are not held up by the large", async () => {
  const bid: Bid = ({ hints }, own) => ({ ...own, cost: (hints?.size ?? 1) / 5 });
  const m = await new IdleMarket({ bid }).open();
  const never = m.submit(300, { budget: 10, hints: { size: 100 } });
  await m.pass(5_000);
  const burst = m.submit(80, { budget: 10, hints: { size: 1 } });
  await m.until(() => burst.length === 80, 2 * BURST_MS);
  expect(never).toEqual([]);
});

test("P8.8: behind a thousand that agents turn down by themselves, the others go on", async () => {
  const bid: Bid = ({ hints }, own) => ((hints?.size ?? 1) > 10 ? undefined : own);
  const m = await new IdleMarket({ bid }).open();
  m.submit(1_000, { hints: { size: 100 } });
  await m.pass(5_000);
  const burst = m.submit(80, { hints: { size: 1 } });
  await m.until(() => burst.length === 80, 30_000);
});

test("P8.8: a price that falls is heard of, whoever else refuses the old one", async () => {
  let price = 7.9;
  const m = await new IdleMarket({ bid: (_, own) => ({ ...own, cost: price }) }).open();
  m.submit(20, { budget: 4.1 });
  await m.pass(1_000);
  const took = m.submit(20, { budget: 7.5 });
  await m.pass(5_000);
  price = 5;
  const feed = (): void => {
    m.submit(1, { budget: 4.1 });
    m.world.after(1_000, feed);
  };
  feed();
  await m.until(() => took.length === 20, 6_000);
});

test("P8.8: who changes its mind is offered the same again after 5 s", async () => {
  let open = false;
  const m = await new IdleMarket({ bid: (_, own) => (open ? own : undefined) }).open();
  const took = m.submit(40);
  await m.pass(300);
  expect(took).toEqual([]);
  open = true;
  await m.until(() => took.length === 40, 6_000);
});

test("P8.8: newcomers that nobody can do leave the others their turns to call", async () => {
  let open = false;
  const bid: Bid = ({ hints }, own) => ((hints?.size ?? 1) === 7 && !open ? undefined : own);
  const m = await new IdleMarket({ bid }).open();
  const took = m.submit(1, { hints: { size: 7 } });
  const feed = (): void => {
    m.submit(1, { requires: { gpu: true } });
    m.world.after(500, feed);
  };
  feed();
  await m.pass(20_000);
  open = true;
  await m.until(() => took.length === 1, 12_000);
});

test.each([0, 200])("a card that changes is looked at again, with %i in vain before", async (n) => {
  const m = await new IdleMarket().open();
  m.submit(n, { version: "9.0.0" });
  const took = m.submit(20, { requires: { gpu: true } });
  await m.pass(5_000);
  const [host] = m.agents;
  m.cards = 1;
  host?.crash();
  await m.pass(1_000);
  await m.settle(Promise.resolve(host?.start()));
  await m.until(() => took.length === 20, 40 * WORK_MS);
});
