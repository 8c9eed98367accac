// F18 and the live half of B5: a fifth of all messages twice, many held back for up to 2 s,
// neighbours swapped, on every link. Each task has exactly one outcome and one effect.
import { Load } from "../harness/load.ts";
import type { Counts, Rules } from "../proxy/index.ts";
import type { Bar, ChaosContext, Scenario } from "../scenario.ts";
import { Links, linesOf, pause } from "./links.ts";

const TASKS_MIN = 300;
const RULES: Rules = {
  messages: [
    {
      duplicate: 0.2,
      swap: 0.1,
      hold: { share: 0.1, minMs: 0, maxMs: 2_000 },
    },
  ],
};

function suffered(counts: readonly Counts[], of: "duplicated" | "held" | "swapped"): number {
  return counts.reduce((n, c) => n + c.up[of] + c.down[of], 0);
}

async function run(c: ChaosContext): Promise<Bar[]> {
  const links = new Links(c.seed);
  const world = await c.world({ contractors: 4, agents: 40, route: links.route });
  try {
    world.faults.planned++;
    world.nemesis.note({ k: "inv", op: "reorder", target: "all" });
    await links.setAll(RULES);
    world.faults.seen++;
    const load = new Load(world, { concurrency: 60, input: () => ({ ms: c.prng.int(50) }) });
    const all = load.run();
    const until = performance.now() + c.minutes * 60_000;
    while (performance.now() < until && !c.signal.aborted) await pause(200);
    await load.reach(TASKS_MIN);
    load.stop();
    await all;
    await links.setAll({});
    await pause(300);
    // One effect per task: of its starts one led to the outcome, and nobody stored a second one.
    const outcomes = new Map<string, number>();
    const starts = new Map<string, Set<string>>();
    for (const l of linesOf(world)) {
      if (l.task === undefined) continue;
      if (l.op === "outcome" && l.k === "ok") {
        outcomes.set(l.task, (outcomes.get(l.task) ?? 0) + 1);
      }
      if (l.op !== "start") continue;
      const epoch = `${l.task} ${l.e}`;
      starts.set(epoch, (starts.get(epoch) ?? new Set()).add(`${l.who} ${l.t}`));
    }
    const twice = [...outcomes.values()].filter((n) => n > 1).length;
    const again = [...starts.values()].filter((who) => who.size > 1).length;
    const counts = links.all().map((p) => p.counts);
    const [dup, held, swapped] = (["duplicated", "held", "swapped"] as const).map((of) =>
      suffered(counts, of),
    ) as [number, number, number];
    const missing = load.accepted - load.done;
    return [
      {
        id: "B5-live",
        text: "each accepted task has one outcome; no epoch of a task started twice",
        figure:
          `${load.done} tasks, ${missing} without an outcome, ${twice} with two, ` +
          `${again} epochs started twice; ${dup} messages doubled, ${held} held, ` +
          `${swapped} swapped`,
        met: load.done >= TASKS_MIN && missing + twice + again === 0 && dup > 0 && held > 0,
      },
    ];
  } finally {
    for (const proxy of links.all()) await proxy.heal();
    world.mesh.server.exited.then(() => links.close());
  }
}

export const scenario: Scenario = {
  name: "reorder",
  about: "a fifth of all messages doubled, many held back up to 2 s, neighbours swapped",
  bars: ["F18", "B5-live"],
  run,
};
