// Which durability profile is in force, from what the servers say of themselves, and whether it is
// the one that was asked for.
import type { Profile } from "../../mesh/local.ts";
import type { ServerFacts } from "../../mesh/nats/examination.ts";
import { lengthText } from "./output.ts";
import type { Target } from "./target.ts";

/** One thing that the doctor looked at. */
export interface Check {
  check: string;
  verdict: "ok" | "warn" | "fail";
  text: string;
  fix?: string;
}

const check = "durability";
const RANKS: Readonly<Record<Profile, number>> = { dev: 0, "durable-1": 1, "durable-3": 2 };
const COPIES = 3;
/** Named in full, of those that are behind. */
const SHOWN = 3;

type Told = Pick<Target, "up" | "servers">;

export function durability(facts: ServerFacts | undefined, target: Told): Check {
  const told = claimed(target);
  if (facts === undefined) {
    if (told !== undefined) {
      return { check, verdict: "ok", text: `profile ${told}, as parley up says` };
    }
    return {
      check,
      verdict: "warn",
      text: "not known: the server is asked through system.creds, which is not here",
      fix: "run doctor with --home at the mesh's folder",
    };
  }
  const holds = inForce(facts);
  if (told !== undefined && RANKS[holds] < RANKS[told]) {
    return {
      check,
      verdict: "fail",
      text: `parley up says profile ${told}, but only ${holds} holds: ${wanting(facts, told)}`,
      fix: `end parley up, then: parley up --profile ${told} --store DIR    (an empty one)`,
    };
  }
  return verdict(holds, facts);
}

/** What `parley up` says, if it is about these servers. */
function claimed({ up, servers }: Told): Profile | undefined {
  return up !== undefined && up.url === servers.join(",") ? up.profile : undefined;
}

export function inForce({ syncIntervalMs, copies }: ServerFacts): Profile {
  if (syncIntervalMs > 0) return "dev";
  // Without streams there is nothing to lose yet.
  return copies.fewest >= COPIES && copies.serversMax >= COPIES ? "durable-3" : "durable-1";
}

function wanting({ syncIntervalMs, copies }: ServerFacts, told: Profile): string {
  const reasons: string[] = [];
  if (syncIntervalMs > 0) reasons.push(`writes reach a disk within ${lengthText(syncIntervalMs)}`);
  if (told === "durable-3" && copies.serversMax < COPIES) {
    reasons.push(`${copies.serversMax === 1 ? "one server" : `${copies.serversMax} servers`}`);
  }
  if (told === "durable-3" && copies.fewest < COPIES) {
    reasons.push(`${copies.fewestOf} has ${copies.fewest} of ${COPIES} copies`);
  }
  return reasons.join("; ");
}

function verdict(holds: Profile, { syncIntervalMs, copies }: ServerFacts): Check {
  if (holds === "durable-3") {
    const text = "profile durable-3: every acknowledged write is on the disks of two of three";
    const { servers, serversMax, behind } = copies;
    if (servers >= serversMax && behind.length === 0) return { check, verdict: "ok", text };
    const more = behind.length > SHOWN ? `, and ${behind.length - SHOWN} more` : "";
    const late =
      behind.length === 0 ? "" : `; not up to date: ${behind.slice(0, SHOWN).join(", ")}`;
    return {
      check,
      verdict: "warn",
      text: `${text}; ${servers} of ${serversMax} servers answer${late}${more}`,
      fix: "start the server that is missing; without two of three nothing can be written",
    };
  }
  if (holds === "durable-1") {
    return { check, verdict: "ok", text: "profile durable-1: every acknowledged write is on disk" };
  }
  const all = copies.fewest >= COPIES ? ", if it hits all servers," : "";
  return {
    check,
    verdict: "warn",
    text:
      `profile dev: a power cut${all} may lose the last ${lengthText(syncIntervalMs)} of ` +
      "acknowledged writes; a crash of the server loses none",
    fix: "parley up --profile durable-1, or sync_interval: always in nats-server.conf",
  };
}
