// The live simulation as people run it: a process of its own, real hosts, a real server.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { Command } from "commander";
import { describe, expect, type TestContext, test, vi } from "vitest";
import { initHome } from "../../mesh/nats/identity/home.ts";
import { simCommand } from "../../sim/live/main.ts";
import { settingsOf } from "../../sim/live/settings.ts";
import type { Report } from "../../sim/report.ts";

const MAIN = join(import.meta.dirname, "../../sim/live/main.ts");
const SMALL = ["--agents", "20", "--tasks", "60", "--generated", "--time-scale", "0.05"];
/** Long enough for somebody to die in the middle: arrivals take some four seconds. */
const LONGER = ["--agents", "20", "--tasks", "60", "--generated", "--time-scale", "0.2"];
const TIMEOUT_MS = 60_000;

interface Sim {
  readonly child: ChildProcess;
  /** Lines on standard error so far. */
  readonly lines: string[];
  /** Resolves with the first line, past or to come, that matches. */
  line(pattern: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<{ code: number | null; out: string }>;
}

/** The context, since concurrent tests must not end one another's processes. */
function start(context: TestContext, ...args: string[]): Sim {
  const { NODE_OPTIONS: _, ...inherited } = process.env;
  // A run that is killed cannot remove its identity folder, so it makes it in one that goes.
  const temporary = scratch(context, "");
  const env = { ...inherited, TMPDIR: temporary, TMP: temporary, TEMP: temporary };
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  });
  context.onTestFinished(() => void child.kill("SIGKILL"));
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const one of waiting) one();
  };
  createInterface({ input: child.stderr })
    .on("line", (line) => {
      lines.push(line);
      wake();
    })
    .on("close", wake);
  const out = text(child.stdout);
  const ended = once(child, "close").then(async ([code]) => ({
    code: code as number | null,
    out: await out,
  }));
  const line = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = lines.map((one) => pattern.exec(one)).find((one) => one !== null);
        if (found === undefined && child.exitCode === null) return;
        waiting.delete(look);
        if (found !== undefined) resolve(found);
        else reject(new Error(`it ended without ${pattern}:\n${lines.join("\n")}`));
      };
      waiting.add(look);
      look();
    });
  return { child, lines, line, ended };
}

async function play(
  context: TestContext,
  ...args: string[]
): Promise<{ code: number | null; report: Report; sim: Sim }> {
  const sim = start(context, ...args, "--json");
  const { code, out } = await sim.ended;
  return { code, report: parsed(out, sim), sim };
}

function parsed(out: string, sim: Sim): Report {
  expect(out.trim().split("\n"), sim.lines.join("\n")).toHaveLength(1);
  return JSON.parse(out) as Report;
}

/** Every task ended well, and only once. */
const ALL_WELL = {
  submitted: 60,
  completed: 60,
  failed: 0,
  expired: 0,
  canceled: 0,
  rejected: 0,
  lost: 0,
  duplicated: 0,
};

function scratch(context: TestContext, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "parley-sim-"));
  // A guard may be removing its part of it at the same moment.
  const options = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 };
  context.onTestFinished(() => rmSync(folder, options));
  return join(folder, name);
}

async function hostsOf(sim: Sim): Promise<number[]> {
  const [, pids = ""] = await sim.line(/in processes ([\d, ]+);/);
  return pids.split(", ").map(Number);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe.concurrent("a run", { timeout: TIMEOUT_MS }, () => {
  test.for(["shared", "own"])("with %s connections completes every task", async (kind, context) => {
    const schedule = scratch(context, "schedule.csv");
    const { code, report, sim } = await play(
      context,
      ...SMALL,
      ...["--connections", kind, "--schedule", schedule],
    );
    expect(report.tasks, sim.lines.join("\n")).toEqual(ALL_WELL);
    expect(code).toBe(0);
    expect(report).toMatchObject({
      agents: 20,
      pool: "mixed",
      profile: "dev",
      connections: kind,
      policy: "balanced",
      seed: "1",
      workload: "generated",
      timeScale: 0.05,
    });
    // A task has a call, a bid, an award and three records at the least.
    expect(report.messagesPerDecision).toBeGreaterThan(6);
    expect(report.bidsPerDecision).toBeGreaterThanOrEqual(1);
    expect(report.decisionMs.p50).toBeGreaterThan(0);
    expect(report.endToEndMs.p50).toBeGreaterThan(report.decisionMs.p50);
    expect(report.slowdown.mean).toBeGreaterThan(1);
    expect(report.serverMessagesPerDecision?.in).toBeGreaterThan(6);
    expect(Object.keys(report.baseline)).toEqual(["random", "p2c", "bid10", "least"]);

    const [header, ...rows] = readFileSync(schedule, "utf8").trimEnd().split("\n");
    expect(header).toBe("task,worker,start,end");
    expect(rows).toHaveLength(60);
    const cells = rows.map((row) => row.split(","));
    expect(new Set(cells.map(([task]) => task)).size).toBe(60);
    const worker = kind === "own" ? /^(a00[01]\d)\.\1$/ : /^host-[012]\.a00[01]\d$/;
    let last = 0;
    for (const [, who, from, to] of cells) {
      expect(who).toMatch(worker);
      expect(Number(from)).toBeGreaterThanOrEqual(last);
      expect(Number(to)).toBeGreaterThan(Number(from));
      last = Number(from);
    }
  });

  test("goes on when a host is killed in the middle", async (context) => {
    const sim = start(context, ...LONGER, "--json");
    const [victim] = await hostsOf(sim);
    await sim.line(/running [1-9]/);
    process.kill(victim as number, "SIGKILL");
    const { code, out } = await sim.ended;
    expect(sim.lines.join("\n")).toContain("host-0 is gone (SIGKILL) with its 7 agents");
    expect(parsed(out, sim).tasks, sim.lines.join("\n")).toEqual(ALL_WELL);
    expect(code).toBe(0);
  });

  test("says so and ends when all hosts are killed", async (context) => {
    const sim = start(context, ...LONGER, "--hosts", "2");
    const pids = await hostsOf(sim);
    await sim.line(/running [1-9]/);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    const { code, out } = await sim.ended;
    expect(code).toBe(1);
    expect(out).toMatch(/\d+ LOST, none done twice/);
    expect(sim.lines.join("\n")).toContain("nobody is left to carry on");
  });

  test("stops on Ctrl-C with the report so far and status 130", async (context) => {
    const sim = start(context, ...LONGER, "--json");
    await sim.line(/running [1-9]/);
    sim.child.kill("SIGINT");
    const { code, out } = await sim.ended;
    expect(code, sim.lines.join("\n")).toBe(130);
    const report = parsed(out, sim);
    expect(report.interrupted).toBe(true);
    expect(report.tasks).toMatchObject({ lost: 0, duplicated: 0 });
    expect(report.tasks.submitted).toBeGreaterThan(0);
    expect(report.tasks.completed).toBeLessThan(60);
  });

  test("leaves no host behind when it is killed itself", async (context) => {
    const sim = start(context, ...LONGER);
    const pids = await hostsOf(sim);
    expect(pids.filter(isRunning)).toHaveLength(3);
    sim.child.kill("SIGKILL");
    await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), { timeout: 5_000 });
  });

  test("prints a report for people, and plain lines of progress", async (context) => {
    const sim = start(context, ...SMALL, "--pool", "uniform", "--signing", "off", "--seed", "x");
    const { code, out } = await sim.ended;
    expect(code, sim.lines.join("\n")).toBe(0);
    expect(out).toContain("20 agents (all alike), 60 tasks from generated, at 0.05 of real time");
    expect(out).toContain("connections shared, policy balanced, profile dev, seed x");
    expect(out).toContain("All 60 tasks completed; none lost, none done twice.");
    expect(out).not.toContain("\u001b");
    expect(sim.lines.join("\n")).not.toContain("\u001b");
  });
});

function parse(...flags: string[]): { error: string; settings: object | undefined } {
  let error = "";
  let settings: object | undefined;
  const program = new Command("parley").exitOverride();
  const command = simCommand(program).exitOverride();
  command.configureOutput({ writeErr: (line) => (error += line) });
  command.action((given: Record<string, unknown>) => {
    settings = settingsOf(given);
  });
  try {
    program.parse(["sim", ...flags], { from: "user" });
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Error);
  }
  return { error, settings };
}

describe("flags", () => {
  test.for([
    [["--agents", "0"], "whole number of 1 to 10000"],
    [["--tasks", "many"], "whole number of 1 to 1000000"],
    [["--hosts", "1e1"], "whole number of 1 to 64"],
    [["--time-scale", "0"], "number above 0"],
    [["--time-scale", ""], "number above 0"],
    [["--policy", "kindest"], "Allowed choices are fastest"],
    [["--connections", "none"], "Allowed choices are shared, own"],
    [["--workload", "a.csv", "--generated"], "cannot be used with"],
    [["--wrokload", "a.csv"], "Did you mean --workload"],
    [["twice"], "too many arguments"],
  ] as const)("%j are refused", ([flags, said]) => {
    const { error, settings } = parse(...flags);
    expect(error).toContain(said);
    expect(settings).toBeUndefined();
  });

  test("agents are alike with a workload of one's own, and differ otherwise", () => {
    expect(parse("--workload", "a.csv").settings).toMatchObject({ pool: "uniform" });
    expect(parse("--workload", "a.csv").settings).not.toHaveProperty("tasks");
    expect(parse("--generated").settings).toMatchObject({ pool: "mixed", tasks: 4_000 });
    expect(parse("--generated").settings).not.toHaveProperty("workload");
    expect(parse("--generated", "--pool", "uniform").settings).toMatchObject({ pool: "uniform" });
  });

  test("there are never more hosts than agents", () => {
    expect(parse("--agents", "2").settings).toMatchObject({ agents: 2, hosts: 2 });
  });
});

describe.concurrent("a run that cannot be", { timeout: TIMEOUT_MS }, () => {
  test("wrong usage has status 2 and prints no report", async (context) => {
    const sim = start(context, "--agents", "0");
    expect(await sim.ended).toEqual({ code: 2, out: "" });
  });

  test("a workload with a bad row is wrong usage too, and the row is named", async (context) => {
    const file = scratch(context, "bad.csv");
    writeFileSync(file, "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,12,no\n");
    const sim = start(context, "--workload", file);
    expect(await sim.ended).toEqual({ code: 2, out: "" });
    expect(sim.lines.join("\n")).toContain("bad.csv:2");
  });

  test("no server at the address has status 3", async (context) => {
    const home = scratch(context, "home");
    await initHome(home, { name: "test" });
    const sim = start(context, "--server", "nats://127.0.0.1:1", "--home", home);
    expect(await sim.ended).toEqual({ code: 3, out: "" });
    expect(sim.lines.join("\n")).toContain("parley up");
  });

  test("help shows three commands to copy", async (context) => {
    const { code, out } = await start(context, "--help").ended;
    expect(out.match(/^ {2}\$ parley sim/gm)).toHaveLength(3);
    expect(code).toBe(0);
  });
});
