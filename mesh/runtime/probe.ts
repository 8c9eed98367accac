// "Are you there, and still on this task?"
import { type Address, liveSubject, ParleyError } from "../../contracts/index.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";

/** How long an answer may take, ms. That nobody is there is known at once. */
const PROBE_TIMEOUT_MS = 500;
/** The last question before the silence is long enough may wait for as long as that takes. */
const LAST_MS_MIN = 100;
const LAST_MS_MAX = 750;

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

/** @param leftMs until the silence has lasted long enough */
export async function probe(d: Deps, o: ProbeOrder, leftMs: number): Promise<Found> {
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
      timeoutMs: leftMs > LAST_MS_MAX ? PROBE_TIMEOUT_MS : Math.max(LAST_MS_MIN, leftMs),
    });
    if (answer.data.length === 1 && answer.data[0] === 1) return { is: "alive" };
    return { is: "gone", why: `${o.contractor} no longer works on this task` };
  } catch (error) {
    const nobody = error instanceof ParleyError && error.code === "E_NO_CAPABILITY";
    if (nobody) return { is: "gone", why: `${o.contractor} is not connected` };
    return { is: "silent", why: `${o.contractor} does not answer` };
  }
}
