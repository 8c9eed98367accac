// "Are you there, and still on this task?"
import { type Address, liveSubject } from "../../contracts/index.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";

/** How long an answer may take, ms. That nobody is there is known at once. */
const PROBE_TIMEOUT_MS = 2_000;

export interface ProbeOrder {
  owner: string;
  task: string;
  epoch: number;
  contractor: Address;
  /** Who asks, and gets the beats from now on. */
  from: Address;
}

/**
 * `alive`; `unsure` when our own link is down, since a cut revokes nobody while we cannot see;
 * else the reason to count the contractor as lost, in words.
 */
export async function probe(d: Deps, o: ProbeOrder): Promise<string> {
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
    if (answer.data.length === 1 && answer.data[0] === 1) return "alive";
    return `${o.contractor} no longer works on this task`;
  } catch {
    return d.transport.state() === "up" ? `${o.contractor} does not answer` : "unsure";
  }
}
