// A reader of the mesh: tasks, cards and choices, proven here, without being an agent. What the
// command line and audits use. Like index.ts it is a place where runtime and adapters meet.
import {
  type Address,
  AGENTS_STREAM,
  type AgentCard,
  address,
  type Contract,
  directedSubject,
  lookSubject,
  type Message,
  MessageSchema,
  NOTICE_BYTES_MAX,
  type Outcome,
  ParleyError,
  parseDirected,
  parseRecordSubject,
  patterns,
  type Role,
  type Spec,
  TASKS_STREAM,
  taskGuard,
} from "../contracts/index.ts";
import { createPrng } from "./core/prng.ts";
import { foldTask, type TaskView } from "./core/task-view.ts";
import { NatsArtefacts } from "./nats/artefacts.ts";
import { NatsCards } from "./nats/cards.ts";
import { type ConnectOptions, connectNats } from "./nats/connect.ts";
import { directGet, getTaskRecords } from "./nats/direct-get.ts";
import { type DumpOptions, dumpRecords } from "./nats/dump.ts";
import { NatsLedger } from "./nats/ledger.ts";
import { systemClock, systemRandom } from "./nats/system.ts";
import { NatsTransport } from "./nats/transport.ts";
import type { Incoming, Signer, StoredRecord, Trust } from "./ports/index.ts";
import { openArtefact } from "./runtime/artefact.ts";
import { OwnAwards } from "./runtime/awards.ts";
import { cancelTask } from "./runtime/cancel.ts";
import { sealCard } from "./runtime/cards.ts";
import { jsonBytes } from "./runtime/codec/encode-own.ts";
import { Counters } from "./runtime/counters.ts";
import { type Explanation, explain } from "./runtime/explain.ts";
import { Identities } from "./runtime/identities.ts";
import { Inbound } from "./runtime/inbound.ts";
import { type ProvenRecord, Records } from "./runtime/records.ts";
import { Registry } from "./runtime/registry.ts";

export interface InspectorOptions extends ConnectOptions {
  principal: string;
  /** Undefined: not known; what may be read shows when it is tried. */
  role?: Role | undefined;
  signer?: Signer;
  jwt?: string;
  /** Absent: signatures are not checked, and everything counts as proven. */
  trust?: Trust;
}

/** One task as the store holds it. */
export interface TaskFile {
  owner: string;
  task: string;
  view: TaskView;
  /** In the order of their revisions; one with a `flaw` proves nothing. */
  records: ProvenRecord[];
  specBytes: Uint8Array | undefined;
}

export interface Watched {
  record(record: ProvenRecord): void;
  /** Unsigned words of a contractor on its way. */
  message?(from: Address, message: Message): void;
}

export interface ServiceStats {
  address: Address;
  started: string;
  endpoints: Record<string, unknown>[];
}

const EMPTY = new Uint8Array(0);
/** Name of this reader under its principal, where it has to have one (cancel). */
const AGENT = "main";
/** First stretch of the stream that `list` looks at, messages; doubled while it finds too few. */
const STRETCH = 1_024;
const PAGE = 512;
/** Tasks whose records are read with one request: far below 1,024 subjects. */
const TASKS_AT_ONCE = 32;

export class Inspector {
  readonly transport: NatsTransport;
  readonly counters = new Counters();
  readonly registry: Registry;
  readonly #o: InspectorOptions;
  readonly #records: Records;
  readonly #identities: Identities;
  readonly #inbound: Inbound;
  readonly #cards: NatsCards;
  readonly #ledger: NatsLedger;
  readonly #artefacts: NatsArtefacts;
  readonly #timeoutMs: number;
  #refusal: Error | undefined;

  private constructor(transport: NatsTransport, o: InspectorOptions) {
    this.transport = transport;
    this.#o = o;
    this.#timeoutMs = o.timeoutMs ?? 5_000;
    const random = systemRandom(createPrng(crypto.randomUUID()).next);
    this.#inbound = new Inbound(this.counters);
    this.#cards = new NatsCards(transport, systemClock, o.principal);
    this.#identities = new Identities({
      transport,
      clock: systemClock,
      counters: this.counters,
      trust: o.trust,
      stored: (principal, agent) => this.#cards.get(principal, agent),
    });
    this.#ledger = new NatsLedger(transport, systemClock, o.principal);
    this.#records = new Records({
      history: undefined,
      ledger: this.#ledger,
      clock: systemClock,
      random,
      identities: this.#identities,
      inbound: this.#inbound,
      counters: this.counters,
      ownAwards: new OwnAwards(),
      supervises: false,
    });
    this.registry = new Registry(o.trust, this.#identities, this.counters);
    this.#artefacts = new NatsArtefacts(transport, random);
    transport.onError((error) => {
      this.#refusal = error;
    });
  }

  /** @throws ParleyError E_CONNECTION, E_PERMISSION */
  static async open(o: InspectorOptions): Promise<Inspector> {
    return new Inspector(new NatsTransport(await connectNats(o)), o);
  }

  async close(): Promise<void> {
    this.#ledger.stop();
    await this.transport.close();
  }

  /** Are signatures checked at all? */
  get proving(): boolean {
    return this.#identities.on;
  }

  /** May this identity read everything, or only what it owns? */
  get reads(): boolean {
    const { role } = this.#o;
    return role !== "submitter" && role !== "contractor";
  }

  /** Tasks of that id: one, unless two owners chose the same. */
  async tasks(task: string): Promise<TaskFile[]> {
    if (!this.reads) return this.#ownTasks(task);
    const stored = await this.#permitted(
      getTaskRecords(
        this.transport,
        systemClock,
        this.#o.principal,
        [taskGuard("*", task)],
        this.#timeoutMs,
      ),
    );
    return this.#files(stored);
  }

  /** What initiators show to the owner of a task. */
  async #ownTasks(task: string): Promise<TaskFile[]> {
    const owner = this.#o.principal;
    const subject = lookSubject(owner, task);
    const records = await this.#records.look(owner, task, (question) =>
      this.transport.request(subject, question, { timeoutMs: this.#timeoutMs }),
    );
    if (records.length === 0) return [];
    return [{ owner, task, view: foldTask(records), records, specBytes: undefined }];
  }

  async #files(stored: readonly StoredRecord[]): Promise<TaskFile[]> {
    const byTask = new Map<string, StoredRecord[]>();
    for (const r of stored) {
      const name = `${r.key.owner}.${r.key.task}`;
      const held = byTask.get(name);
      if (held === undefined) byTask.set(name, [r]);
      else held.push(r);
    }
    return Promise.all([...byTask.values()].map((records) => this.#file(records)));
  }

  async #file(stored: StoredRecord[]): Promise<TaskFile> {
    const { owner, task } = (stored[0] as StoredRecord).key;
    const records = await this.#records.prove(stored);
    return {
      owner,
      task,
      view: foldTask(records),
      records,
      specBytes: stored.find((r) => r.key.kind === "spec")?.body,
    };
  }

  /** Newest task first. Only for those who may read the whole bucket. */
  async *list(): AsyncGenerator<TaskFile> {
    this.#readsAll();
    const { firstSeq, lastSeq } = await this.#extent();
    let stretch = STRETCH;
    for (let high = lastSeq; high >= firstSeq; stretch *= 2) {
      const low = Math.max(firstSeq, high - stretch + 1);
      const guards = await this.#specsBetween(low, high);
      for (let i = guards.length; i > 0; i -= TASKS_AT_ONCE) {
        const some = guards.slice(Math.max(0, i - TASKS_AT_ONCE), i);
        const files = await this.#files(await this.#recordsUnder(some));
        yield* files.sort((a, b) => (b.records[0]?.rev ?? 0) - (a.records[0]?.rev ?? 0));
      }
      high = low - 1;
    }
  }

  async #extent(): Promise<{ firstSeq: number; lastSeq: number }> {
    const answer = await this.transport.request(`$JS.API.STREAM.INFO.${TASKS_STREAM}`, EMPTY, {
      timeoutMs: this.#timeoutMs,
    });
    const info = JSON.parse(Buffer.from(answer.data).toString()) as {
      state?: { first_seq: number; last_seq: number };
    };
    if (info.state === undefined) {
      throw new ParleyError(
        "E_STORE",
        `there is no stream ${TASKS_STREAM} on this server; make it with: parley provision`,
      );
    }
    return { firstSeq: Math.max(1, info.state.first_seq), lastSeq: info.state.last_seq };
  }

  /** Guards of the tasks whose spec has a revision in that stretch, oldest first. */
  async #specsBetween(low: number, high: number): Promise<string[]> {
    const guards: string[] = [];
    for (let seq = low; seq <= high; ) {
      const page = await this.#permitted(
        directGet(
          this.transport,
          systemClock,
          this.#o.principal,
          TASKS_STREAM,
          { seq, batch: PAGE, next_by_subj: taskGuard("*", "*").replace(/>$/, "spec.>") },
          this.#timeoutMs,
        ),
      );
      for (const m of page) {
        seq = Number(m.header("Nats-Sequence")) + 1;
        const key = parseRecordSubject(m.header("Nats-Subject") ?? "");
        if (key !== undefined && seq <= high + 1) guards.push(taskGuard(key.owner, key.task));
      }
      if (page.length === 0) break;
    }
    return guards;
  }

  async #recordsUnder(guards: string[]): Promise<StoredRecord[]> {
    const read = (some: string[]) =>
      getTaskRecords(this.transport, systemClock, this.#o.principal, some, this.#timeoutMs);
    try {
      return await read(guards);
    } catch (error) {
      if (!(error instanceof ParleyError) || error.code !== "E_TOO_LARGE") throw error;
      const found: StoredRecord[] = [];
      for (const guard of guards) found.push(...(await read([guard])));
      return found;
    }
  }

  /** A refusal of the server has no reply: it comes beside, before the answer to a ping. */
  async #permitted<T>(answer: Promise<T>): Promise<T> {
    answer.catch(() => undefined);
    await this.transport.flush();
    await new Promise((resolve) => setImmediate(resolve));
    const refusal = this.#refusal;
    this.#refusal = undefined;
    if (refusal === undefined) return answer;
    throw new ParleyError(
      "E_PERMISSION",
      `${this.#o.principal} may not read this (${refusal.message})`,
      { cause: refusal },
    );
  }

  /** Everybody who is here, into `registry`. Only for those who may read the bucket. */
  async readCards(): Promise<AgentCard[]> {
    const snapshot = this.#cards.snapshot().catch((error: unknown) => {
      throw new ParleyError("E_STORE", `${AGENTS_STREAM} cannot be read: ${error}`);
    });
    for (const entry of await this.#permitted(snapshot)) {
      this.registry.admit(entry.principal, entry.agent, entry.body, entry.seal);
    }
    return this.registry.cards();
  }

  /** What the agents that are here say of their work (NATS micro). */
  async stats(waitMs = 1_000): Promise<ServiceStats[]> {
    const answers = await this.transport.requestMany("$SRV.STATS", EMPTY, {
      timeoutMs: waitMs,
      stallMs: Math.min(250, waitMs),
    });
    return answers.map(statsOf).filter((s) => s !== undefined);
  }

  /** Follows records as they are stored: of one task, or all that this identity may see. */
  watch(task: string | undefined, watched: Watched): { stop(): void } {
    const pattern = this.reads ? patterns.recordsAll : patterns.recordsOfMine(this.#o.principal);
    const subs = [
      this.transport.subscribe(pattern, (m) => {
        if (task !== undefined && !m.subject.endsWith(`.${task}`)) return;
        const storedAt = Date.parse(m.header("Nats-Time-Stamp") ?? "") || systemClock.wall();
        this.#records.onNotice(m, (record) => watched.record({ ...record, storedAt }));
      }),
    ];
    const { message } = watched;
    if (message !== undefined) {
      const all = this.reads ? "mesh.msg.>" : patterns.messages(this.#o.principal);
      subs.push(this.transport.subscribe(all, (m) => this.#onMessage(m, task, message)));
    }
    return {
      stop: () => {
        for (const sub of subs) sub.unsubscribe();
      },
    };
  }

  #onMessage(
    m: Incoming,
    task: string | undefined,
    handler: (from: Address, message: Message) => void,
  ): void {
    const subject = parseDirected("msg", m.subject);
    const message = this.#inbound.read<Message>("msg", MessageSchema, m, MESSAGE_LIMITS);
    if (subject === undefined || message === undefined) return;
    if (task !== undefined && message.task !== task) return;
    handler(address(subject.fromPrincipal, subject.fromAgent), message);
  }

  /** Explains every award of a task, one per contract. */
  async explain(file: TaskFile): Promise<Explanation[]> {
    const explanations: Explanation[] = [];
    for (const record of file.records) {
      if (record.kind !== "contract" || record.flaw !== undefined) continue;
      const contract = record.body as Contract;
      const earlier = file.records.filter((r) => r.rev < record.rev);
      const before = foldTask(earlier);
      explanations.push(
        await explain(
          {
            contract,
            from: record.from,
            previous: earlier.at(-1),
            specBytes: file.specBytes,
            spec: file.view.spec as Spec | undefined,
            contractorsBefore: before.tier === (record.terms?.tier ?? 0) ? before.tried : [],
          },
          this.#identities,
        ),
      );
    }
    return explanations;
  }

  /** Every record that is kept, oldest first. Only for those who may read everything. */
  async *records(options: Omit<DumpOptions, "principal"> = {}): AsyncGenerator<StoredRecord> {
    this.#readsAll();
    yield* dumpRecords(this.transport, { ...options, principal: this.#o.principal });
  }

  #readsAll(): void {
    if (this.reads) return;
    const { principal, role } = this.#o;
    throw new ParleyError(
      "E_PERMISSION",
      `${principal}, a ${role}, may read its own tasks only, by their ids: parley task get ID`,
    );
  }

  /** The revision of the newest record. */
  async newest(): Promise<number> {
    return (await this.#extent()).lastSeq;
  }

  /** What was stored behind that revision, proven, in its order. */
  async after(rev: number): Promise<ProvenRecord[]> {
    const touched = new Set<string>();
    for await (const { key } of this.records({ fromRev: rev + 1 })) {
      touched.add(taskGuard(key.owner, key.task));
    }
    const found: ProvenRecord[] = [];
    const guards = [...touched];
    for (let i = 0; i < guards.length; i += TASKS_AT_ONCE) {
      const some = guards.slice(i, i + TASKS_AT_ONCE);
      const files = await this.#files(await this.#recordsUnder(some));
      for (const { records } of files) found.push(...records.filter((r) => r.rev > rev));
    }
    return found.sort((a, b) => a.rev - b.rev);
  }

  /** The input of a task, fetched where it travels by reference. */
  async input(spec: Spec): Promise<unknown> {
    if (spec.inputRef === undefined) return spec.input;
    return openArtefact(await this.#artefacts.get(spec.inputRef));
  }

  /** The output of a finished task, fetched where it travels by reference. */
  async output(outcome: Outcome): Promise<unknown> {
    if (outcome.outputRef === undefined) return outcome.output;
    return openArtefact(await this.#artefacts.get(outcome.outputRef));
  }

  /** Whoever checks what we say needs the card that tells our key. */
  async #introduce(why: string): Promise<void> {
    const { principal, signer, jwt } = this.#o;
    const at = Math.round(systemClock.wall());
    const card = sealCard(
      {
        v: 1,
        kind: "card",
        principal,
        agent: AGENT,
        capabilities: [],
        slots: 0,
        publicKey: signer?.publicKey ?? `U${"A".repeat(55)}`,
        instance: `${why}-${at}`,
        at,
        ...(jwt === undefined ? {} : { jwt }),
      },
      signer,
    );
    this.#cards.announce(principal, AGENT, card.body, card.seal, 30);
    await this.transport.flush();
  }

  /** Tells a task's contractor the answer to a question of its handler. @throws E_TOO_LARGE */
  async answer({ owner, task, view }: TaskFile, key: string, value: unknown): Promise<void> {
    const { contract, epoch } = view;
    if (contract === undefined) return;
    const said = jsonBytes({ v: 1, kind: "answer", owner, task, epoch, key, value });
    if (said.length > NOTICE_BYTES_MAX) {
      const text = `an answer of ${said.length} bytes; ${NOTICE_BYTES_MAX} is the most`;
      throw new ParleyError("E_TOO_LARGE", `${text}: store the data and tell where it is`);
    }
    await this.#introduce("answer");
    const to = directedSubject("msg", contract.contractor, address(this.#o.principal, AGENT));
    this.transport.publish(to, said);
    await this.transport.flush();
  }

  /** Cancels on behalf of this reader's principal; its role must allow it. */
  async cancel(file: TaskFile, reason: string): Promise<"stored" | "ended"> {
    const { principal, signer } = this.#o;
    await this.#introduce("cancel");
    return cancelTask(this.#records, systemClock, {
      owner: file.owner,
      task: file.task,
      reason,
      agent: address(principal, AGENT),
      signer,
      look: async () => {
        const found = await this.tasks(file.task);
        return found.find((f) => f.owner === file.owner)?.records ?? [];
      },
      rev: file.view.rev,
      head: file.view.head,
    });
  }
}

const MESSAGE_LIMITS = { bytesMax: 256 * 1024, depthMax: 32, keysMax: 10_000 };

function statsOf(m: Incoming): ServiceStats | undefined {
  try {
    const s = JSON.parse(Buffer.from(m.data).toString()) as {
      started?: unknown;
      metadata?: { address?: unknown };
      endpoints?: unknown;
    };
    const who = s.metadata?.address;
    if (typeof who !== "string" || !Array.isArray(s.endpoints)) return undefined;
    return { address: who, started: String(s.started), endpoints: s.endpoints };
  } catch {
    return undefined;
  }
}

export type { Explanation } from "./runtime/explain.ts";
export { entriesOf } from "./runtime/journal.ts";
export type { ProvenRecord } from "./runtime/records.ts";
