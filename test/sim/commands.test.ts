// What the commands of the simulator refuse, before they begin.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");

function sim(...args: string[]) {
  const node = ["--conditions=parley-source", join(root, "cli", "main.ts"), "sim", ...args];
  const { status, stderr } = spawnSync(process.execPath, node, { cwd: root, encoding: "utf8" });
  return { status, stderr };
}

describe("refused with what to do", () => {
  test.each([
    ["flags before the command's name", ["--agents", "5", "virtual"], /--agents comes before/],
    ["a trace that cannot be written", ["virtual", "--trace", "no/such/x"], /--trace no.such.x/],
    ["a plot that cannot be written", ["compare", "--svg", "no/such/x"], /name a file/],
    ["a folder without a history", ["replay", "test"], /npm run chaos/],
    ["a fault named twice", ["virtual", "--faults", "crash=5,crash=0"], /each once/],
    ["clocks that are broken", ["virtual", "--faults", "driftPpm=80000"], /at most 10000/],
    ["a workflow as requests", ["virtual", "--workload", "package.json"], /parley sim compare/],
    [
      "a pace for a graph",
      ["compare", "--workload", "package.json", "--time-scale", "2"],
      /--time-scale/,
    ],
  ])("%s", (_, args, message) => {
    const { status, stderr } = sim(...args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(status).toBe(2);
  });
});
