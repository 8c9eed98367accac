// Workflows while their contractors, the initiators and the agents of their steps are killed: every
// workflow ends, and the judge finds each step recorded once (S8) and in its order (S9).
import { randomUUID } from "node:crypto";
import { ParleyError, type Workflow } from "../../contracts/index.ts";
import { pick } from "../../mesh/core/prng.ts";
import type { Tracker } from "../../mesh/index.ts";
import { CAPABILITY, type World } from "../harness/world.ts";
import type { ChaosContext, Scenario } from "../scenario.ts";

/** Steps of one workflow: a head, a wide middle, what joins it, a chain. */
const WIDE = 30;
const CHAIN = 8;
const STEPS = 1 + WIDE + 1 + CHAIN;
const AT_ONCE = 16;
/** Steps a minute of this machine, under kills. */
const STEPS_A_MINUTE = 6_000;
const PAUSE_MS = 900;
const AGAIN_MS = 200;
const SHARES = { initiator: 0.2, conductor: 0.3 } as const;

const retry = { attempts: 20, backoffMs: 50 };

function definitionOf(ms: () => number): Workflow {
  const step = (id: string, after: string[]) => ({
    id,
    capability: CAPABILITY,
    input: { ms: ms() },
    after,
    retry,
  });
  const wide = Array.from({ length: WIDE }, (_, i) => `w${i}`);
  const chain = Array.from({ length: CHAIN }, (_, i) =>
    step(`c${i}`, [i === 0 ? "join" : `c${i - 1}`]),
  );
  return {
    v: 1,
    kind: "workflow",
    name: "chaos",
    version: "1.0.0",
    steps: [
      step("head", []),
      ...wide.map((id) => step(id, ["head"])),
      step("join", wide),
      ...chain,
    ],
  };
}

async function accept(world: World, task: string, definition: Workflow): Promise<Tracker> {
  for (;;) {
    try {
      const options = { task, timeoutMs: 900_000, retry };
      return await world.load.peer.submitters.submit("workflow", { definition }, options);
    } catch (error) {
      if (!(error instanceof ParleyError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

async function kills(c: ChaosContext, world: World, over: () => boolean, say: () => string) {
  let count = 0;
  while (!over() && !c.signal.aborted) {
    const draw = c.prng.next();
    const victims =
      draw < SHARES.initiator
        ? world.initiators
        : draw < SHARES.initiator + SHARES.conductor
          ? world.conductors
          : world.contractors;
    if (victims.length > 1) await world.kill(pick(c.prng, victims));
    if (++count % 20 === 0) c.say(`${count} kills, ${say()}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (0.5 + c.prng.next())));
  }
}

export const scenario: Scenario = {
  name: "workflow",
  about: "kill -9 of workflow contractors, initiators and agents while graphs run",
  bars: ["workflow"],
  async run(c) {
    const world = await c.world({ contractors: 6, initiators: 2, conductors: 3, slots: 2 });
    const wanted = Math.max(AT_ONCE, Math.round((c.minutes * STEPS_A_MINUTE) / STEPS));
    let flows = 0;
    const states = new Map<string, number>();
    let ended = 0;
    const lane = async () => {
      while (flows < wanted && !c.signal.aborted) {
        flows++;
        const task = `f${randomUUID()}`;
        const definition = definitionOf(() => 5 + c.prng.int(30));
        const { state, failure } = await (await accept(world, task, definition)).outcome();
        if (failure !== undefined) c.say(`${state}: ${failure.message}`);
        states.set(state, (states.get(state) ?? 0) + 1);
        ended++;
      }
    };
    const lanes = Promise.all(Array.from({ length: AT_ONCE }, lane));
    let over = false;
    const running = lanes.finally(() => {
      over = true;
    });
    await kills(
      c,
      world,
      () => over,
      () => `${ended} of ${wanted} workflows ended`,
    );
    await running;
    await world.whole();
    const completed = states.get("completed") ?? 0;
    return [
      {
        id: "workflow",
        text: "every workflow completes under random kill -9 (S8, S9: see the verdict)",
        figure:
          `${world.faults.seen} kills, ${completed} of ${flows} workflows completed, ` +
          `${flows * STEPS} steps`,
        met: completed === flows,
      },
    ];
  },
};
