// Somebody with valid credentials and none of the mesh's manners: a plain connection that sends to
// every subject that its role may publish to, and to some that it may not.
import { randomUUID } from "node:crypto";
import {
  type AgentCard,
  type AwardTerms,
  CLOCK_SKEW_MS,
  directedSubject,
  NONCE_HEADER,
  RECORD_BYTES_MAX,
  type RecordKind,
  RUNGS,
  recordSubject,
  registrationSubject,
  SIGNATURE_HEADER,
} from "../../contracts/index.ts";
import { type Prng, pick } from "../../mesh/core/prng.ts";
import { connectNats } from "../../mesh/nats/connect.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import type { Creds } from "../../mesh/nats/identity/creds.ts";
import { keyFromSeed } from "../../mesh/nats/identity/keys.ts";
import { toHeaders } from "../../mesh/nats/transport.ts";
import { sealCard } from "../../mesh/runtime/cards.ts";
import {
  CONTROL_LIMITS,
  decode,
  decodeJsonValue,
  encodeMsgpack,
} from "../../mesh/runtime/codec/codec.ts";
import { digest, preimage, sealText } from "../../mesh/runtime/signing.ts";
import { malformed, twisted } from "./hostile.ts";
import { CAPABILITY, type World } from "./world.ts";

type Fields = Record<string, unknown>;
type Connection = Awaited<ReturnType<typeof connectNats>>;

export const INSIDER = "mal";
const SELF = `${INSIDER}.main`;
/** Tasks that come of its own specs and requests end by this, ms. */
const ENDS_MS = 8_000;
/** What the door takes as a task's input. */
const DOOR_LIMITS = { bytesMax: RECORD_BYTES_MAX, depthMax: 32, keysMax: 10_000 };
/** Names of its own under which it writes cards. */
const CARDS = 50;

/** A call that the mesh made, as anybody with the capability hears it. */
interface Heard {
  initiator: string;
  cfp: string;
  task: string;
  owner: string;
}

interface Target {
  subject: string;
  /** What would be right there. */
  valid: Fields;
}

const BID = {
  startMs: 0,
  durationMs: 1,
  cost: 0,
  confidence: 1,
  load: 0,
  slots: 1,
  validMs: 2_000,
};
const RECORDS: readonly RecordKind[] = ["spec", "contract", "failure", "cancel", "outcome"];

/** What is hit: each class of subjects has counters of its own at its receivers. */
export const CLASSES = [
  "cfp",
  "bid",
  "award",
  "offer",
  "beat",
  "live",
  "msg",
  "card",
  "record",
  "door",
] as const;
export type Class = (typeof CLASSES)[number];

export class Insider {
  readonly sent = new Map<string, number>();
  /** Refused by the server: subjects of somebody else. */
  denied = 0;
  /** Refused with a reason by the door. */
  turnedAway = 0;
  readonly #world: World;
  readonly #prng: Prng;
  readonly #nc: Connection;
  readonly #creds: Creds;
  readonly #key: ReturnType<typeof keyFromSeed>;
  #heard: Heard[] = [];
  #over: Heard | undefined;
  #foreignCard: { data: Uint8Array; seal: string } | undefined;

  private constructor(world: World, prng: Prng, nc: Connection, creds: Creds) {
    this.#world = world;
    this.#prng = prng;
    this.#nc = nc;
    this.#creds = creds;
    this.#key = keyFromSeed(creds.seed);
  }

  static async enter(world: World, prng: Prng): Promise<Insider> {
    const creds = await world.mesh.mint(INSIDER, "agent", [CAPABILITY]);
    const nc = await connectNats({
      servers: world.mesh.server.url,
      name: INSIDER,
      principal: INSIDER,
      authenticator: credsAuth(creds),
    });
    const insider = new Insider(world, prng, nc, creds);
    world.keys.set(INSIDER, insider.#key.publicKey);
    insider.#listen();
    // A real card, so that its signatures prove who it is.
    const { body, seal } = sealCard(insider.#card("main", []), insider.#key);
    for (const verb of ["reg", "key"]) {
      insider.#publish(`mesh.${verb}.${SELF}`, body, { [SIGNATURE_HEADER]: seal });
    }
    await nc.flush();
    return insider;
  }

  async leave(): Promise<void> {
    await this.#nc.close();
  }

  flush(): Promise<void> {
    return this.#nc.flush();
  }

  get connected(): boolean {
    return !this.#nc.isClosed();
  }

  #listen(): void {
    const nc = this.#nc;
    nc.subscribe(`mesh.cfp.${CAPABILITY}.>`, {
      callback: (_, m) => {
        const [, , , , principal, agent] = m.subject.split(".");
        const call = decode(m.data, CONTROL_LIMITS);
        if (principal === INSIDER || !call.ok) return;
        const { cfp, task, owner } = call.value as { cfp: string; task: string; owner?: string };
        const heard = { initiator: `${principal}.${agent}`, cfp, task, owner: owner ?? "load" };
        this.#heard.push(heard);
        if (this.#heard.length > 64) this.#over = this.#heard.shift();
      },
    });
    nc.subscribe("mesh.card.>", {
      callback: (_, m) => {
        if (m.subject.includes(INSIDER) || m.data.length === 0) return;
        this.#foreignCard = { data: m.data, seal: m.headers?.get(SIGNATURE_HEADER) ?? "" };
      },
    });
    nc.subscribe(`_INBOX.${INSIDER}.>`, {
      callback: (_, m) => {
        if (Buffer.from(m.data).includes('"error"')) this.turnedAway++;
      },
    });
    void (async () => {
      for await (const s of nc.status()) if (s.type === "error") this.denied++;
    })();
  }

  #publish(subject: string, data: Uint8Array, head?: Record<string, string>, reply?: string): void {
    this.#nc.publish(subject, data, {
      ...(head === undefined ? {} : { headers: toHeaders(head) }),
      ...(reply === undefined ? {} : { reply }),
    });
  }

  /** One hostile message of this class. */
  send(what: Class): void {
    this.sent.set(what, (this.sent.get(what) ?? 0) + 1);
    if (this.#prng.int(5) === 0 && this.#forge(what)) return;
    switch (what) {
      case "record":
        return this.#record();
      case "card":
        return this.#badCard();
      case "door":
        return this.#knock();
      default: {
        const { subject, valid } = this.#target(what);
        const { bytes } = this.#body(valid);
        this.#publish(subject, bytes, undefined, what === "live" ? this.#inbox() : undefined);
      }
    }
  }

  #inbox(): string {
    return `_INBOX.${INSIDER}.x`;
  }

  #body(valid: Fields, encode: (value: object) => Uint8Array = encodeMsgpack) {
    const prng = this.#prng;
    return prng.int(3) > 0 ? malformed(prng) : twisted(prng, valid, encode);
  }

  // ---- whom and where -------------------------------------------------------------------------

  #initiator(): string {
    return `${pick(this.#prng, this.#world.initiators).plan.name}.main`;
  }

  #contractor(): string {
    const { plan } = pick(this.#prng, this.#world.contractors);
    return `${plan.name}.a${this.#prng.int(plan.agents)}`;
  }

  #call(): Heard {
    const none = { initiator: this.#initiator(), cfp: "none", task: "none", owner: "load" };
    return this.#heard.at(-1) ?? none;
  }

  #target(what: Class): Target {
    const { cfp, task, owner, initiator } = this.#call();
    const about = { v: 1, owner, task, epoch: 1 };
    const call = { v: 1, kind: "cfp", cfp: "c1", task: "t1", priority: 5, windowMs: 20, crowd: 3 };
    switch (what) {
      case "cfp": {
        const rung = pick(this.#prng, RUNGS);
        return { subject: `mesh.cfp.${CAPABILITY}.${rung}.${SELF}`, valid: call };
      }
      case "bid":
        return {
          subject: `mesh.bid.${initiator}.${cfp}.${SELF}`,
          valid: { v: 1, kind: "refusal", reason: "busy", freeInMs: 5 },
        };
      case "offer":
        return {
          subject: directedSubject("offer", this.#contractor(), SELF),
          valid: { v: 1, kind: "offer", capability: CAPABILITY, urgency: 1, call },
        };
      case "beat":
        return {
          subject: directedSubject("beat", this.#initiator(), SELF),
          valid: { v: 1, kind: "beat", tasks: [[owner, task, 1]], lagMs: 0 },
        };
      case "live":
        return {
          subject: `mesh.live.${this.#contractor()}`,
          valid: { ...about, kind: "live", from: SELF },
        };
      case "award": {
        const to = this.#contractor();
        const terms = new Uint8Array([0x80]);
        const valid = { v: 1, kind: "award", terms, sig: new Uint8Array(64), spec: terms };
        return { subject: directedSubject("award", to, SELF), valid };
      }
      default: {
        const to = pick(this.#prng, [this.#initiator(), this.#contractor(), "load.main"]);
        return { subject: directedSubject("msg", to, SELF), valid: this.#message(about) };
      }
    }
  }

  #message(about: Fields): Fields {
    return pick(this.#prng, [
      { ...about, kind: "progress", n: 0, done: 0.5, note: "half" },
      { ...about, kind: "done", rev: 1, state: "completed", workedMs: 1 },
      { ...about, kind: "cancel", reason: "because" },
      { ...about, kind: "fenced" },
      { ...about, kind: "live", workedMs: 1 },
    ]);
  }

  // ---- cards, records, the door ---------------------------------------------------------------

  #card(agent: string, capabilities: string[]): AgentCard {
    return {
      v: 1,
      kind: "card",
      principal: INSIDER,
      agent,
      publicKey: this.#key.publicKey,
      jwt: this.#creds.jwt,
      capabilities: capabilities.map((name) => ({ name, version: "1.0.0" })),
      slots: 1,
      instance: "insider",
      at: Date.now(),
    };
  }

  #badCard(): void {
    const agent = `h${this.#prng.int(CARDS)}`;
    const { bytes } = this.#body(this.#card(agent, []) as unknown as Fields);
    // An empty card is an agent that leaves.
    const data = bytes.length === 0 ? Buffer.from("{}") : bytes;
    this.#publish(registrationSubject(INSIDER, agent), data, { [SIGNATURE_HEADER]: "1.AAAA" });
  }

  /** Signed, so that it is read; about tasks of its own, which nobody else's depend on. */
  #record(): void {
    const kind = pick(this.#prng, RECORDS);
    const task = `x${randomUUID()}`;
    const to = (kind === "spec" ? "_._" : this.#initiator()).split(".");
    const subject = recordSubject({
      owner: INSIDER,
      task,
      kind,
      n: kind === "spec" ? "0-1" : "1",
      toPrincipal: to[0] as string,
      toAgent: to[1] as string,
      fromPrincipal: INSIDER,
      fromAgent: "main",
    });
    const { bytes } = this.#body(this.#recordBody(kind, task), jsonOf);
    const at = Date.now();
    const nonce = randomUUID();
    const seal = sealText(at, this.#key.sign(preimage(subject, -1, at, nonce, bytes)));
    this.#publish(subject, bytes, { [SIGNATURE_HEADER]: seal, [NONCE_HEADER]: nonce });
  }

  #recordBody(kind: RecordKind, task: string): Fields {
    const at = Date.now();
    const about = { v: 1, kind, task, epoch: 1, attempt: 1, prev: "" };
    switch (kind) {
      case "spec":
        return this.#spec(task);
      case "contract":
        return {
          ...about,
          capability: CAPABILITY,
          contractor: SELF,
          initiator: this.#initiator(),
          leaseMs: 1_000,
          award: { terms: "", sig: "" },
          at,
        };
      case "cancel":
        return { v: 1, kind, task, reason: "because", at, prev: "" };
      case "failure":
        return { ...about, failure: { code: "E_HANDLER", message: "m", retry: true }, endedAt: at };
      default:
        return { ...about, state: "completed", attempts: 1, endedAt: at };
    }
  }

  #spec(task: string): Fields {
    const at = Date.now();
    return {
      v: 1,
      kind: "spec",
      task,
      owner: INSIDER,
      capability: CAPABILITY,
      input: { ms: 1 },
      deadline: at + ENDS_MS,
      priority: 5,
      at,
    };
  }

  #knock(): void {
    const door = pick(this.#prng, ["submit", "call"]);
    const odd = pick(this.#prng, ["0", "NaN", "1e99", "-1"]);
    const { bytes } = malformed(this.#prng);
    // What is JSON after all is a task, if an odd one: with a bad header it is none.
    const task = bytes.length === 0 || decodeJsonValue(bytes, DOOR_LIMITS).ok;
    const timeout = task ? odd : String(ENDS_MS);
    const head = { "Mesh-Timeout-Ms": timeout };
    this.#publish(`mesh.${door}.${CAPABILITY}`, bytes, head, this.#inbox());
  }

  // ---- forged and replayed --------------------------------------------------------------------

  /** Something well-formed that is not true; false where there is none of the kind. */
  #forge(what: Class): boolean {
    if (what === "award") this.#forgeAward();
    else if (what === "card") this.#forgeCard();
    else if (what === "bid") this.#replayBid();
    else if (what === "msg") this.#forgeMessage();
    else if (what === "beat") this.#pretend();
    else return false;
    return true;
  }

  #forgeAward(): void {
    const to = this.#contractor();
    const spec = jsonOf(this.#spec(`x${randomUUID()}`));
    const terms = this.#terms(to, spec);
    const flaw = this.#prng.int(4);
    if (flaw === 0) terms.at -= 2 * CLOCK_SKEW_MS;
    if (flaw === 1) terms.initiator = this.#initiator();
    const bytes = encodeMsgpack(terms);
    const subject = directedSubject("award", to, SELF);
    const text = preimage(subject, terms.rev, terms.at, terms.nonce, bytes);
    const sig = flaw === 2 ? new Uint8Array(64) : Buffer.from(this.#key.sign(text));
    const message = encodeMsgpack({ v: 1, kind: "award", terms: bytes, sig, spec });
    // Twice: the second one is a replay.
    for (let i = 0; i < 2; i++) this.#publish(subject, message);
  }

  /** For a task that is not there: the store refuses the contract. */
  #terms(to: string, spec: Uint8Array): AwardTerms {
    const { task, deadline } = JSON.parse(Buffer.from(spec).toString()) as {
      task: string;
      deadline: number;
    };
    return {
      v: 1,
      kind: "award",
      task,
      owner: INSIDER,
      submitter: SELF,
      capability: CAPABILITY,
      epoch: 1,
      attempt: 1,
      rev: 7,
      prev: "",
      live: false,
      cfp: "c1",
      spec: digest(spec),
      initiator: SELF,
      contractor: to,
      rung: "all",
      policy: { name: "balanced", hash: "h", seed: 0.5, band: 0.05, leftMs: 1_000 },
      bids: "",
      refusals: 0,
      deadline,
      leaseMs: 1_000,
      at: Date.now(),
      nonce: randomUUID(),
    };
  }

  #forgeCard(): void {
    const agent = `h${this.#prng.int(CARDS)}`;
    const subject = registrationSubject(INSIDER, agent);
    if (this.#foreignCard !== undefined && this.#prng.int(2) === 0) {
      const { data, seal } = this.#foreignCard;
      return this.#publish(subject, data, { [SIGNATURE_HEADER]: seal });
    }
    const { body, seal } = sealCard(this.#card(agent, ["everything"]), this.#key);
    this.#publish(subject, body, { [SIGNATURE_HEADER]: seal });
  }

  #replayBid(): void {
    const { initiator, cfp } = this.#over ?? this.#call();
    const bid = encodeMsgpack({ v: 1, kind: "bid", ...BID });
    for (let i = 0; i < 2; i++) this.#publish(`mesh.bid.${initiator}.${cfp}.${SELF}`, bid);
  }

  /** About a task that runs: it may not end it, and has nothing to say about it. */
  #forgeMessage(): void {
    const { owner, task } = this.#over ?? this.#call();
    const message = this.#message({ v: 1, owner, task, epoch: 1 });
    const to = pick(this.#prng, [this.#contractor(), this.#initiator(), "load.main"]);
    this.#publish(directedSubject("msg", to, SELF), encodeMsgpack(message));
  }

  /** In somebody else's name: the server does not let it through. */
  #pretend(): void {
    const other = this.#contractor();
    const { initiator, cfp, task } = this.#call();
    const subject = pick(this.#prng, [
      `mesh.bid.${initiator}.${cfp}.${other}`,
      directedSubject("award", other, initiator),
      directedSubject("beat", initiator, other),
      registrationSubject(...(other.split(".") as [string, string])),
      `$KV.mesh_tasks.load.${task}.outcome.1.load.main.${other}`,
    ]);
    this.#publish(subject, encodeMsgpack({ v: 1, kind: "bid", ...BID }));
  }
}

function jsonOf(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
