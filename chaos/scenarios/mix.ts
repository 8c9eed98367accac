// B16, B17: everything at once, by the weights of the design's chaos mix.
import { pick } from "../../mesh/core/prng.ts";
import { Load } from "../harness/load.ts";
import type { World } from "../harness/world.ts";
import type { ChaosContext, Scenario } from "../scenario.ts";

type Fault = (world: World, c: ChaosContext, load: Load) => Promise<void>;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Weight and deed. Link cuts need a proxy on every link and have scenarios of their own. */
const FAULTS: readonly [string, number, Fault][] = [
  ["agent crash", 20, async (w, c) => w.kill(pick(c.prng, w.contractors))],
  ["initiator crash", 8, async (w, c) => w.kill(pick(c.prng, w.initiators))],
  [
    "hang",
    10,
    async (w, c) => {
      const victim = pick(c.prng, w.contractors);
      w.pause(victim);
      await pause(500 + c.prng.int(3_500));
      w.resume(victim);
    },
  ],
  [
    "starved",
    10,
    async (w, c) => {
      const victim = pick(c.prng, [...w.workers.values()]);
      w.stall(victim, 300, 500);
      await pause(2_000);
      victim.stall(0, 0);
    },
  ],
  ["server kill", 5, async (w) => w.killServer()],
  [
    "poison",
    3,
    async (w, _c, load) => {
      w.faults.planned++;
      w.nemesis.note({ k: "inv", op: "poison", target: "any" });
      await load.poison();
      w.nemesis.note({ k: "ok", op: "poison", target: "any" });
      w.faults.seen++;
    },
  ],
];

function draw(c: ChaosContext): Fault {
  const all = FAULTS.reduce((sum, [, weight]) => sum + weight, 0);
  let left = c.prng.next() * all;
  for (const [, weight, fault] of FAULTS) {
    left -= weight;
    if (left < 0) return fault;
  }
  return FAULTS[0]![2];
}

export const scenario: Scenario = {
  name: "mix",
  about: "crashes, hangs, starvation, server kills and poison by the weights of the design",
  bars: ["B16", "B17"],
  async run(c) {
    const world = await c.world({ contractors: 6, initiators: 3 });
    const load = new Load(world, { concurrency: 64, input: () => ({ ms: 5 + c.prng.int(60) }) });
    const running = load.run();
    const end = performance.now() + c.minutes * 60_000;
    for (let n = 1; performance.now() < end && !c.signal.aborted; n++) {
      await draw(c)(world, c, load);
      if (n % 10 === 0) c.say(`${n} faults, ${load.accepted} accepted, ${load.done} ended`);
      await pause(400 + c.prng.int(800));
    }
    load.stop();
    await world.whole();
    await running;
    const bad = load.done - (load.ended.get("completed") ?? 0);
    return [
      {
        id: "B16",
        text: "durable deliveries under the mix: none lost, none twice",
        figure: `${load.done} of ${load.accepted} ended, ${world.faults.seen} faults`,
        met: load.done === load.accepted,
      },
      {
        id: "B17",
        text: "at least 99.9 % of accepted tasks succeed before their deadline",
        figure: `${bad} of ${load.done} did not`,
        met: bad <= load.done / 1_000,
      },
    ];
  },
};
