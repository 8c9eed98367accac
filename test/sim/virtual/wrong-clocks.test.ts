// Fault F16: an agent or an initiator that means well and has the wrong date.
import { expect, test } from "vitest";
import { HOUR_MS, Market, WORK_MS } from "../../support/market.ts";

test("F16: an agent whose clock is an hour off refuses at once; both sides say why", async () => {
  const { tookMs: usual } = await new Market().run(0);
  const market = new Market({ deceit: "misdates" });
  const { outcomes, tookMs } = await market.run(0);
  expect(outcomes.filter((o) => o.state !== "completed")).toEqual([]);
  expect(tookMs).toBeLessThan(usual * 1.1);
  const advice = "its clock and this one are more than 30 s apart: set both by NTP (parley doctor)";
  expect(new Set(market.warnings)).toEqual(
    new Set([
      `an award was refused for its date: ${advice}`,
      `an agent refused an award for its date: ${advice}`,
    ]),
  );
  // Once a minute, and not with every award.
  expect(market.warnings.length).toBeLessThanOrEqual(3);
});

test.each([
  ["behind", -HOUR_MS],
  ["ahead", HOUR_MS],
])("F16: an initiator whose clock is an hour %s hands its tasks to another", async (_, offMs) => {
  const { tookMs: usual } = await new Market().run(WORK_MS / 4);
  const market = new Market({ offMs });
  const { outcomes, tookMs } = await market.run(WORK_MS / 4);
  expect(outcomes.filter((o) => o.state !== "completed")).toEqual([]);
  expect(tookMs).toBeLessThan(usual * 1.1);
  expect(market.errors).toEqual([expect.stringMatching(/^this clock is wrong by the server's/)]);
});
