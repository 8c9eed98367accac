// B11: the server is killed with every agent connected and busy: all come back, nothing is revoked.
import { Load } from "../harness/load.ts";
import type { Scenario } from "../scenario.ts";

export const scenario: Scenario = {
  name: "server-kill",
  about: "kill -9 of the one server: everybody is back, nothing revoked, throughput recovers",
  bars: ["B11"],
  async run(c) {
    const world = await c.world({ contractors: 8, initiators: 3 });
    const load = new Load(world, { concurrency: 64, input: () => ({ ms: 20 + c.prng.int(60) }) });
    const running = load.run();
    const kills = Math.max(2, Math.round(c.minutes * 5));
    const ratios: number[] = [];
    for (let n = 0; n < kills && !c.signal.aborted; n++) {
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      const before = rate(load, performance.now() - 3_000, performance.now());
      await world.killServer();
      const killed = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 7_000));
      const after = rate(load, killed + 5_000, killed + 7_000);
      ratios.push(before === 0 ? 0 : after / before);
      c.say(
        `kill ${n + 1} of ${kills}: ${before.toFixed(0)} tasks/s before, ${after.toFixed(0)} after`,
      );
    }
    load.stop();
    await running;
    const tallies = await Promise.all([...world.workers.values()].map((w) => w.tally()));
    const back = tallies.filter((t) => (t.counters.reconnects ?? 0) >= kills).length;
    const worst = Math.min(...ratios);
    return [
      {
        id: "B11",
        text: "throughput is at least 90 % within 5 s",
        figure: `worst ${(worst * 100).toFixed(0)} %`,
        met: worst >= 0.9,
      },
      {
        id: "B11",
        text: "every process is back after every kill",
        figure: `${back} of ${tallies.length}`,
        met: back === tallies.length,
      },
    ];
  },
};

function rate(load: Load, from: number, to: number): number {
  const ended = load.ends.filter((e) => e.at >= from && e.at < to).length;
  return (ended / (to - from)) * 1_000;
}
