// Cases about the store of records: fences, races, repeats, reads, notices.
import { expect } from "vitest";
import { recordKey, recordSubject, TASKS_STREAM, taskGuard } from "../../contracts/index.ts";
import type { Incoming, Write, WriteResult } from "../../mesh/ports/index.ts";
import {
  bytes,
  type Case,
  type Member,
  next,
  rev,
  type Stage,
  store,
  tap,
  text,
  write,
} from "./stage.ts";

interface PubAck {
  seq?: number;
  duplicate?: boolean;
  error?: { err_code: number; code: number; description: string };
}

/** A write past the ledger, with headers of one's own. */
async function raw(
  stage: Stage,
  by: Member,
  subject: string,
  headers: Record<string, string>,
  body = "{}",
): Promise<PubAck> {
  const answer = by.link.ask(subject, bytes(body), { timeoutMs: 3_000, headers });
  return JSON.parse(text(await stage.settle(answer))) as PubAck;
}

const fence = (w: Write, guard: number, id = w.id): Record<string, string> => ({
  "Nats-Expected-Last-Subject-Sequence": String(guard),
  "Nats-Expected-Last-Subject-Sequence-Subject": taskGuard(w.key.owner, w.key.task),
  "Nats-Msg-Id": id,
});

export const LEDGER: readonly Case[] = [
  {
    name: "of writers under one fence one wins, and the others learn the task's revision",
    async play(stage) {
      const writers: Member[] = [];
      for (const n of [1, 2, 3, 4, 5]) writers.push(await stage.join(`race-${n}`, "admin"));
      const results: WriteResult[] = [];
      for (const w of writers) {
        // Different keys under one task: the guard is over the whole of it.
        const mine = write("race", { task: "one" });
        mine.key.fromPrincipal = w.name;
        w.ledger.write(mine, (result) => void results.push(result));
      }
      await stage.until(() => results.length === 5, "five fates");
      const won = results.filter((r) => r.ok);
      expect(won).toHaveLength(1);
      const revision = won[0]?.ok ? won[0].rev : 0;
      for (const lost of results.filter((r) => !r.ok)) {
        expect(lost).toEqual({ ok: false, fault: "conflict", rev: revision });
      }
    },
  },
  {
    name: "the leader tells a task's newest revision, and 0 where there is none",
    async play(stage) {
      const a = await stage.join("last-a", "initiator");
      const by = await stage.join("last-b", "admin");
      const last = () => stage.settle(a.ledger.last("last-b", "one"));
      expect(await last()).toBe(0);
      const first = write("last-b", { task: "one" });
      const r1 = await rev(stage, by, first);
      expect(await last()).toBe(r1);
      const r2 = await rev(stage, by, next(first, r1, "cancel"));
      expect(await last()).toBe(r2);
    },
  },
  {
    name: "a stale fence is refused with the newest revision, the right one lands",
    async play(stage) {
      const a = await stage.join("fence-a", "admin");
      const first = write("fence-a");
      const r1 = await rev(stage, a, first);
      await rev(stage, a, write("fence-a"));
      const r2 = await rev(stage, a, next(first, r1, "contract"));
      expect(r2).toBeGreaterThan(r1 + 1);
      for (const guard of [0, r1, r2 - 1, r2 + 1]) {
        const refused = await store(stage, a, next(first, guard, "outcome"));
        expect(refused).toEqual({ ok: false, fault: "conflict", rev: r2 });
      }
      expect(await rev(stage, a, next(first, r2, "outcome"))).toBeGreaterThan(r2);
    },
  },
  {
    name: "the fence is looked at before the id: a repeat of what landed is a conflict",
    async play(stage) {
      const a = await stage.join("twice-a", "admin");
      const w = write("twice-a");
      const subject = recordSubject(w.key);
      const first = await raw(stage, a, subject, fence(w, 0));
      const again = await raw(stage, a, subject, fence(w, 0));
      expect(again.error).toMatchObject({ err_code: 10071, code: 400 });
      expect(again.error?.description).toMatch(new RegExp(`\\b${first.seq}$`));
      // With a fence that holds, the id is known, and the revision is that of the first time.
      const known = await raw(stage, a, subject, fence(w, first.seq ?? 0));
      expect(known).toMatchObject({ seq: first.seq, duplicate: true });
      const other = write("twice-a");
      const elsewhere = await raw(stage, a, recordSubject(other.key), { "Nats-Msg-Id": w.id });
      expect(elsewhere).toMatchObject({ seq: first.seq, duplicate: true });
    },
  },
  {
    name: "a record is written once: its key is taken for good",
    async play(stage) {
      const a = await stage.join("once-a", "admin");
      const w = write("once-a");
      const r1 = await rev(stage, a, w);
      const again = { ...write("once-a", { guard: r1 }), key: w.key };
      expect(await store(stage, a, again)).toMatchObject({ ok: false, fault: "conflict" });
      const bare = await raw(stage, a, recordSubject(w.key), {});
      expect(bare.error?.err_code).toBe(10077);
      const rolled = await raw(stage, a, recordSubject(write("once-a").key), {
        "Nats-Rollup": "all",
      });
      expect(rolled.error).toBeDefined();
      expect(await stage.settle(a.ledger.read("once-a", w.key.task))).toHaveLength(1);
    },
  },
  {
    name: "a task is read in the order of its revisions, with what its authors wrote",
    async play(stage) {
      const a = await stage.join("read-a", "admin");
      const w = { ...write("read-a"), headers: { "Mesh-Sig": "1.abc" } };
      const wall = a.clock.wall();
      const r1 = await rev(stage, a, w);
      await rev(stage, a, write("read-a"));
      const second = next(w, r1, "contract");
      const r2 = await rev(stage, a, second);
      const r3 = await rev(stage, a, next(w, r2, "outcome"));
      const records = await stage.settle(a.ledger.read("read-a", w.key.task));
      expect(records.map((r) => [r.rev, r.key.kind])).toEqual([
        [r1, "spec"],
        [r2, "contract"],
        [r3, "outcome"],
      ]);
      const [one, two] = records;
      expect(Buffer.from(one?.body ?? []).equals(Buffer.from(w.body))).toBe(true);
      expect(one?.header("Mesh-Sig")).toBe("1.abc");
      expect(one?.header("Nats-Msg-Id")).toBe(w.id);
      expect(two?.header("Nats-Expected-Last-Subject-Sequence")).toBe(String(r1));
      expect(two?.header("Nats-Expected-Last-Subject-Sequence-Subject")).toBe(
        taskGuard("read-a", w.key.task),
      );
      expect(Math.abs((one?.storedAt ?? 0) - wall)).toBeLessThan(5_000);
      expect(await stage.settle(a.ledger.read("read-a", "none"))).toEqual([]);
    },
  },
  {
    name: "a task of more records than one answer holds is read whole",
    async play(stage) {
      const a = await stage.join("many-a", "admin");
      const first = write("many-a");
      const revs = [await rev(stage, a, first)];
      for (let n = 1; n <= 1_100; n++) {
        const one = next(first, revs.at(-1) ?? 0);
        revs.push(await rev(stage, a, { ...one, key: { ...one.key, n: `0-${n}` } }));
      }
      const records = await stage.settle(a.ledger.read("many-a", first.key.task));
      expect(records.map((r) => r.rev)).toEqual(revs);
    },
  },
  {
    name: "a look at many keys finds those that are stored",
    async play(stage) {
      const a = await stage.join("look-a", "admin");
      const all = Array.from({ length: 30 }, () => write("look-a"));
      for (const w of all.filter((_, i) => i % 3 === 0)) await rev(stage, a, w);
      const found = await stage.settle(a.ledger.stored(all.map((w) => w.key)));
      const wanted = all.filter((_, i) => i % 3 === 0).map((w) => recordKey(w.key));
      expect([...found].sort()).toEqual(wanted.sort());
      expect((await stage.settle(a.ledger.stored([write("look-a").key]))).size).toBe(0);
    },
  },
  {
    name: "storing a record announces it, with its place, before the writer has its answer",
    async play(stage) {
      const a = await stage.join("note-a", "admin");
      const notices = tap(a, "mesh.rec.note-a.>");
      await stage.flush(a);
      const w = write("note-a");
      let before: number | undefined;
      const done = new Promise<WriteResult>((resolve) => {
        a.ledger.write(w, (result) => {
          before = notices.length;
          resolve(result);
        });
      });
      const result = await stage.settle(done);
      const r1 = result.ok ? result.rev : 0;
      const r2 = await rev(stage, a, next(w, r1, "contract"));
      await stage.until(() => notices.length === 2, "both notices");
      expect(before).toBe(1);
      const [one, two] = notices as [Incoming, Incoming];
      expect(one.subject).toBe(`mesh.rec.note-a._._.spec.note-a.main.${w.key.task}`);
      expect(one.header("Nats-Subject")).toBe(recordSubject(w.key));
      expect(one.header("Nats-Stream")).toBe(TASKS_STREAM);
      expect([one, two].map((m) => m.header("Nats-Sequence"))).toEqual([String(r1), String(r2)]);
      expect(one.header("Nats-Last-Sequence")).toBe("0");
      expect(two.header("Nats-Expected-Last-Subject-Sequence")).toBe(String(r1));
      expect(Date.parse(one.header("Nats-Time-Stamp") ?? "")).toBeGreaterThan(0);
      expect(text(one)).toBe(Buffer.from(w.body).toString());
      expect(one.reply).toBeUndefined();
    },
  },
  {
    name: "a record under another's name is refused by the server and changes nothing",
    async play(stage) {
      const a = await stage.join("name-a", "submitter");
      const eye = await stage.join("name-eye", "admin");
      const forged = write("name-b");
      a.link.publish(recordSubject(forged.key), forged.body, { reply: a.link.inbox(a.name) });
      await stage.flush(a);
      await stage.until(() => a.errors.length > 0, "the refusal");
      expect(a.errors[0]).toMatch(/permission/i);
      expect(await stage.settle(eye.ledger.read("name-b", forged.key.task))).toEqual([]);
    },
  },
  {
    name: "an author without the right to read reads back its own record, and no other's",
    async play(stage) {
      const a = await stage.join("own-a", "contractor", ["dig"]);
      const eye = await stage.join("own-eye", "admin");
      const w = write("own-a");
      await rev(stage, a, w);
      const other = write("own-eye");
      await rev(stage, eye, other);
      const get = (key: Write["key"]) => {
        const subject = `$JS.API.DIRECT.GET.${TASKS_STREAM}.${recordSubject(key)}`;
        return stage.settle(a.link.request(subject, new Uint8Array(0), { timeoutMs: 2_000 }));
      };
      const mine = await get(w.key);
      expect([mine.status, text(mine)]).toEqual([0, Buffer.from(w.body).toString()]);
      expect((await get(write("own-a").key)).status).toBe(404);
      await expect(get(other.key)).rejects.toMatchObject({ code: "E_PERMISSION" });
      const whole = a.ledger.read("own-a", w.key.task);
      await expect(stage.settle(whole)).rejects.toBeDefined();
    },
  },
  {
    name: "large content comes back from the object store; what is not there is said so",
    async play(stage) {
      const a = await stage.join("art-a", "submitter");
      const b = await stage.join("art-b", "contractor", ["dig"]);
      const content = Buffer.alloc(700_000, "parley ");
      const ref = await stage.settle(a.artefacts.put(content, 0));
      expect(ref.parts).toBe(2);
      const back = await stage.settle(b.artefacts.get(ref));
      expect(Buffer.compare(Buffer.from(back), content)).toBe(0);
      const gone = b.artefacts.get({ ...ref, $ref: `${ref.$ref}x` });
      await expect(stage.settle(gone)).rejects.toMatchObject({ code: "E_ARTEFACT" });
    },
  },
];
