import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OFFER_HOLD_MS } from "../../contracts/index.ts";
import { OpenOffers } from "../../mesh/core/open-offers.ts";

const LIMITS = { open: 4, silent: 8, askers: 3 };

/** Asks again and again, and is offered all that it may be; gives how much that was. */
function deaf(offers: OpenOffers, everyMs: number, times: number, from = 0): number {
  let given = 0;
  for (let i = 0; i < times; i++) {
    const now = from + i * everyMs;
    const room = offers.room("mal.a", 8, now);
    for (let n = 0; n < room; n++) offers.offered("mal.a", now);
    given += room;
  }
  return given;
}

describe("offers that are open", () => {
  test("are so many at a time, however often one asks", () => {
    expect(deaf(new OpenOffers(LIMITS), 0, 100)).toBe(4);
  });

  test("make room as they are answered", () => {
    const offers = new OpenOffers(LIMITS);
    deaf(offers, 0, 1);
    offers.answered("mal.a");
    offers.answered("mal.a");
    expect(offers.room("mal.a", 8, 0)).toBe(2);
  });

  test("are those of one asker alone", () => {
    const offers = new OpenOffers(LIMITS);
    deaf(offers, 0, 1);
    expect(offers.room("ann.a", 8, 0)).toBe(4);
  });
});

describe("who never answers", () => {
  test("holds back one thing every five seconds in the end", () => {
    const offers = new OpenOffers(LIMITS);
    deaf(offers, 10, 3_000);
    expect(deaf(offers, 10, 6_000, 30_000)).toBeLessThanOrEqual(60_000 / 5_000 + 1);
  });

  test("is believed again with its first answer", () => {
    const offers = new OpenOffers(LIMITS);
    deaf(offers, 10, 1_000);
    expect(offers.room("mal.a", 8, 10_000)).toBeLessThanOrEqual(1);
    offers.answered("mal.a");
    expect(offers.room("mal.a", 8, 20_000)).toBe(4);
  });

  test("once or twice has lost nothing", () => {
    const offers = new OpenOffers(LIMITS);
    for (let now = 0; now < 60_000; now += OFFER_HOLD_MS) {
      expect(offers.room("ann.a", 2, now)).toBe(2);
      for (let n = 0; n < 2; n++) offers.offered("ann.a", now);
      // One of the two is lost, again and again.
      offers.answered("ann.a");
    }
  });
});

test("the askers that are remembered are bounded, and whoever answered all is forgotten", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(9), fc.nat(2), fc.nat(500))), (acts) => {
      const offers = new OpenOffers(LIMITS);
      let now = 0;
      for (const [who, what, ms] of acts) {
        now += ms;
        if (what === 0) offers.answered(`a${who}`);
        else if (offers.room(`a${who}`, what, now) > 0) offers.offered(`a${who}`, now);
        expect(offers.size).toBeLessThanOrEqual(LIMITS.askers);
        expect(offers.room(`a${who}`, 99, now)).toBeLessThanOrEqual(LIMITS.open);
      }
      for (let who = 0; who < 10; who++) {
        for (let n = 0; n < LIMITS.open; n++) offers.answered(`a${who}`);
      }
      expect(offers.size).toBe(0);
    }),
  );
});
