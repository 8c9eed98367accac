// Junk under a task that somebody works on fences its contractor off: that is no attempt of the
// task's and nothing to blame the contractor for (P10.13, P2.8).
import { expect, test } from "vitest";
import { json, service, until, useWire } from "./fixture.ts";

const wire = useWire();

test("P10.13: what another principal spoils is done again, and is no attempt", async () => {
  await wire.peer("spoina", "agent", [], { use: { contractor: false } });
  const wes = await wire.peer("spowes", "contractor", ["spodo"]);
  const epochs: number[] = [];
  let release = Promise.withResolvers<void>();
  wes.peer.host({
    name: "w",
    slots: 1,
    services: [
      service("spodo", async ({ epoch, attempt }) => {
        epochs.push(epoch);
        await release.promise;
        release = Promise.withResolvers<void>();
        return { output: { epoch, attempt } };
      }),
    ],
  });
  const sue = await wire.peer("sposue", "submitter");
  const con = await wire.stranger("spocon", "contractor");
  const handle = await sue.peer.submitters.submit("spodo", {}, { retry: { attempts: 1 } });
  const blows = 4;
  for (let epoch = 1; epoch <= blows; epoch++) {
    await until(() => epochs.includes(epoch), `epoch ${epoch}`);
    const key = {
      owner: "sposue",
      task: handle.task,
      kind: "checkpoint" as const,
      n: `1-${epoch}`,
      toPrincipal: "spocon",
      toAgent: "main",
      fromPrincipal: "spocon",
      fromAgent: "main",
    };
    const { error } = await con.store({ key, body: json({}), fence: -1, fenceHeader: null });
    expect(error).toBeUndefined();
    release.resolve();
  }
  await until(() => epochs.includes(blows + 1), "the last");
  release.resolve();
  const epoch = blows + 1;
  expect(await handle.outcome()).toMatchObject({ attempts: 1, output: { epoch, attempt: 1 } });
}, 30_000);
