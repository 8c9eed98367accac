// P8.5: what nobody can do holds up nothing that somebody could; and who refuses what it is offered
// is not asked without an end.
import { describe, expect, test } from "vitest";
import type { AgentDefinition } from "../../../mesh/runtime/hosted-agent.ts";
import type { TaskOptions } from "../../../mesh/runtime/submitters.ts";
import { VirtualHost } from "../../../sim/virtual/hosts.ts";
import { type LinkQuality, LOCAL } from "../../../sim/virtual/network.ts";
import { VirtualPlace } from "../../support/virtual-place.ts";

const WORK_MS = 20;

type Bid = NonNullable<AgentDefinition["services"][number]["bid"]>;

/** One initiator and four agents without a graphics card, of one slot each, at 5 a task. */
class Market extends VirtualPlace {
  readonly ina: VirtualHost;
  readonly agents: VirtualHost[];

  constructor(o: { bid?: Bid; quality?: LinkQuality } = {}) {
    super("market");
    const { bid, quality = LOCAL } = o;
    this.ina = new VirtualHost(this.world, this.broker, { name: "ina", role: "agent", quality });
    this.agents = Array.from({ length: 4 }, (_, i) => {
      const furnish = (peer: NonNullable<VirtualHost["peer"]>, host: VirtualHost): void => {
        const capability = { name: "work", version: "1.0.0", cost: 5 };
        const run = async ({ signal }: { signal: AbortSignal }) => {
          if (!(await host.sleep(WORK_MS, signal))) throw signal.reason;
          return { output: null };
        };
        const service = { capability, run, ...(bid === undefined ? {} : { bid }) };
        peer.host({ name: "w", slots: 1, attributes: { gpu: false }, services: [service] });
      };
      const capabilities = ["work"];
      return new VirtualHost(this.world, this.broker, {
        name: `con${i}`,
        role: "contractor",
        capabilities,
        quality,
        furnish,
      });
    });
  }

  async open(): Promise<this> {
    for (const host of [this.ina, ...this.agents]) await this.settle(host.start());
    await this.until(() => this.ina.peer?.registry.capabilities().get("work") === 4);
    return this;
  }

  /** Submits so many at once. @returns how long each takes, as they end, ms */
  submit(count: number, options: TaskOptions = {}): number[] {
    const took: number[] = [];
    for (let i = 0; i < count; i++) {
      const at = this.world.now;
      const task = this.ina.peer?.submitters.submit("work", {}, { timeoutMs: 600_000, ...options });
      void task
        ?.then((tracker) => tracker.outcome())
        .then(({ state }) => state === "completed" && took.push(this.world.now - at));
    }
    return took;
  }

  pass(ms: number): Promise<unknown> {
    return this.world.run({ untilMs: this.world.now + ms });
  }
}

const impossible: [string, TaskOptions, number][] = [
  ["an attribute that no agent has", { requires: { gpu: true } }, 300],
  ["less than any agent costs", { budget: 1 }, 300],
  ["a version that is not there", { version: "2.0.0" }, 300],
  ["an agent that is away", { to: "away.w", only: true }, 40],
];

describe("P8.5: behind many that ask for", () => {
  test.each(impossible)("%s, the others go on", async (_, options, count) => {
    const m = await new Market().open();
    const never = m.submit(count, options);
    await m.pass(5_000);
    // Each at a time at which all agents have long been idle.
    for (let i = 0; i < 5; i++) {
      const [took] = [m.submit(1)];
      await m.until(() => took.length === 1, 1_000);
      expect(took[0]).toBeLessThan(WORK_MS + 10);
      await m.pass(3_000);
    }
    const burst = m.submit(80);
    await m.until(() => burst.length === 80, 2_000);
    expect(never).toEqual([]);
  });

  test("a different price each, the others go on", async () => {
    const m = await new Market().open();
    for (let i = 0; i < 300; i++) m.submit(1, { budget: i / 100 });
    await m.pass(5_000);
    const burst = m.submit(80);
    await m.until(() => burst.length === 80, 2_000);
    // Of those that wait for one price, whoever pays more is not held up by who pays less.
    const paid = m.submit(8, { budget: 5 });
    await m.until(() => paid.length === 8, 2_000);
  });

  test("what agents turn down by their own judgement, the others go on", async () => {
    const large: TaskOptions = { hints: { size: 100 } };
    const bid: Bid = ({ hints }, own) => ((hints?.size ?? 1) > 10 ? undefined : own);
    const m = await new Market({ bid }).open();
    const never = m.submit(100, large);
    await m.pass(5_000);
    const burst = m.submit(80, { hints: { size: 1 } });
    await m.until(() => burst.length === 80, 5_000);
    for (let i = 0; i < 5; i++) {
      await m.pass(3_000);
      const took = m.submit(1, { hints: { size: 1 } });
      await m.until(() => took.length === 1, 3_000);
    }
    expect(never).toEqual([]);
  });
});

test("P8.3: agents that turn everything down are not asked without an end", async () => {
  // Each message may come twice: what one answer begets must not beget two.
  const quality = { ...LOCAL, replay: 0.1, duplicate: 0.1 };
  const m = await new Market({ bid: () => undefined, quality }).open();
  m.submit(100);
  await m.pass(5_000);
  // A spare agent that takes everything makes the others hear of work again and again.
  const before = m.broker.received;
  await m.pass(20_000);
  const perSecond = (m.broker.received - before) / 20;
  // A hundred tasks are told to be in hand every 1.75 s; all else is little.
  expect(perSecond).toBeLessThan(250);
});

test("P9.1: a spec is handed out at once, however long there was none", async () => {
  const m = await new Market().open();
  for (let i = 0; i < 60; i++) {
    // Through the moment at which the initiator's pulls expire, 10 s after they were sent.
    await m.pass(9_900 + ((i * 211) % 700));
    const took = m.submit(1);
    await m.until(() => took.length === 1, 5_000);
    expect(took[0]).toBeLessThan(WORK_MS + 10);
  }
});
