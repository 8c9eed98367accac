// Tasks that are done in parts, by agents that are initiators, submitters and contractors at once:
// whoever takes one over goes on with the parts that there are.
import { describe, expect, test } from "vitest";
import { Parts } from "../../../sim/virtual/parts.ts";
import { runVirtual } from "../../../sim/virtual/run.ts";

describe("the books of parts", () => {
  const bytes = (body: object) => Buffer.from(JSON.stringify(body));
  const spec = (task: string, parent?: string) =>
    [
      { task, kind: "spec" },
      bytes(parent === undefined ? {} : { parent: { task: parent } }),
    ] as const;
  const end = (task: string, state: string) =>
    [{ task, kind: "outcome" }, bytes({ state })] as const;
  const book = (...records: (readonly [object, Uint8Array])[]) => {
    const parts = new Parts();
    parts.expect("t", 2);
    for (const [key, body] of records) parts.stored(key as never, body);
    return parts;
  };
  const both = [spec("t"), spec("p1", "t"), spec("p2", "t"), end("p1", "completed")];

  test("find nothing wrong where each was done once", () => {
    const parts = book(...both, end("p2", "completed"), end("t", "completed"));
    expect([parts.open, parts.wrong(() => true)]).toEqual([0, []]);
  });

  test("find one that was left out, was done twice, or is still open", () => {
    expect(book(...both).wrong(() => true)).toEqual(["t: completed with 1 of 2 parts"]);
    expect(book(...both).wrong(() => false)).toEqual([]);
    expect(book(...both).open).toBe(1);
    const twice = [spec("p3", "t"), end("p2", "completed"), end("p3", "completed")];
    expect(book(...both, ...twice).wrong(() => true)).toEqual(["t: completed with 3 of 2 parts"]);
  });
});

test("each part is done once, whatever becomes of those who wait for it", async () => {
  const faults = { parts: 1, crash: 200, cut: 20, brokerRestart: 5, cancel: 0.1 };
  const o = { agents: 20, tasks: 60, seed: 7, timeScale: 0.2, utilisation: 0.5 };
  const run = await runVirtual({ ...o, faults, check: true });
  expect(run.faults.crash).toBeGreaterThan(5);
  expect(run.counters["initiator.adopted"]).toBeGreaterThan(0);
  expect(run.verdict?.report).toMatchObject({ verdict: "valid", violations: [] });
  expect(run.told).toMatchObject({ wrong: [], late: [] });
  expect(run.pending).toEqual([]);
  expect(run.report.tasks.completed).toBeGreaterThan(45);
});
