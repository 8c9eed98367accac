// Agents of a simulated world that have tasks done in parts, by others: initiators, submitters and
// contractors at once. What they did is written down, so that another goes on with it.
import { untyped } from "../../agent-sdk/capability.ts";
import { perform } from "../../agent-sdk/conduct.ts";
import { ATTEMPTS_MAX } from "../../contracts/index.ts";
import type { AgentDefinition } from "../../mesh/index.ts";
import type { Run } from "../../mesh/runtime/hosted-agent.ts";
import type { Peer } from "../../mesh/runtime/peer.ts";
import { CAPABILITY_DEFAULT } from "../workload/task.ts";
import { SILENT, type VirtualHost } from "./hosts.ts";

export const COMPOSE = "compose";
export const COMPOSERS = 2;
/** Each waits for many at a time. */
const SLOTS = 1_000;
/** Whoever dies takes an attempt of all that it had. */
export const PATIENT = { attempts: ATTEMPTS_MAX, backoffMs: 50 };

export interface ComposeInput {
  /** How many parts, and the length of each on an agent of speed 1, ms. */
  parts: number;
  partMs: number;
}

/** Two parts at once at first, then one after the other. */
export function composer(name: string, peer: Peer, host: VirtualHost): AgentDefinition {
  const own = { peer, contractor: `${name}.main`, clock: host.clock, log: SILENT };
  const work = untyped(CAPABILITY_DEFAULT);
  const run = (r: Run) =>
    perform(own, r, async (acts) => {
      const { parts, partMs } = r.input as ComposeInput;
      const begin = () =>
        acts.submit(
          work,
          { serviceMs: partMs },
          { hints: { durationMs: partMs, size: 1 }, retry: PATIENT },
        );
      const began = await acts.now();
      const first = [await begin(), ...(parts > 1 ? [await begin()] : [])];
      for (const part of first) await part.result();
      for (let i = first.length; i < parts; i++) {
        await acts.step(`before part ${i}`, () => i);
        await (await begin()).result();
      }
      return { parts, began };
    });
  const capability = { name: COMPOSE, version: "1.0.0", slots: SLOTS };
  return { name: "main", slots: SLOTS, services: [{ capability, run }] };
}
