// Runs workflows without a Mesh around them: for hosts that bring a peer of their own (the
// simulator's, the chaos worker's).
import type { OpenPeer, Run } from "../mesh/index.ts";
import type { Log } from "../mesh/ports/index.ts";
import { Acts, DurableRun, type MakeTask } from "./durable.ts";
import { cancelOn, handleOf } from "./handle.ts";
import { inherit, taskOptions } from "./options.ts";
import { readWorkflow } from "./read-workflow.ts";
import { runWorkflow } from "./workflow.ts";

export interface Conductor {
  peer: Pick<OpenPeer["peer"], "submitters">;
  /** Address of the agent that holds the workflow's contract. */
  contractor: string;
  /** Wall clock, ms since the epoch. */
  wall: () => number;
  log: Log;
}

/** What `serveWorkflows` does with one contract. */
export function conduct(c: Conductor, run: Run): Promise<{ output: unknown }> {
  const { epoch, signal } = run;
  const {
    definition,
    params = {},
    given = {},
  } = run.input as {
    definition: unknown;
    params?: Record<string, unknown>;
    given?: Record<string, unknown>;
  };
  return perform(c, run, (acts) => {
    const host = {
      submit: acts.submit.bind(acts),
      step: acts.step.bind(acts),
      recall: acts.recall.bind(acts),
      hear: acts.hear.bind(acts),
      progress: () => undefined,
      epoch,
      signal,
    };
    return runWorkflow(readWorkflow(definition), params, host, given);
  });
}

/** A handler with durable acts, run under one contract. */
export async function perform(
  c: Conductor,
  run: Run,
  handler: (acts: Acts) => Promise<unknown>,
): Promise<{ output: unknown }> {
  const { spec, epoch, live, signal } = run;
  const make: MakeTask = async (capability, input, options) => {
    const wall = c.wall();
    const from = { spec, epoch, contractor: c.contractor, live };
    const told = inherit(taskOptions(options, wall), from, wall);
    const tracker = await c.peer.submitters.submit(capability.name, input, told);
    cancelOn(options.signal, capability, tracker, c.log, true);
    return { ...handleOf(capability, tracker), ended: () => tracker.ended() };
  };
  const durable = new DurableRun(run, make, c.wall);
  const output = await handler(new Acts(durable, "", signal));
  await durable.check();
  return { output };
}
