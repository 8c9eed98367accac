import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isToken } from "../../contracts/ids.ts";
import { parseAzureCsv, readAzureCsv } from "../../sim/workload/azure-csv.ts";
import { takeTasks, WorkloadError } from "../../sim/workload/task.ts";
import { traceFile, traceReason } from "./data.ts";

const HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens";
const ROWS = [
  "2023-11-16 18:15:46.6805900,374,44",
  "2023-11-16 18:15:50.9951690,396,109",
  "2023-11-16 18:15:51.2224670,879,55",
];

function csv(...rows: string[]): string {
  return [HEADER, ...rows].join("\r\n");
}

function refusal(text: string): WorkloadError {
  try {
    parseAzureCsv(text, "trace.csv");
  } catch (error) {
    if (error instanceof WorkloadError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

describe("parseAzureCsv", () => {
  test("reads rows, with steps of 100 ns, and computes the service time", () => {
    const tasks = parseAzureCsv(csv(...ROWS), "trace.csv");
    expect(tasks).toHaveLength(3);
    expect(tasks[0]).toEqual({
      id: "t000001",
      arriveMs: 0,
      serviceMs: 374 * 0.2 + 44 * 30,
      capability: "llm-chat",
      inputTokens: 374,
      outputTokens: 44,
    });
    expect(tasks.map((task) => task.arriveMs)).toEqual([0, 4314.579, 4541.877]);
    expect(tasks.every((task) => isToken(task.id) && isToken(task.capability))).toBe(true);
  });

  test("keeps a single step of 100 ns apart, at any date", () => {
    const text = csv("2099-12-31 23:59:59.9999999,1,1", "2100-01-01 00:00:00.0000000,1,1");
    expect(parseAzureCsv(text, "trace.csv")[1]?.arriveMs).toBe(0.0001);
  });

  test("takes LF, CRLF, a last line break, a byte order mark, short and no fractions", () => {
    const plain = parseAzureCsv(csv(...ROWS), "a");
    expect(parseAzureCsv(`\uFEFF${csv(...ROWS)}\r\n`, "a")).toEqual(plain);
    expect(parseAzureCsv(csv(...ROWS).replaceAll("\r", ""), "a")).toEqual(plain);
    const text = csv("2023-11-16 18:15:46,1,1", "2023-11-16 18:15:46.5,1,1");
    expect(parseAzureCsv(text, "a").map((task) => task.arriveMs)).toEqual([0, 500]);
  });

  test("gives the first tasks, or the whole again after its end", () => {
    const all = parseAzureCsv(csv(...ROWS), "a");
    expect(parseAzureCsv(csv(...ROWS), "a", { limit: 2 })).toEqual(all.slice(0, 2));
    const more = parseAzureCsv(csv(...ROWS), "a", { limit: 8 });
    expect(more.map((task) => task.id)).toEqual([
      ..."123".split("").map((n) => `t00000${n}`),
      ..."123".split("").map((n) => `t00000${n}-r2`),
      ..."12".split("").map((n) => `t00000${n}-r3`),
    ]);
    const gap = (from: number): number =>
      (more[from + 1]?.arriveMs ?? 0) - (more[from]?.arriveMs ?? 0);
    expect(gap(3)).toBeCloseTo(gap(0), 6);
    expect(gap(4)).toBeCloseTo(gap(1), 6);
    expect(gap(2)).toBeCloseTo(4541.877 / 2, 6);
  });

  test("takes the traces of 2024, columns in any order and among others, and empty lines", () => {
    const plain = parseAzureCsv(csv(...ROWS), "a");
    const cells = ROWS.map((row) => row.split(","));
    const said = (head: string, row: (cells: string[]) => string) =>
      parseAzureCsv(`${head}\n\n${cells.map(row).join("\n\n")}\n\n`, "a");
    expect(said(HEADER, ([t, i, o]) => `${t}+00:00,${i},${o}`)).toEqual(plain);
    expect(said(HEADER, ([t, i, o]) => `${t?.replace(" ", "T")}00Z, ${i},${o}`)).toEqual(plain);
    const head = `model,"generatedtokens", ContextTokens,Timestamp`;
    expect(said(head, ([t, i, o]) => `x,"${o}",${i},${t}`)).toEqual(plain);
    const later = ["2023-11-16 18:00:00+01:00,1,1", "2023-11-16 17:00:01Z,1,1"];
    expect(parseAzureCsv(csv(...later), "a")[1]?.arriveMs).toBe(1_000);
  });

  test.each([
    ["no header", ROWS.join("\n"), "header", "trace.csv:1"],
    ["nothing", "", "header", "trace.csv:1"],
    ["only a header", HEADER, "empty", "trace.csv"],
    ["too few columns", csv(ROWS[0] as string, "2023-11-16 18:15:50.1,3"), "row", "trace.csv:3"],
    ["too many columns", csv("2023-11-16 18:15:50.1,3,4,5"), "row", "trace.csv:2"],
    ["a column missing", "TIMESTAMP,ContextTokens\n", "header", "trace.csv:1"],
    ["a negative count", csv("2023-11-16 18:15:50.1,-3,4"), "row", "trace.csv:2"],
    ["a count in hex", csv("2023-11-16 18:15:50.1,0x3,4"), "row", "trace.csv:2"],
    ["an empty count", csv("2023-11-16 18:15:50.1,,4"), "row", "trace.csv:2"],
    ["a huge count", csv("2023-11-16 18:15:50.1,9999999999,4"), "row", "trace.csv:2"],
    ["no tokens", csv("2023-11-16 18:15:50.1,0,0"), "row", "trace.csv:2"],
    ["31 February", csv("2023-02-31 18:15:50.1,3,4"), "row", "trace.csv:2"],
    ["hour 25", csv("2023-11-16 25:15:50.1,3,4"), "row", "trace.csv:2"],
    ["a zone that is none", csv("2023-11-16 18:15:50.1+77:00,3,4"), "row", "trace.csv:2"],
    ["a finer fraction", csv("2023-11-16 18:15:50.1234567890,3,4"), "row", "trace.csv:2"],
    ["disorder", csv(ROWS[1] as string, ROWS[0] as string), "order", "trace.csv:3"],
  ])("refuses %s and says where and what to do", (_, text, code, place) => {
    const error = refusal(text);
    expect(error).toMatchObject({ name: "WorkloadError", code, place });
    expect(error.message.startsWith(`${place}: `)).toBe(true);
    expect(error.message).toMatch(/must|mend|delete|sort|give/);
  });

  test("any text is taken or refused with a WorkloadError", () => {
    const cell = fc.oneof(fc.string(), fc.constantFrom("1", "2023-11-16 18:15:46.1", "__proto__"));
    const row = fc.array(cell, { maxLength: 4 }).map((cells) => cells.join(","));
    fc.assert(
      fc.property(fc.array(row, { maxLength: 4 }), (rows) => {
        try {
          const tasks = parseAzureCsv([HEADER, ...rows].join("\n"), "x");
          expect(tasks.every((task) => task.serviceMs > 0 && task.arriveMs >= 0)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(WorkloadError);
        }
      }),
    );
  });
});

test("a packed file is unpacked", async () => {
  const file = join(await mkdtemp(join(tmpdir(), "parley-csv-")), "trace.csv.gz");
  await writeFile(file, gzipSync(csv(...ROWS)));
  expect(readAzureCsv(file)).toEqual(parseAzureCsv(csv(...ROWS), "a"));
  await rm(dirname(file), { recursive: true });
});

test("a file that is not there is refused by name, with the way out", () => {
  const read = (): unknown => readAzureCsv("no/such/file.csv");
  expect(read).toThrow(WorkloadError);
  expect(read).toThrow(/no\/such\/file\.csv: cannot be read .*generator/);
});

test("takeTasks refuses a count that is none, and an empty workload", () => {
  const tasks = parseAzureCsv(csv(...ROWS), "a");
  for (const count of [0, -1, 1.5, Number.NaN]) {
    expect(() => takeTasks(tasks, count)).toThrow(WorkloadError);
  }
  expect(() => takeTasks([], 1)).toThrow(/no task/);
});

test.skipIf(traceFile === undefined)(`the recorded trace is read whole${traceReason}`, () => {
  const tasks = readAzureCsv(traceFile as string);
  expect(tasks).toHaveLength(19_366);
  const mean = (of: (task: (typeof tasks)[number]) => number): number =>
    tasks.reduce((total, task) => total + of(task), 0) / tasks.length;
  // The data page's own figures.
  expect(Math.round(mean((task) => task.inputTokens))).toBe(1_155);
  expect(Math.round(mean((task) => task.outputTokens))).toBe(211);
  const seconds = (tasks.at(-1)?.arriveMs ?? 0) / 1_000;
  expect(tasks.length / seconds).toBeCloseTo(5.5, 1);
  expect(readAzureCsv(traceFile as string, { limit: 20_000 })).toHaveLength(20_000);
});
