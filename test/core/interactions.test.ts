// Golden interactions of the initiator. Rewrite them with REWRITE=1 and review the difference.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseScript, replay } from "../support/interaction.ts";

const folder = join(import.meta.dirname, "..", "interactions");
const scripts = readdirSync(folder).filter((name) => name.endsWith(".txt"));
const rewrite = process.env.REWRITE === "1";

describe("interactions", () => {
  test.each(scripts)("%s", (name) => {
    const file = join(folder, name);
    const text = readFileSync(file, "utf8");
    const now = replay(text);
    if (rewrite) writeFileSync(file, now);
    else expect(now).toBe(text);
  });

  test("every rung and every way out has one", () => {
    const all = scripts.map((name) => readFileSync(join(folder, name), "utf8")).join("\n");
    for (const needed of ["directed", "rung=s2", "rung=s4", "rung=s8", "rung=all", "waits"]) {
      expect(all).toContain(needed);
    }
    for (const state of ["failed", "expired", "canceled", "rejected"]) {
      expect(all).toContain(`state=${state}`);
    }
  });

  test.each(scripts)("%s: every block expects something", (name) => {
    for (const block of parseScript(readFileSync(join(folder, name), "utf8"))) {
      expect(block.expected.length, block.commands.join("; ")).toBeGreaterThan(0);
    }
  });
});
