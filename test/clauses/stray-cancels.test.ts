// P11.4: a cancel of a task that is on nobody's desk.
import { expect, test } from "vitest";
import { ACK_WAIT_MS } from "../../contracts/index.ts";
import { Village } from "../support/village.ts";

const SOON_MS = 1_500;

test("P11.4: a task whose initiator is gone is canceled before anybody is handed it", async () => {
  const v = await new Village(["ina", "iris"]).open();
  const { task } = await v.begin();
  const first = v.of("award")[0]?.who?.split(".")[0] ?? "";
  v.host(first).crash();
  const at = v.world.now;
  void task.cancel("not needed any more");
  expect(await v.settle(task.outcome())).toMatchObject({
    state: "canceled",
    epoch: 1,
    failure: { code: "E_CANCELED", message: "not needed any more" },
  });
  expect(v.world.now - at).toBeLessThan(SOON_MS);
  expect(SOON_MS).toBeLessThan(ACK_WAIT_MS / 2);
  expect(v.kinds(task)).toEqual(["spec", "contract", "cancel", "outcome"]);
  // Handed to the other one by the server, it has ended.
  await v.world.run({ untilMs: at + 20_000 });
  expect(v.kinds(task)).toHaveLength(4);
  const other = v.host(first === "ina" ? "iris" : "ina");
  expect(other.peer?.initiators.open).toBe(0);
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
