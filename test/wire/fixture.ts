// A mesh of one's own per test file, with real peers on one side and, on the other, a plain client
// that has credentials of its own and none of the mesh's manners.
import { createHash } from "node:crypto";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { Packr } from "msgpackr";
import { afterAll, beforeAll } from "vitest";
import type { AgentCard } from "../../contracts/card.ts";
import type { AwardTerms } from "../../contracts/contract-net.ts";
import type { Role } from "../../contracts/roles.ts";
import type { Spec } from "../../contracts/spec.ts";
import { type RecordKey, recordSubject, taskGuard } from "../../contracts/subjects.ts";
import type { OpenOptions, OpenPeer, Service } from "../../mesh/index.ts";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import type { Creds } from "../../mesh/nats/identity/creds.ts";
import { type KeyPair, keyFromSeed } from "../../mesh/nats/identity/keys.ts";
import type { Log } from "../../mesh/ports/index.ts";

export const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

/** Resolves when the condition holds; rejects after `limitMs` with what it was about. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  limitMs = 10_000,
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) {
      throw new Error(`not within ${limitMs} ms: ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Sum of all counters whose names begin so. */
export function counted(peer: OpenPeer, prefix: string): number {
  let sum = 0;
  for (const [name, value] of Object.entries(peer.peer.counters.snapshot())) {
    if (name.startsWith(prefix)) sum += value;
  }
  return sum;
}

/** A promise with its end outside. */
export function gate(): { promise: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: () => resolve() };
}

export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64url");
}

const packr = new Packr({ useRecords: false });

export function msgpack(value: unknown): Uint8Array {
  return Buffer.from(packr.pack(value));
}

export function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** What a signature covers, written down anew from the protocol's text. */
export function signedText(
  subject: string,
  fence: number | string,
  at: number,
  nonce: string,
  body: Uint8Array,
): Buffer {
  return Buffer.concat([
    Buffer.from(`parley1\n${subject}\n${fence}\n${at}\n${nonce}\n`, "latin1"),
    body,
  ]);
}

export interface RecordParts {
  key: RecordKey;
  body: Uint8Array;
  /** What the signature says, and the header too unless `fenceHeader` says something else. */
  fence: number;
  /** null: no header, so that the server checks nothing; the signature says so. */
  fenceHeader?: number | null;
  /** Guard subject; the task's own by default. */
  guard?: string;
  signer?: KeyPair | undefined;
  at?: number;
  nonce?: string;
  /** Headers of its own, which win. */
  head?: Record<string, string>;
}

/** A principal with credentials and a bare client. */
export class Stranger {
  readonly name: string;
  readonly nc: NatsConnection;
  readonly creds: Creds;
  readonly key: KeyPair;
  #nonces = 0;

  constructor(name: string, nc: NatsConnection, creds: Creds) {
    this.name = name;
    this.nc = nc;
    this.creds = creds;
    this.key = keyFromSeed(creds.seed);
  }

  nonce(): string {
    return `n${hashOf(Buffer.from(`${this.name} ${this.#nonces++} ${performance.now()}`))}`;
  }

  /** Publishes with headers, as they are and in their order. */
  publish(
    subject: string,
    body: Uint8Array | string,
    head: Record<string, string> = {},
    reply?: string,
  ): void {
    this.nc.publish(subject, body, {
      headers: headersOf(head),
      ...(reply === undefined ? {} : { reply }),
    });
  }

  async request(
    subject: string,
    body: Uint8Array | string,
    head: Record<string, string> = {},
  ): Promise<Msg> {
    return this.nc.request(subject, body, { headers: headersOf(head), timeout: 5_000 });
  }

  /** Stores a record and gives the server's answer. */
  async store(r: RecordParts): Promise<{ seq?: number; error?: { err_code: number } }> {
    const answer = await this.request(...this.record(r));
    return answer.json();
  }

  /** Subject, body and headers of a record, sealed. */
  record(r: RecordParts): [string, Uint8Array, Record<string, string>] {
    const subject = recordSubject(r.key);
    const at = r.at ?? Date.now();
    const nonce = r.nonce ?? this.nonce();
    const signer = "signer" in r ? r.signer : this.key;
    // Without the header the fence counts as -1.
    const signed = r.fenceHeader === null ? -1 : r.fence;
    const sig = signer?.sign(signedText(subject, signed, at, nonce, r.body));
    const head: Record<string, string> = {
      "Mesh-Sig": `${at}.${sig === undefined ? "" : Buffer.from(sig).toString("base64url")}`,
      "Nats-Msg-Id": nonce,
    };
    const fence = r.fenceHeader === undefined ? r.fence : r.fenceHeader;
    if (fence !== null) {
      head["Nats-Expected-Last-Subject-Sequence"] = String(fence);
      head["Nats-Expected-Last-Subject-Sequence-Subject"] =
        r.guard ?? taskGuard(r.key.owner, r.key.task);
    }
    return [subject, r.body, { ...head, ...r.head }];
  }

  /** A sealed card of one of this principal's agents. */
  card(
    agent: string,
    over: Partial<AgentCard> = {},
    /** null: not signed. */
    signer: KeyPair | null = this.key,
  ): { body: Uint8Array; seal: string; card: AgentCard } {
    const card: AgentCard = {
      v: 1,
      kind: "card",
      principal: this.name,
      agent,
      publicKey: this.key.publicKey,
      jwt: this.creds.jwt,
      capabilities: [],
      slots: 1,
      instance: "stranger",
      at: Date.now(),
      ...over,
    };
    const body = json(card);
    const text = signedText(
      `mesh.reg.${card.principal}.${card.agent}`,
      0,
      card.at,
      card.instance,
      body,
    );
    return { body, seal: `${card.at}.${sealOf(signer, text)}`, card };
  }

  /** Answers those who ask who one of its agents is. */
  answerWho(agent: string, over: Partial<AgentCard> = {}): void {
    const { body, seal } = this.card(agent, over);
    this.nc.subscribe(`mesh.who.${this.name}.${agent}`, {
      callback: (_, m) => {
        m.respond(body, { headers: headersOf({ "Mesh-Sig": seal }) });
      },
    });
  }

  /** Announces a card as agents do. */
  async announce(agent: string, over: Partial<AgentCard> = {}): Promise<void> {
    const { body, seal } = this.card(agent, over);
    await this.request(`mesh.key.${this.name}.${agent}`, body, { "Mesh-Sig": seal });
    await this.request(`mesh.reg.${this.name}.${agent}`, body, { "Mesh-Sig": seal });
  }
}

function sealOf(signer: KeyPair | null, text: Uint8Array): string {
  return signer === null ? "" : Buffer.from(signer.sign(text)).toString("base64url");
}

export function headersOf(head: Record<string, string>) {
  const h = headers();
  for (const [name, value] of Object.entries(head)) h.append(name, value);
  return h;
}

/** Terms of an award of a task that was just submitted. */
export function termsOf(spec: Spec, specBytes: Uint8Array, over: Partial<AwardTerms>): AwardTerms {
  return {
    v: 1,
    kind: "award",
    task: spec.task,
    owner: spec.owner,
    submitter: `${spec.owner}.main`,
    capability: spec.capability,
    epoch: 1,
    attempt: 1,
    rev: 1,
    prev: "",
    live: false,
    cfp: "c1",
    spec: hashOf(specBytes),
    initiator: "nobody.main",
    contractor: "nobody.main",
    rung: "all",
    policy: { name: "balanced", hash: "h", seed: 0.5, band: 0.05, leftMs: 60_000 },
    bids: "",
    refusals: 0,
    deadline: spec.deadline,
    leaseMs: 15_000,
    at: Date.now(),
    nonce: hashOf(Buffer.from(String(Math.random()))),
    ...over,
  };
}

/** An award as it travels, signed by whoever is given. */
export function awardOf(
  terms: AwardTerms,
  specBytes: Uint8Array,
  signer: KeyPair | undefined,
): Uint8Array {
  const bytes = msgpack(terms);
  const subject = `mesh.award.${terms.contractor}.${terms.initiator}`;
  const text = signedText(subject, terms.rev, terms.at, terms.nonce, bytes);
  const sig = signer?.sign(text) ?? new Uint8Array(0);
  return msgpack({
    v: 1,
    kind: "award",
    terms: bytes,
    sig,
    spec: specBytes,
    bids: new Uint8Array(0),
  });
}

export function specOf(owner: string, capability: string, over: Partial<Spec> = {}): Spec {
  return {
    v: 1,
    kind: "spec",
    task: `t${hashOf(Buffer.from(String(Math.random()))).slice(0, 20)}`,
    owner,
    capability,
    input: { n: 1 },
    deadline: Date.now() + 60_000,
    priority: 5,
    at: Date.now(),
    ...over,
  };
}

/** Everything that is in the store, so that two moments can be compared. */
export interface StoreState {
  tasks: { lastSeq: number; messages: number; subjects: string[] };
  artefacts: { lastSeq: number; messages: number };
  /** Cards renew themselves, so only their contents count. */
  agents: Record<string, string>;
}

/** A service whose handler the test gives. */
export function service(name: string, run: Service["run"], over: Partial<Service> = {}): Service {
  return { capability: { name, version: "1.0.0" }, run, ...over };
}

export interface Wire {
  mesh: LocalMesh;
  /** A peer with new credentials; closed at the end of the file. */
  peer(
    name: string,
    role: Role,
    capabilities?: readonly string[],
    extra?: Partial<OpenOptions>,
  ): Promise<OpenPeer>;
  /** A bare client with new credentials. */
  stranger(name: string, role: Role, capabilities?: readonly string[]): Promise<Stranger>;
  /** A second, bare connection with credentials that somebody has already. */
  twin(name: string, creds: Creds): Promise<Stranger>;
  store(): Promise<StoreState>;
  /** Messages of the task bucket under one task, by subject. */
  recordsOf(owner: string, task: string): Promise<string[]>;
}

export function useWire(): Wire {
  const peers: OpenPeer[] = [];
  const clients: NatsConnection[] = [];
  let admin: Stranger;
  const wire = {
    async peer(name, role, capabilities = [], extra = {}) {
      const open = await wire.mesh.open(name, role, capabilities, { log: silent, ...extra });
      peers.push(open);
      return open;
    },
    async stranger(name, role, capabilities = []) {
      return wire.twin(name, await wire.mesh.mint(name, role, capabilities));
    },
    async twin(name, creds) {
      const nc = await connect({
        servers: wire.mesh.server.url,
        name,
        inboxPrefix: `_INBOX.${name}`,
        authenticator: credsAuth(creds),
      });
      clients.push(nc);
      return new Stranger(name, nc, creds);
    },
    async store() {
      const jsm = await jetstreamManager(admin.nc, { checkAPI: false });
      const tasks = await jsm.streams.info("KV_mesh_tasks", { subjects_filter: ">" });
      const artefacts = await jsm.streams.info("OBJ_mesh_artifacts");
      const agents: Record<string, string> = {};
      const cards = await jsm.streams.info("KV_mesh_agents", { subjects_filter: ">" });
      for (const subject of Object.keys(cards.state.subjects ?? {}).sort()) {
        const m = await jsm.direct.getMessage("KV_mesh_agents", { last_by_subj: subject });
        if (m !== null) agents[subject] = hashOf(m.data);
      }
      return {
        tasks: {
          lastSeq: tasks.state.last_seq,
          messages: tasks.state.messages,
          subjects: Object.keys(tasks.state.subjects ?? {}).sort(),
        },
        artefacts: { lastSeq: artefacts.state.last_seq, messages: artefacts.state.messages },
        agents,
      };
    },
    async recordsOf(owner, task) {
      const jsm = await jetstreamManager(admin.nc, { checkAPI: false });
      const info = await jsm.streams.info("KV_mesh_tasks", {
        subjects_filter: taskGuard(owner, task),
      });
      return Object.keys(info.state.subjects ?? {}).sort();
    },
  } as Wire;
  beforeAll(async () => {
    wire.mesh = await startLocalMesh();
    admin = await wire.stranger("root", "admin");
  }, 30_000);
  afterAll(async () => {
    await Promise.all(peers.map((p) => p.close(0)));
    await Promise.all(clients.map((nc) => nc.close()));
    await wire.mesh?.stop();
  }, 30_000);
  return wire;
}
