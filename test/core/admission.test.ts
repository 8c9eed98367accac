import { expect, test } from "vitest";
import { roomFor } from "../../mesh/core/admission.ts";

test("a desk that fills turns the less urgent away first", () => {
  const at = (open: number) => ([0, 1, 2] as const).map((u) => roomFor(u, open, 100) > 0);
  expect(at(0)).toEqual([true, true, true]);
  expect(at(80)).toEqual([true, true, false]);
  expect(at(90)).toEqual([true, false, false]);
  expect(at(100)).toEqual([false, false, false]);
});
