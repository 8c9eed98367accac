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
    // For somebody else, who may ask again and again, a little at a time.
    const paged: number[] = [];
    for (let more = true; more; ) {
      const page = await a.ledger.page("big-a", first.key.task, paged.at(-1) ?? 0);
      const bytes = page.records.reduce((sum, r) => sum + r.body.length, 0);
      expect(bytes).toBeLessThan(2 * 1024 * 1024);
      expect(page.records.length).toBeGreaterThan(0);
      paged.push(...page.records.map((r) => r.rev));
      more = page.more;
    }
    expect(paged).toEqual(revs);
    const none = { records: [], more: false };
    expect(await a.ledger.page("big-a", first.key.task, revs.at(-1) ?? 0)).toEqual(none);
    expect(await a.ledger.page("big-a", "nothing", 0)).toEqual(none);
  } finally {
    await stage.stop();
  }
});
