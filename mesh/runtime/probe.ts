// "Are you there, and still on this task?"
import { type Address, liveSubject, ParleyError } from "../../contracts/index.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";

/** How long an answer may take, ms. That nobody is there is known at once. */
const PROBE_TIMEOUT_MS = 500;

export interface ProbeOrder {
  owner: string;
  task: string;
  epoch: number;
  contractor: Address;
  /** Who asks, and gets the beats from now on. */
  from: Address;
}

export type Found =
  | { is: "alive" }
  /** Not there, or there and not on this task: certain. */
  | { is: "gone"; why: string }
  /** No answer in time: hung, cut off, or slow. */
  | { is: "silent"; why: string };

export async function probe(d: Deps, o: ProbeOrder): Promise<Found> {
  const [principal, agent] = o.contractor.split(".") as [string, string];
  d.counters.add("probes");
  const question = msgpackBytes({
    v: 1,
    kind: "live",
    owner: o.owner,
    task: o.task,
    epoch: o.epoch,
    from: o.from,
  });
  try {
    const answer = await d.transport.request(liveSubject(principal, agent), question, {
      timeoutMs: PROBE_TIMEOUT_MS,
    });
    if (answer.data.length === 1 && answer.data[0] === 1) return { is: "alive" };
    return { is: "gone", why: `${o.contractor} no longer works on this task` };
  } catch (error) {
    const nobody = error instanceof ParleyError && error.code === "E_NO_CAPABILITY";
    if (nobody) return { is: "gone", why: `${o.contractor} is not connected` };
    return { is: "silent", why: `${o.contractor} does not answer` };
  }
}
