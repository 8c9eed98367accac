// Reads of more than a server gives at a time: whole, or an error; never a part of it.
import { expect, test } from "vitest";
import { RealStage } from "../conformance/real-stage.ts";
import { next, rev, write } from "../conformance/stage.ts";

test("a task of more bytes than one answer holds is read whole", { timeout: 60_000 }, async () => {
  const stage = await RealStage.start();
  try {
    const a = await stage.join("big-a", "admin");
    const first = write("big-a");
    const revs = [await rev(stage, a, first)];
    for (let n = 1; n <= 40; n++) {
      const one = next(first, revs.at(-1) ?? 0);
      const body = Buffer.alloc(500 * 1024, n);
      revs.push(await rev(stage, a, { ...one, body, key: { ...one.key, n: `0-${n}` } }));
    }
    const records = await a.ledger.read("big-a", first.key.task);
    expect(records.map((r) => r.rev)).toEqual(revs);
  } finally {
    await stage.stop();
  }
});
