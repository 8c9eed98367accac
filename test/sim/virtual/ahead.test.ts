// P8.7: an agent whose tasks end when they are said to asks for the next one before its slot is
// free.
import { describe, expect, test } from "vitest";
import type { HistoryEvent } from "../../../mesh/ports/index.ts";
import { type HostOptions, VirtualHost } from "../../../sim/virtual/hosts.ts";
import { keyOf, VirtualTrust } from "../../../sim/virtual/trust.ts";
import { VirtualPlace } from "../../support/virtual-place.ts";

const SAID_MS = 100;

interface Seen extends HistoryEvent {
  at: number;
}

/** One initiator, agents of one slot each, and what everybody noted. */
class Shop extends VirtualPlace {
  readonly trust = new VirtualTrust();
  readonly seen: Seen[] = [];
  readonly ina: VirtualHost;
  readonly agents: VirtualHost[];

  /** @param workMs what the n-th task of an agent takes */
  constructor(agents: number, workMs: (n: number) => number) {
    super("shop");
    this.ina = this.#host({ name: "ina", role: "agent" });
    this.agents = Array.from({ length: agents }, (_, i) => {
      let runs = 0;
      return this.#host({
        name: `con${i}`,
        role: "contractor",
        capabilities: ["work"],
        furnish: (peer, host) => {
          const run = async ({ signal }: { signal: AbortSignal }) => {
            if (!(await host.sleep(workMs(runs++), signal))) throw signal.reason;
            return { output: null };
          };
          const capability = { name: "work", version: "1.0.0" };
          peer.host({ name: "w", slots: 1, services: [{ capability, run }] });
        },
      });
    });
  }

  #host(o: Pick<HostOptions, "name" | "role" | "capabilities" | "furnish">): VirtualHost {
    const signer = keyOf("shop", o.name);
    this.trust.add(o.name, signer.publicKey, o.role, o.capabilities ?? []);
    return new VirtualHost(this.world, this.broker, {
      ...o,
      signer,
      trust: this.trust,
      history: (_, e) => void this.seen.push({ ...e, at: this.world.now }),
    });
  }

  async open(): Promise<this> {
    let open = 0;
    for (const host of [this.ina, ...this.agents]) void host.start().then(() => open++);
    const known = () => this.ina.peer?.registry.capabilities().get("work") ?? 0;
    await this.until(() => open === this.agents.length + 1 && known() === this.agents.length);
    return this;
  }

  /** Submits at once. @returns whether all have ended */
  submit(tasks: number): () => boolean {
    let ended = 0;
    for (let i = 0; i < tasks; i++) {
      const options = { hints: { durationMs: SAID_MS }, timeoutMs: 500_000 };
      void this.ina.peer?.submitters.submit("work", {}, options).then(async (tracker) => {
        await tracker.outcome();
        ended++;
      });
    }
    return () => ended === tasks;
  }

  async play(tasks: number): Promise<void> {
    await this.until(this.submit(tasks));
  }

  moments(op: string): number[] {
    return this.seen.filter((e) => e.op === op && e.k === "obs").map((e) => e.at);
  }
}

describe("work asked for ahead", () => {
  test("P8.7: the next is awarded while the last runs, begins when that has ended", async () => {
    const shop = await new Shop(1, () => SAID_MS).open();
    await shop.play(20);
    const [awards, starts, stops] = ["award", "start", "stop"].map((op) => shop.moments(op));
    const late = (awards ?? []).filter((at, n) => n > 6 && at > (stops?.[n - 1] ?? 0));
    expect(late).toEqual([]);
    // One slot, one task at a time: each begins after the one before it, and soon.
    for (let n = 7; n < 20; n++) {
      const gap = (starts?.[n] ?? 0) - (starts?.[n - 1] ?? 0) - SAID_MS;
      expect(gap).toBeGreaterThan(0);
      expect(gap).toBeLessThan(2);
    }
  });

  test("P8.7: not by an agent whose tasks end when they please", async () => {
    const shop = await new Shop(1, (n) => SAID_MS * (n % 2 === 0 ? 0.5 : 1.7)).open();
    await shop.play(20);
    const [awards, stops] = ["award", "stop"].map((op) => shop.moments(op));
    const early = (awards ?? []).filter(
      (at, n) => n > 6 && at < (stops?.[n - 1] ?? 0) - SAID_MS / 4,
    );
    expect(early).toEqual([]);
  });

  test("P8.7: an award that waits in vain is refused, and the task goes on waiting", async () => {
    // Twelve as said, then one that hangs.
    const shop = await new Shop(1, (n) => (n === 12 ? 5_000 : SAID_MS)).open();
    await shop.play(20);
    expect(shop.agents[0]?.peer?.counters.get("award.refused.busy")).toBe(1);
    const starts = shop.moments("start");
    expect(starts.length).toBe(20);
    expect((starts[13] ?? 0) - (starts[12] ?? 0)).toBeGreaterThan(5_000);
  });

  test("P8.7: an award that waits at a host that dies goes to another at once", async () => {
    const shop = await new Shop(2, () => SAID_MS).open();
    const done = shop.submit(60);
    const [con] = shop.agents;
    await shop.until(() => shop.moments("stop").length > 20);
    const held = () => {
      const last = shop.seen.findLast((e) => e.op === "award" && e.to === "con0.w");
      const begun = shop.seen.some((e) => e.op === "start" && e.task === last?.task);
      const claimed = shop.seen.some(
        (e) => e.k === "inv" && e.op === "contract" && e.task === last?.task,
      );
      return last !== undefined && !begun && !claimed ? last : undefined;
    };
    await shop.until(() => held() !== undefined);
    const { task } = held() as Seen;
    con?.crash();
    const died = shop.world.now;
    await shop.until(() => shop.seen.some((e) => e.op === "start" && e.task === task));
    expect(shop.world.now - died).toBeLessThan(1_000);
    await shop.until(done);
  });
});
