// What a live run hands in, and the JSON object that it prints with --json.
import type { Baseline } from "./baseline.ts";
import type { PoolProfile } from "./pool.ts";
import type { WorkloadTask } from "./workload/task.ts";

/** One execution, whatever came of it. Times in ms on one clock, the same as in TaskRow. */
export interface ExecutionRow {
  readonly task: string;
  /** An agent of the pool by its name, or its address `<principal>.<name>`. */
  readonly worker: string;
  readonly startMs: number;
  readonly endMs: number;
  /** False when it was aborted, failed, or its outcome was fenced out. Default true. */
  readonly completed?: boolean | undefined;
}

export const TERMINAL_STATES = ["completed", "failed", "canceled", "expired", "rejected"] as const;
export type TerminalState = (typeof TERMINAL_STATES)[number];

/** One submitted task as it stood when the run ended. Moments that never came are left out. */
export interface TaskRow {
  readonly id: string;
  /** The submitter asked. */
  readonly submitMs: number;
  /** The spec was stored. */
  readonly specMs?: number | undefined;
  /** The first contract was stored. */
  readonly contractMs?: number | undefined;
  /** The outcome was stored. */
  readonly outcomeMs?: number | undefined;
  /** A task in any state that is not terminal counts as lost. */
  readonly state: string;
  /** Who held the last contract: name or address. */
  readonly contractor?: string | undefined;
  /** Terminal records found; more than one counts as duplicated. Default: one. */
  readonly outcomes?: number | undefined;
}

/** Counted by the agents of the run. */
export interface RunCounters {
  /** Messages of the contract net: calls, bids, refusals, awards, records. */
  readonly messages: number;
  readonly bids: number;
  /** By reason. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Messages that the server took in and gave out, where its monitoring could be asked. */
  readonly server?: { readonly in: number; readonly out: number } | undefined;
}

export type Connections = "own" | "shared";

export interface ReportOptions {
  readonly seed: string | number;
  /** A person's name for the workload: a file's name, or "generated". */
  readonly workload: string;
  /** The tasks as they were to be submitted: stretched and scaled. */
  readonly planned: readonly WorkloadTask[];
  readonly timeScale: number;
  readonly connections: Connections;
  readonly policy: string;
  /** Durability of the server: `dev`, `durable-1`, or `external` for one that was there before. */
  readonly profile: string;
  /** Stopped before its end: tasks that were under way then are not judged. */
  readonly interrupted?: boolean | undefined;
  /** Runs per rule of the baseline. Default 3. */
  readonly baselineRuns?: number;
}

export interface TaskCounts {
  readonly submitted: number;
  readonly completed: number;
  readonly failed: number;
  readonly expired: number;
  readonly canceled: number;
  readonly rejected: number;
  /** Submitted, and in no terminal state at the end; not counted when it was interrupted. */
  readonly lost: number;
  /** Executed to a counted end more than once, or reported under one id more than once. */
  readonly duplicated: number;
}

export interface Report {
  readonly agents: number;
  readonly pool: PoolProfile;
  /** Durability of the server. */
  readonly profile: string;
  readonly workload: string;
  readonly timeScale: number;
  readonly connections: Connections;
  readonly policy: string;
  readonly seed: string | number;
  /** First submission to last outcome or end of execution. */
  readonly seconds: number;
  readonly tasks: TaskCounts;
  /** Completed ones. */
  readonly tasksPerSecond: number;
  /** Spec stored to contract stored. */
  readonly decisionMs: { readonly mean: number; readonly p50: number; readonly p99: number };
  /** Submission to outcome, of completed tasks. */
  readonly endToEndMs: { readonly p50: number; readonly p99: number };
  /** How much later than planned tasks were submitted, against the most punctual one. */
  readonly submitLagMs: { readonly p50: number; readonly p99: number };
  /** True when it was stopped before its end; else absent. */
  readonly interrupted?: true;
  readonly messagesPerDecision: number;
  /** What the server took in and gave out per decision, where it could be asked. */
  readonly serverMessagesPerDecision?: { readonly in: number; readonly out: number };
  readonly bidsPerDecision: number;
  readonly refusals: Readonly<Record<string, number>>;
  /** Of each agent's busy time per slot, agents that got nothing included. */
  readonly giniOfBusyTime: number;
  /** Of each agent's busy time per slot. */
  readonly coefficientOfVariation: number;
  /** Busy time over slots x seconds. */
  readonly utilisation: number;
  /** (outcome - submission) / (planned service / contractor's speed), of completed tasks. */
  readonly slowdown: { readonly mean: number; readonly p99: number };
  /** The same tasks at the same submission times under four plain rules. */
  readonly baseline: Baseline;
}
