// Hedged calls: pure races first, then on a real mesh.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type Begun, Hedges } from "../../agent-sdk/hedge.ts";
import { defineCapability } from "../../agent-sdk/index.ts";
import { useMesh } from "./fixture.ts";

const mesh = useMesh();

/** Two runners whose ends are in the test's hands. */
function runners() {
  const runs = [0, 1].map(() => Promise.withResolvers<string>());
  for (const { promise } of runs) promise.catch(() => undefined);
  const signals: AbortSignal[] = [];
  const counted: string[] = [];
  const start = (signal: AbortSignal): Begun<string> => {
    signals.push(signal);
    return { result: runs[signals.length - 1]!.promise, contractor: () => "a.w" };
  };
  return { runs, signals, counted, start, counts: { add: (name: string) => counted.push(name) } };
}

describe("a race", () => {
  test("asks nobody else while the first is in time", async () => {
    const { runs, signals, counts, start, counted } = runners();
    const hedges = new Hedges();
    runs[0]!.resolve("one");
    expect(await hedges.race("c", 10_000, undefined, counts, start)).toBe("one");
    expect([signals.length, counted]).toEqual([1, []]);
  });

  test("asks nobody else, ever, where that is asked for", async () => {
    const { runs, signals, counts, start } = runners();
    const race = new Hedges().race("c", Number.POSITIVE_INFINITY, undefined, counts, start);
    // Longer than a timer that was given no sound number takes to fire.
    await new Promise((resolve) => setTimeout(resolve, 5));
    runs[0]!.resolve("one");
    expect([await race, signals.length]).toEqual(["one", 1]);
  });

  test("takes the second's answer when it is first, and aborts the other", async () => {
    const { runs, signals, counts, start, counted } = runners();
    runs[1]!.resolve("two");
    expect(await new Hedges().race("c", 0, undefined, counts, start)).toBe("two");
    expect(signals.map((s) => s.aborted)).toEqual([true, false]);
    expect(counted).toEqual(["hedges", "hedges.won"]);
  });

  test("lets the other finish when one of them fails", async () => {
    const { runs, counts, start } = runners();
    const race = new Hedges().race("c", 0, undefined, counts, start);
    runs[1]!.reject(new Error("two"));
    runs[0]!.resolve("one");
    expect(await race).toBe("one");
  });

  test("ends with the first one's error when both fail", async () => {
    const { runs, counts, start } = runners();
    const race = new Hedges().race("c", 0, undefined, counts, start);
    runs[1]!.reject(new Error("two"));
    runs[0]!.reject(new Error("one"));
    await expect(race).rejects.toThrow("one");
  });

  test("is one at a time while few calls are under way", async () => {
    const hedges = new Hedges();
    const a = runners();
    const b = runners();
    const first = hedges.race("c", 0, undefined, a.counts, a.start);
    while (a.signals.length < 2) await new Promise(setImmediate);
    const second = hedges.race("c", 0, undefined, b.counts, b.start);
    while (b.counted.length === 0) await new Promise(setImmediate);
    expect(b.counted).toEqual(["hedges.capped"]);
    b.runs[0]!.resolve("b");
    a.runs[0]!.resolve("a");
    expect(await Promise.all([first, second])).toEqual(["a", "b"]);
  });

  test("begins after what is usual, once enough calls told that", () => {
    const hedges = new Hedges();
    for (let n = 1; n < 20; n++) hedges.learn("c", n);
    expect(hedges.usualMs("c")).toBeUndefined();
    hedges.learn("c", 20);
    expect(hedges.usualMs("c")).toBe(20);
  });
});

test("a hedged call goes to a second agent when the first is slow", async () => {
  const slow = defineCapability({
    name: "sometimes-slow",
    input: z.object({}),
    output: z.object({ by: z.string() }),
  });
  const aborted = Promise.withResolvers<void>();
  let first = true;
  for (const name of ["hugo", "hanna"]) {
    const agent = await mesh.join(name);
    await agent.serve(slow, async (_input, task) => {
      if (first) {
        first = false;
        await new Promise<void>((resolve) =>
          task.signal.addEventListener("abort", () => resolve(), { once: true }),
        );
        aborted.resolve();
        task.signal.throwIfAborted();
      }
      return { by: name };
    });
  }
  const caller = await mesh.join("hedger");
  await mesh.sees(caller, slow, 2);
  const { by } = await caller.call(slow, {}, { hedge: { afterMs: 50 } });
  expect(["hugo", "hanna"]).toContain(by);
  expect(await caller.counters()).toMatchObject({ hedges: 1, "hedges.won": 1 });
  await aborted.promise;
});
