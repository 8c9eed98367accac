// What a virtual run is made from, and what comes of it.
import type { Report as JudgeReport } from "../../check/checker.ts";
import type { PoolProfile } from "../pool.ts";
import type { ExecutionRow, Report } from "../report.ts";
import type { WorkloadTask } from "../workload/task.ts";
import type { FaultMix, FaultPlan } from "./faults.ts";
import type { FirstViolation } from "./invariants.ts";
import type { LinkQuality } from "./network.ts";
import type { TownOptions } from "./town.ts";
import type { RunEnd } from "./world.ts";

export interface VirtualOptions {
  /** At least 1. */
  agents: number;
  /** At least 1; of a given workload so many as it has when absent. */
  tasks: number;
  seed: string | number;
  /** A policy of the mesh by name. Default `balanced`. */
  policy?: string;
  /** Default `mixed`. */
  pool?: PoolProfile;
  /** Default: generated. Stretched to the pool, as in the live simulation. */
  workload?: { name: string; tasks: readonly WorkloadTask[] };
  utilisation?: number;
  timeScale?: number;
  /** Default 50, or a hundredth of all agents where that is more. */
  agentsPerHost?: number;
  /** Default: one for 250 agents, at least 2, at most 4. */
  initiators?: number;
  submitters?: number;
  /** Real Ed25519 keys from the seed. Default false. */
  signing?: boolean;
  /** The server's permissions are checked. Default true. */
  permissions?: boolean;
  faults?: FaultMix | FaultPlan;
  quality?: LinkQuality;
  /** Finished tasks stay in the store so long, ms. Default 60 s, without faults 2 s. */
  keepMs?: number;
  /** Gets every line of the history as it is written: JSON without a line break. */
  history?: (line: string) => void;
  peers?: TownOptions["peers"];
  /** How long open tasks may take once all faults are over, ms of world time. Default: 30 s more
   * than the work that is left takes. */
  patienceMs?: number;
  baselineRuns?: number;
  /** Judges every record as it is made, by the rules of the checker. `beside`: in a thread of its
   * own, so that a run ends some thousand events after the one that broke a rule. Default false. */
  check?: boolean | "beside";
  drain?: "now" | "turns";
  /** Ends the run after about so many events: one that goes in circles never ends by itself. */
  eventsMax?: number;
  /** Asked now and then; true ends the run, and what is under way then is not judged. */
  stop?: () => boolean;
  /** Called about once a second of real time. */
  progress?: (p: Progress) => void;
}

export interface Progress {
  worldMs: number;
  submitted: number;
  ended: number;
  of: number;
  events: number;
}

export interface VirtualRun {
  report: Report;
  executions: readonly ExecutionRow[];
  /** Mean price of a completed execution, in the pool's units. */
  costMean: number;
  end: RunEnd;
  /** From the first event of the world to its end, and that part in which tasks were under way. */
  worldMs: number;
  workMs: number;
  /** Real time of the same two, ms. */
  realMs: number;
  workRealMs: number;
  /** World time over real time while tasks were under way. */
  timesRealTime: number;
  events: number;
  /** Messages into and out of the broker, and those that nobody wanted. */
  broker: { in: number; out: number; unheard: number };
  faults: Readonly<Record<string, number>>;
  counters: Readonly<Record<string, number>>;
  /** SHA-256 of all lines of the history, each with its line break; undefined without one. */
  historyHash: string | undefined;
  historyLines: number;
  /** Why tasks are still open, one line each; empty when none is. */
  pending: string[];
  /** From the end of all faults to the end of the last task, and how long it might take, ms of
   * world time; Infinity: tasks are still open. */
  liveness: { ms: number; limitMs: number };
  /** What submitters were told that is not so, or cannot be; and ends that they do not know. */
  told: { wrong: string[]; late: string[]; latestMs: number };
  /** What the judge says, when it was asked to look. */
  verdict?: Verdict;
}

export interface Verdict {
  report: JudgeReport;
  /** The first event that broke a rule; the run ended there, or soon after. */
  first: FirstViolation | undefined;
}
