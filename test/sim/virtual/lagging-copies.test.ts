// Reads that a copy answers which lags: they advise, and nothing is concluded from what they lack.
import { expect, test } from "vitest";
import type { RecordKey } from "../../../contracts/index.ts";
import type { ReadRecord } from "../../../mesh/core/task-view.ts";
import { checkParent } from "../../../mesh/runtime/authority.ts";
import type { VirtualHost } from "../../../sim/virtual/hosts.ts";
import { Village } from "../../support/village.ts";

/** Reads of this peer do not know what was stored in the last so many ms. */
function lag(host: VirtualHost, ms: number): void {
  const { deps } = host.peer as NonNullable<VirtualHost["peer"]>;
  const read = deps.ledger.read.bind(deps.ledger);
  deps.ledger.read = async (owner, task) => {
    const upTo = deps.clock.wall() - ms;
    return (await read(owner, task)).filter((r) => r.storedAt <= upTo);
  };
}

test("a spec that is handed on at once is not taken for purged", async () => {
  const v = await new Village(["ina", "ivy"]).open();
  const submitters = v.host("sue").peer?.submitters;
  for (const name of ["ina", "ivy"]) lag(v.host(name), 200);
  const submitted = [1, 2, 3, 4, 5, 6].map((n) => submitters?.submit("work", { n }, {}));
  const tasks = await v.settle(Promise.all(submitted));
  // As in a rolling update: its specs go to the other at once.
  await v.settle(v.host("ina").stop());
  await v.world.run({ untilMs: v.world.now + 120_000 });
  for (const task of tasks) expect(task && v.kinds(task).at(-1)).toBe("outcome");
});

test("a sub-task whose parent was read too early is not refused", async () => {
  const about = { to: "_._", storedAt: 0 };
  const sue = { task: "p", owner: "sue", deadline: 1e12 };
  const spec = { ...about, kind: "spec", rev: 1, from: "sue.main", digest: "a", body: sue };
  const sub = {
    ...{ ...about, kind: "spec", rev: 3, from: "con.w", digest: "c" },
    body: { deadline: 1e11, parent: { task: "p", epoch: 1, contractor: "con.w" } },
  };
  const records = {
    read: async () => [spec],
    isNewest: async (_: string, __: string, rev: number) => rev >= 2,
  };
  const check = checkParent(
    records as never,
    { owner: "sue" } as RecordKey,
    sub as never as ReadRecord,
  );
  await expect(check).rejects.toMatchObject({ code: "E_STORE" });
});

test("junk beside a task makes for a few reads, not for one each", async () => {
  const v = await new Village().open();
  const { task, by } = await v.begin();
  const name = by === "con" ? "dan" : "con";
  const { signer } = v.host(name).options;
  const records = v.host(name).peer?.deps.records;
  const { ledger } = (v.host("ina").peer as NonNullable<VirtualHost["peer"]>).deps;
  const read = ledger.read.bind(ledger);
  let reads = 0;
  ledger.read = (owner, id) => {
    reads++;
    return read(owner, id);
  };
  let fence = (await v.settle(ledger.last(task.owner, task.task))) ?? 0;
  for (let i = 1; i <= 300; i++) {
    const to = { toPrincipal: "ina", toAgent: "main", fromPrincipal: name, fromAgent: "w" };
    const key = {
      owner: task.owner,
      task: task.task,
      kind: "checkpoint",
      n: `1-${i}`,
      ...to,
    } as const;
    const about = { v: 1, kind: "checkpoint", task: task.task, epoch: 1, entries: [] };
    const stored = new Promise<void>((resolve) => {
      records?.write(key, { ...about, prev: "", at: 0 }, fence, signer, (result) => {
        if (result.ok) fence = result.rev;
        resolve();
      });
    });
    await v.settle(stored);
  }
  await v.world.run({ untilMs: v.world.now + 2_000 });
  expect(reads).toBeLessThan(30);
});
