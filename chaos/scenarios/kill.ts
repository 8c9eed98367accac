// B1: agents, initiators and the server are killed at random under load; nothing is lost.
import { pick } from "../../mesh/core/prng.ts";
import { Load } from "../harness/load.ts";
import type { Scenario } from "../scenario.ts";

/** Of a thousand kills so many hit the server, and so many an initiator. */
const SERVER_SHARE = 0.03;
const INITIATOR_SHARE = 0.2;
/** Pause between two kills, ms: a process needs about this long to start on a small machine. */
const PAUSE_MS = 700;

export const scenario: Scenario = {
  name: "kill",
  about: "kill -9 of agents, initiators and the server under load",
  bars: ["B1"],
  async run(c) {
    const world = await c.world({ contractors: 8, initiators: 3 });
    const load = new Load(world, {
      concurrency: 64,
      input: () => ({ ms: 5 + c.prng.int(40) }),
    });
    const running = load.run();
    const end = performance.now() + c.minutes * 60_000;
    let kills = 0;
    while (performance.now() < end && !c.signal.aborted) {
      const draw = c.prng.next();
      if (draw < SERVER_SHARE) await world.killServer();
      else {
        const victims =
          draw < SERVER_SHARE + INITIATOR_SHARE ? world.initiators : world.contractors;
        if (victims.length > 1) {
          await world.kill(pick(c.prng, victims));
        }
      }
      kills++;
      if (kills % 20 === 0)
        c.say(`${kills} kills, ${load.accepted} tasks accepted, ${load.done} ended`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (0.5 + c.prng.next())));
    }
    load.stop();
    await world.whole();
    await running;
    return [
      {
        id: "B1",
        text: "every accepted task has exactly one end under random kill -9",
        figure: `${world.faults.seen} kills, ${load.accepted} accepted, ${load.done} ended`,
        met: load.done === load.accepted,
      },
    ];
  },
};
