import fc from "fast-check";
import { expect, test } from "vitest";
import { cellsOf } from "../../sim/workload/csv.ts";

const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`;
const cell = fc.string().map((text) => text.replaceAll(/[\r\n]/g, ""));

test("what is quoted comes back as it was, whatever is in it", () => {
  fc.assert(
    fc.property(fc.array(cell, { minLength: 1 }), (cells) => {
      expect(cellsOf(cells.map(quoted).join(","))).toEqual(cells);
    }),
  );
});

test("what is not quoted ends at the next comma, without the blanks around it", () => {
  expect(cellsOf("a, b ,,c d")).toEqual(["a", "b", "", "c d"]);
  expect(cellsOf(' "a, b" , 2')).toEqual(["a, b", "2"]);
  expect(cellsOf("")).toEqual([""]);
  expect(cellsOf('say "a", b')).toEqual(['say "a"', "b"]);
  expect(cellsOf('"open, b')).toEqual(['"open', "b"]);
});
