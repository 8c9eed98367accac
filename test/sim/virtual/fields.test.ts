// P5.10 in virtual time: what a caller without cards is told of the field, and for how long.
import { expect, test } from "vitest";
import type { Peer } from "../../../mesh/runtime/peer.ts";
import { type HostOptions, VirtualHost } from "../../../sim/virtual/hosts.ts";
import { VirtualPlace } from "../../support/virtual-place.ts";

const AGENTS = 200;

class Town extends VirtualPlace {
  constructor() {
    super("town");
  }

  async join(options: HostOptions): Promise<Peer> {
    const host = new VirtualHost(this.world, this.broker, options);
    await this.settle(host.start());
    return host.peer as Peer;
  }

  /** A process with so many agents that add up nothing. */
  agents(name: string, count: number): Promise<Peer> {
    const capability = { name: "work", version: "1.0.0", durationMs: 1_000 };
    const furnish = (peer: Peer): void => {
      for (let i = 0; i < count; i++) {
        const run = async () => ({ output: i });
        peer.host({ name: `w${i}`, slots: 1, services: [{ capability, run }] });
      }
    };
    return this.join({ name, role: "contractor", capabilities: ["work"], furnish });
  }

  async known(ina: Peer, agents: number): Promise<void> {
    await this.until(() => ina.registry.capabilities().get("work") === agents);
  }
}

test("P5.10: a caller without cards gets four bids a call, of however many", async () => {
  const town = new Town();
  await town.agents("con", AGENTS);
  await town.known(await town.join({ name: "ina", role: "initiator" }), AGENTS);
  const sue = await town.join({ name: "sue", role: "submitter" });
  for (let n = 0; n < 10; n++) {
    const call = await town.settle(sue.submitters.call("work", {}, {}));
    expect(await town.settle(call.outcome())).toMatchObject({ state: "completed" });
  }
  expect(sue.counters.get("bids")).toBeLessThanOrEqual(4 * 10);
});

test("P5.10: what it was told counts for 2 s, and is used while it is asked again", async () => {
  const town = new Town();
  const ina = await town.join({ name: "ina", role: "initiator" });
  await town.agents("con", 3);
  await town.known(ina, 3);
  const { fields } = (await town.join({ name: "sue", role: "submitter" })).deps;
  const able = () => fields.of("work", undefined).agents;
  await town.settle(fields.know("work", undefined));
  expect(able()).toBe(3);
  await town.agents("dan", 4);
  await town.known(ina, 7);
  const later = town.world.now + 2_000;
  expect(able()).toBe(3);
  await town.until(() => town.world.now >= later);
  expect(able()).toBe(3);
  await town.until(() => able() === 7, 10);
});
