// Leaders moved off a server before it is stopped: its groups go on at once instead of waiting for
// an election of 4 to 9 s.
import type { NatsConnection } from "@nats-io/nats-core";
import { type Group, standing } from "./standing.ts";

/** A server answers a step-down at once or not at all, ms. */
const ANSWER_MS = 1_000;
/** The new leader is in office some ms after the answer: looked for again after this, ms. */
const AGAIN_MS = 20;

export interface StepDownPlan {
  /** In the system account. */
  system: NatsConnection;
  /** May use the JetStream API of the mesh account. */
  admin: NatsConnection;
  /** Servers that answer. */
  running: number;
  timeoutMs: number;
}

/**
 * Moves the leaders of streams and consumers, and the meta leader, from the server of that name to
 * others that are up to date. Resolves with what it still leads when the time is up; what has one
 * copy only cannot move and is not counted.
 */
export async function moveLeadersAway(name: string, plan: StepDownPlan): Promise<string[]> {
  const end = performance.now() + plan.timeoutMs;
  for (;;) {
    const now = await standing(plan.system, plan.running, ANSWER_MS);
    const groups = now.groups.filter((g) => g.leader === name && g.others.length > 0);
    const left = groups.map((g) => [g.stream, g.consumer].filter(Boolean).join(" > "));
    if (now.meta === name) left.push("meta");
    // One without any meta leader gives no orders; it may come up with this very server.
    if (left.length === 0 && now.meta !== undefined) return [];
    if (performance.now() > end) return left;
    await Promise.all(groups.map((group) => stepDown(plan.admin, group)));
    // Last: the others go through it.
    if (now.meta === name) await ask(plan.system, "$JS.API.META.LEADER.STEPDOWN", "");
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

async function stepDown(admin: NatsConnection, group: Group): Promise<void> {
  const heir = group.others.find((o) => o.current && !o.offline);
  if (heir === undefined) return;
  const { stream, consumer } = group;
  const subject =
    consumer === undefined
      ? `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`
      : `$JS.API.CONSUMER.LEADER.STEPDOWN.${stream}.${consumer}`;
  await ask(admin, subject, JSON.stringify({ placement: { preferred: heir.name } }));
}

/** Refusals and silence show in the next look. */
async function ask(nc: NatsConnection, subject: string, body: string): Promise<void> {
  await nc.request(subject, body, { timeout: ANSWER_MS }).catch(() => undefined);
}
