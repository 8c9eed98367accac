// P7.15: which slots of an agent its bids still offer, and are given away.
import { describe, expect, test } from "vitest";
import { SpokenFor } from "../../mesh/core/spoken-for.ts";

describe("slots spoken for", () => {
  test("an award that is not answered counts against every bid", () => {
    const spoken = new SpokenFor();
    spoken.add("amy.a", 100);
    expect([spoken.count("amy.a", 50), spoken.count("amy.a", 150)]).toEqual([1, 1]);
    expect(spoken.count("bob.b", 50)).toBe(0);
  });

  test("one that is answered counts against bids that came before it", () => {
    const spoken = new SpokenFor();
    spoken.add("amy.a", 100).open = false;
    expect([spoken.count("amy.a", 99), spoken.count("amy.a", 101)]).toEqual([1, 0]);
  });

  test("several slots, several awards", () => {
    const spoken = new SpokenFor();
    const first = spoken.add("amy.a", 100);
    spoken.add("amy.a", 110);
    expect(spoken.count("amy.a", 105)).toBe(2);
    first.open = false;
    expect(spoken.count("amy.a", 105)).toBe(1);
  });

  test("answered awards are forgotten when no bid can be older, open ones are kept", () => {
    const spoken = new SpokenFor();
    spoken.add("amy.a", 0).open = false;
    spoken.add("bob.b", 0);
    spoken.add("cat.c", 3_000);
    expect(["amy.a", "bob.b", "cat.c"].map((who) => spoken.count(who, 0))).toEqual([0, 1, 1]);
  });
});
