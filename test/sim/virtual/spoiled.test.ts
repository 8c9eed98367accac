// A contractor that puts a record of its own in the way of its result: the initiator is told that
// the result is stored, and lets go; the result does not count (S4).
import { expect, test } from "vitest";
import type { RecordKey } from "../../../contracts/index.ts";
import type { Records } from "../../../mesh/runtime/records.ts";
import { Village } from "../../support/village.ts";

const TIMEOUT_MS = 60_000;

/** Before its result it writes a checkpoint of an epoch that it does not hold. */
function spoil(records: Records, agent: string): void {
  const write = records.write.bind(records);
  records.write = (key, value, fence, signer, done) => {
    if (key.kind !== "outcome") return write(key, value, fence, signer, done);
    const to = { toPrincipal: agent, toAgent: "w" };
    const stray: RecordKey = { ...key, ...to, kind: "checkpoint", n: "9-1" };
    const about = { v: 1, kind: "checkpoint", task: key.task, epoch: 9, entries: [] };
    write(stray, { ...about, prev: "", at: 1 }, fence, signer, (result) => {
      write(key, value, result.ok ? result.rev : fence, signer, done);
    });
  };
}

test("its submitter is told soon after the deadline, and why", async () => {
  const v = await new Village().open();
  for (const name of ["con", "dan"]) {
    const { peer } = v.host(name);
    if (peer !== undefined) spoil(peer.deps.records, name);
  }
  const at = v.world.now;
  const submitters = v.host("sue").peer?.submitters;
  const submitted = submitters?.submit("work", { n: 1 }, { timeoutMs: TIMEOUT_MS });
  const task = await v.settle(submitted as NonNullable<typeof submitted>);
  const outcome = await v.settle(task.outcome());
  expect(v.kinds(task)).toEqual(["spec", "contract", "checkpoint", "outcome"]);
  expect(outcome).toMatchObject({ state: "failed", failure: { code: "E_FENCED" } });
  expect(outcome.failure?.message).toMatch(/S4.*submit it again under another id/);
  expect(v.world.now - at).toBeGreaterThan(TIMEOUT_MS);
  expect(v.world.now - at).toBeLessThan(TIMEOUT_MS + 90_000);
});
