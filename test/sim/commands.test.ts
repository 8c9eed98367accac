// What the commands of the simulator refuse before they begin, and say when they are stopped.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");

function command(...args: string[]) {
  return ["--conditions=parley-source", join(root, "cli", "main.ts"), "sim", ...args];
}

function sim(...args: string[]) {
  const node = command(...args);
  const { status, stderr } = spawnSync(process.execPath, node, { cwd: root, encoding: "utf8" });
  return { status, stderr };
}

describe("refused with what to do", () => {
  test.each([
    ["flags before the command's name", ["--agents", "5", "virtual"], /--agents comes before/],
    ["a trace that cannot be written", ["virtual", "--trace", "no/such/x"], /--trace no.such.x/],
    ["a plot that cannot be written", ["compare", "--svg", "no/such/x"], /name a file/],
    ["a folder without a history", ["replay", "test"], /parley task dump FILE/],
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

  test.each([
    ["virtual", "--workload", "package.json"],
    ["compare", "--workload", "package.json"],
    ["replay", "no/such"],
    ["--workload", "package.json"],
  ])("with --json in the shape of all commands (%s %s)", (...args) => {
    const { status, stderr } = sim(...args, "--json");
    const { error } = JSON.parse(stderr.trim().split("\n").at(-1) ?? "");
    expect(error).toMatchObject({
      code: "E_USAGE",
      message: expect.stringMatching(/; |is no WfFormat/),
    });
    expect(status).toBe(2);
  });
});

test("Ctrl-C in a swarm: what the seeds so far came to, and how many are left", async () => {
  const node = ["--conditions=parley-source", join(root, "sim", "swarm", "main.ts")];
  const child = spawn(process.execPath, [...node, "--seeds", "1..5000", "--jobs", "2"]);
  const ended = once(child, "exit");
  const summary = text(child.stdout);
  child.stderr.setEncoding("utf8").on("data", (line: string) => {
    if (line.includes("of 5000 seeds")) child.kill("SIGINT");
  });
  expect(await ended).toEqual([130, null]);
  expect(await summary).toMatch(/^\d+ passed, 0 failed$/m);
  expect(await summary).toMatch(/^Stopped early: \d+ were not played\.$/m);
}, 60_000);

test("SIGTERM in a virtual run: the report so far", async () => {
  const node = command("virtual", "--agents", "50", "--tasks", "200000", "--no-check", "--json");
  const child = spawn(process.execPath, node);
  const ended = once(child, "exit");
  const report = text(child.stdout);
  child.stderr.setEncoding("utf8").once("data", () => child.kill("SIGTERM"));
  expect(await ended).toEqual([143, null]);
  expect(JSON.parse(await report)).toMatchObject({ interrupted: true, agents: 50 });
}, 60_000);

test("Ctrl-C in a comparison: the policies that were played, and which were not", async () => {
  const node = command("compare", "--agents", "20", "--tasks", "4000");
  const child = spawn(process.execPath, [...node, "--policies", "balanced,fastest,cheapest"]);
  const ended = once(child, "exit");
  const table = text(child.stdout);
  child.stderr.setEncoding("utf8").on("data", (line: string) => {
    if (line.includes("balanced: 4000 tasks")) child.kill("SIGINT");
  });
  expect(await ended).toEqual([130, null]);
  expect(await table).toMatch(/^ {2}balanced /m);
  expect(await table).toMatch(/^ {2}least /m);
  expect(await table).not.toMatch(/^ {2}fastest /m);
  expect(await table).toContain("Stopped early: not played were fastest, cheapest.");
}, 60_000);
