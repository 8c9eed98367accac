// B10: initiators are killed before and after the award: their tasks are adopted and end once.
import { readRun } from "../../check/traces.ts";
import { pick } from "../../mesh/core/prng.ts";
import { quantiles } from "../harness/figures.ts";
import { Load } from "../harness/load.ts";
import type { Scenario } from "../scenario.ts";

export const scenario: Scenario = {
  name: "initiator",
  about: "kill -9 of initiators at any point of a task's life: adopted by another",
  bars: ["B10"],
  async run(c) {
    const world = await c.world({ contractors: 4, initiators: 3, agents: 40 });
    // More tasks than slots: some wait unawarded, some run, some end as the initiator dies.
    const load = new Load(world, {
      concurrency: 80,
      input: () => ({ ms: 200 + c.prng.int(2_000) }),
    });
    const running = load.run();
    const kills = Math.max(4, Math.round(c.minutes * 10));
    for (let n = 0; n < kills && !c.signal.aborted; n++) {
      await new Promise((resolve) => setTimeout(resolve, 3_000 + c.prng.int(2_500)));
      await world.kill(pick(c.prng, world.initiators));
    }
    load.stop();
    await world.whole();
    await running;
    await world.quiet();
    const run = await readRun([world.dir]);
    const deaths = run.faults.filter((f) => f.op === "inv kill");
    const took: number[] = [];
    for (const trace of run.traces.values()) {
      for (const adopted of trace.seen.filter((s) => s.op === "adopt")) {
        const death = deaths.findLast((f) => f.t < adopted.t);
        if (death !== undefined) took.push((adopted.t - death.t) / 1e6);
      }
    }
    const ms = quantiles(took);
    return [
      {
        id: "B10",
        text: "adopted within 5 s, p99",
        figure: `p50 ${ms.p50} ms, p99 ${ms.p99} ms (${ms.n} tasks, ${kills} kills)`,
        met: ms.n > 0 && ms.p99 <= 5_000,
      },
    ];
  },
};
