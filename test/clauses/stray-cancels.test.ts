// P11.4: a cancel of a task that is on nobody's desk.
import { expect, test } from "vitest";
import { ACK_WAIT_MS } from "../../contracts/index.ts";
import { Village } from "../support/village.ts";

const SOON_MS = 1_500;

test("P11.4: a task that waits at an initiator that is gone is canceled soon", async () => {
  const v = await new Village(["ina", "iris"]).open();
  const submitters = v.host("sue").peer?.submitters;
  // There are two agents of one slot.
  const tasks = [1, 2, 3].map((n) => submitters?.submit("work", { n }, {}));
  await v.settle(Promise.all(tasks));
  await v.until(() => v.of("wait").length > 0);
  const waits = v.of("wait")[0];
  const all = await Promise.all(tasks);
  const task = all.find((t) => `${t?.owner}.${t?.task}` === waits?.task) as NonNullable<
    (typeof all)[number]
  >;
  const first = waits?.by.split(".")[0] ?? "";
  v.host(first).crash();
  const at = v.world.now;
  void task.cancel("not needed any more");
  expect(await v.settle(task.outcome())).toMatchObject({
    state: "canceled",
    failure: { code: "E_CANCELED", message: "not needed any more" },
  });
  expect(v.world.now - at).toBeLessThan(SOON_MS);
  expect(SOON_MS).toBeLessThan(ACK_WAIT_MS / 2);
  expect(v.kinds(task)).toEqual(["spec", "cancel", "outcome"]);
  // Handed to the other one by the server, it has ended.
  await v.world.run({ untilMs: at + 60_000 });
  expect(v.kinds(task)).toHaveLength(3);
  const other = v.host(first === "ina" ? "iris" : "ina");
  expect(other.peer?.initiators.open).toBe(0);
});

test("P11.4, P11.3: under contract, whoever adopts it tells the contractor to stop", async () => {
  const v = await new Village(["ina", "iris"]).open();
  const { task } = await v.begin();
  v.host(v.of("award")[0]?.who?.split(".")[0] ?? "").crash();
  const at = v.world.now;
  void task.cancel("enough");
  await v.until(() => v.of("stop").length > 0);
  expect(v.world.now - at).toBeLessThan(ACK_WAIT_MS + 1_500);
  expect(await v.settle(task.outcome())).toMatchObject({ state: "canceled" });
});

test("P11.4: what its initiator ends itself is ended once", async () => {
  const v = await new Village(["ina", "iris"]).open();
  const { task } = await v.begin();
  const at = v.world.now;
  void task.cancel();
  await v.settle(task.outcome());
  expect(v.world.now - at).toBeLessThan(100);
  await v.world.run({ untilMs: at + 20_000 });
  expect(v.kinds(task)).toEqual(["spec", "contract", "cancel", "outcome"]);
});
