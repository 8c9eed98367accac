// Runs workflows without a Mesh around them: for hosts that bring a peer of their own (the
// simulator's, the chaos worker's).
import type { OpenPeer, Run } from "../mesh/index.ts";
import type { Clock, Log } from "../mesh/ports/index.ts";
import { Acts } from "./durable.ts";
import { DurableRun, type SubTaskMaker } from "./durable-run.ts";
import { cancelOn, endingHandleOf } from "./handle.ts";
import { inherit, taskOptions } from "./options.ts";
import { readWorkflow } from "./read-workflow.ts";
import { runWorkflow } from "./workflow.ts";

export interface Conductor {
  peer: Pick<OpenPeer["peer"], "submitters">;
  /** Address of the agent that holds the workflow's contract. */
  contractor: string;
  clock: Pick<Clock, "wall" | "after">;
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
      find: acts.find.bind(acts),
      hear: acts.hear.bind(acts),
      progress: () => undefined,
      epoch,
      signal,
      pause: (ms: number, until: AbortSignal) => pause(c.clock, ms, until),
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
  const make: SubTaskMaker["make"] = async (capability, input, options) => {
    const wall = c.clock.wall();
    const from = { spec, epoch, contractor: c.contractor, live };
    const told = inherit(taskOptions(options, wall), from, wall);
    const tracker = await c.peer.submitters.submit(capability.name, input, told);
    cancelOn(options.signal, capability, tracker, c.log, true);
    return endingHandleOf(capability, tracker);
  };
  const find: SubTaskMaker["find"] = async (capability, owner, task) => {
    const tracker = await c.peer.submitters.follow(owner, task);
    return tracker && endingHandleOf(capability, tracker);
  };
  const durable = new DurableRun(run, { make, find }, () => c.clock.wall());
  const output = await handler(new Acts(durable, "", signal));
  await durable.check();
  return { output };
}

function pause(clock: Pick<Clock, "after">, ms: number, until: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => {
      until.removeEventListener("abort", abort);
      resolve();
    });
    const abort = () => {
      timer.cancel();
      reject(until.reason);
    };
    until.addEventListener("abort", abort, { once: true });
  });
}
