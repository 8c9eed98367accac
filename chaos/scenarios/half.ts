// F24: half of all agents die at once: the rest carries on at its capacity, without a storm.
import { Load } from "../harness/load.ts";
import type { Scenario } from "../scenario.ts";

export const scenario: Scenario = {
  name: "half",
  about: "half of all agents die at once",
  bars: ["F24"],
  async run(c) {
    const world = await c.world({ contractors: 8, initiators: 3 });
    const load = new Load(world, {
      concurrency: 128,
      input: () => ({ ms: 100 + c.prng.int(300) }),
    });
    const running = load.run();
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    const victims = world.contractors.slice(0, 4);
    const at = performance.now();
    await Promise.all(victims.map((victim) => world.kill(victim, false)));
    await new Promise((resolve) => setTimeout(resolve, Math.max(6_000, c.minutes * 20_000)));
    load.stop();
    await running;
    const slow = Math.max(...load.ends.filter((e) => e.at > at).map((e) => e.tookMs));
    return [
      {
        id: "F24",
        text: "every task of the dead half runs elsewhere",
        figure: `${load.done} of ${load.accepted}, slowest ${Math.round(slow)} ms`,
        met: load.done === load.accepted,
      },
    ];
  },
};
