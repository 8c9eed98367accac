// Many agents behind one connection: a call to all reaches each of them, and is read once.
import { beforeAll, expect, test } from "vitest";
import type { OpenPeer } from "../../mesh/index.ts";
import { counted, msgpack, type Stranger, service, until, useWire } from "./fixture.ts";

const AGENTS = 50;
const wire = useWire();
let wes: OpenPeer;
let mal: Stranger;
let answers = 0;

beforeAll(async () => {
  wes = await wire.peer("wes", "contractor", ["echo"]);
  for (let i = 0; i < AGENTS; i++) {
    const echo = service("echo", async (run) => ({ output: run.input }));
    wes.peer.host({ name: `a${i}`, slots: 1, services: [echo] });
  }
  await wes.transport.flush();
  mal = await wire.stranger("mal", "agent", ["echo"]);
  mal.nc.subscribe("mesh.bid.mal.>", { callback: () => void answers++ });
  await mal.nc.flush();
});

const call = (cfp: string) =>
  msgpack({ v: 1, kind: "cfp", cfp, task: "t1", priority: 5, windowMs: 20 });

test("a call that nobody can read counts once, and once more when it is repeated", async () => {
  const subject = "mesh.cfp.echo.all.mal.main";
  for (let n = 1; n <= 3; n++) {
    mal.nc.publish(subject, '{"__proto__":1}');
    // Behind it, so that all copies of the bad one were heard when this is answered.
    mal.nc.publish(subject, call(`c${n}`));
    await until(() => answers === n * AGENTS, "every agent to answer the good call");
    expect(counted(wes, "refused.cfp.")).toBe(n);
  }
});

test("the same call again is another call: every agent answers again", async () => {
  const before = answers;
  for (let i = 0; i < 2; i++) mal.nc.publish("mesh.cfp.echo.all.mal.main", call("again"));
  await until(() => answers === before + 2 * AGENTS, "two answers of every agent");
});

test("a call out of a stream is refused although the one before it was heard", async () => {
  const before = answers;
  const forged = counted(wes, "refused.cfp.E_FORGED_PATH");
  mal.nc.publish("mesh.cfp.echo.all.mal.main", call("real"));
  mal.publish("mesh.cfp.echo.all.mal.main", call("real"), { "Nats-Stream": "s" });
  await until(
    () => counted(wes, "refused.cfp.E_FORGED_PATH") === forged + AGENTS,
    "every copy refused",
  );
  await until(() => answers >= before + AGENTS, "the real one answered");
  expect(answers).toBe(before + AGENTS);
});
