// What is nearly too large for a message, and what is larger than one: nobody falls over it.
import { expect, test } from "vitest";
import { json, service, until, useWire } from "./fixture.ts";

const wire = useWire();

test("an answer that just does not fit is refused by name; the process goes on", async () => {
  const ina = await wire.peer("ina", "agent", [], { use: { contractor: false } });
  const wes = await wire.peer("wes", "contractor", ["big"]);
  const run = async ({ input }: { input: unknown }) => ({
    output: "x".repeat((input as { n: number }).n),
  });
  wes.peer.host({ name: "main", slots: 5, services: [service("big", run)] });
  const mal = await wire.stranger("mal", "submitter");
  await until(() => ina.peer.registry.size > 0, "ina knows the agent");
  const most = ina.transport.payloadMax;
  const rest = json({ task: "t1", state: "completed", output: "" }).length;
  for (const [task, short] of [
    ["t1", 0],
    ["t2", 20],
    ["t3", 60],
  ] as const) {
    const call = json({ n: most - rest - short });
    const answer = await mal.request("mesh.call.big", call, { "Mesh-Task": task });
    expect(answer.json()).toMatchObject({ task, error: { code: "E_TOO_LARGE" } });
  }
  const call = json({ n: most - rest - 300 });
  const answer = await mal.request("mesh.call.big", call, { "Mesh-Task": "t4" });
  expect(answer.json()).toMatchObject({ task: "t4", state: "completed" });
}, 30_000);

test("what the client refuses takes no other message along", async () => {
  const ina = await wire.peer("ina", "agent", [], { use: { contractor: false } });
  const sub = (await wire.stranger("olga", "observer")).nc.subscribe("mesh.reg.ina.>");
  await ina.transport.flush();
  const { dropped } = ina.transport;
  ina.transport.publish("mesh.reg.ina.one", new Uint8Array(ina.transport.payloadMax + 1));
  ina.transport.publish("mesh.reg.ina.two", json({}));
  for await (const message of sub) {
    if (message.subject === "mesh.reg.ina.two") break;
  }
  expect(ina.transport.dropped).toBe(dropped + 1);
}, 30_000);

test("records of more than a message are shown to their owner page by page", async () => {
  await wire.peer("ina", "initiator");
  const sue = await wire.peer("sue", "submitter");
  const mal = await wire.stranger("mal", "admin");
  const sizes = [400_000, 300_000, 400_000, 500_000, 10];
  for (const [i, size] of sizes.entries()) {
    const stored = await mal.request(
      `$KV.mesh_tasks.sue.t1.${i === 0 ? "spec" : "cancel"}.${i}._._.mal.main`,
      Buffer.alloc(size, 32),
    );
    expect(stored.json()).toHaveProperty("seq");
  }
  const records = await sue.peer.submitters.look("sue", "t1");
  expect(records.map((r) => r.key.n)).toEqual(["0", "1", "2", "3", "4"]);
}, 30_000);
