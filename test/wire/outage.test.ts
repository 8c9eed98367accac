// A server that is away for longer than a lease decides over no task.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { service } from "./fixture.ts";

const leaseMs = 300;
let mesh: LocalMesh;
beforeAll(async () => {
  mesh = await startLocalMesh();
}, 30_000);
afterAll(() => mesh?.stop());

test("P10.13: what was cut off for a lease goes on after it, and is no attempt", async () => {
  const capability = "outage";
  const worker = await mesh.open("outagew", "agent", [capability], { leaseMs });
  const cut: string[] = [];
  let began = Promise.withResolvers<void>();
  let stopped = Promise.withResolvers<void>();
  worker.peer.host({
    name: "w",
    slots: 1,
    services: [
      service(capability, async ({ signal, attempt, epoch }) => {
        if (cut.length === 2) return { output: { attempt, epoch } };
        began.resolve();
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        cut.push((signal.reason as { code: string }).code);
        stopped.resolve();
        throw signal.reason;
      }),
    ],
  });
  const user = await mesh.open("outageu", "agent", [], { leaseMs });
  const handle = await user.peer.submitters.submit(capability, {}, { retry: { attempts: 1 } });
  for (let outage = 0; outage < 2; outage++) {
    await began.promise;
    began = Promise.withResolvers<void>();
    mesh.server.kill("SIGKILL");
    await stopped.promise;
    stopped = Promise.withResolvers<void>();
    await mesh.server.restart();
  }
  expect(await handle.outcome()).toMatchObject({ state: "completed", attempts: 1 });
  expect(cut).toEqual(["E_LOST", "E_LOST"]);
  await Promise.all([worker.close(0), user.close(0)]);
}, 60_000);
