// `parley task dump`: what the mesh keeps, for audits; its market is judged again by `sim replay`.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { CliMesh } from "../support/cli-mesh.ts";

let mesh: CliMesh;

beforeAll(async () => {
  mesh = await CliMesh.start();
}, 30_000);
afterAll(() => mesh?.stop());

const lines = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { rev: number; task: string; kind: string; fence?: number });

describe("parley task dump", { timeout: 30_000 }, () => {
  it("gives every record once, from the copy for audits as from the tasks themselves", async () => {
    const task = await mesh.finished(["echo", "{}"]);
    const { out } = await mesh.run(["task", "dump", "-", "--from", "tasks"]);
    const records = lines(out);
    expect(records.map((r) => r.kind)).toEqual(["spec", "contract", "outcome"]);
    expect(new Set(records.map((r) => r.task))).toEqual(new Set([`cli.${task}`]));
    expect(records.map((r) => r.fence !== undefined)).toEqual([true, true, true]);

    const file = join(mesh.dir, "all.ndjson");
    // The server copies in its own time.
    await vi.waitFor(async () => {
      const told = await mesh.json(["task", "dump", file]);
      expect(told).toEqual({ file, records: 3, from: "audit" });
    }, 10_000);
    const copied = lines(await readFile(file, "utf8"));
    expect(copied.map((r) => [r.rev, r.task, r.kind])).toEqual(
      records.map((r) => [r.rev, r.task, r.kind]),
    );
  });

  it("holds the market of a running mesh: another policy would have chosen another", async () => {
    const tasks = 4;
    for (let i = 0; i < tasks; i++) await mesh.finished(["echo", "{}", "--policy", "cheapest"]);
    const file = join(mesh.dir, "market.ndjson");
    await vi.waitFor(async () => {
      await mesh.json(["task", "dump", file, "--since", "1h"]);
      const { out } = await mesh.run(["sim", "replay", file, "--policy", "fastest", "--json"]);
      const { choices, replayed } = JSON.parse(out);
      expect(choices).toBeGreaterThanOrEqual(tasks);
      // Bob is cheap and slow.
      expect(replayed[0].changed).toBeGreaterThanOrEqual(tasks);
    }, 10_000);
  });

  it("is for those who may read everything, and writes to a place that is there", async () => {
    const own = ["--creds", join(mesh.dir, ".parley", "creds", "cli.creds")];
    const refused = await mesh.run(["task", "dump", "-", ...own]);
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/its own tasks only/)]);
    const nowhere = await mesh.run(["task", "dump", join(mesh.dir, "none", "x")]);
    expect([nowhere.code, nowhere.err]).toEqual([2, expect.stringMatching(/no such file/)]);
    const reader = ["--creds", join(mesh.dir, ".parley", "creds", "observer.creds")];
    const asked = await mesh.run(["submit", "echo", "{}", ...reader]);
    expect([asked.code, asked.err]).toEqual([1, expect.stringMatching(/may not submit or call/)]);
    const both = await mesh.run(["task", "dump", "-", "--json"]);
    expect([both.code, both.err]).toEqual([2, expect.stringMatching(/--json needs a file/)]);
    const none = await mesh.run(["sim", "replay", join(mesh.dir, "none")]);
    expect(none.err).toMatch(/record a market with: parley task dump FILE/);
  });
});
