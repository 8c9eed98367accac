// Junk under the id of a task that is yet to come: it counts for nothing but the revision (P2.8).
import { expect, test } from "vitest";
import { foldTask } from "../../mesh/core/task-view.ts";
import { json, type Stranger, service, until, useWire } from "./fixture.ts";

const wire = useWire();

const junk = (who: Stranger, task: string, n: string) => ({
  owner: "poisue",
  task,
  kind: "checkpoint" as const,
  n,
  toPrincipal: who.name,
  toAgent: "main",
  fromPrincipal: who.name,
  fromAgent: "main",
});

test("P2.4: a spec is put behind it, and the task is done", async () => {
  const ina = await wire.peer("poiina", "agent", ["poido"]);
  ina.peer.host({
    name: "w",
    slots: 1,
    services: [service("poido", async (run) => ({ output: run.input }))],
  });
  const sue = await wire.peer("poisue", "submitter");
  const con = await wire.stranger("poicon", "contractor");
  for (let n = 1; n <= 2; n++) {
    const { error } = await con.store({
      key: junk(con, "daily-1", `1-${n}`),
      body: json({}),
      fence: -1,
      fenceHeader: null,
    });
    expect(error).toBeUndefined();
  }
  const handle = await sue.peer.submitters.submit("poido", { n: 1 }, { task: "daily-1" });
  expect(await handle.result()).toEqual({ n: 1 });
  expect(sue.peer.counters.get("submitted.behind")).toBe(1);
  // The chain of digests goes through what does not count.
  const records = await ina.peer.deps.records.read("poisue", "daily-1");
  const spec = records.find((r) => r.kind === "spec");
  expect(spec?.body).toMatchObject({ prev: records[1]?.digest });
  expect(foldTask(records).state).toBe("completed");
  // Again under that id it is the same task.
  const again = await sue.peer.submitters.submit("poido", { n: 1 }, { task: "daily-1" });
  expect(await again.result()).toEqual({ n: 1 });
  await until(() => ina.peer.initiators.open === 0, "the end");
});
