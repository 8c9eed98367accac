// One initiator and four agents that stand idle, for stories of what waits beside them.
import type { AgentDefinition } from "../../mesh/runtime/hosted-agent.ts";
import type { TaskOptions } from "../../mesh/runtime/submitters.ts";
import { VirtualHost } from "../../sim/virtual/hosts.ts";
import { type LinkQuality, LOCAL } from "../../sim/virtual/network.ts";
import { VirtualPlace } from "./virtual-place.ts";

/** Length of every task, ms. */
export const WORK_MS = 20;

export type Bid = NonNullable<AgentDefinition["services"][number]["bid"]>;

type Furnish = (peer: NonNullable<VirtualHost["peer"]>, host: VirtualHost) => void;

/** One initiator and four agents without a graphics card, of one slot each, at 5 a task. */
export class IdleMarket extends VirtualPlace {
  readonly ina: VirtualHost;
  readonly agents: VirtualHost[];
  /** So many of them have a graphics card when they are started next. */
  cards = 0;

  constructor(o: { bid?: Bid; quality?: LinkQuality; seed?: string } = {}) {
    super(o.seed ?? "market");
    const { bid, quality = LOCAL } = o;
    this.ina = new VirtualHost(this.world, this.broker, { name: "ina", role: "agent", quality });
    this.agents = Array.from({ length: 4 }, (_, i) => {
      const furnish: Furnish = (peer, host) => {
        const capability = { name: "work", version: "1.0.0", cost: 5 };
        const run = async ({ signal }: { signal: AbortSignal }) => {
          if (!(await host.sleep(WORK_MS, signal))) throw signal.reason;
          return { output: null };
        };
        const service = { capability, run, ...(bid === undefined ? {} : { bid }) };
        const attributes = { gpu: i < this.cards };
        peer.host({ name: "w", slots: 1, attributes, services: [service] });
      };
      const own = { name: `con${i}`, role: "contractor" as const, capabilities: ["work"] };
      return new VirtualHost(this.world, this.broker, { ...own, quality, furnish });
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
