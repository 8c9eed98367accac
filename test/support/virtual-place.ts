// A simulated world with its broker, and how a test waits in it: for conditions, in virtual time.
import { Broker } from "../../sim/virtual/broker/broker.ts";
import { World } from "../../sim/virtual/world.ts";

export class VirtualPlace {
  readonly world: World;
  readonly broker: Broker;

  constructor(seed: string) {
    this.world = new World({ seed });
    this.broker = new Broker(this.world);
  }

  /** @throws Error when it does not come true within `limitMs` of the world */
  async until(condition: () => boolean, limitMs = 600_000): Promise<void> {
    const untilMs = this.world.now + limitMs;
    const end = await this.world.run({ until: condition, untilMs });
    if (end !== "met" && !condition()) throw new Error(`not within ${limitMs} ms of the world`);
  }

  async settle<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    promise.then(end, end);
    await this.until(() => over, limitMs);
    return promise;
  }
}
