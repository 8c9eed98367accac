import { describe, expect, test } from "vitest";
import { Answers } from "../../mesh/core/answers.ts";

test("so many estimates are remembered; the oldest is forgotten", () => {
  const answers = new Answers(2);
  for (const name of ["a", "b", "c"]) answers.missed(name, "all", 1, 5);
  expect(answers.size).toBe(2);
  expect(["a", "b", "c"].map((name) => answers.roundTripMs(name, "all"))).toEqual([
    undefined,
    5,
    5,
  ]);
});

describe("expected answers", () => {
  test("before the first call: as many as the cards allow, and at least one", () => {
    expect(new Answers().expected("ocr", "s8", 8)).toBe(8);
    expect(new Answers().expected("ocr", "s8", 0)).toBe(1);
  });

  test("a call that closed by time lowers them by one, since messages get lost", () => {
    const a = new Answers();
    a.missed("ocr", "s8", 5, 3);
    expect(a.expected("ocr", "s8", 8)).toBe(5);
    a.missed("ocr", "s8", 0, 0);
    expect(a.expected("ocr", "s8", 8)).toBe(4);
  });

  test("never below two while the cards allow: one bid is no choice", () => {
    const a = new Answers();
    for (let i = 0; i < 9; i++) a.missed("ocr", "s8", 1, 3);
    expect(a.expected("ocr", "s8", 8)).toBe(2);
    expect(a.expected("ocr", "s8", 1)).toBe(1);
  });

  test("an answer that came late raises them, up to what the cards allow", () => {
    const a = new Answers();
    a.missed("ocr", "s8", 6, 3);
    for (let i = 0; i < 5; i++) a.late("ocr", "s8", 8);
    expect(a.expected("ocr", "s8", 20)).toBe(8);
  });

  test("a late answer before any call closed teaches nothing", () => {
    const a = new Answers();
    a.late("ocr", "s8", 8);
    expect(a.expected("ocr", "s8", 3)).toBe(3);
  });

  test("are never above what the cards allow now", () => {
    const a = new Answers();
    a.met("ocr", "s8", 8, 1);
    expect(a.expected("ocr", "s8", 2)).toBe(2);
  });

  test("capabilities and rungs are kept apart", () => {
    const a = new Answers();
    a.missed("ocr", "s8", 2, 1);
    expect([a.expected("ocr", "all", 9), a.expected("sum", "s8", 9)]).toEqual([9, 9]);
  });
});

describe("round trip", () => {
  test("is smoothed, an eighth of the way each time", () => {
    const a = new Answers();
    expect(a.roundTripMs("ocr", "s8")).toBeUndefined();
    a.met("ocr", "s8", 8, 8);
    a.met("ocr", "s8", 8, 16);
    expect(a.roundTripMs("ocr", "s8")).toBe(9);
  });

  test("a call that nobody answered says nothing of it", () => {
    const a = new Answers();
    a.missed("ocr", "s8", 0, 0);
    expect(a.roundTripMs("ocr", "s8")).toBeUndefined();
    a.met("ocr", "s8", 1, 8);
    a.missed("ocr", "s8", 0, 0);
    expect(a.roundTripMs("ocr", "s8")).toBe(8);
  });
});
