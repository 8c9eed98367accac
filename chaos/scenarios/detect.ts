// B6, B7, B9: how soon a crashed or hung contractor is found, and its task runs elsewhere.
import { readRun } from "../../check/traces.ts";
import { pick } from "../../mesh/core/prng.ts";
import { quantiles, timings } from "../harness/figures.ts";
import { Load } from "../harness/load.ts";
import type { World } from "../harness/world.ts";
import type { Bar, ChaosContext, Scenario } from "../scenario.ts";

/** Tasks long enough that every victim holds some. */
const TASK_MS = 4_000;
const SETTLE_MS = 4_000;

type Hit = (world: World, n: number) => Promise<void>;

async function strike(c: ChaosContext, hits: number, pauseMs: number, hit: Hit): Promise<World> {
  const world = await c.world({ contractors: 10, initiators: 2, agents: c.agents });
  const load = new Load(world, { concurrency: 60, input: () => ({ ms: TASK_MS }) });
  const running = load.run();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  for (let n = 0; n < hits && !c.signal.aborted; n++) {
    await hit(world, n);
    c.say(`${n + 1} of ${hits}: ${load.accepted} tasks accepted, ${load.done} ended`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  load.stop();
  await world.whole();
  await running;
  await world.quiet();
  return world;
}

function bar(id: string, text: string, ms: { p50: number; p99: number; n: number }, most: number) {
  const figure = `p50 ${ms.p50} ms, p99 ${ms.p99} ms (${ms.n} contracts)`;
  return { id, text, figure, met: ms.n > 0 && ms.p99 <= most } satisfies Bar;
}

export const crash: Scenario = {
  name: "crash-detect",
  about: "kill -9 of busy agents: time to revocation, and to running elsewhere",
  bars: ["B6", "B9"],
  async run(c) {
    const hits = Math.max(5, Math.round(c.minutes * 20));
    const world = await strike(c, hits, 1_500, (w) => w.kill(pick(c.prng, w.contractors)));
    const t = timings(await readRun([world.dir]), ["kill"]);
    const again = quantiles(t.recoverMs);
    return [
      bar("B6", "kill -9 to revocation, p99 at most 250 ms", quantiles(t.detectMs), 250),
      { ...bar("B9", "to running elsewhere, p50 0.5 s and p99 2 s", again, 2_000) },
      { id: "B9", text: "p50 at most 0.5 s", figure: `${again.p50} ms`, met: again.p50 <= 500 },
    ];
  },
};

export const hang: Scenario = {
  name: "hang",
  about: "SIGSTOP of busy agents: suspicion, revocation, and running elsewhere",
  bars: ["B7", "B9"],
  async run(c) {
    const hits = Math.max(5, Math.round(c.minutes * 6));
    const world = await strike(c, hits, 500, async (w) => {
      const victim = pick(c.prng, w.contractors);
      w.pause(victim);
      await new Promise((resolve) => setTimeout(resolve, 6_000));
      w.resume(victim);
    });
    const t = timings(await readRun([world.dir]), ["stop"]);
    return [
      bar("B7", "SIGSTOP to suspicion, p99 at most 1.0 s", quantiles(t.suspectMs), 1_000),
      bar("B7", "SIGSTOP to revocation, p99 at most 2.5 s", quantiles(t.detectMs), 2_500),
      bar("B9", "to running elsewhere, p99 at most 4 s", quantiles(t.recoverMs), 4_000),
    ];
  },
};
