// A simulated agent as the mesh sees it: an honest or dishonest bid, and a handler that sleeps.
import { z } from "zod";
import { ParleyError } from "../../contracts/index.ts";
import type { AgentDefinition, BidTerms, Run, RunResult } from "../../mesh/index.ts";
import type { Signer } from "../../mesh/ports/index.ts";
import { claimedMs, type SimAgent } from "../pool.ts";
import { SERVICE_MS_MAX } from "../workload/task.ts";
import type { Execution } from "./messages.ts";

/** Input of a simulated task: its length on an agent of speed 1, ms, already scaled. */
export const SimInputSchema = z.object({
  serviceMs: z.number().nonnegative().max(SERVICE_MS_MAX),
  outputTokens: z.int().nonnegative().optional(),
  /** Told with the execution. */
  label: z.string().max(256).optional(),
  /** So many attempts fail. */
  fails: z.int().nonnegative().optional(),
});
export type SimInput = z.infer<typeof SimInputSchema>;

/** Wall clock with a fraction of a millisecond: short tasks are shorter than a tick of Date. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}

/** What a simulated handler knows of time: the machine's, or a virtual world's. */
export interface SimTime {
  /** Wall clock, ms. */
  wall(): number;
  /** True when the time has passed, false when it was cut short. */
  sleep(ms: number, signal: AbortSignal): Promise<boolean>;
}

/** @param ended is told of every execution when it is over */
export function simDefinition(
  agent: SimAgent,
  principal: string,
  signer: Signer | undefined,
  ended: (execution: Execution) => void,
  time: SimTime = { wall: wallMs, sleep },
): AgentDefinition {
  const worker = `${principal}.${agent.name}`;
  const work = async (run: Run): Promise<RunResult> => {
    const input = SimInputSchema.safeParse(run.spec.input);
    if (!input.success) {
      throw new ParleyError("E_INPUT", 'a simulated task takes {"serviceMs": 1000}');
    }
    const startMs = time.wall();
    const finished = await time.sleep(input.data.serviceMs / agent.speed, run.signal);
    const endMs = time.wall();
    const { label } = input.data;
    const what = { task: run.spec.task, ...(label === undefined ? {} : { label }) };
    ended({ ...what, worker, epoch: run.epoch, startMs, endMs, finished });
    if (!finished) throw run.signal.reason;
    if (run.attempt <= (input.data.fails ?? 0)) throw new Error("it was to fail");
    return {
      output: { tokens: input.data.outputTokens ?? 0 },
      cost: (agent.costPerSecond * (endMs - startMs)) / 1_000,
    };
  };
  return {
    name: agent.name,
    slots: agent.slots,
    ...(signer === undefined ? {} : { signer }),
    services: agent.capabilities.map((name) => ({
      capability: { name, version: "1.0.0", slots: agent.slots },
      bid: (call, usual): BidTerms => {
        const hinted = call.hints?.durationMs;
        // Without a hint an agent can only go by what such tasks took it so far.
        const durationMs = hinted === undefined ? usual.durationMs : claimedMs(agent, hinted);
        return { ...usual, durationMs, cost: (agent.costPerSecond * durationMs) / 1_000 };
      },
      run: work,
    })),
  };
}

function sleep(ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const abort = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    // Down to the millisecond: timers come up to one late.
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve(true);
    }, Math.floor(ms));
    signal.addEventListener("abort", abort, { once: true });
  });
}
