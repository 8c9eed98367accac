// Attack A15: an agent that bids better than all others, for many slots, and then fails whatever it
// gets, or never claims it.
import { describe, expect, test } from "vitest";
import { FALSE_SLOTS, Market, WORK_MS } from "../../support/market.ts";

// Where all come at once, one may go to it three times before its failures tell: in 80 worlds one
// did in 29, and two in 2. None did where it claims nothing, or where they come one by one.
describe.each([
  ["all at once", 0, 2],
  ["one after the other", WORK_MS / 4, 0],
])("A15: of tasks that come %s", async (_, everyMs, most) => {
  const { tookMs: usual } = await new Market().run(everyMs);

  test.each(["fails", "ignores"] as const)(
    "hardly one fails by an agent that %s",
    async (deceit) => {
      const { outcomes, tookMs, share } = await new Market({ deceit }).run(everyMs);
      const failed = outcomes.filter((o) => o.state !== "completed").length;
      expect(failed).toBeLessThanOrEqual(deceit === "fails" ? most : 0);
      // As many as it has slots for are awarded to it before the first of them tells.
      expect(share).toBeLessThan(0.15);
      expect(tookMs).toBeLessThan(usual * 1.25);
    },
  );

  test("few fail by an agent that says that a retry would not help", async () => {
    const { outcomes, share } = await new Market({ deceit: "refuses" }).run(everyMs);
    const hopeless = outcomes.filter((o) => o.state !== "completed").length;
    // Each of two initiators gives it work for all its slots before the first of it tells.
    expect(hopeless).toBeLessThan(2 * (FALSE_SLOTS + 10));
    expect(share).toBeLessThan(0.15);
  });
});
