// Cases about messages: who hears what, who may say what, and what is said when nobody is there.
import { expect } from "vitest";
import type { Incoming } from "../../mesh/ports/index.ts";
import { bytes, type Case, type Member, pass, type Stage, tap, text } from "./stage.ts";

const EMPTY = new Uint8Array(0);

async function crowd(stage: Stage, names: readonly string[]): Promise<Member[]> {
  const members: Member[] = [];
  for (const name of names) members.push(await stage.join(name, "admin"));
  return members;
}

export const MESSAGES: readonly Case[] = [
  {
    name: "wildcards: one token, all that follow, and nothing else",
    async play(stage) {
      const [a, b] = (await crowd(stage, ["wild-a", "wild-b"])) as [Member, Member];
      const exact = tap(b, "w.x.y");
      const star = tap(b, "w.*.y");
      const rest = tap(b, "w.>");
      const short = tap(b, "w.*");
      await stage.flush(b);
      for (const subject of ["w.x.y", "w.z.y", "w.x", "w", "w.x.y.z"]) {
        a.link.publish(subject, bytes(subject));
      }
      await stage.flush(a, b);
      expect(exact.map((m) => m.subject)).toEqual(["w.x.y"]);
      expect(star.map((m) => m.subject)).toEqual(["w.x.y", "w.z.y"]);
      expect(rest.map((m) => m.subject)).toEqual(["w.x.y", "w.z.y", "w.x", "w.x.y.z"]);
      expect(short.map((m) => m.subject)).toEqual(["w.x"]);
      expect(rest.map(text)).toEqual(rest.map((m) => m.subject));
    },
  },
  {
    name: "a message reaches one member of each queue group, every member at some time",
    async play(stage) {
      const members = await crowd(stage, ["qg-1", "qg-2", "qg-3", "qg-4"]);
      const [from] = members as [Member];
      const red = members.slice(1).map((m) => tap(m, "q.work", "red"));
      const blue = members.slice(2).map((m) => tap(m, "q.*", "blue"));
      const plain = tap(from, "q.work");
      await stage.flush(...members);
      for (let i = 0; i < 200; i++) from.link.publish("q.work", bytes(String(i)));
      await stage.flush(from, ...members);
      for (const group of [red, blue]) {
        const heard = group.flatMap((list) => list.map(text)).sort();
        expect(heard).toEqual(Array.from({ length: 200 }, (_, i) => String(i)).sort());
        for (const list of group) expect(list.length).toBeGreaterThan(20);
      }
      expect(plain).toHaveLength(200);
    },
  },
  {
    name: "whoever leaves a queue group gets nothing any more",
    async play(stage) {
      const [from, a, b] = (await crowd(stage, ["lv-1", "lv-2", "lv-3"])) as Member[];
      const heard: string[] = [];
      const sub = a?.link.subscribe("lv.work", () => void heard.push("a"), { queue: "q" });
      b?.link.subscribe("lv.work", () => void heard.push("b"), { queue: "q" });
      await stage.flush(a as Member, b as Member);
      sub?.unsubscribe();
      await stage.flush(a as Member);
      for (let i = 0; i < 20; i++) from?.link.publish("lv.work", EMPTY);
      await stage.flush(from as Member, a as Member, b as Member);
      expect(heard).toEqual(Array.from({ length: 20 }, () => "b"));
    },
  },
  {
    name: "nobody there: a request is told at once, a publish on its bare reply subject",
    async play(stage) {
      const a = await stage.join("nobody-a", "admin");
      const b = await stage.join("nobody-b", "admin");
      const asked = a.link.request("nobody.here", EMPTY, { timeoutMs: 5_000 });
      await expect(stage.settle(asked)).rejects.toMatchObject({ code: "E_NO_CAPABILITY" });
      const mine = tap(a, "nobody.reply.*");
      const others = tap(b, "nobody.reply.*");
      await stage.flush(a, b);
      a.link.publish("nobody.here", EMPTY, { reply: "nobody.reply.1" });
      await stage.flush(a, b);
      expect(mine.map((m) => [m.subject, m.status, m.data.length])).toEqual([
        ["nobody.reply.1", 503, 0],
      ]);
      expect(others).toEqual([]);
    },
  },
  {
    name: "a tap on the subject hides that nobody answers; then the time-out says it",
    async play(stage) {
      const a = await stage.join("tapped-a", "admin");
      const b = await stage.join("tapped-b", "admin");
      const heard = tap(b, "tapped.>");
      await stage.flush(b);
      const begun = a.clock.now();
      const asked = a.link.request("tapped.x", EMPTY, { timeoutMs: 300 });
      await expect(stage.settle(asked)).rejects.toMatchObject({ code: "E_TIMEOUT" });
      expect(a.clock.now() - begun).toBeGreaterThanOrEqual(299);
      expect(heard).toHaveLength(1);
    },
  },
  {
    name: "requests get the first answer; many answers end with an empty one or a silence",
    async play(stage) {
      const a = await stage.join("ask-a", "admin");
      const b = await stage.join("ask-b", "admin");
      b.link.subscribe("ask.*", (m) => {
        for (const word of ["one", "two", "three"]) b.link.publish(m.reply ?? "", bytes(word));
        if (m.subject === "ask.ended") b.link.publish(m.reply ?? "", EMPTY);
      });
      await stage.flush(b);
      const one = await stage.settle(a.link.request("ask.x", EMPTY, { timeoutMs: 2_000 }));
      expect(text(one)).toBe("one");
      const many = { timeoutMs: 5_000, stallMs: 200 };
      for (const subject of ["ask.stall", "ask.ended"]) {
        const all = await stage.settle(a.link.requestMany(subject, EMPTY, many));
        expect(all.map(text).filter((word) => word !== "")).toEqual(["one", "two", "three"]);
      }
    },
  },
  {
    name: "what a role may not publish or hear is refused, said so, and has no effect",
    async play(stage) {
      const boss = await stage.join("perm-boss", "admin");
      const c = await stage.join("perm-c", "contractor", ["dig"]);
      const heard = tap(boss, "mesh.>");
      const bids = tap(c, "mesh.bid.perm-boss.>");
      const calls = tap(c, "mesh.cfp.dig.all.*.*");
      const others = tap(c, "mesh.cfp.sing.all.*.*");
      await stage.flush(boss, c);
      c.link.publish("mesh.bid.perm-boss.main.c1.perm-c.w", bytes("mine"));
      c.link.publish("mesh.bid.perm-boss.main.c1.somebody.w", bytes("forged"));
      c.link.publish("mesh.cfp.dig.all.perm-c.w", bytes("no initiator"));
      boss.link.publish("mesh.cfp.dig.all.perm-boss.main", EMPTY);
      boss.link.publish("mesh.cfp.sing.all.perm-boss.main", EMPTY);
      await stage.flush(c, boss);
      await stage.flush(c);
      await stage.until(() => c.errors.length >= 4, "four refusals");
      expect(heard.filter((m) => !m.subject.startsWith("mesh.sys.")).map((m) => m.subject)).toEqual(
        expect.arrayContaining(["mesh.bid.perm-boss.main.c1.perm-c.w"]),
      );
      expect(heard.map(text)).not.toContain("forged");
      expect(heard.map(text)).not.toContain("no initiator");
      expect([calls.length, others.length, bids.length]).toEqual([1, 0, 0]);
      for (const error of c.errors) expect(error).toMatch(/permission/i);
      const asked = c.link.request("$JS.API.STREAM.LIST", EMPTY, { timeoutMs: 2_000 });
      await expect(stage.settle(asked)).rejects.toMatchObject({ code: "E_PERMISSION" });
    },
  },
  {
    name: "who is asked may answer in the asker's inbox; what a message names grants nothing else",
    async play(stage) {
      const asker = await stage.join("resp-a", "submitter");
      const asked = await stage.join("resp-b", "contractor", ["dig"]);
      asked.link.subscribe("mesh.who.resp-b.*", (m) => {
        asked.link.publish(m.reply ?? "", bytes("asked"));
      });
      await stage.flush(asked);
      const answer = asker.link.request("mesh.who.resp-b.main", EMPTY, { timeoutMs: 2_000 });
      expect(text(await stage.settle(answer))).toBe("asked");
      expect(asked.errors).toEqual([]);
      const reply = "$JS.API.STREAM.PURGE.KV_mesh_tasks";
      asker.link.publish("mesh.who.resp-b.main", EMPTY, { reply });
      await stage.until(() => asked.errors.length > 0, "the refusal");
      expect(asked.errors[0]).toMatch(/permission/i);
    },
  },
  {
    name: "headers travel; an empty one is none; the server adds nothing to plain messages",
    async play(stage) {
      const a = await stage.join("head-a", "admin");
      const heard = tap(a, "head.x");
      await stage.flush(a);
      a.link.publish("head.x", bytes("1"), { headers: { "Mesh-Sig": "s 1", Empty: "" } });
      a.link.publish("head.x", bytes("2"), { headers: { "Nats-Stream": "forged" } });
      a.link.publish("head.x", bytes("3"));
      await stage.flush(a);
      const [one, two, three] = heard as [Incoming, Incoming, Incoming];
      expect([one.header("Mesh-Sig"), one.header("Empty"), one.header("mesh-sig")]).toEqual([
        "s 1",
        undefined,
        undefined,
      ]);
      expect([two.header("Nats-Stream"), two.hasHeaders]).toEqual(["forged", true]);
      expect([three.hasHeaders, three.status]).toEqual([false, 0]);
    },
  },
  {
    name: "a connection that ends is announced, with its user's key",
    async play(stage) {
      const ini = await stage.join("gone-i", "initiator");
      const c = await stage.join("gone-c", "contractor", ["dig"]);
      const notices = tap(ini, "mesh.sys.disconnect");
      await stage.flush(ini, c);
      await c.kill();
      type Notice = { client: { user: string }; reason: string };
      const about = () =>
        notices
          .map((m) => JSON.parse(text(m)) as Notice)
          .filter(({ client }) => client.user === c.user);
      await stage.until(() => about().length > 0, "the notice");
      await pass(stage, ini, 100);
      expect(about().map(({ reason }) => reason)).toEqual(["Client Closed"]);
    },
  },
];
