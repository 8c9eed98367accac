// Junk records in the names of agents that a live principal does not have: nobody answers for them,
// not even the server. They must not make whoever reads the task wait for each.
import { expect, test } from "vitest";
import { NONCE_HEADER, recordSubject, SIGNATURE_HEADER } from "../../../contracts/index.ts";
import { sealText } from "../../../mesh/runtime/signing.ts";
import type { Tracker } from "../../../mesh/runtime/tracker.ts";
import type { VirtualHost } from "../../../sim/virtual/hosts.ts";
import { Village } from "../../support/village.ts";

const JUNK = 100;

/** Somebody has a contract, and somebody else stores so many records beside it. */
async function spoil(
  count: number,
  author: (i: number) => string,
): Promise<{ v: Village; task: Tracker; by: string }> {
  const v = await new Village().open();
  const { task, by } = await v.begin();
  const name = by === "con" ? "dan" : "con";
  const { transport } = (v.host(name).peer as NonNullable<VirtualHost["peer"]>).deps;
  const to = { toPrincipal: name, toAgent: "w", fromPrincipal: name };
  for (let i = 0; i < count; i++) {
    const at = { owner: task.owner, task: task.task, kind: "checkpoint", n: `1-${i + 1}` } as const;
    const about = { v: 1, kind: "checkpoint", task: task.task, epoch: 1, entries: [], at: 0 };
    const body = Buffer.from(JSON.stringify({ ...about, prev: "" }));
    transport.publish(recordSubject({ ...at, ...to, fromAgent: author(i) }), body, {
      headers: { [SIGNATURE_HEADER]: sealText(1, Buffer.alloc(64)), [NONCE_HEADER]: `n${i}` },
    });
  }
  await v.world.run({ untilMs: v.world.now + 500 });
  return { v, task, by };
}

/** From the loss of a contractor until another works on the task, ms. */
async function replaced(junk: number): Promise<number> {
  const { v, by } = await spoil(junk, (i) => `x${i}`);
  const from = v.world.now;
  v.host(by).crash();
  await v.until(() => v.of("start").length === 2);
  return v.world.now - from;
}

test("a lost contractor is replaced with them not much later than without", async () => {
  const usual = await replaced(0);
  expect(await replaced(JUNK)).toBeLessThan(usual + 3_000);
});

test("who reads again, and again, soon waits for none of them", async () => {
  const { v, task } = await spoil(JUNK, (i) => `x${i}`);
  const { records } = (v.host("ina").peer as NonNullable<VirtualHost["peer"]>).deps;
  const waits: number[] = [];
  for (let i = 0; i < 5; i++) {
    const from = v.world.now;
    const read = await v.settle(records.read(task.owner, task.task));
    waits.push(v.world.now - from);
    expect(read.map((r) => r.rev)).toEqual(read.map((r) => r.rev).sort((a, b) => a - b));
    const sound = read.filter((r) => r.flaw === undefined).map((r) => r.kind);
    expect([read.length, sound]).toEqual([JUNK + 2, ["spec", "contract"]]);
  }
  expect(Math.max(...waits)).toBeLessThan(2_500);
  expect(Math.max(...waits.slice(3))).toBeLessThan(100);
});

test("more of one such name than may wait for a sender do not make a task unreadable", async () => {
  const { v, task } = await spoil(1_200, () => "x");
  const { records } = (v.host("ina").peer as NonNullable<VirtualHost["peer"]>).deps;
  expect(await v.settle(records.read(task.owner, task.task))).toHaveLength(1_202);
});
