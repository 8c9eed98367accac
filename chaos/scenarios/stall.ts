// B8: both cores saturated and event loops stalled for 300 ms: nobody is declared dead.
import { readRun } from "../../check/traces.ts";
import { timings } from "../harness/figures.ts";
import { Load } from "../harness/load.ts";
import type { Scenario } from "../scenario.ts";

export const scenario: Scenario = {
  name: "stall",
  about: "saturated cores and stalled event loops: no contract is taken from the living",
  bars: ["B8"],
  async run(c) {
    const world = await c.world({ contractors: 6, initiators: 2 });
    const long = new Load(world, { concurrency: 60, input: () => ({ ms: 5_000 }) });
    const short = new Load(world, { concurrency: 40, input: () => ({ ms: 5 }) });
    const running = Promise.all([long.run(), short.run()]);
    for (const worker of world.workers.values()) {
      world.stall(worker, 300, 700 + c.prng.int(600));
    }
    const end = performance.now() + c.minutes * 60_000;
    while (performance.now() < end && !c.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      c.say(`${long.done} long and ${short.done} short tasks ended`);
    }
    for (const worker of world.workers.values()) worker.stall(0, 0);
    long.stop();
    short.stop();
    await running;
    await world.quiet();
    const { wrong } = timings(await readRun([world.dir]), []);
    const seconds = Math.round(c.minutes * 60 * c.agents);
    return [
      {
        id: "B8",
        text: "wrongful revocations under saturation and 300 ms stalls",
        figure: `${wrong} in ${seconds} agent-seconds`,
        met: wrong === 0 && long.done > 0,
      },
    ];
  },
};
