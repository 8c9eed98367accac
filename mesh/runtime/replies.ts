// What comes back to an initiator: bids, refusals, and the server's word that nobody is there.
import {
  type Address,
  type Answer,
  AnswerSchema,
  address,
  type BidSubject,
} from "../../contracts/index.ts";
import { awardeeOf, type Event, type InitiatorTask } from "../core/initiator-task.ts";
import type { Incoming } from "../ports/index.ts";
import type { Deps } from "./dependencies.ts";

const NOBODY_THERE = 503;

type Reply = Extract<Event, { on: "bid" | "refusal" | "nobody" }>;

/** Undefined when it was refused (and counted). */
export function readReply(
  { inbound, counters, registry }: Pick<Deps, "inbound" | "counters" | "registry">,
  { cfp, from: author }: BidSubject,
  message: Incoming,
  capability: string,
): Reply | undefined {
  const from = author && address(author.principal, author.agent);
  if (message.status === NOBODY_THERE) {
    if (from === undefined) return { on: "nobody", cfp };
    counters.add("awards.unheard");
    return absent(cfp, from);
  }
  if (from === undefined) return undefined;
  const answer = inbound.read<Answer>("bid", AnswerSchema, message);
  if (answer === undefined) return undefined;
  // It was told of the call by somebody who may hear it.
  if (!registry.mayOffer(from, capability)) return inbound.reject("bid", "E_AUTHORITY");
  if (answer.kind === "bid") {
    counters.add("bids");
    return { on: "bid", cfp, from, bid: answer };
  }
  const { reason, freeInMs, award = false } = answer;
  counters.add(`refusals.${reason}`);
  return { on: "refusal", cfp, from, award, reason, freeInMs };
}

/** An award to somebody who is not there counts as refused. */
export function absent(cfp: string, from: Address): Reply {
  return { on: "refusal", cfp, from, award: true, reason: "draining", freeInMs: undefined };
}

/** Was an award of this task refused for its date, by whom it was for? */
export function misdates(t: InitiatorTask, event: Reply): event is Reply & { from: Address } {
  if (event.on !== "refusal" || event.reason !== "clock" || !event.award) return false;
  if (t.phase !== "awarding" && !(t.live && t.phase === "running")) return false;
  return event.from === awardeeOf(t);
}
