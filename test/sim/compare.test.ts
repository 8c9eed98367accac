// Policies beside rules of a centre, on independent tasks, recorded workflows and job shops; and a
// recorded market under another policy.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { table } from "../../sim/compare/command.ts";
import { plot } from "../../sim/compare/plot.ts";
import { compareGraph, compareTasks } from "../../sim/compare/rows.ts";
import { playGraph } from "../../sim/graph/play.ts";
import { references } from "../../sim/graph/references.ts";
import { type GraphWorkload, readGraph } from "../../sim/graph/workload.ts";
import { readMarket, replay } from "../../sim/replay/market.ts";
import { runsFile, runsReason } from "./data.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "parley-compare-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function file(name: string, value: unknown): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, typeof value === "string" ? value : JSON.stringify(value));
  return path;
}

/** Two jobs of two operations; each machine is good at one of them. */
const SHOP = {
  instance: "two",
  operations: [
    { operation: 0, machine: 0, duration: 2 },
    { operation: 0, machine: 1, duration: 9 },
    { operation: 1, machine: 1, duration: 2 },
    { operation: 2, machine: 0, duration: 9 },
    { operation: 2, machine: 1, duration: 2 },
    { operation: 3, machine: 0, duration: 2 },
  ],
  precedences: [
    { before: 0, after: 1, job: 0 },
    { before: 2, after: 3, job: 1 },
  ],
};

describe("job shops", () => {
  test("each operation goes to the machine that would finish it first", async () => {
    const shop = readGraph(await file("two.json", SHOP));
    expect(shop).toMatchObject({ kind: "shop", machines: 2 });
    const run = await playGraph(shop, { agents: 0, policy: "fastest", seed: 1 });
    expect(run.completed).toBe(4);
    // Four time units of a second each is optimal; what the messages take is a thousandth of it.
    expect(run.makespanMs).toBeGreaterThan(4_000);
    expect(run.makespanMs).toBeLessThan(4_100);
    expect(references(shop, 2, 1)).toMatchObject({
      boundMs: 4_000,
      rules: { "best-bid": { makespanMs: 4_000 } },
    });
  });

  test("a file that is none says where it goes wrong", async () => {
    const cases: [unknown, RegExp][] = [
      ["{", /is no JSON/],
      [{ operations: [{ operation: 0, machine: 0, duration: 0 }], precedences: [] }, /duration/],
      [{ ...SHOP, precedences: [{ before: 0, after: 9 }] }, /operation 9 is not described/],
      [{ ...SHOP, operations: SHOP.operations.slice(2) }, /no machine can do operation 0/],
      [{ ...SHOP, precedences: [...SHOP.precedences, { before: 1, after: 0 }] }, /0 → 1/],
    ];
    for (const [value, why] of cases) {
      const path = await file("bad.json", value);
      expect(() => readGraph(path)).toThrow(why);
    }
    expect(() => readGraph(join(dir, "none.json"))).toThrow(/check the path/);
  });
});

describe("recorded runs of agents", () => {
  const HEAD = "task_id,trial,step,actor,capability,chars,reward";
  const table = (...rows: string[]) => [HEAD, ...rows, ""].join("\n");

  test("each is a chain of what agents did; a model takes what its tokens take", async () => {
    const runs = readGraph(
      await file(
        "steps.csv",
        table(
          "0,0,1,user,user,400,1.0",
          "0,0,2,assistant,llm,40,1.0",
          "0,0,3,tool,look_up,9,1.0",
          "0,1,2,assistant,llm,40,1.0",
          "0,0,4,assistant,llm,0,1.0",
        ),
      ),
    );
    expect(runs.kind).toBe("workflow");
    expect(runs.tasks.map((t) => t.parents)).toEqual([[], [0], [], [1]]);
    // 100 tokens read and 10 said; a tool; nothing read and 10 said; 449 characters read.
    expect(runs.tasks.map((t) => t.ms)).toEqual([320, 250, 300, 22.6]);
    const run = await playGraph(runs, { agents: 2, policy: "balanced", seed: 1 });
    expect(run.completed).toBe(4);
  });

  test("in quotes, as other programs write them, and with models in capitals", async () => {
    const rows = ["0,0,1,user,user,400,1.0", "0,0,2,assistant,LLM,40,1.0"];
    const quotes = (line: string) => line.replaceAll(/[^,\n]+/g, '"$&"');
    const runs = readGraph(await file("quoted.csv", quotes(table(...rows))));
    expect(runs.tasks.map((t) => t.ms)).toEqual([320]);
  });

  test("a row that is none says where", async () => {
    const cases: [string, RegExp][] = [
      [table("0,0,x,tool,t,1,0"), /:2: step "x" must be a whole number/],
      [table("0,0,2,tool,t,1,0", "0,0,2,tool,t,1,0"), /:3: is before the row above of its run/],
      [table("0,0,1,tool,,1,0"), /:2: names no capability/],
      [table(",0,1,tool,t,1,0"), /:2: names no task_id/],
      [table("0,0,1,tool,t,1,0,7"), /:2: 8 columns where the first line has 7/],
      [table("0,0,1,tool,t,1,0").replace("trial,", ""), /:1: no column trial; the first line must/],
      [table("0,0,1,user,user,1,0"), /holds no step of an agent/],
    ];
    for (const [text, why] of cases) {
      const path = await file("bad.csv", text);
      expect(() => readGraph(path)).toThrow(why);
    }
  });

  test.skipIf(runsFile === undefined)(`those of tau-bench are 100 chains${runsReason}`, () => {
    const { tasks } = readGraph(runsFile as string);
    expect(tasks.filter((t) => t.parents.length === 0)).toHaveLength(100);
    expect(tasks).toHaveLength(2_002);
  });
});

describe("graphs", () => {
  const chain = (n: number): GraphWorkload => ({
    name: "chain",
    kind: "workflow",
    tasks: Array.from({ length: n }, (_, i) => ({
      parents: i === 0 ? [] : [i - 1],
      ms: 1_000,
      rank: (n - i) * 1_000,
    })),
  });

  test("what comes after something begins when that has ended", async () => {
    const run = await playGraph(chain(5), { agents: 4, policy: "balanced", seed: 1 });
    expect(run.makespanMs).toBeGreaterThan(5_000);
    expect(run.makespanMs).toBeLessThan(5_100);
  });

  test("the longest way to the end goes first where agents are short", async () => {
    const long = chain(4).tasks;
    const short = Array.from({ length: 4 }, () => ({ parents: [], ms: 1_000, rank: 1_000 }));
    const w: GraphWorkload = { name: "both", kind: "workflow", tasks: [...short, ...long] };
    const { boundMs, listMs } = references(w, 2, 1);
    expect([boundMs, listMs]).toEqual([4_000, 4_000]);
    const run = await playGraph(w, { agents: 2, policy: "fastest", seed: 1 });
    // Two of the short ones may be under way before the first of the long row is known.
    expect(run.makespanMs).toBeLessThan(5_100);
  });

  test("a comparison is a table and a picture of all its rows", async () => {
    const c = await compareGraph(chain(3), ["fastest", "cheapest"], 3, "1");
    const names = c.rows.map((r) => r.name);
    expect(names).toEqual([
      "fastest",
      "cheapest",
      "random",
      "p2c",
      "bid10",
      "best-bid",
      "best-bid+rank",
      "list, all known",
    ]);
    const text = table(c);
    const named = plot({ ...c, workload: "a<b>&]]>\u0001.csv" });
    expect(named).toContain("a&lt;b&gt;&amp;]]&gt;�.csv");
    const svg = plot(c);
    for (const name of names) {
      expect(text).toContain(name);
      expect(svg).toContain(`>${name}</text>`);
    }
    expect(svg).toMatch(/^<svg [^>]*>/);
    expect(svg.trimEnd()).toMatch(/<\/svg>$/);
  });
});

describe("independent tasks", () => {
  test("the mesh pays for messages and loses no task; rules are computed", async () => {
    const flags = {
      agents: 20,
      tasks: 200,
      policy: "balanced",
      faults: {},
      seed: "1",
      pool: "uniform" as const,
      utilisation: 0.85,
      timeScale: 1,
      signing: false,
    };
    const c = await compareTasks(flags, ["balanced", "fastest"], () => undefined);
    expect(c.rows.map((r) => r.name)).toEqual([
      "balanced",
      "fastest",
      "random",
      "p2c",
      "jsq",
      "bid10",
      "least",
    ]);
    const row = (name: string) => c.rows.find((r) => r.name === name);
    expect(row("balanced")?.completed).toBe(200);
    expect(row("balanced")?.messagesPerDecision).toBeGreaterThan(5);
    expect(row("balanced")?.slowdownMean).toBeLessThan((row("p2c")?.slowdownMean ?? 0) * 1);
    expect(row("jsq")?.slowdownMean).toBeLessThan(row("random")?.slowdownMean ?? 0);
  }, 30_000);
});

describe("a recorded market", () => {
  const offer = (from: string, cost: number, calibratedMs: number) => ({
    from,
    startMs: 0,
    durationMs: calibratedMs,
    cost,
    confidence: 1,
    load: 0,
    calibratedMs,
    calibratedConfidence: 1,
    score: 0,
  });
  const line = (task: string, to: string, offers: ReturnType<typeof offer>[]) => ({
    kind: "contract",
    task,
    award: {
      e: 1,
      policy: "fastest",
      to,
      bids: offers.map((o) => o.from),
      scores: offers.map((o) => o.calibratedMs),
      offers,
      leftMs: 1_000,
    },
  });

  test("is judged again: who would have won, at what price", async () => {
    const rows = [
      line("o.a", "x.w", [offer("x.w", 5, 10), offer("y.w", 1, 30)]),
      line("o.b", "x.w", [offer("x.w", 1, 10), offer("y.w", 4, 30)]),
      line("o.c", "x.w", [offer("x.w", 1, 10)]),
      { kind: "outcome", task: "o.a" },
    ];
    const path = await file("dump.ndjson", rows.map((r) => JSON.stringify(r)).join("\n"));
    const result = replay(await readMarket(path), ["cheapest", "fastest"]);
    expect(result).toMatchObject({ choices: 2, forced: 1, agents: 2 });
    expect(result.recorded).toMatchObject({ changed: 0, cost: 3, finishMs: 10 });
    expect(result.replayed).toMatchObject([
      { policy: "cheapest", changed: 1, cost: 1, finishMs: 20 },
      { policy: "fastest", changed: 0, cost: 3, finishMs: 10 },
    ]);
    expect(await readMarket(dir)).toHaveLength(3);
  });

  test("under its own policy nothing changes: who was passed over was not to be had", async () => {
    const three = [offer("x.w", 3, 20), offer("y.w", 2, 10), offer("z.w", 1, 30)];
    const near = [offer("x.w", 3, 20.3), offer("y.w", 5, 20)];
    const rows = [
      line("o.a", "x.w", three),
      {
        ...line("o.b", "z.w", three),
        award: { ...line("o.b", "z.w", three).award, spoken: ["x.w"] },
      },
      line("o.c", "x.w", near),
    ];
    const path = await file("passed.ndjson", rows.map((r) => JSON.stringify(r)).join("\n"));
    const market = await readMarket(path);
    expect(market.map((c) => c.offers.map((o) => o.from))).toEqual([
      ["x.w", "z.w"],
      ["z.w"],
      ["x.w", "y.w"],
    ]);
    const [fastest, cheapest] = replay(market, ["fastest", "cheapest"]).replayed;
    expect(fastest?.changed).toBe(0);
    expect(cheapest?.changed).toBe(1);
  });

  test("what holds no bids is refused with what to do", async () => {
    const empty = await file("empty.ndjson", '{"kind":"spec","task":"o.a"}\n');
    await expect(readMarket(empty)).rejects.toThrow(/parley task dump FILE/);
    const lines: [string, RegExp][] = [
      ["x\n", /odd.ndjson:1: is no JSON/],
      ["null\n", /odd.ndjson:1: is no line of a dump/],
      ['\n\n{"kind":"contract","task":"t","award":{"offers":5}}\n', /odd.ndjson:3: .*award/],
    ];
    for (const [text, why] of lines) {
      await expect(readMarket(await file("odd.ndjson", text))).rejects.toThrow(why);
    }
    const packed = await file("odd.ndjson.gz", "no gzip");
    await expect(readMarket(packed)).rejects.toThrow(/is no gzip/);
  });
});
