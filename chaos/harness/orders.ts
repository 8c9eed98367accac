// What the nemesis and its worker processes say to each other over IPC.
import type { Role } from "../../contracts/index.ts";
import type { Creds } from "../../mesh/nats/identity/creds.ts";
import type { Home } from "../../mesh/nats/identity/home.ts";

export interface WorkerPlan {
  /** Process and principal. */
  name: string;
  role: Role;
  servers: string | string[];
  creds: Creds;
  trust: Home["trust"];
  /** Agents hosted; 0 for a mere initiator. */
  agents: number;
  /** Given: each agent has a connection of its own under one of these, and `creds` is not used. */
  own?: { name: string; creds: Creds }[];
  slots: number;
  /** Runs workflows: its one agent is `main`. */
  conducts?: boolean;
  capabilities: string[];
  /** File of its history. */
  history: string;
  seed: string;
}

export type WorkerOrder =
  | { do: "open"; plan: WorkerPlan }
  /** Blocks the event loop for `ms`, every `everyMs` from now on; 0 ends it. */
  | { do: "stall"; ms: number; everyMs: number }
  | { do: "tally" }
  | { do: "close" };

export type WorkerReport =
  | { is: "open" }
  | { is: "failed"; reason: string }
  | {
      is: "tally";
      running: number;
      open: number;
      known: number;
      counters: Record<string, number>;
      /** When each connection that is up was opened or restored, ns of the histories' clock. */
      upSince: number[];
      /** Since the last tally, ms: the longest that a timer was late, whoever had the processor;
       * and the longest that this process itself worked without coming back to its timers. */
      lagMs: number;
      heldMs: number;
    }
  | { is: "closed" };

/** What a task of the chaos runs asks of its handler. */
export interface ChaosInput {
  /** Time that it takes, ms. */
  ms: number;
  /** How it misbehaves: kills its process, never ends, throws, ends its process while `until`. */
  as?: "crash" | "hang" | "fail";
  /** Misbehaves only before this moment, ms since 1970; later it works. */
  until?: number;
}
