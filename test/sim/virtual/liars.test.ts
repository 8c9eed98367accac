// An agent that takes ten times as long as the others, and bids less than they do: it is believed
// no more once it was seen at work, however large the lie is, and whatever it says of itself.
import { expect, test } from "vitest";
import { decode } from "../../../mesh/runtime/codec/codec.ts";
import { msgpackBytes } from "../../../mesh/runtime/codec/encode-own.ts";
import type { BidTerms } from "../../../mesh/runtime/hosted-agent.ts";
import type { Peer } from "../../../mesh/runtime/peer.ts";
import { VirtualHost } from "../../../sim/virtual/hosts.ts";
import { VirtualPlace } from "../../support/virtual-place.ts";

const HONEST_MS = 100;
const SLOW_MS = 1_000;
const LIMITS = { bytesMax: 1e6, depthMax: 9, keysMax: 999 };

/** Tells its initiators that it worked no longer than it had said. */
function lieAfterwards(peer: Peer, claimMs: number): void {
  const { transport } = peer.deps;
  const publish = transport.publish.bind(transport);
  transport.publish = (subject, data, options) => {
    const message = subject.startsWith("mesh.msg.") ? decode(data, LIMITS) : undefined;
    const body = message?.ok === true ? (message.value as Record<string, unknown>) : {};
    const told = body.kind === "done" ? msgpackBytes({ ...body, workedMs: claimMs }) : data;
    publish(subject, told, options);
  };
}

function contractor(place: VirtualPlace, i: number, claimMs: number, lies: boolean): VirtualHost {
  const slow = i === 0;
  const furnish = (peer: Peer, host: VirtualHost) => {
    const capability = { name: "work", version: "1.0.0", durationMs: HONEST_MS };
    const run = async ({ signal }: { signal: AbortSignal }) => {
      if (!(await host.sleep(slow ? SLOW_MS : HONEST_MS, signal))) throw signal.reason;
      return { output: null };
    };
    const bid = (_: unknown, usual: BidTerms) => ({ ...usual, durationMs: claimMs });
    const service = slow ? { capability, run, bid } : { capability, run };
    peer.host({ name: "w", slots: 1, services: [service] });
    if (slow && lies) lieAfterwards(peer, claimMs);
  };
  const about = { name: `con${i}`, role: "contractor" as const, capabilities: ["work"], furnish };
  return new VirtualHost(place.world, place.broker, about);
}

/** Share of the awards that it gets, of the last 150 of 200. */
async function share(claimMs: number, lies: boolean): Promise<number> {
  const place = new VirtualPlace("liar");
  const awards: string[] = [];
  const ina = new VirtualHost(place.world, place.broker, {
    name: "ina",
    role: "initiator",
    history: (_, { op, to }) => {
      if (op === "award" && to !== undefined) awards.push(to);
    },
  });
  const sue = new VirtualHost(place.world, place.broker, { name: "sue", role: "submitter" });
  const agents = [0, 1, 2, 3].map((i) => contractor(place, i, claimMs, lies));
  for (const host of [ina, sue, ...agents]) await place.settle(host.start());
  await place.until(() => ina.peer?.registry.capabilities().get("work") === 4);
  await place.played(sue.peer as Peer, 200, 1_200, { award: { policy: "fastest" } });
  const last = awards.slice(50);
  return last.filter((to) => to === "con0.w").length / last.length;
}

test.each([
  ["half of what the others take", 50, false],
  ["half a millisecond", 0.5, false],
  ["half of it, and says so of itself afterwards", 50, true],
] as const)(
  "who claims %s and takes ten times as long loses its awards",
  async (...[, ms, lies]) => {
    expect(await share(ms, lies)).toBeLessThan(0.1);
  },
);
