// Keys that cannot be read for a while: a record whose author is looked for in vain is no record of
// nobody's. Whoever goes on as if it were none does work again, or throws it away.
import { expect, test } from "vitest";
import { KEYS_STREAM } from "../../../contracts/index.ts";
import type { VirtualHost } from "../../../sim/virtual/hosts.ts";
import { Village } from "../../support/village.ts";

/** Until all cards of those who left are gone, ms. */
const FORGOTTEN_MS = 180_000;
const UNREAD_MS = 20_000;

/** Starts again where the keys that are stored cannot be read for so long. */
async function startBlind(v: Village, host: VirtualHost): Promise<void> {
  const started = host.start();
  const { transport } = host;
  if (transport === undefined) throw new Error("not started");
  const request = transport.request.bind(transport);
  const until = v.world.now + UNREAD_MS;
  transport.request = async (subject, ...more) => {
    const isKey = subject.startsWith(`$JS.API.DIRECT.GET.${KEYS_STREAM}.`);
    if (isKey && v.world.now < until) throw new Error("timeout");
    return request(subject, ...more);
  };
  await v.settle(started);
}

test("a task that has ended is not done again (S2)", async () => {
  const v = await new Village().open();
  const { task } = await v.begin();
  const ina = v.host("ina");
  ina.crash();
  await v.until(() => v.kinds(task).includes("outcome"));
  for (const name of ["con", "dan"]) v.host(name).crash();
  await v.world.run({ untilMs: v.world.now + FORGOTTEN_MS });
  await startBlind(v, ina);
  await v.world.run({ untilMs: v.world.now + UNREAD_MS / 2 });
  await v.settle(v.host("con").start());
  await v.world.run({ untilMs: v.world.now + 3 * UNREAD_MS });
  expect(v.kinds(task)).toEqual(["spec", "contract", "outcome"]);
  expect(ina.peer?.initiators.open).toBe(0);
});

test("a task whose submitter is away is not thrown away", async () => {
  const v = await new Village().open();
  const sue = v.host("sue");
  v.host("ina").crash();
  const { submitters } = sue.peer as NonNullable<VirtualHost["peer"]>;
  const task = await v.settle(submitters.submit("work", { n: 1 }, {}));
  sue.crash();
  await v.world.run({ untilMs: v.world.now + FORGOTTEN_MS });
  await startBlind(v, v.host("ina"));
  await v.world.run({ untilMs: v.world.now + 3 * UNREAD_MS });
  expect(v.kinds(task)).toEqual(["spec", "contract", "outcome"]);
});

test("an id that is taken is not the same task while nobody can tell (P2.4)", async () => {
  const v = await new Village().open();
  const submitters = v.host("sue").peer?.submitters;
  const submit = (n: number) => {
    const submitted = submitters?.submit("work", { n }, { task: "mine" });
    return v.settle(submitted as NonNullable<typeof submitted>);
  };
  const first = await submit(1);
  await v.settle(first.outcome());
  v.host("ina").crash();
  const other = (await submit(2)).outcome();
  other.catch(() => undefined);
  await v.settle(v.host("ina").start());
  await expect(v.settle(other)).rejects.toMatchObject({ code: "E_TAKEN" });
  await expect(submit(2)).rejects.toMatchObject({ code: "E_TAKEN" });
  expect((await v.settle((await submit(1)).outcome())).state).toBe("completed");
});
