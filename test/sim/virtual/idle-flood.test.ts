// An agent that asks for work again and again and answers no offer: what it is offered is held back
// from the others for a moment, and no more than that.
import { expect, test } from "vitest";
import { idleSubject } from "../../../contracts/index.ts";
import { msgpackBytes } from "../../../mesh/runtime/codec/encode-own.ts";
import { IdleMarket, WORK_MS } from "../../support/idle-market.ts";

const TASKS = 100;
/** Four agents, one slot each. */
const BARE_MS = (TASKS * WORK_MS) / 4;

/** Time of all tasks, ms. @param names of agents that ask every 10 ms, and listen to nobody */
async function played(seed: string, names: readonly string[]): Promise<number> {
  const market = await new IdleMarket({ seed }).open();
  const began = market.world.now;
  const { transport } = market.agents[3]!.peer!.deps;
  const ask = (n: number) => {
    const name = names[n % names.length] as string;
    transport.publish(idleSubject("work", name), msgpackBytes({ v: 1, kind: "idle", slots: 8 }));
    market.world.at(market.world.now + 10, () => ask(n + 1));
  };
  if (names.length > 0) ask(0);
  const took = market.submit(TASKS);
  await market.until(() => took.length === TASKS, 60_000);
  return market.world.now - began;
}

test.each(["a", "b", "c"])("holds up those who wait for no more than that (%s)", async (seed) => {
  const usual = await played(seed, []);
  expect(usual).toBeLessThan(1.3 * BARE_MS);
  const flooded = await played(seed, ["con3.mal"]);
  expect(flooded).toBeLessThan(1.3 * BARE_MS + 500);
});
