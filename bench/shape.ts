// What a bench run is made of, the same for the product and for the floor.
import type { Trust } from "../mesh/nats/identity/account.ts";

export interface Shape {
  mode: "durable" | "live";
  agents: number;
  tasks: number;
  /** Tasks under way at a time. */
  inFlight: number;
  signing: boolean;
  /** Bids per call: the queue groups that are asked, as for short tasks or for longer ones. */
  bids: 2 | 4;
  /** Tasks started each second, whatever became of the others (an open loop); 0: a closed one. */
  perSecond: number;
  /** Processes that host the agents; the submitter has one more. */
  hosts: number;
  /** Tasks not counted at the start: compilers and estimates warm up. */
  warmUp: number;
}

export interface Outcome {
  tasks: number;
  seconds: number;
  tasksPerSecond: number;
  /** Submission to outcome, ms. */
  latencyMs: { p50: number; p99: number };
  /** Spec stored to contract stored, by the server's clock, ms; absent for live calls. */
  decisionMs?: { p50: number; p99: number };
  /** Messages that the clients sent, per task. */
  messagesPerTask: number;
  bidsPerTask: number;
  /** CPU of the client process and of the server, ms per task. */
  clientCpuMs: number;
  serverCpuMs: number;
}

/** What a host process is told over its channel. */
export interface HostOrder {
  side: "product" | "floor";
  shape: Shape;
  /** Number of this host, from 0. */
  host: number;
  url: string;
  jwt: string;
  seed: string;
  trust: Trust;
}

/** What it answers: ready, or its counts on request. */
export interface HostReport {
  ready?: true;
  counts?: { sent: number; bids: number; cpuMs: number };
}

/** The agents of one host. */
export function agentNames(shape: Shape, host: number): string[] {
  const names: string[] = [];
  for (let i = host; i < shape.agents; i += shape.hosts) names.push(`a${i}`);
  return names;
}

export const INPUT = { prompt: "x".repeat(160), words: 30 };

export function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return 0;
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** Starts one task every `1 / perSecond`; latencies in ms. Evenly spaced, so that a figure tells of
 * the product and not of the draw. */
export async function pour(
  n: number,
  perSecond: number,
  one: (i: number) => Promise<void>,
): Promise<number[]> {
  const latencies: number[] = [];
  const running: Promise<void>[] = [];
  const began = performance.now();
  for (let i = 0; i < n; i++) {
    const due = began + (i * 1_000) / perSecond;
    while (performance.now() < due) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    }
    running.push(one(i).then(() => void latencies.push(performance.now() - due)));
  }
  await Promise.all(running);
  return latencies;
}

/** Runs `one` for tasks 0 to n-1, never more than `inFlight` at a time; latencies in ms. */
export async function pump(
  n: number,
  inFlight: number,
  one: (i: number) => Promise<void>,
): Promise<number[]> {
  const latencies: number[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < n) {
      const i = next++;
      const began = performance.now();
      await one(i);
      latencies.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, n) }, lane));
  return latencies;
}
