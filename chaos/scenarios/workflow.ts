// Workflows while their contractors, the initiators and the agents of their steps are killed: each
// step is recorded once and in its order, and every workflow ends.
import { randomUUID } from "node:crypto";
import { subTaskId } from "../../agent-sdk/durable.ts";
import { ParleyError, type Workflow } from "../../contracts/index.ts";
import { pick } from "../../mesh/core/prng.ts";
import { graphOf } from "../../mesh/core/workflow/graph.ts";
import type { Tracker } from "../../mesh/index.ts";
import { dumpRecords } from "../../mesh/nats/dump.ts";
import { CAPABILITY, type World } from "../harness/world.ts";
import type { ChaosContext, Scenario } from "../scenario.ts";

/** Steps of one workflow: a head, a wide middle, what joins it, a chain, what is undone. */
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

interface Stored {
  contracts: number[];
  completed: number[];
}

/** Contracts and good ends of every task, by the revisions at which they stand. */
async function stored(world: World): Promise<Map<string, Stored>> {
  const reader = await world.mesh.open("reader", "observer");
  const tasks = new Map<string, Stored>();
  try {
    for await (const record of dumpRecords(reader.transport, { principal: "reader" })) {
      const { kind, task } = record.key;
      if (kind !== "contract" && kind !== "outcome") continue;
      const own = tasks.get(task) ?? { contracts: [], completed: [] };
      tasks.set(task, own);
      if (kind === "contract") own.contracts.push(record.rev);
      else if (stateOf(record.body) === "completed") own.completed.push(record.rev);
    }
  } finally {
    await reader.close(0);
  }
  return tasks;
}

function stateOf(body: Uint8Array): string {
  return (JSON.parse(Buffer.from(body).toString()) as { state: string }).state;
}

/** Steps that are not recorded exactly once, and those that began before what they come after. */
function flaws(flows: ReadonlyMap<string, Workflow>, tasks: ReadonlyMap<string, Stored>) {
  let odd = 0;
  let early = 0;
  for (const [flow, { steps }] of flows) {
    const graph = graphOf(steps);
    const own = steps.map((s) => tasks.get(subTaskId("load", flow, `=${s.id}`)));
    own.forEach((one, i) => {
      if (one?.completed.length !== 1) odd++;
      const first = Math.min(...(one?.contracts ?? []));
      const last = Math.max(0, ...(graph.before[i] ?? []).map((j) => own[j]?.completed[0] ?? 0));
      if (first < last) early++;
    });
  }
  return { odd, early };
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
    const flows = new Map<string, Workflow>();
    const states = new Map<string, number>();
    let ended = 0;
    const lane = async () => {
      while (flows.size < wanted && !c.signal.aborted) {
        const task = `f${randomUUID()}`;
        const definition = definitionOf(() => 5 + c.prng.int(30));
        flows.set(task, definition);
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
    const { odd, early } = flaws(flows, await stored(world));
    const completed = states.get("completed") ?? 0;
    return [
      {
        id: "workflow",
        text: "each step recorded once and in order, every workflow ends, under random kill -9",
        figure:
          `${world.faults.seen} kills, ${completed} of ${flows.size} workflows completed, ` +
          `${flows.size * STEPS} steps: ${odd} not recorded exactly once, ${early} out of order`,
        met: odd === 0 && early === 0 && completed === flows.size,
      },
    ];
  },
};
