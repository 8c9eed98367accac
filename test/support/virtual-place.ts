// A simulated world with its broker, and how a test waits in it: for conditions, in virtual time.
import type { Outcome } from "../../contracts/index.ts";
import type { Peer } from "../../mesh/runtime/peer.ts";
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

  /** So many tasks of the capability `work`, one every so many ms, until all have ended. */
  async played(
    { submitters }: Peer,
    count: number,
    everyMs = 0,
    options: Parameters<Peer["submitters"]["submit"]>[2] = {},
  ): Promise<Outcome[]> {
    const beganAt = this.world.now;
    const outcomes: Outcome[] = [];
    for (let n = 0; n < count; n++) {
      this.world.at(beganAt + n * everyMs, () => {
        void submitters
          .submit("work", {}, options)
          .then((task) => task.outcome())
          .then((outcome) => outcomes.push(outcome));
      });
    }
    await this.until(() => outcomes.length === count);
    return outcomes;
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
