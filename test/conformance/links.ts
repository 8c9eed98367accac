// Cases about links that die and servers that stop: what is noticed, how soon, what is kept.

import { expect } from "vitest";
import type { SpecDelivery } from "../../mesh/ports/index.ts";
import {
  ACK_WAIT_MS,
  bytes,
  type Case,
  next,
  pass,
  type Reachable,
  rev,
  type Stage,
  store,
  tap,
  text,
  write,
} from "./stage.ts";

/** When the connection came into this state, ms after now. */
async function becomes(stage: Stage, member: Reachable, state: string): Promise<number> {
  const begun = member.clock.now();
  const met = () => member.link.state() === state;
  await stage.until(met, `the connection to be ${state}`, 8_000);
  return member.clock.now() - begun;
}

export const LINKS: readonly Case[] = [
  {
    name: "a link that is cut is found dead within a second and a half, and comes back",
    async play(stage) {
      const boss = await stage.join("dead-boss", "admin");
      const a = await stage.reach("dead-a", "admin");
      const heard = tap(a, "dead.x");
      await stage.flush(a);
      await a.cut("both");
      const found = await becomes(stage, a, "down");
      expect(found).toBeGreaterThan(900);
      expect(found).toBeLessThan(1_700);
      boss.link.publish("dead.x", bytes("missed"));
      a.link.publish("dead.x", bytes("dropped"));
      const asked = a.link.request("dead.y", bytes(""), { timeoutMs: 3_000 });
      await expect(stage.settle(asked)).rejects.toMatchObject({ code: "E_CONNECTION" });
      await stage.flush(boss);
      await a.mend();
      expect(await becomes(stage, a, "up")).toBeLessThan(4_000);
      await stage.flush(a);
      boss.link.publish("dead.x", bytes("again"));
      await stage.until(() => heard.length > 0, "a message");
      await stage.flush(boss, a);
      expect(heard.map(text)).toEqual(["again"]);
    },
  },
  {
    name: "one way is enough to be found dead",
    async play(stage) {
      for (const which of ["up", "down"] as const) {
        const a = await stage.reach(`half-${which}`, "admin");
        await stage.flush(a);
        await a.cut(which);
        const found = await becomes(stage, a, "down");
        expect(found).toBeGreaterThan(900);
        expect(found).toBeLessThan(1_700);
        await a.mend();
        await becomes(stage, a, "up");
      }
    },
  },
  {
    name: "who begins on a link that dies is established once it is back, or told that it is over",
    async play(stage) {
      const boss = await stage.join("begin-boss", "admin");
      const a = await stage.reach("begin-a", "admin");
      await stage.flush(a);
      await a.cut("both");
      const heard = tap(a, "begin.x");
      const established = a.link.established();
      const flushed = a.link.flush().then(
        () => "flushed",
        () => "not",
      );
      await becomes(stage, a, "down");
      expect(await stage.settle(flushed)).toBe("not");
      await a.mend();
      await stage.settle(established);
      boss.link.publish("begin.x", bytes("1"));
      await stage.until(() => heard.length === 1, "a message");
      await stage.settle(a.link.close());
      const over = stage.settle(a.link.established());
      await expect(over).rejects.toMatchObject({ code: "E_CONNECTION" });
    },
  },
  {
    name: "who asks while the link is down is established once it is back",
    async play(stage) {
      const a = await stage.reach("late-a", "admin");
      await stage.flush(a);
      await a.cut("both");
      await becomes(stage, a, "down");
      const established = a.link.established();
      await a.mend();
      await stage.settle(established);
      expect(a.link.state()).toBe("up");
    },
  },
  {
    name: "a short cut loses nothing: what was under way comes later, in order",
    async play(stage) {
      const boss = await stage.join("short-boss", "admin");
      const a = await stage.reach("short-a", "admin");
      const down = tap(a, "short.down");
      const up = tap(boss, "short.up");
      await stage.flush(a, boss);
      await a.cut("both");
      for (const word of ["1", "2", "3"]) {
        a.link.publish("short.up", bytes(word));
        boss.link.publish("short.down", bytes(word));
        await pass(stage, boss, 80);
      }
      expect([up.length, down.length, a.link.state()]).toEqual([0, 0, "up"]);
      await a.mend();
      await stage.until(() => up.length === 3 && down.length === 3, "all six");
      expect([up.map(text), down.map(text)]).toEqual([
        ["1", "2", "3"],
        ["1", "2", "3"],
      ]);
    },
  },
  {
    name: "a server that is killed and started keeps the records, and everybody returns",
    async play(stage) {
      const sue = await stage.join("kill-sue", "submitter");
      const a = await stage.join("kill-a", "initiator");
      const handed: SpecDelivery[] = [];
      await stage.settle(
        a.supervision.start(
          (spec) => void handed.push(spec),
          () => 10,
        ),
      );
      const notices = tap(sue, "mesh.rec.kill-sue.>");
      await stage.flush(sue, a);
      const w = write("kill-sue");
      const r1 = await rev(stage, sue, w);
      await stage.until(() => handed.length === 1 && notices.length === 1, "the spec");
      await stage.until(() => stage.handedOnDisk() === r1, "the consumer's state on the disk");
      await stage.killServer();
      await stage.until(
        () => sue.link.state() === "down" && a.link.state() === "down",
        "both down",
      );
      // Begun without a server: it is sent when there is one.
      const later = store(stage, sue, next(w, r1, "cancel"));
      await stage.startServer();
      const result = await later;
      expect(result).toMatchObject({ ok: true, duplicate: false });
      expect(result.ok && result.rev).toBe(r1 + 1);
      await stage.until(() => notices.length === 2, "the notice of the second record");
      await stage.until(() => a.link.state() === "up", "the initiator's return");
      const kinds = (await stage.settle(a.ledger.read("kill-sue", w.key.task))).map(
        (r) => r.key.kind,
      );
      expect(kinds).toEqual(["spec", "cancel"]);
      await stage.until(() => handed.length === 2, "the spec again", ACK_WAIT_MS + 5_000);
      expect(handed.map((spec) => [spec.deliveries, spec.rev])).toEqual([
        [1, r1],
        [2, r1],
      ]);
      handed[1]?.receipt.ack();
      await stage.flush(a);
    },
  },
  {
    name: "what a killed server handed out and had not written down yet is handed out as if new",
    async play(stage) {
      const sue = await stage.join("moment-sue", "submitter");
      const a = await stage.join("moment-a", "initiator");
      const handed: SpecDelivery[] = [];
      await stage.settle(
        a.supervision.start(
          (spec) => void handed.push(spec),
          () => 100,
        ),
      );
      await stage.flush(a);
      const revs: number[] = [];
      for (let i = 0; i < 5; i++) revs.push(await rev(stage, sue, write("moment-sue")));
      await stage.until(() => handed.length === 5, "the specs");
      await stage.killServer();
      const written = stage.handedOnDisk();
      await stage.startServer();
      await stage.until(() => handed.length === 10, "the specs again", ACK_WAIT_MS + 8_000);
      const again = handed.slice(5);
      expect(again.map((spec) => spec.rev).sort((x, y) => x - y)).toEqual(revs);
      for (const { deliveries, rev } of again) expect(deliveries).toBe(rev > written ? 1 : 2);
      for (const spec of again) spec.receipt.ack();
      await stage.flush(a);
    },
  },
];
