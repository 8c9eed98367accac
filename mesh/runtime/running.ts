// A contract under way, as its contractor holds it.
import {
  type Address,
  type Alive,
  type EmbeddedAward,
  type Failure,
  type FailureCode,
  ParleyError,
} from "../../contracts/index.ts";
import type { OpenAward } from "./awards.ts";
import type { HostedAgent } from "./hosted-agent.ts";
import type { Journal } from "./journal.ts";

export interface Running {
  agent: HostedAgent;
  award: Pick<OpenAward, "terms" | "spec">;
  embedded: EmbeddedAward;
  /** Revision and digest of the own contract record. */
  rev: number;
  head: string;
  abort: AbortController;
  startedAt: number;
  startedWall: number;
  /** How a beat names it, and who is told. */
  alive: Alive;
  beatTo: Address[];
  progress: number;
  /** Of a durable task, once its handler runs. */
  journal: Journal | undefined;
  /** Over: fenced, canceled or ended; nothing more is written. */
  over: boolean;
  /** Its handler has ended: what came of it is on its way. */
  delivering?: boolean;
  /** It took longer than its limit. */
  late?: Failure;
  /** Failed while its handler goes on: only the slot is still to be given back. */
  abandoned?: boolean;
}

/** Its agent stops, or has fenced itself off. */
const LEFT: readonly FailureCode[] = ["E_DRAINING", "E_LOST"];

/** Is it its agent that may not go on, and not the task that failed? */
export function isLeaving({ abort, late }: Pick<Running, "abort" | "late">): boolean {
  const { reason } = abort.signal;
  return late === undefined && reason instanceof ParleyError && LEFT.includes(reason.code);
}
