// What a scenario is: faults on purpose, on real processes and a real server, and a figure for
// each bar that it is about.
import type { Prng } from "../mesh/core/prng.ts";
import type { World, WorldOptions } from "./harness/world.ts";

export interface Bar {
  /** As in the design: B1, B4, … */
  id: string;
  text: string;
  figure: string;
  met: boolean;
}

export interface ChaosContext {
  seed: number;
  minutes: number;
  agents: number;
  prng: Prng;
  /** Where the history goes. */
  dir: string;
  /** Runs after the world is closed, whatever happened. */
  cleanup(run: () => Promise<void>): void;
  /** Ends the run early, in order. */
  signal: AbortSignal;
  say(line: string): void;
  /** A mesh with its processes; stopped and judged by the runner. */
  world(options?: WorldOptions): Promise<World>;
}

export interface Scenario {
  name: string;
  about: string;
  bars: string[];
  /** Why it cannot be done here; undefined when it can. */
  needs?(): Promise<string | undefined>;
  /** Resolves with the bars' figures; the runner drains, dumps and judges afterwards. */
  run(c: ChaosContext): Promise<Bar[]>;
}

export interface ChaosReport {
  scenario: string;
  seed: number;
  faults: { planned: number; seen: number };
  accepted: number;
  completed: number;
  failed: number;
  expired: number;
  canceled: number;
  lost: number;
  duplicated: number;
  staleCommits: number;
  wrongRevocations: number;
  detectMs: { p50: number; p99: number; n: number };
  recoverMs: { p50: number; p99: number; n: number };
  verdict: "valid" | "invalid" | "vacuous" | "not run";
  why?: string;
  bars: Bar[];
}
