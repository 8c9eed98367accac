// Hosts that die, stand still, are cut off and come back: the real peers on a simulated broker.
import { expect, test } from "vitest";
import { Village, WORK_MS } from "../../support/village.ts";

test("a contractor that dies is replaced within a second", async () => {
  const v = await new Village().open();
  const { task, by } = await v.begin();
  const diedAt = v.world.now;
  v.host(by).crash();
  const outcome = await v.settle(task.outcome());
  expect(outcome).toMatchObject({ state: "completed", epoch: 2 });
  const [first, second] = v.of("start");
  expect(second?.who).not.toBe(first?.who);
  expect((second?.at ?? 0) - diedAt).toBeLessThan(1_000);
  expect(v.kinds(task)).toEqual(["spec", "contract", "contract", "outcome"]);
});

test("a contractor that stands still is replaced, and cannot commit when it goes on", async () => {
  const v = await new Village().open();
  const { task, by } = await v.begin();
  const stoodAt = v.world.now;
  v.host(by).pause();
  await v.until(() => v.of("start").length === 2);
  expect(v.world.now - stoodAt).toBeLessThan(5_000);
  await v.world.run({ untilMs: stoodAt + WORK_MS + 500 });
  v.host(by).resume();
  const outcome = await v.settle(task.outcome());
  expect(outcome.epoch).toBe(2);
  // It was told, or the store told it; and its work left no trace.
  expect(v.kinds(task)).toEqual(["spec", "contract", "contract", "outcome"]);
  await v.until(() => v.events.some((e) => e.op === "fenced" || e.op === "stop"));
  expect(v.events.filter((e) => e.op === "outcome" && e.k === "ok")).toHaveLength(1);
});

test("a contractor that is cut off is replaced, and is back once the link is", async () => {
  const v = await new Village().open();
  const { task, by } = await v.begin();
  const cutAt = v.world.now;
  v.host(by).cut();
  await v.until(() => v.of("start").length === 2);
  expect(v.world.now - cutAt).toBeLessThan(5_000);
  expect(v.host(by).transport?.state()).toBe("down");
  v.host(by).mend();
  await v.until(() => v.host(by).transport?.state() === "up");
  expect((await v.settle(task.outcome())).epoch).toBe(2);
});

test("a process whose link breaks while it starts is there once the link is", async () => {
  const v = await new Village().open();
  const host = v.host("con");
  host.crash();
  await v.until(() => v.host("ina").peer?.registry.card("con.w") === undefined);
  const started = host.start();
  host.cut();
  await v.until(() => host.transport?.state() === "down");
  host.mend();
  await v.settle(started, 5_000);
  await v.until(() => v.host("ina").peer?.registry.card("con.w") !== undefined, 1_000);
});

test("a task whose initiator dies is adopted by another, and its contractor goes on", async () => {
  const v = await new Village(["ina", "iris"]).open();
  const { task } = await v.begin();
  const first = v.of("award")[0]?.who?.split(".")[0] ?? "";
  const diedAt = v.world.now;
  v.host(first).crash();
  await v.until(() => v.of("adopt").length === 1);
  expect(v.world.now - diedAt).toBeLessThan(5_500);
  expect(v.of("adopt")[0]?.who).toBe(first === "ina" ? "iris.main" : "ina.main");
  expect(await v.settle(task.outcome())).toMatchObject({ state: "completed", epoch: 1 });
});

test("a server that is killed revokes nobody: the work goes on over its absence", async () => {
  const v = await new Village().open();
  const { task } = await v.begin();
  v.broker.kill();
  await v.world.run({ untilMs: v.world.now + 2_000 });
  v.broker.start();
  expect(await v.settle(task.outcome())).toMatchObject({ state: "completed", epoch: 1 });
});

test("a host that comes back is a new process, and is known again", async () => {
  const v = await new Village().open();
  const { task, by } = await v.begin();
  const host = v.host(by);
  await v.settle(host.restart());
  expect(host.lives).toBe(2);
  const instance = (): string | undefined => v.host("ina").peer?.registry.card(`${by}.w`)?.instance;
  await v.until(() => instance() !== undefined);
  expect(await v.settle(task.outcome())).toMatchObject({ state: "completed", epoch: 2 });
  expect(new Set(v.events.map((e) => e.by)).has(`${by}.2`)).toBe(true);
});

test("a host whose clock runs fast works faster by it, and by nobody else's", async () => {
  const v = await new Village().open();
  for (const name of ["con", "dan"]) v.host(name).clock.drift(2);
  const { task } = await v.begin();
  const begun = v.world.now;
  await v.settle(task.outcome());
  expect(v.world.now - begun).toBeGreaterThan(WORK_MS / 2 - 1);
  expect(v.world.now - begun).toBeLessThan(WORK_MS / 2 + 100);
});

test("a host that leaves in good order takes its cards back", async () => {
  const v = await new Village().open();
  await v.settle(v.host("con").stop());
  await v.until(() => v.host("ina").peer?.registry.capabilities().get("work") === 1, 1_000);
  expect(v.host("con").alive).toBe(false);
});
