// What the simulation's main process and its host processes say to one another (node's IPC, JSON).
import type { Role } from "../../contracts/index.ts";
import type { Trust } from "../../mesh/nats/identity/account.ts";
import type { Creds } from "../../mesh/nats/identity/creds.ts";
import type { SimAgent } from "../pool.ts";
import type { Connections } from "../report-types.ts";

/** A peer that only takes part while the programs are compiled: its name, rights and work. */
export interface WarmUp {
  readonly principal: string;
  readonly creds: Creds;
  readonly capability: string;
}

/** Host one share of the pool. */
export interface StartOrder {
  readonly do: "start";
  readonly servers: string;
  /** The host's own principal: its initiator, and with `shared` everybody it hosts. */
  readonly principal: string;
  readonly creds: Creds;
  /** What the creds allow. Default: agent, or initiator with `own`. */
  readonly role?: Role;
  readonly connections: Connections;
  readonly capability: string;
  readonly agents: readonly SimAgent[];
  /** With `own`: what follows an agent's name in its principal's. */
  readonly suffix: string;
  /** With `own`: one identity per agent, in the order of `agents`. */
  readonly agentCreds: readonly Creds[];
  /** Absent: signatures are neither made nor checked. */
  readonly trust?: Trust;
  readonly seed: string;
  /** Absent: nothing is sent before what is measured. */
  readonly warmUp?: WarmUp;
}

export type Order =
  | StartOrder
  /** Report `met` when the initiator's registry shows at least so many agents. */
  | { readonly do: "meet"; readonly agents: number }
  /** The warm-up is over: its peer leaves. */
  | { readonly do: "begin" }
  | { readonly do: "tally" }
  /** Leave; what still runs after `graceMs` is aborted. */
  | { readonly do: "drain"; readonly graceMs: number };

/** One run of a handler. Times in ms on the wall clock. */
export interface Execution {
  readonly task: string;
  /** As the task's input says. */
  readonly label?: string;
  /** `<principal>.<agent>` */
  readonly worker: string;
  readonly epoch: number;
  readonly startMs: number;
  readonly endMs: number;
  /** False when it was aborted. */
  readonly finished: boolean;
}

export interface Tally {
  /** Executions that ended since the last tally. */
  readonly executions: readonly Execution[];
  readonly running: number;
  /** Messages that all connections of the host have sent since they were opened. */
  readonly sent: number;
  readonly counters: Readonly<Record<string, number>>;
}

export type Report =
  | { readonly is: "hosted" }
  | { readonly is: "met"; readonly agents: number }
  | { readonly is: "begun" }
  | { readonly is: "tally"; readonly tally: Tally }
  | { readonly is: "drained"; readonly tally: Tally }
  | { readonly is: "failed"; readonly reason: string };

export type ReportKind = Report["is"];
