// Cases about who is handed a spec, again and when; and about cards that come and go.
import { expect } from "vitest";
import {
  KEYS_STREAM,
  keySubject,
  ROLES,
  supervisionConsumer,
  TASKS_STREAM,
} from "../../contracts/index.ts";
import { NatsCards } from "../../mesh/nats/cards.ts";
import type { Link } from "../../mesh/nats/link.ts";
import type { Incoming, SpecDelivery } from "../../mesh/ports/index.ts";
import {
  ACK_WAIT_MS,
  bytes,
  type Case,
  type Member,
  pass,
  rev,
  type Stage,
  tap,
  text,
  write,
} from "./stage.ts";

interface Handed {
  by: string;
  at: number;
  spec: SpecDelivery;
}

/** Starts pulling; what comes goes to `handed`, and no further. */
async function supervise(
  stage: Stage,
  member: Member,
  handed: Handed[],
  room: (urgency: 0 | 1 | 2) => number = () => 100,
): Promise<void> {
  const { supervision, clock } = member;
  const started = supervision.start(
    (spec) => void handed.push({ by: member.name, at: clock.now(), spec }),
    room,
  );
  await stage.settle(started);
  await stage.flush(member);
}

/** Those of this case's own owner: other cases leave specs behind. */
const of = (handed: readonly Handed[], owner: string): Handed[] =>
  handed.filter(({ spec }) => spec.key.owner === owner);

/** A share of the ack wait within which a timer of either side may be late. */
const SLACK_MS = 300;

export const SUPERVISION: readonly Case[] = [
  {
    name: "who waits for specs hears now and then that the server is there",
    async play(stage) {
      const a = await stage.join("beat-a", "initiator");
      const inbox = a.link.inbox(a.name);
      const heard: number[] = [];
      a.link.subscribe(inbox, (m) => void heard.push(m.status));
      await stage.flush(a);
      const consumer = `${TASKS_STREAM}.${supervisionConsumer(0)}`;
      const wanted = { batch: 1, expires: 3e9, idle_heartbeat: 5e8 };
      a.link.publish(`$JS.API.CONSUMER.MSG.NEXT.${consumer}`, bytes(JSON.stringify(wanted)), {
        reply: inbox,
      });
      await stage.until(() => heard.includes(408), "the end of the pull", 6_000);
      expect(heard.filter((status) => status === 100).length).toBeGreaterThanOrEqual(4);
    },
  },
  {
    name: "a spec is handed to one, with its place, and after its ack to nobody",
    async play(stage) {
      const sue = await stage.join("hand-sue", "submitter");
      const a = await stage.join("hand-a", "initiator");
      const b = await stage.join("hand-b", "initiator");
      const handed: Handed[] = [];
      await supervise(stage, a, handed);
      await supervise(stage, b, handed);
      const writes = Array.from({ length: 20 }, () => write("hand-sue"));
      const revs: number[] = [];
      for (const w of writes) revs.push(await rev(stage, sue, w));
      const mine = () => of(handed, "hand-sue");
      await stage.until(() => mine().length === 20, "twenty specs");
      // Each of the two hears in order; what reaches them when is nobody's promise.
      for (const who of ["hand-a", "hand-b"]) {
        const own = mine()
          .filter(({ by }) => by === who)
          .map(({ spec }) => spec.rev);
        expect(own).toEqual(own.toSorted((x, y) => x - y));
      }
      expect(
        mine()
          .map(({ spec }) => spec.rev)
          .toSorted((x, y) => x - y),
      ).toEqual(revs);
      expect(new Set(mine().map(({ by }) => by)).size).toBe(2);
      for (const { spec } of mine()) {
        expect(spec.deliveries).toBe(1);
        expect(spec.header("Nats-Msg-Id")).toMatch(/^id/);
        expect(Math.abs(spec.storedAt - a.clock.wall())).toBeLessThan(5_000);
        spec.receipt.ack();
      }
      await pass(stage, a, ACK_WAIT_MS + SLACK_MS);
      expect(mine()).toHaveLength(20);
      await stage.settle(Promise.all([a.supervision.stop(), b.supervision.stop()]));
    },
  },
  {
    name: "whoever falls silent loses the spec to another after the ack wait",
    async play(stage) {
      const sue = await stage.join("silent-sue", "submitter");
      const a = await stage.join("silent-a", "initiator");
      const b = await stage.join("silent-b", "initiator");
      const handed: Handed[] = [];
      await supervise(stage, a, handed);
      const w = write("silent-sue");
      await rev(stage, sue, w);
      const mine = () => of(handed, "silent-sue");
      await stage.until(() => mine().length === 1, "the first delivery");
      await a.kill();
      await supervise(stage, b, handed);
      await stage.until(() => mine().length === 2, "the second delivery");
      const [first, second] = mine() as [Handed, Handed];
      expect([first.by, second.by]).toEqual(["silent-a", "silent-b"]);
      expect([first.spec.deliveries, second.spec.deliveries]).toEqual([1, 2]);
      expect(second.at - first.at).toBeGreaterThan(ACK_WAIT_MS - 50);
      expect(second.at - first.at).toBeLessThan(ACK_WAIT_MS + SLACK_MS);
      second.spec.receipt.ack();
      await stage.flush(b);
      await stage.settle(b.supervision.stop());
    },
  },
  {
    name: "a sign of progress postpones it, for one ack wait each time",
    async play(stage) {
      const sue = await stage.join("work-sue", "submitter");
      const a = await stage.join("work-a", "initiator");
      const handed: Handed[] = [];
      await supervise(stage, a, handed);
      await rev(stage, sue, write("work-sue"));
      const mine = () => of(handed, "work-sue");
      await stage.until(() => mine().length === 1, "the delivery");
      const [{ spec, at }] = mine() as [Handed];
      for (let i = 0; i < 3; i++) {
        await pass(stage, a, ACK_WAIT_MS * 0.6);
        spec.receipt.working();
      }
      expect(mine()).toHaveLength(1);
      await stage.until(() => mine().length === 2, "the delivery after the silence");
      const since = (mine()[1]?.at ?? 0) - at;
      expect(since).toBeGreaterThan(ACK_WAIT_MS * 2.8 - 50);
      expect(since).toBeLessThan(ACK_WAIT_MS * 2.8 + SLACK_MS);
      for (const { spec } of mine()) spec.receipt.ack();
      await stage.flush(a);
      await stage.settle(a.supervision.stop());
    },
  },
  {
    name: "a spec that is handed back comes after its pause, and counts as delivered",
    async play(stage) {
      const sue = await stage.join("back-sue", "submitter");
      const a = await stage.join("back-a", "initiator");
      const handed: Handed[] = [];
      await supervise(stage, a, handed);
      await rev(stage, sue, write("back-sue"));
      const mine = () => of(handed, "back-sue");
      await stage.until(() => mine().length === 1, "the delivery");
      mine()[0]?.spec.receipt.release(400);
      await stage.until(() => mine().length === 2, "the second delivery");
      const [first, second] = mine() as [Handed, Handed];
      expect(second.at - first.at).toBeGreaterThan(390);
      expect(second.at - first.at).toBeLessThan(400 + SLACK_MS);
      expect(second.spec.deliveries).toBe(2);
      second.spec.receipt.release(0);
      await stage.until(() => mine().length === 3, "the third delivery");
      expect((mine()[2]?.at ?? 0) - second.at).toBeLessThan(SLACK_MS);
      mine()[2]?.spec.receipt.ack();
      await stage.flush(a);
      await stage.settle(a.supervision.stop());
    },
  },
  {
    name: "an ack of an earlier delivery ends the matter too",
    async play(stage) {
      const sue = await stage.join("late-sue", "submitter");
      const a = await stage.join("late-a", "initiator");
      const handed: Handed[] = [];
      await supervise(stage, a, handed);
      await rev(stage, sue, write("late-sue"));
      const mine = () => of(handed, "late-sue");
      await stage.until(() => mine().length === 2, "two deliveries");
      mine()[0]?.spec.receipt.ack();
      await stage.flush(a);
      await pass(stage, a, ACK_WAIT_MS + SLACK_MS);
      expect(mine()).toHaveLength(2);
      await stage.settle(a.supervision.stop());
    },
  },
  {
    name: "each urgency class has a line of its own, and only who has room is handed anything",
    async play(stage) {
      const sue = await stage.join("room-sue", "submitter");
      const a = await stage.join("room-a", "initiator");
      const handed: Handed[] = [];
      const open = new Set<number>([0]);
      await supervise(stage, a, handed, (urgency) => (open.has(urgency) ? 5 : 0));
      for (const urgency of [2, 1, 0]) {
        const w = write("room-sue");
        w.key.n = `0-${urgency}`;
        await rev(stage, sue, w);
      }
      const mine = () => of(handed, "room-sue");
      await stage.until(() => mine().length === 1, "the urgent one");
      await pass(stage, a, 200);
      expect(mine().map(({ spec }) => spec.key.n)).toEqual(["0-0"]);
      open.add(1).add(2);
      await stage.until(() => mine().length === 3, "the others");
      expect(
        mine()
          .slice(1)
          .map(({ spec }) => spec.key.n)
          .sort(),
      ).toEqual(["0-1", "0-2"]);
      for (const { spec } of mine()) spec.receipt.ack();
      await stage.flush(a);
      await stage.settle(a.supervision.stop());
    },
  },
  {
    name: "what is asked for waits as long as somebody listens for it, whoever asked",
    async play(stage) {
      const sue = await stage.join("left-sue", "submitter");
      const a = await stage.join("left-a", "admin");
      const b = await stage.join("left-b", "admin");
      const [heard, forgotten] = [a.link.inbox(a.name), a.link.inbox(a.name)];
      const got = tap(b, heard);
      const deaf = b.link.subscribe(forgotten, () => undefined);
      await stage.flush(b);
      const consumer = `${TASKS_STREAM}.${supervisionConsumer(1)}`;
      const body = bytes(JSON.stringify({ batch: 1, expires: 5e9 }));
      for (const reply of [forgotten, heard]) {
        a.link.publish(`$JS.API.CONSUMER.MSG.NEXT.${consumer}`, body, { reply });
      }
      await stage.flush(a);
      deaf.unsubscribe();
      await a.kill();
      await stage.flush(b);
      const w = write("left-sue");
      w.key.n = "0-1";
      await rev(stage, sue, w);
      await stage.until(() => got.length > 0, "the spec");
      expect(got[0]?.status).toBe(0);
      b.link.publish(got[0]?.reply ?? "", bytes("+ACK"));
      await stage.flush(b);
    },
  },
  {
    name: "who comes back after a cut is handed no more than there is room for",
    async play(stage) {
      const sue = await stage.join("back-sue", "submitter");
      const a = await stage.reach("back-a", "initiator");
      const handed: Handed[] = [];
      await supervise(stage, a, handed, () => Math.max(0, 2 - handed.length));
      for (let times = 0; times < 2; times++) {
        await a.cut("both");
        await stage.until(() => a.link.state() === "down", "the end of the link", 8_000);
        await a.mend();
        await stage.until(() => a.link.state() === "up", "the link", 8_000);
      }
      for (let n = 0; n < 6; n++) await rev(stage, sue, write("back-sue"));
      await stage.until(() => handed.length >= 2, "as many as there is room for");
      await pass(stage, a, 200);
      expect(handed).toHaveLength(2);
      for (const { spec } of handed) spec.receipt.ack();
      await stage.settle(a.supervision.stop());
    },
  },
  {
    name: "what arrives after a stop is handed on at once",
    async play(stage) {
      const sue = await stage.join("stop-sue", "submitter");
      const a = await stage.join("stop-a", "initiator");
      const b = await stage.join("stop-b", "initiator");
      const handed: Handed[] = [];
      await supervise(stage, a, handed);
      const stopped = a.supervision.stop();
      const begun = b.clock.now();
      await rev(stage, sue, write("stop-sue"));
      await stage.settle(stopped);
      await supervise(stage, b, handed);
      const mine = () => of(handed, "stop-sue");
      await stage.until(() => mine().length === 1, "the delivery");
      expect(mine()[0]?.by).toBe("stop-b");
      expect((mine()[0]?.at ?? 0) - begun).toBeLessThan(ACK_WAIT_MS);
      mine()[0]?.spec.receipt.ack();
      await stage.flush(b);
      await stage.settle(b.supervision.stop());
    },
  },
];

const cardOf = (notices: readonly Incoming[], name: string): Incoming[] =>
  notices.filter((m) => m.subject === `mesh.card.${name}.main`);

export const CARDS: readonly Case[] = [
  {
    name: "a card is announced, read, kept for proof, and taken back",
    async play(stage) {
      const eye = await stage.join("card-eye", "initiator");
      const a = await stage.join("card-a", "contractor", ["dig"]);
      const notices = tap(eye, "mesh.card.>");
      await stage.flush(eye);
      a.cards.announce("card-a", "main", bytes('{"card":1}'), "1.seal", 30);
      const mine = () => cardOf(notices, "card-a");
      await stage.until(() => mine().length === 1, "the notice");
      const key = "$KV.mesh_agents.card-a.main";
      expect(mine()[0]?.header("Nats-Subject")).toBe(key);
      expect(mine()[0]?.header("Nats-Stream")).toBe("KV_mesh_agents");
      expect(mine()[0]?.header("Mesh-Sig")).toBe("1.seal");
      const found = (await stage.settle(eye.cards.snapshot())).find((c) => c.agent === "main");
      expect(found).toMatchObject({ principal: "card-a", agent: "main", seal: "1.seal" });
      expect(found?.rev).toBe(Number(mine()[0]?.header("Nats-Sequence")));
      a.cards.leave("card-a", "main");
      await stage.until(() => mine().length === 2, "the notice of the leave");
      expect(mine()[1]?.header("KV-Operation")).toBe("DEL");
      expect(mine()[1]?.data).toHaveLength(0);
      const left = await stage.settle(eye.cards.snapshot());
      expect(left.filter((c) => c.principal === "card-a")).toEqual([]);
      const kept = await stage.settle(eye.cards.get("card-a", "main"));
      expect([text({ data: kept?.body ?? bytes("") }), kept?.seal]).toEqual([
        '{"card":1}',
        "1.seal",
      ]);
      expect(await stage.settle(eye.cards.get("card-z", "main"))).toBeUndefined();
    },
  },
  {
    name: "a card that nobody renews expires, and everybody is told; a renewed one stays",
    async play(stage) {
      const eye = await stage.join("ttl-eye", "initiator");
      const a = await stage.join("ttl-a", "contractor", ["dig"]);
      const b = await stage.join("ttl-b", "contractor", ["dig"]);
      const notices = tap(eye, "mesh.card.>");
      await stage.flush(eye);
      const begun = eye.clock.now();
      a.cards.announce("ttl-a", "main", bytes("a"), "1.seal", 1);
      b.cards.announce("ttl-b", "main", bytes("b"), "1.seal", 1);
      await stage.flush(a, b);
      await pass(stage, eye, 600);
      b.cards.announce("ttl-b", "main", bytes("b"), "1.seal", 30);
      const expired = () =>
        notices.filter((m) => m.header("Nats-Marker-Reason") === "MaxAge").map((m) => m.subject);
      await stage.until(() => expired().length > 0, "the expiry");
      expect(expired()).toEqual(["mesh.card.ttl-a.main"]);
      expect(eye.clock.now() - begun).toBeGreaterThan(900);
      expect(eye.clock.now() - begun).toBeLessThan(2_500);
      const marker = cardOf(notices, "ttl-a").at(-1);
      expect(marker?.data).toHaveLength(0);
      const here = await stage.settle(eye.cards.snapshot());
      const names = here.map((c) => c.principal).filter((name) => name.startsWith("ttl-"));
      expect(names).toEqual(["ttl-b"]);
    },
  },
  {
    name: "who keeps a card is told that it is stored, whatever its role",
    async play(stage) {
      for (const role of ROLES) {
        // Who only observes has none.
        if (role === "observer") continue;
        const a = await stage.join(`told-${role}`, role, role === "contractor" ? ["dig"] : []);
        const asked = a.link.ask(keySubject(a.name, "main"), bytes("{}"), {
          timeoutMs: 3_000,
          headers: { "Mesh-Sig": "1.seal" },
        });
        const ack = JSON.parse(text(await stage.settle(asked)));
        expect([role, ack.stream, ack.seq > 0, a.errors]).toEqual([role, KEYS_STREAM, true, []]);
      }
    },
  },
  {
    name: "a card that was not stored is kept with a later renewal, and then not again",
    async play(stage) {
      const a = await stage.join("late-a", "contractor", ["dig"]);
      const told: Promise<unknown>[] = [];
      const ask: Link["ask"] = (...question) => {
        const lost = told.length === 0;
        const answer = lost ? Promise.reject(new Error("lost")) : a.link.ask(...question);
        told.push(answer.catch(() => undefined));
        return answer;
      };
      const publish: Link["publish"] = (...message) => a.link.publish(...message);
      const link = { ask, publish, onState: () => undefined } as unknown as Link;
      const cards = new NatsCards(link, a.clock, a.name);
      const renew = async () => {
        cards.announce(a.name, "main", bytes("{}"), "1.seal", 30);
        await stage.settle(Promise.all(told));
      };
      const kept = async () => (await stage.settle(eye.cards.get(a.name, "main")))?.seal;
      const eye = await stage.join("late-eye", "initiator");
      await renew();
      expect(await kept()).toBeUndefined();
      await renew();
      expect(await kept()).toBe("1.seal");
      await renew();
      expect(told).toHaveLength(2);
    },
  },
];
