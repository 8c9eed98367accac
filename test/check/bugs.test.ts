// Bar B19: bugs planted on purpose, each of which the checker has to find within 60 s.
// A third of them here, by seed; all of them: npm run check -- --bugs
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BUGS, bugNamed } from "../../check/bugs/list.ts";
import { applyPatch, patched, ROOT } from "../../check/bugs/patch.ts";
import { hunt } from "../../check/bugs/run.ts";
import { STORIES } from "../../check/bugs/stories.ts";
import { createPrng } from "../../mesh/core/prng.ts";

const CAUGHT_WITHIN_S = 60;
const HUNT_MS = (CAUGHT_WITHIN_S + 30) * 1_000;

/** Another third every day; PARLEY_SEED repeats one. */
const seed = process.env.PARLEY_SEED ?? String(Math.floor(Date.now() / 86_400_000));

function third<T>(all: readonly T[]): T[] {
  const prng = createPrng(seed);
  const drawn = all.map((item) => ({ item, at: prng.next() })).sort((a, b) => a.at - b.at);
  return drawn.slice(0, Math.ceil(all.length / 3)).map((d) => d.item);
}

describe("the list", () => {
  test("holds at least 24 bugs, each with a name of its own, stories and invariants", () => {
    expect(BUGS.length).toBeGreaterThanOrEqual(24);
    expect(new Set(BUGS.map((b) => b.name)).size).toBe(BUGS.length);
    for (const bug of BUGS) {
      expect(bug.invariants.length, bug.name).toBeGreaterThan(0);
      expect(bug.hunt.length, bug.name).toBeGreaterThan(0);
      for (const story of bug.hunt) expect(Object.keys(STORIES)).toContain(story);
    }
  });

  test.each(BUGS)("$name applies to the sources as they are, and parses", (bug) => {
    const texts = patched(bug);
    expect(texts.size).toBeGreaterThan(0);
    for (const [file, text] of texts) {
      expect(text).not.toBe(readFileSync(join(ROOT, file), "utf8"));
    }
  });

  test("a patch whose text is gone, or there twice, is an error", () => {
    const patch = { file: "x.ts", find: "a", replace: "b" };
    expect(() => applyPatch("ccc", patch, "gone")).toThrow(/"gone".*0 times in x\.ts/);
    expect(() => applyPatch("aca", patch, "twice")).toThrow(/"twice".*2 times in x\.ts/);
    expect(applyPatch("cac", patch, "once")).toBe("cbc");
    expect(() => bugNamed("no such bug")).toThrow(/known: no-fence-header/);
  });

  test("a replacement is taken as it stands", () => {
    expect(applyPatch("a", { file: "x.ts", find: "a", replace: "$&$1" }, "x")).toBe("$&$1");
  });
});

describe("the hunt", () => {
  test("without a bug every story is valid", { timeout: HUNT_MS }, async () => {
    const { report, broken, caught } = await hunt(undefined);
    expect(broken).toEqual([]);
    expect(report.violations).toEqual([]);
    expect(caught).toBe(true);
    // It was no empty play: these had something to judge.
    for (const rule of ["S1", "S2", "S3", "S4", "S5", "S7", "S10", "S11", "S13", "S14", "S15"]) {
      expect(report.judged[rule], rule).toBeGreaterThan(0);
    }
  });

  describe.concurrent(`seed ${seed}`, () => {
    test.each(third(BUGS))("$name is caught", { timeout: HUNT_MS }, async (bug) => {
      const found = await hunt(bug);
      const named = found.report.violations.filter((v) => bug.invariants.includes(v.rule));
      expect(named, `${found.verdict}: ${found.invariants.join(" ")}`).not.toEqual([]);
      expect(named[0]?.witness.length).toBeGreaterThan(0);
      expect(found.caught).toBe(true);
      expect(found.seconds).toBeLessThan(CAUGHT_WITHIN_S);
    });
  });
});
