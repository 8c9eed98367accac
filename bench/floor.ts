// The floor: a bare client loop that sends the same messages, of the same size, on the same
// subjects and streams, fenced and (if asked) signed and verified at the same places, with no
// protocol logic, no encoding and no checking of what arrives.
import { createInbox, headers, type Msg, type NatsConnection } from "@nats-io/nats-core";
import {
  bidReplySubject, bidSubject, cfpSubject, directedSubject, patterns, recordSubject, specN,
  supervisionConsumer, taskGuard, TASKS_STREAM,
} from "../contracts/index.ts";
import { groupOf } from "../mesh/core/match.ts";
import type { LocalMesh } from "../mesh/local.ts";
import { connectNats } from "../mesh/nats/connect.ts";
import { credsAuth } from "../mesh/nats/identity/authenticator.ts";
import { keyFromSeed, verifySignature, type KeyPair } from "../mesh/nats/identity/keys.ts";
import { systemRandom } from "../mesh/nats/system.ts";
import type { Loaded } from "./product.ts";
import { pump, type Shape } from "./shape.ts";

/** Sizes of the product's messages, bytes, as seen on the wire in this bench. */
const SIZE = { spec: 420, cfp: 170, bid: 95, award: 1_250, contract: 1_420, outcome: 330,
  done: 110, live: 420 };
const body = (n: number): Uint8Array => new Uint8Array(n).fill(0x78);
const BODY = Object.fromEntries(Object.entries(SIZE).map(([k, n]) => [k, body(n)])) as
  Record<keyof typeof SIZE, Uint8Array>;
const ACK = new TextEncoder().encode("+ACK");

interface Tender {
  task: string;
  rev: number;
  bids: number;
  ack: string;
  contractor: string;
}

export async function loadFloor(mesh: LocalMesh, shape: Shape): Promise<Loaded> {
  const hostCreds = await mesh.mint("host", "agent", ["echo"]);
  const clientCreds = await mesh.mint("client", "agent", ["echo"]);
  const connect = (creds: typeof hostCreds, name: string) => connectNats({
    servers: mesh.server.url, name, authenticator: credsAuth(creds), principal: name,
  });
  const host = await connect(hostCreds, "host");
  const client = await connect(clientCreds, "client");
  const floor = new Floor(shape, host, client, keyFromSeed(hostCreds.seed),
    keyFromSeed(clientCreds.seed));
  await floor.start();
  return {
    run: (n, inFlight) => pump(n, inFlight, () => floor.one()),
    counts: () => ({ sent: floor.sent, bids: floor.bids }),
    async close() {
      await host.close();
      await client.close();
    },
  };
}

class Floor {
  readonly #shape: Shape;
  readonly #host: NatsConnection;
  readonly #client: NatsConnection;
  readonly #hostKey: KeyPair;
  readonly #clientKey: KeyPair;
  readonly #random = systemRandom();
  readonly #hostInbox = createInbox("_INBOX.host");
  readonly #clientInbox = createInbox("_INBOX.client");
  #acks = new Map<string, (rev: number) => void>();
  #ackToken = 0;
  #done = new Map<string, () => void>();
  #tenders = new Map<string, Tender>();
  #byTask = new Map<string, Tender>();
  #cfps = 0;
  #outstanding = 0;
  #seats = new Map<string, () => void>();
  sent = 0;
  bids = 0;

  constructor(
    shape: Shape, host: NatsConnection, client: NatsConnection, hostKey: KeyPair,
    clientKey: KeyPair,
  ) {
    this.#shape = shape;
    this.#host = host;
    this.#client = client;
    this.#hostKey = hostKey;
    this.#clientKey = clientKey;
  }

  async start(): Promise<void> {
    const listen = (nc: NatsConnection, pattern: string, run: (m: Msg) => void) =>
      nc.subscribe(pattern, { callback: (_, m) => run(m) });
    listen(this.#host, `${this.#hostInbox}.*`, (m) => this.#onAck(m));
    listen(this.#client, `${this.#clientInbox}.*`, (m) => this.#onAck(m));
    const initiator = this.#shape.mode === "durable" ? this.#host : this.#client;
    const me = this.#shape.mode === "durable" ? "host" : "client";
    listen(initiator, patterns.bids(me), (m) => this.#onBid(m));
    listen(this.#host, patterns.awards("host"), (m) => this.#onAward(m));
    listen(this.#host, patterns.recordsToMe("host"), (m) => this.#onHostRecord(m));
    listen(this.#client, patterns.recordsToMe("client"), (m) => this.#onOutcome(m));
    listen(this.#host, patterns.messages("host"), (m) => this.#onDone(m));
    listen(this.#client, patterns.messages("client"), (m) => this.#onLive(m));
    for (let i = 0; i < this.#shape.agents; i++) this.#sit(`a${i}`);
    if (this.#shape.mode === "durable") {
      listen(this.#host, `${this.#hostInbox}p`, (m) => this.#onSpec(m));
      this.#pull();
    }
    await this.#host.flush();
    await this.#client.flush();
  }

  #sit(agent: string): void {
    const address = `host.${agent}`;
    const subs = ([["s8", "g", 8], ["s2", "h", 2]] as const).map(([rung, prefix, groups]) =>
      this.#host.subscribe(patterns.cfp("echo", rung), {
        queue: `${prefix}${groupOf(address, groups)}`,
        callback: (_, m) => this.#onCfp(address, m),
      }));
    this.#seats.set(agent, () => {
      for (const sub of subs) sub.unsubscribe();
    });
  }

  #seal(key: KeyPair, data: Uint8Array): string {
    if (!this.#shape.signing) return "0.";
    return `0.${Buffer.from(key.sign(data)).toString("base64url")}`;
  }

  #check(key: KeyPair, seal: string, data: Uint8Array): void {
    if (!this.#shape.signing) return;
    const ok = verifySignature(key.publicKey, data, Buffer.from(seal.slice(2), "base64url"));
    if (!ok) throw new Error("the floor's own signature does not verify");
  }

  #send(nc: NatsConnection, subject: string, data: Uint8Array, reply?: string): void {
    this.sent++;
    nc.publish(subject, data, reply === undefined ? {} : { reply });
  }

  #write(
    nc: NatsConnection, inbox: string, key: KeyPair, at: Parameters<typeof recordSubject>[0],
    data: Uint8Array, guard: number, done: (rev: number) => void,
  ): void {
    const token = (this.#ackToken++).toString(36);
    this.#acks.set(token, done);
    const h = headers();
    h.append("Mesh-Sig", this.#seal(key, data));
    h.append("Nats-Msg-Id", this.#random.id());
    h.append("Nats-Expected-Last-Subject-Sequence", String(guard));
    h.append("Nats-Expected-Last-Subject-Sequence-Subject", taskGuard(at.owner, at.task));
    h.append("Content-Type", "application/json");
    this.sent++;
    nc.publish(recordSubject(at), data, { headers: h, reply: `${inbox}.${token}` });
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
      this.#write(this.#client, this.#clientInbox, this.#clientKey, {
        owner: "client", task, kind: "spec", n: specN(1), toPrincipal: "_", toAgent: "_",
        fromPrincipal: "client", fromAgent: "main",
      }, BODY.spec, 0, () => undefined);
    });
  }

  #pull(): void {
    const batch = 64 - this.#outstanding;
    this.#outstanding += batch;
    this.#send(this.#host,
      `$JS.API.CONSUMER.MSG.NEXT.${TASKS_STREAM}.${supervisionConsumer(1)}`,
      Buffer.from(JSON.stringify({ batch, expires: 60e9 })), `${this.#hostInbox}p`);
  }

  #onSpec(m: Msg): void {
    if (!m.reply?.startsWith("$JS.ACK.")) return;
    if (--this.#outstanding <= 32) this.#pull();
    this.#check(this.#clientKey, m.headers?.get("Mesh-Sig") ?? "", m.data);
    this.#tender(m.subject.split(".")[3] as string, Number(m.reply.split(".")[5]), m.reply);
  }

  #tender(task: string, rev: number, ack: string): void {
    const me = this.#shape.mode === "durable" ? "host.main" : "client.main";
    const nc = this.#shape.mode === "durable" ? this.#host : this.#client;
    const cfp = (this.#cfps++).toString(36);
    const tender: Tender = { task, rev, bids: 0, ack, contractor: "" };
    this.#tenders.set(cfp, tender);
    this.#byTask.set(task, tender);
    this.#send(nc, cfpSubject("echo", this.#shape.bids === 2 ? "s2" : "s8", me), BODY.cfp,
      bidReplySubject(me, cfp));
  }

  #onCfp(address: string, m: Msg): void {
    const [, , initiator, agent, cfp] = (m.reply as string).split(".");
    this.#send(this.#host, bidSubject(`${initiator}.${agent}`, cfp as string, address), BODY.bid);
  }

  #onBid(m: Msg): void {
    this.bids++;
    const t = m.subject.split(".");
    const cfp = t[4] as string;
    const tender = this.#tenders.get(cfp);
    if (tender === undefined) return;
    // The first bid wins and the others are only received: the shortest way there is.
    if (++tender.bids >= this.#shape.bids) this.#tenders.delete(cfp);
    if (tender.contractor !== "") return;
    const pick = t[6] as string;
    tender.contractor = pick;
    const live = this.#shape.mode === "live";
    const award = Buffer.from(BODY.award);
    award.write(`${this.#seal(live ? this.#clientKey : this.#hostKey, BODY.award)} ${tender.task}`);
    this.#send(live ? this.#client : this.#host,
      directedSubject("award", `host.${pick}`, live ? "client.main" : "host.main"), award);
  }

  #onAward(m: Msg): void {
    const agent = m.subject.split(".")[3] as string;
    const text = Buffer.from(m.data.subarray(0, 200)).toString("latin1");
    const [seal, rest] = text.split(" ") as [string, string];
    const live = this.#shape.mode === "live";
    this.#check(live ? this.#clientKey : this.#hostKey, seal, BODY.award);
    const task = rest.slice(0, 26);
    this.#seats.get(agent)?.();
    this.#seats.delete(agent);
    if (live) {
      this.#sit(agent);
      const answer = Buffer.from(BODY.live);
      answer.write(task);
      return this.#send(this.#host, directedSubject("msg", "client.main", `host.${agent}`),
        answer);
    }
    const tender = this.#byTask.get(task) as Tender;
    const at = { owner: "client", task, n: "1", fromPrincipal: "host", fromAgent: agent };
    this.#write(this.#host, this.#hostInbox, this.#hostKey, {
      ...at, kind: "contract", toPrincipal: "host", toAgent: "main",
    }, BODY.contract, tender.rev, (rev) => {
      this.#sit(agent);
      this.#send(this.#host, `mesh.idle.echo.host.${agent}`, BODY.done.subarray(0, 20));
      this.#write(this.#host, this.#hostInbox, this.#hostKey, {
        ...at, kind: "outcome", toPrincipal: "client", toAgent: "main",
      }, BODY.outcome, rev, () => {
        const done = Buffer.from(BODY.done);
        done.write(task);
        this.#send(this.#host, directedSubject("msg", "host.main", `host.${agent}`), done);
      });
    });
  }

  #onHostRecord(m: Msg): void {
    this.#check(this.#hostKey, m.headers?.get("Mesh-Sig") ?? "", m.data);
  }

  #onDone(m: Msg): void {
    const task = Buffer.from(m.data.subarray(0, 26)).toString("latin1");
    const tender = this.#byTask.get(task);
    this.#byTask.delete(task);
    if (tender !== undefined) this.#send(this.#host, tender.ack, ACK);
  }

  #onOutcome(m: Msg): void {
    this.#check(this.#hostKey, m.headers?.get("Mesh-Sig") ?? "", m.data);
    const task = m.subject.split(".")[8] as string;
    this.#done.get(task)?.();
    this.#done.delete(task);
  }

  #onLive(m: Msg): void {
    const task = Buffer.from(m.data.subarray(0, 26)).toString("latin1");
    this.#byTask.delete(task);
    this.#done.get(task)?.();
    this.#done.delete(task);
  }
}
