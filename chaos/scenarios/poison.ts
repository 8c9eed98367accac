// B15, F19: a task that kills whoever runs it ends after its attempts and harms nobody else, and a
// capability that only fails is left alone by its breaker until it is well again.
import { setTimeout as pause } from "node:timers/promises";
import { BREAKER_FAILURES } from "../../contracts/index.ts";
import { Load } from "../harness/load.ts";
import type { World } from "../harness/world.ts";
import type { Bar, ChaosContext, Scenario } from "../scenario.ts";

const ATTEMPTS = 3;
const FRAIL = "frail";
/** Agents of the frail capability, one process each: what a crash takes along is its own. */
const FRAIL_AGENTS = 6;
const CLEAN_MS = 6_000;
const RISE_MAX = 1.2;
const HEALED_MS_MAX = 5_000;

export const scenario: Scenario = {
  name: "poison",
  about: "tasks that crash, hang or fail wherever they run: parked after their attempts",
  bars: ["B15"],
  async run(c) {
    // One initiator: its breaker is the one that counts.
    const world = await c.world({ contractors: 8, initiators: 1 });
    for (let i = 0; i < FRAIL_AGENTS; i++) {
      await world.join("contractor", 1, `frail${i}`, [FRAIL]);
    }
    const load = new Load(world, { concurrency: 32, input: () => ({ ms: 20 + c.prng.int(40) }) });
    const running = load.run();
    await pause(2_000);
    const warm = performance.now();
    await pause(CLEAN_MS);
    const clean = p99(load, warm);
    const since = performance.now();
    const poisoned = await poison(c, world);
    const dirty = p99(load, since);
    const breaker = await heal(c, world);
    load.stop();
    await world.whole();
    await running;
    return [
      poisoned,
      {
        id: "B15",
        text: "no other task is lost, and their p99 rises by 20 % at most",
        figure: `${load.done} of ${load.accepted}; ${clean} ms before, ${dirty} ms during`,
        met: load.done === load.accepted && dirty <= clean * RISE_MAX,
      },
      ...breaker,
    ];
  },
};

async function poison(c: ChaosContext, world: World): Promise<Bar> {
  const how = ["crash", "fail"] as const;
  const load = new Load(world, {
    concurrency: 1,
    attempts: ATTEMPTS,
    timeoutMs: 40_000,
    capability: () => FRAIL,
    input: (n) => ({ ms: 1, as: how[n % 2] ?? "fail" }),
  });
  const count = Math.max(4, Math.round(c.minutes * 8));
  for (let n = 0; n < count && !c.signal.aborted; n++) {
    world.faults.planned++;
    world.nemesis.note({ k: "inv", op: "poison", target: "any" });
    const state = await load.one(n);
    if (state === "failed") world.faults.seen++;
    world.nemesis.note({ k: "ok", op: "poison", target: "any", note: state });
    c.say(`${n + 1} of ${count} poison tasks: ${state}`);
  }
  return {
    id: "B15",
    text: `a poison task ends failed within ${ATTEMPTS} attempts`,
    figure: `${load.ended.get("failed") ?? 0} of ${count}`,
    met: load.ended.get("failed") === count,
  };
}

/** The capability is broken until a moment; then how long until a task of it is done? */
async function heal(c: ChaosContext, world: World): Promise<Bar[]> {
  const well = new Load(world, {
    concurrency: 1,
    capability: () => FRAIL,
    input: () => ({ ms: 1 }),
  });
  await well.one(0);
  const before = await counters(world);
  const until = Date.now() + 8_000;
  const sick = new Load(world, {
    concurrency: 10,
    tasks: 30,
    capability: () => FRAIL,
    attempts: 20,
    input: () => ({ ms: 1, as: "fail", until }),
  });
  const running = sick.run();
  while (Date.now() < until && !c.signal.aborted) await pause(100);
  const mid = await counters(world);
  await running;
  const healedMs = Math.round((sick.ends[0]?.at ?? Number.POSITIVE_INFINITY) - at(until));
  const failures =
    (mid["breaker.capability.failures"] ?? 0) - (before["breaker.capability.failures"] ?? 0);
  const opened = (mid["breaker.capability.open"] ?? 0) - (before["breaker.capability.open"] ?? 0);
  return [
    {
      id: "B15",
      text: `a failing capability's breaker opens at ${BREAKER_FAILURES} failures at most`,
      figure: `opened ${opened} time at failure ${failures}`,
      met: opened === 1 && failures <= BREAKER_FAILURES,
    },
    {
      id: "B15",
      text: "and closes within 5 s of healing",
      figure: `${healedMs} ms until the first task is done, ${sick.done} of 30 done`,
      met: healedMs <= HEALED_MS_MAX && sick.ended.get("completed") === 30,
    },
  ];
}

/** A moment of the wall clock on the monotonic one. */
function at(wall: number): number {
  return performance.now() - (Date.now() - wall);
}

async function counters(world: World): Promise<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (const worker of world.initiators) {
    const { counters: own } = await worker.tally();
    for (const [name, n] of Object.entries(own)) sum[name] = (sum[name] ?? 0) + n;
  }
  return sum;
}

function p99(load: Load, since: number): number {
  const took = load.ends.filter((e) => e.at >= since).map((e) => e.tookMs);
  took.sort((a, b) => a - b);
  return Math.round(took[Math.floor(took.length * 0.99)] ?? 0);
}
