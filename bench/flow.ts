// npm run bench -- workflow: what a step costs beside a plain task of the same process. Steps do
// nothing, so only the way of a step is seen; messages must grow with the steps and not faster.
import { runWorkflow } from "../agent-sdk/workflow.ts";
import { type Step, type Workflow, WorkflowSchema } from "../contracts/index.ts";
import type { OpenPeer } from "../mesh/index.ts";
import { startLocalMesh } from "../mesh/local.ts";

export interface FlowFigures {
  name: string;
  steps: number;
  msPerStep: number;
  /** Of plain tasks, as many at a time. */
  msPerTask: number;
  ratio: number;
  messagesPerStep: number;
}

const IN_FLIGHT = 64;
const AGENTS = 100;

interface Case {
  name: string;
  steps: number;
  definition: Workflow;
  inFlight: number;
}

function flow(steps: Step[]): Workflow {
  return WorkflowSchema.parse({ v: 1, kind: "workflow", name: "bench", steps });
}

function cases(): Case[] {
  const chain = (n: number): Case => ({
    name: "chain",
    steps: n,
    inFlight: 1,
    definition: flow(
      Array.from({ length: n }, (_, i) => ({
        id: `s${i}`,
        capability: "nothing",
        after: i === 0 ? [] : [`s${i - 1}`],
      })),
    ),
  });
  const fan = (n: number): Case => ({
    name: `fan-in, ${IN_FLIGHT} in flight`,
    steps: n + 1,
    inFlight: IN_FLIGHT,
    definition: flow([
      {
        id: "each",
        capability: "nothing",
        each: { in: { $: "params.list" }, atOnce: IN_FLIGHT },
      },
      { id: "all", capability: "nothing", input: { n: { $: "steps.each.output.0" } } },
    ]),
  });
  return [chain(100), chain(1_000), fan(100), fan(1_000)];
}

export async function benchFlows(say: (line: string) => void): Promise<FlowFigures[]> {
  const mesh = await startLocalMesh({ audit: false });
  try {
    const host = await mesh.open("host", "agent", ["nothing"], { use: { submitter: false } });
    const client = await mesh.open("client", "submitter");
    for (let i = 0; i < AGENTS; i++) {
      host.peer.host({
        name: `a${i}`,
        slots: 1,
        services: [
          {
            capability: { name: "nothing", version: "1.0.0" },
            run: async () => ({ output: null }),
          },
        ],
      });
    }
    await host.transport.flush();
    const figures: FlowFigures[] = [];
    await plain(client, 2_000, IN_FLIGHT);
    for (const c of cases()) {
      const msPerTask = (await plain(client, c.steps, c.inFlight)) / c.steps;
      const sentBefore = client.transport.sent + host.transport.sent;
      const began = performance.now();
      await play(client, c.definition, c.steps);
      const msPerStep = (performance.now() - began) / c.steps;
      const sent = client.transport.sent + host.transport.sent - sentBefore;
      const one: FlowFigures = {
        name: c.name,
        steps: c.steps,
        msPerStep,
        msPerTask,
        ratio: msPerStep / msPerTask,
        messagesPerStep: sent / c.steps,
      };
      say(
        `${`${c.name} of ${c.steps}`.padEnd(36)} ${msPerStep.toFixed(2)} ms a step, plain task ` +
          `${msPerTask.toFixed(2)} ms, ratio ${one.ratio.toFixed(2)}, ` +
          `${one.messagesPerStep.toFixed(1)} messages`,
      );
      figures.push(one);
    }
    await Promise.all([client.close(0), host.close(0)]);
    return figures;
  } finally {
    await mesh.stop();
  }
}

/** Plain tasks, so many at a time; gives the time for all, ms. */
async function plain(client: OpenPeer, tasks: number, inFlight: number): Promise<number> {
  const began = performance.now();
  let left = tasks;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await (await client.peer.submitters.submit("nothing", {}, {})).outcome();
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return performance.now() - began;
}

/** The graph, driven as its contractor drives it, with plain tasks for sub-tasks. */
async function play(client: OpenPeer, definition: Workflow, steps: number): Promise<void> {
  const list = Array.from({ length: steps }, (_, i) => i);
  await runWorkflow(
    definition,
    { list },
    {
      signal: new AbortController().signal,
      epoch: 1,
      progress: () => undefined,
      recall: async () => undefined,
      find: async () => undefined,
      hear: () => new Promise(() => undefined),
      step: async (_name, fn) => fn({ key: "", signal: new AbortController().signal }),
      submit: async (capability, input, options = {}) => {
        const rank = options.rank === undefined ? {} : { rank: options.rank };
        const tracker = await client.peer.submitters.submit(capability.name, input, rank);
        return {
          task: tracker.task,
          owner: tracker.owner,
          result: () => tracker.result() as never,
          output: () => tracker.result(),
          outcome: () => tracker.outcome(),
          events: () => tracker.events(),
          cancel: (reason) => tracker.cancel(reason),
        };
      },
    },
  );
}
