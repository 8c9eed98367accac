// When a trigger is due, without a clock.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkWhen, duesBetween, nextDue } from "../../agent-sdk/trigger-due.ts";
import type { When } from "../../contracts/index.ts";

const since = Date.UTC(2026, 0, 1);
const day = 24 * 3_600_000;
const iso = (ms: number | undefined) => ms && new Date(ms).toISOString();

describe("the next moment", () => {
  test("of an interval is counted from when it was stored", () => {
    const trigger = { when: { everyMs: 5_000 }, since };
    expect(nextDue(trigger, since)).toBe(since + 5_000);
    expect(nextDue(trigger, since + 5_000)).toBe(since + 10_000);
    expect(nextDue(trigger, since + 7_777)).toBe(since + 10_000);
  });

  test("of a single one is that one, or none", () => {
    const trigger = { when: { at: "2026-03-01T12:00:00+01:00" }, since };
    expect(iso(nextDue(trigger, since))).toBe("2026-03-01T11:00:00.000Z");
    expect(nextDue(trigger, Date.UTC(2026, 2, 1, 11))).toBeUndefined();
  });

  test("of cron is read in its zone, over the change of the clocks", () => {
    const at = (timeZone?: string) => ({
      when: { cron: "0 3 * * *", ...(timeZone === undefined ? {} : { timeZone }) },
      since,
    });
    const before = Date.UTC(2026, 2, 27, 12);
    const hours = duesBetween(at("Europe/Berlin"), before, before + 3 * day).map(iso);
    expect(hours).toEqual([
      "2026-03-28T02:00:00.000Z",
      "2026-03-29T01:00:00.000Z",
      "2026-03-30T01:00:00.000Z",
    ]);
    expect(iso(nextDue(at(), before))).toBe("2026-03-28T03:00:00.000Z");
  });

  test("of an event is not known", () => {
    expect(nextDue({ when: { event: "orders.>" }, since }, since)).toBeUndefined();
  });
});

test("moments are the same, in whatever pieces a span is looked through", () => {
  const when = fc.oneof(
    fc.record({ everyMs: fc.integer({ min: 1_000, max: day }) }),
    fc.constantFrom<When>({ cron: "*/7 * * * *" }, { cron: "0 30 4 * * 1-5" }),
  );
  const cuts = fc.array(fc.integer({ min: 0, max: day / 4 }), { maxLength: 5 });
  fc.assert(
    fc.property(when, cuts, (when, cuts) => {
      const trigger = { when, since };
      const ends = [...cuts.toSorted((a, b) => a - b), day / 4].map((ms) => since + ms);
      let from = since;
      const pieces = ends.flatMap((end) => {
        const found = duesBetween(trigger, from, end);
        from = end;
        return found;
      });
      expect(pieces.slice(-1_000)).toEqual(duesBetween(trigger, since, since + day / 4));
    }),
    { numRuns: 50 },
  );
});

const DUES_MAX = 1_000;

/** Moment by moment, whatever it takes. */
function walk(when: When, after: number, until: number): number[] {
  const dues: number[] = [];
  let at = nextDue({ when, since }, after);
  while (at !== undefined && at <= until) {
    dues.push(at);
    at = nextDue({ when, since }, at);
  }
  return dues;
}

describe("of a span", () => {
  test("the moments are those of a walk from one to the next, the newest where too many", () => {
    const hour = 3_600_000;
    // In Berlin the clocks change within the second and the third of these spans.
    const begun = fc.constantFrom(0, 2, 9).map((months) => Date.UTC(2026, months, 1));
    const slow = fc.constantFrom<When>(
      { cron: "*/7 * * * *", timeZone: "Europe/Berlin" },
      { cron: "30 1,2,3 * * *", timeZone: "Europe/Berlin" },
      { cron: "0 30 4 * * 1-5" },
      { at: "2026-03-29T01:30:00Z" },
    );
    const wanted = fc.oneof(
      fc.tuple(slow, begun, fc.integer({ min: 27 * day, max: 29 * day }), fc.nat(2 * day)),
      fc.tuple(fc.constant<When>({ cron: "* * * * * *" }), begun, fc.nat(day), fc.nat(hour / 3)),
      fc.tuple(
        fc.record({ everyMs: fc.integer({ min: 1_000, max: 2_000 }) }),
        fc.constant(since - hour),
        fc.nat(2 * hour),
        fc.nat(hour),
      ),
    );
    fc.assert(
      fc.property(wanted, ([when, begun, offset, length]) => {
        const after = begun + offset;
        const naive = walk(when, after, after + length).slice(-DUES_MAX);
        expect(duesBetween({ when, since }, after, after + length)).toEqual(naive);
      }),
      { numRuns: 40 },
    );
  });

  test.each<When>([
    { everyMs: 1_000 },
    { cron: "* * * * * *" },
    { cron: "* * * * * *", timeZone: "Europe/Berlin" },
  ])("of a year the newest are given, in their order: %j", (when) => {
    const until = since + 365 * day;
    const newest = Array.from({ length: DUES_MAX }, (_, i) => until - (DUES_MAX - 1 - i) * 1_000);
    expect(duesBetween({ when, since }, since, until)).toEqual(newest);
    // Between two seconds as on one.
    expect(duesBetween({ when, since }, since, until + 999)).toEqual(newest);
  });

  test.each<When>([{ everyMs: 1_000 }, { cron: "* * * * * *" }])(
    "where none may be left out, the first are given: %j",
    (when) => {
      const first = Array.from({ length: DUES_MAX }, (_, i) => since + (i + 1) * 1_000);
      const all = { when, since, missed: "all" } as const;
      expect(duesBetween(all, since, since + 365 * day)).toEqual(first);
      expect(duesBetween(all, since + 2_000, since + 5_000)).toEqual(first.slice(2, 5));
    },
  );

  test("of a night all are given", () => {
    const night = { when: { cron: "*/5 * * * *" }, since };
    const all = Array.from({ length: 96 }, (_, i) => since + (i + 1) * 300_000);
    expect(duesBetween(night, since, since + 8 * 3_600_000)).toEqual(all);
  });
});

test.each([
  [{ cron: "61 * * * *" }, /when.cron: .*minute.*write "minute hour/],
  [{ cron: "0 3 * * *", timeZone: "Mars/Olympus" }, /Mars/],
  [{ cron: "0 0 31 2 *" }, /no such day ever comes/],
  [{ at: "2025-12-31T00:00:00Z" }, /is over; give a moment/],
])("%j is refused, and why is said", (when, text) => {
  expect(() => checkWhen(when, since)).toThrow(text);
});
