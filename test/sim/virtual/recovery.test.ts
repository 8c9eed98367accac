// P7.12 with nobody else to turn to: the only agent of a capability fails for a while, its tasks
// wait, and go on when it is well again, with all of its slots.
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../../contracts/index.ts";
import type { Peer } from "../../../mesh/runtime/peer.ts";
import { type HostOptions, VirtualHost } from "../../../sim/virtual/hosts.ts";
import { VirtualPlace } from "../../support/virtual-place.ts";

const TASKS = 400;
const WORK_MS = 100;

class Lone extends VirtualPlace {
  readonly #hosts: VirtualHost[] = [];
  readonly #slots: number;
  #well = false;

  constructor(slots: number) {
    super("lone");
    this.#slots = slots;
    this.#host({ name: "ina", role: "initiator" });
    this.#host({ name: "sue", role: "submitter" });
    const capability = { name: "work", version: "1.0.0", durationMs: WORK_MS };
    const furnish = (peer: Peer, host: VirtualHost): void => {
      const run = async ({ signal }: { signal: AbortSignal }) => {
        if (!this.#well) throw new Error("no key");
        if (!(await host.sleep(WORK_MS, signal))) throw signal.reason;
        return { output: null };
      };
      peer.host({ name: "w", slots, services: [{ capability, run }] });
    };
    this.#host({ name: "con", role: "contractor", capabilities: ["work"], furnish });
  }

  #host(options: HostOptions): void {
    this.#hosts.push(new VirtualHost(this.world, this.broker, options));
  }

  /** @returns how all ended, and the time from when it was well, in times of its bare work */
  async run(illMs: number): Promise<{ outcomes: Outcome[]; ratio: number }> {
    for (const host of this.#hosts) await this.settle(host.start());
    const [ina, sue] = this.#hosts.map(({ peer }) => peer) as [Peer, Peer];
    await this.until(() => ina.registry.capabilities().get("work") === 1);
    const wellAt = this.world.now + illMs;
    this.world.at(wellAt, () => {
      this.#well = true;
    });
    const retry = { attempts: 10, backoffMs: 100 };
    const outcomes = await this.played(sue, TASKS, 0, { retry });
    return { outcomes, ratio: ((this.world.now - wellAt) * this.#slots) / (TASKS * WORK_MS) };
  }
}

describe.each([1, 8, 32])("an agent of %i slots", (slots) => {
  test.each([0, 3_000])("that fails for %i ms then works without a pause", async (illMs) => {
    const { outcomes, ratio } = await new Lone(slots).run(illMs);
    expect(outcomes.filter((o) => o.state !== "completed")).toEqual([]);
    // The next trial, which ends the pause, is part of it.
    expect(ratio).toBeLessThan(2);
  });
});
