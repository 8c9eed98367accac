// The swarm: hundreds of short, harsh runs drawn from their seeds, each judged at every event
// while faults go on (safety) and asked to come to an end once they are over (liveness).
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { drawRun } from "../../sim/swarm/draw.ts";
import { play, playSeed, shrink } from "../../sim/swarm/play.ts";
import { REGRESSIONS } from "../../sim/swarm/regressions.ts";
import { swarm } from "../../sim/swarm/swarm.ts";
import {
  addVirtualFlags,
  commandOf,
  flagsOf,
  optionsOf,
  readFaults,
  type VirtualFlags,
} from "../../sim/virtual/flags.ts";
import { runVirtual } from "../../sim/virtual/run.ts";

const SEEDS = Array.from({ length: 300 }, (_, i) => i + 1);
const NODE = ["--conditions=parley-source"];

/** What a shell and commander make of a command that was printed. */
function parse(command: string): VirtualFlags {
  const words = command.split(" ").slice(3);
  const program = addVirtualFlags(new Command().exitOverride());
  program.parse(words, { from: "user" });
  return flagsOf(program.opts());
}

describe("the swarm", () => {
  test("300 seeds: every rule holds under faults, and every task ends after them", async () => {
    const answers = await swarm({ seeds: SEEDS, jobs: 2, shrink: true, execArgv: NODE });
    const wrong = answers.filter((a) => a.played.wrong !== undefined);
    const told = wrong.map((a) => ({ ...a.played.wrong, again: a.shrunk?.command }));
    expect(told).toEqual([]);
    expect(answers).toHaveLength(SEEDS.length);
    // None of it is for nothing: faults were played, and each of these rules had its chance.
    const judged = new Map<string, number>();
    for (const { played } of answers) {
      for (const [rule, n] of Object.entries(played.judged)) {
        judged.set(rule, (judged.get(rule) ?? 0) + n);
      }
    }
    for (const n of [1, 2, 3, 4, 5, 7, 10, 13, 14, 15, 16]) {
      expect([`S${n}`, judged.get(`S${n}`) ?? 0]).toEqual([`S${n}`, expect.any(Number)]);
      expect(judged.get(`S${n}`) ?? 0).toBeGreaterThan(300);
    }
    expect(judged.get("L2") ?? 0).toBeGreaterThan(20);
    expect(answers.reduce((n, a) => n + a.played.faults, 0)).toBeGreaterThan(1_000);
  }, 280_000);

  test.each(REGRESSIONS)("once broken: $name", async ({ command }) => {
    const { wrong } = await play(parse(command), 0);
    expect(wrong).toBeUndefined();
  });

  test("a planted bug is found and made small, and the command says all of it", async () => {
    const bug = "attempts-not-counted";
    const seeds = SEEDS.slice(0, 20);
    const run = { seeds, jobs: 1, shrink: true, untilFound: true, bug, execArgv: NODE };
    const hit = (await swarm(run)).find((a) => a.played.wrong !== undefined);
    expect(hit?.shrunk?.wrong.rule).toBe(hit?.played.wrong?.rule);
    const small = parse(hit?.shrunk?.command ?? "");
    expect(small).toEqual({ ...small, ...hit?.shrunk?.flags });
    const drawn = drawRun(hit?.played.seed ?? 0);
    expect(small.tasks).toBeLessThanOrEqual(drawn.tasks ?? 0);
  }, 60_000);

  test("without a bug there is nothing to make small", async () => {
    const { wrong } = await playSeed(1);
    expect(wrong).toBeUndefined();
    const made = await shrink(1, { rule: "S1", what: "", witness: [] });
    expect(made.flags).toEqual(drawRun(1));
  }, 60_000);
});

describe("a run that can be typed", () => {
  test("the command says all of it", () => {
    for (const seed of SEEDS) expect(parse(commandOf(drawRun(seed)))).toEqual(drawRun(seed));
  });

  test("typed again it has the same history, byte for byte", async () => {
    const flags = drawRun(33);
    const hash = async (f: VirtualFlags) =>
      (await runVirtual({ ...optionsOf(f), baselineRuns: 1, history: () => undefined }))
        .historyHash;
    const first = await hash(flags);
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(await hash(parse(commandOf(flags)))).toBe(first);
  }, 30_000);

  test("faults are a named mix or rates; anything else is refused with the names", () => {
    expect(readFaults("none")).toEqual({});
    expect(readFaults("crash=4,loss=0.01")).toEqual({ crash: 4, loss: 0.01 });
    for (const text of ["", "crash=", "crash=-1", "crash=x", "loss=2", "fire=1"]) {
      expect(() => readFaults(text)).toThrow(/crash, initiatorCrash/);
    }
  });
});
