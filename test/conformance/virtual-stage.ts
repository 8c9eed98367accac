// The simulated broker as a stage. Time passes only while somebody waits.
import { type Role, supervisionConsumer, URGENCY } from "../../contracts/index.ts";
import { Broker } from "../../sim/virtual/broker/broker.ts";
import { VirtualClock } from "../../sim/virtual/clock.ts";
import { LinkPair } from "../../sim/virtual/network.ts";
import { openPorts } from "../../sim/virtual/ports.ts";
import { World } from "../../sim/virtual/world.ts";
import { ACK_WAIT_MS, type Member, type Reachable, type Stage } from "./stage.ts";

const LIMIT_MS = 10_000;

export class VirtualStage implements Stage {
  readonly world: World;
  readonly broker: Broker;

  constructor(seed: string | number = 1) {
    this.world = new World({ seed });
    this.broker = new Broker(this.world, { ackWaitMs: ACK_WAIT_MS });
  }

  join(name: string, role: Role, capabilities: readonly string[] = []): Promise<Member> {
    return this.reach(name, role, capabilities);
  }

  async killServer(): Promise<void> {
    this.broker.kill();
  }

  async startServer(): Promise<void> {
    this.broker.start();
  }

  handedOnDisk(): number {
    const { store } = this.broker;
    return Math.max(...URGENCY.map((u) => store.consumer(supervisionConsumer(u))?.written ?? 0));
  }

  async reach(name: string, role: Role, capabilities: readonly string[] = []): Promise<Reachable> {
    const prng = this.world.random.fork(name);
    const link = new LinkPair(this.world, prng.fork("link"));
    let dead = false;
    const run = (event: () => void): void => {
      if (!dead) event();
    };
    const clock = new VirtualClock(this.world, run);
    const awake = (): boolean => !dead;
    const place = { broker: this.broker, link, clock, prng, run, awake };
    const { transport, ...ports } = openPorts(place, { name, role, capabilities });
    const errors: string[] = [];
    transport.onError((error) => void errors.push(error.message));
    await this.settle(transport.flush());
    return {
      name,
      user: name,
      link: transport,
      clock,
      errors,
      ...ports,
      kill: async () => {
        dead = true;
        transport.kill();
      },
      cut: async (which) => {
        if (which !== "down") link.up.cut();
        if (which !== "up") link.down.cut();
        transport.linkChanged();
      },
      mend: async () => {
        link.up.mend();
        link.down.mend();
      },
    };
  }

  async until(condition: () => boolean, what: string, limitMs = LIMIT_MS): Promise<void> {
    const untilMs = this.world.now + limitMs;
    if ((await this.world.run({ until: condition, untilMs })) === "met") return;
    if (!condition()) throw new Error(`not within ${limitMs} ms: ${what}`);
  }

  async settle<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    promise.then(end, end);
    await this.until(() => over, "a promise that was waited for", 60_000);
    return promise;
  }

  async flush(...members: Member[]): Promise<void> {
    for (const { link } of members) await this.settle(link.flush());
  }

  async stop(): Promise<void> {}
}
