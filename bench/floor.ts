// The floor: a bare client loop that sends the same messages, of the same size, on the same
// subjects and streams, fenced and (if asked) signed and verified at the same places, with no
// protocol logic, no encoding and no checking of what arrives.
import { createInbox, headers, type Msg, type NatsConnection } from "@nats-io/nats-core";
import {
  bidReplySubject,
  bidSubject,
  cfpSubject,
  directedSubject,
  patterns,
  recordSubject,
  SAMPLE_RUNGS,
  SAMPLES,
  specN,
  supervisionConsumer,
  TASKS_STREAM,
  taskGuard,
} from "../contracts/index.ts";
import { groupOf } from "../mesh/core/match.ts";
import { connectNats } from "../mesh/nats/connect.ts";
import { credsAuth } from "../mesh/nats/identity/authenticator.ts";
import { type KeyPair, keyFromSeed, verifySignature } from "../mesh/nats/identity/keys.ts";
import { systemRandom } from "../mesh/nats/system.ts";
import type { Client, Side } from "./product.ts";
import { agentNames, type HostOrder, type Shape } from "./shape.ts";

/** Sizes of the product's messages, bytes, as seen on the wire in this bench. */
const SIZE = {
  spec: 420,
  cfp: 170,
  bid: 95,
  award: 1_250,
  contract: 1_420,
  outcome: 1_550,
  done: 110,
  live: 420,
};
const body = (n: number): Uint8Array => new Uint8Array(n).fill(0x78);
const BODY = Object.fromEntries(Object.entries(SIZE).map(([k, n]) => [k, body(n)])) as Record<
  keyof typeof SIZE,
  Uint8Array
>;
const ACK = new TextEncoder().encode("+ACK");

/** An unanswered live call is made again after this, ms. */
const AGAIN_MS = 50;
/** Outcomes to look up are gathered for this long, ms. */
const LOOK_MS = 10;

interface Tender {
  task: string;
  rev: number;
  bids: number;
  ack: string;
  contractor: string;
}

type Access = Pick<HostOrder, "url" | "jwt" | "seed" | "shape">;

async function connect(o: Access, name: string): Promise<NatsConnection> {
  return connectNats({
    servers: o.url,
    name,
    authenticator: credsAuth({ jwt: o.jwt, seed: o.seed }),
    principal: name,
  });
}

export async function floorHost(o: HostOrder): Promise<Side> {
  const name = `host-${o.host}`;
  const floor = new Floor(o.shape, await connect(o, name), keyFromSeed(o.seed), name);
  await floor.host(agentNames(o.shape, o.host));
  return floor;
}

export async function floorClient(o: Access): Promise<Client> {
  const floor = new Floor(o.shape, await connect(o, "client"), keyFromSeed(o.seed), "client");
  await floor.client();
  return floor;
}

/** One process of the floor: a host (agents and, for durable tasks, an initiator) or the client. */
class Floor implements Client {
  readonly #shape: Shape;
  readonly #nc: NatsConnection;
  readonly #key: KeyPair;
  readonly #me: string;
  readonly #random = systemRandom();
  readonly #inbox: string;
  #acks = new Map<string, (rev: number) => void>();
  #ackToken = 0;
  #done = new Map<string, () => void>();
  #tenders = new Map<string, Tender>();
  #byTask = new Map<string, Tender>();
  #cfps = 0;
  #outstanding = 0;
  #looked: Tender[] = [];
  #seats = new Map<string, () => void>();
  #sent = 0;
  #bids = 0;

  constructor(shape: Shape, nc: NatsConnection, key: KeyPair, me: string) {
    this.#shape = shape;
    this.#nc = nc;
    this.#key = key;
    this.#me = me;
    this.#inbox = createInbox(`_INBOX.${me}`);
    this.#listen(`${this.#inbox}.*`, (m) => this.#onAck(m));
  }

  counts() {
    return { sent: this.#sent, bids: this.#bids };
  }

  async close(): Promise<void> {
    await this.#nc.close();
  }

  #listen(pattern: string, run: (m: Msg) => void): void {
    this.#nc.subscribe(pattern, { callback: (_, m) => run(m) });
  }

  async host(agents: string[]): Promise<void> {
    for (const agent of agents) {
      this.#listen(patterns.awards(this.#me, agent), (m) => this.#onAward(m));
      this.#sit(agent);
    }
    if (this.#shape.mode === "durable") {
      this.#listen(patterns.bids(this.#me), (m) => this.#onBid(m));
      this.#listen(patterns.recordsToMe(this.#me), (m) => this.#onContract(m));
      this.#listen(patterns.messages(this.#me), (m) => this.#onDone(m));
      this.#listen(`${this.#inbox}p`, (m) => this.#onSpec(m));
      this.#listen(`${this.#inbox}g`, () => undefined);
      this.#pull();
    }
    await this.#nc.flush();
  }

  async client(): Promise<void> {
    this.#listen(patterns.bids("client"), (m) => this.#onBid(m));
    this.#listen(patterns.recordsToMe("client"), (m) => this.#onOutcome(m));
    this.#listen(patterns.claimsOfMine("client"), () => undefined);
    this.#listen(patterns.messages("client"), (m) => this.#onLive(m));
    await this.#nc.flush();
  }

  #sit(agent: string): void {
    const address = `${this.#me}.${agent}`;
    const subs = SAMPLE_RUNGS.map((rung) =>
      this.#nc.subscribe(patterns.cfp("echo", rung), {
        queue: `g${groupOf(address, SAMPLES[rung])}`,
        callback: (_, m) => this.#onCfp(address, m),
      }),
    );
    this.#seats.set(agent, () => {
      for (const sub of subs) sub.unsubscribe();
    });
  }

  #seal(data: Uint8Array): string {
    if (!this.#shape.signing) return "0..";
    const signature = Buffer.from(this.#key.sign(data)).toString("base64url");
    return `0.${signature}.${this.#key.publicKey}`;
  }

  /** Verifies as often as the product does. */
  #check(seal: string, data: Uint8Array): void {
    if (!this.#shape.signing) return;
    const [, signature, key] = seal.split(".") as [string, string, string];
    if (!verifySignature(key, data, Buffer.from(signature, "base64url"))) {
      throw new Error("the floor's own signature does not verify");
    }
  }

  #send(subject: string, data: Uint8Array, reply?: string): void {
    this.#sent++;
    this.#nc.publish(subject, data, reply === undefined ? {} : { reply });
  }

  #write(
    at: Parameters<typeof recordSubject>[0],
    data: Uint8Array,
    guard: number,
    done: (rev: number) => void,
  ): void {
    const token = (this.#ackToken++).toString(36);
    this.#acks.set(token, done);
    const h = headers();
    h.append("Mesh-Sig", this.#seal(data));
    h.append("Nats-Msg-Id", this.#random.id());
    h.append("Nats-Expected-Last-Subject-Sequence", String(guard));
    h.append("Nats-Expected-Last-Subject-Sequence-Subject", taskGuard(at.owner, at.task));
    h.append("Content-Type", "application/json");
    this.#sent++;
    this.#nc.publish(recordSubject(at), data, { headers: h, reply: `${this.#inbox}.${token}` });
  }

  #onAck(m: Msg): void {
    const token = m.subject.slice(m.subject.lastIndexOf(".") + 1);
    const done = this.#acks.get(token);
    this.#acks.delete(token);
    done?.((m.json() as { seq: number }).seq);
  }

  one(): Promise<void> {
    const task = this.#random.id();
    return new Promise((resolve) => {
      this.#done.set(task, resolve);
      if (this.#shape.mode === "live") return this.#tender(task, 0, "");
      this.#write(
        {
          owner: "client",
          task,
          kind: "spec",
          n: specN(1),
          toPrincipal: "_",
          toAgent: "_",
          fromPrincipal: "client",
          fromAgent: "main",
        },
        BODY.spec,
        0,
        () => undefined,
      );
    });
  }

  #pull(): void {
    const batch = 64 - this.#outstanding;
    this.#outstanding += batch;
    this.#send(
      `$JS.API.CONSUMER.MSG.NEXT.${TASKS_STREAM}.${supervisionConsumer(1)}`,
      Buffer.from(JSON.stringify({ batch, expires: 60e9 })),
      `${this.#inbox}p`,
    );
  }

  #onSpec(m: Msg): void {
    if (!m.reply?.startsWith("$JS.ACK.")) return;
    if (--this.#outstanding <= 32) this.#pull();
    this.#check(m.headers?.get("Mesh-Sig") ?? "", m.data);
    this.#tender(m.subject.split(".")[3] as string, Number(m.reply.split(".")[5]), m.reply);
  }

  #tender(task: string, rev: number, ack: string): void {
    const cfp = (this.#cfps++).toString(36);
    const tender: Tender = { task, rev, bids: 0, ack, contractor: "" };
    this.#tenders.set(cfp, tender);
    this.#byTask.set(task, tender);
    this.#again(tender);
    this.#send(
      cfpSubject("echo", `s${this.#shape.bids}`, `${this.#me}.main`),
      BODY.cfp,
      bidReplySubject(`${this.#me}.main`, cfp),
    );
  }

  /** A call that reached only agents on their way out gets no answer, and redelivery would take
   * seconds: without this the floor would mostly wait. */
  #again(tender: Tender): void {
    setTimeout(() => {
      if (tender.contractor === "") this.#tender(tender.task, tender.rev, tender.ack);
    }, AGAIN_MS);
  }

  #onCfp(address: string, m: Msg): void {
    const [, , initiator, agent, cfp] = (m.reply as string).split(".");
    this.#send(bidSubject(`${initiator}.${agent}`, cfp as string, address), BODY.bid);
  }

  #onBid(m: Msg): void {
    this.#bids++;
    const t = m.subject.split(".");
    const cfp = t[4] as string;
    const tender = this.#tenders.get(cfp);
    if (tender === undefined) return;
    // The first bid wins and the others are only received: the shortest way there is.
    if (++tender.bids >= this.#shape.bids) this.#tenders.delete(cfp);
    if (tender.contractor !== "") return;
    tender.contractor = `${t[5]}.${t[6]}`;
    const award = Buffer.from(BODY.award);
    award.write(`${this.#seal(BODY.award)} ${tender.task} ${tender.rev} `);
    this.#send(directedSubject("award", tender.contractor, `${this.#me}.main`), award);
  }

  #onAward(m: Msg): void {
    const [, , , agent, fromPrincipal] = m.subject.split(".") as string[];
    const text = Buffer.from(m.data.subarray(0, 280)).toString("latin1");
    const [seal, task, rev] = text.split(" ") as [string, string, string];
    this.#check(seal, BODY.award);
    this.#seats.get(agent as string)?.();
    this.#seats.delete(agent as string);
    const me = `${this.#me}.${agent}`;
    if (this.#shape.mode === "live") {
      this.#sit(agent as string);
      this.#send(`mesh.idle.echo.${me}`, BODY.done.subarray(0, 20));
      const answer = Buffer.from(BODY.live);
      answer.write(task);
      return this.#send(directedSubject("msg", `${fromPrincipal}.main`, me), answer);
    }
    const at = {
      owner: "client",
      task,
      n: "1",
      fromPrincipal: this.#me,
      fromAgent: agent as string,
    };
    this.#write(
      {
        ...at,
        kind: "contract",
        toPrincipal: fromPrincipal as string,
        toAgent: "main",
      },
      BODY.contract,
      Number(rev),
      (claimed) => {
        this.#sit(agent as string);
        this.#send(`mesh.idle.echo.${me}`, BODY.done.subarray(0, 20));
        // The result carries its warrant: the award's own signature.
        const outcome = Buffer.from(BODY.outcome);
        outcome.write(`${seal} `);
        this.#write(
          { ...at, kind: "outcome", toPrincipal: "client", toAgent: "main" },
          outcome,
          claimed,
          () => {
            const done = Buffer.from(BODY.done);
            done.write(task);
            this.#send(directedSubject("msg", `${fromPrincipal}.main`, me), done);
          },
        );
      },
    );
  }

  #onContract(m: Msg): void {
    this.#check(m.headers?.get("Mesh-Sig") ?? "", m.data);
  }

  /** As the product does: outcomes are looked up, many at a time, before a task is let go. */
  #onDone(m: Msg): void {
    const task = Buffer.from(m.data.subarray(0, 26)).toString("latin1");
    const tender = this.#byTask.get(task);
    this.#byTask.delete(task);
    if (tender === undefined) return;
    this.#looked.push(tender);
    if (this.#looked.length === 1) setTimeout(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    const tenders = this.#looked;
    this.#looked = [];
    const subjects = tenders.map((t) => {
      const [fromPrincipal, fromAgent] = t.contractor.split(".") as [string, string];
      const place = { toPrincipal: "client", toAgent: "main", fromPrincipal, fromAgent };
      return recordSubject({ owner: "client", task: t.task, kind: "outcome", n: "1", ...place });
    });
    this.#send(
      `$JS.API.DIRECT.GET.${TASKS_STREAM}`,
      Buffer.from(JSON.stringify({ multi_last: subjects })),
      `${this.#inbox}g`,
    );
    for (const t of tenders) this.#send(t.ack, ACK);
  }

  #onOutcome(m: Msg): void {
    this.#check(m.headers?.get("Mesh-Sig") ?? "", m.data);
    if (this.#shape.signing) {
      const text = Buffer.from(m.data.subarray(0, 240)).toString("latin1");
      this.#check(text.slice(0, text.indexOf(" ")), BODY.award);
    }
    this.#settle(m.subject.split(".")[8] as string);
  }

  #onLive(m: Msg): void {
    const task = Buffer.from(m.data.subarray(0, 26)).toString("latin1");
    this.#byTask.delete(task);
    this.#settle(task);
  }

  #settle(task: string): void {
    this.#done.get(task)?.();
    this.#done.delete(task);
  }
}
