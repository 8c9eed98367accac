// Records: sealed on the way out, proven on the way in.
import type { z } from "zod";
import {
  AUTHORS,
  CancelRecordSchema,
  CheckpointSchema,
  ContractSchema,
  type EmbeddedAward,
  type FailureCode,
  FailureRecordSchema,
  FENCE_HEADER,
  GUARD_HEADER,
  NONCE_HEADER,
  noticeAgrees,
  OutcomeSchema,
  ParleyError,
  parseRecordNotice,
  parseRecordSubject,
  RECORD_BYTES_MAX,
  type RecordKey,
  type RecordKind,
  type Role,
  recordSubject,
  SIGNATURE_HEADER,
  type Spec,
  SpecSchema,
  taskGuard,
  taskPath,
} from "../../contracts/index.ts";
import { AUTHOR_UNKNOWN, mayHaveEnded, type ReadRecord } from "../core/task-view.ts";
import type {
  Clock,
  History,
  Incoming,
  Ledger,
  Random,
  Signer,
  SpecDelivery,
  StoredRecord,
  WriteResult,
} from "../ports/index.ts";
import { type OwnAwards, openTerms, proveAward } from "./awards.ts";
import { CONTROL_LIMITS, RECORD_LIMITS } from "./codec/codec.ts";
import { jsonBytes, msgpackBytes } from "./codec/encode-own.ts";
import type { Counters } from "./counters.ts";
import type { AgentKey, Identities } from "./identities.ts";
import type { Inbound } from "./inbound.ts";
import { LookSchema, PACK_LIMITS, PAGES_MAX, PackSchema, packPage, storedOf } from "./pages.ts";
import { digest, parseSeal, preimage, SIGNATURE_BYTES, sealText } from "./signing.ts";

const SCHEMAS: Partial<Record<RecordKind, z.ZodType>> = {
  spec: SpecSchema,
  contract: ContractSchema,
  checkpoint: CheckpointSchema,
  failure: FailureRecordSchema,
  cancel: CancelRecordSchema,
  outcome: OutcomeSchema,
};

/** Pauses before an author is asked for again, ms. Who is nobody costs a reader this, no more. */
const AUTHOR_AGAIN_MS = [100, 400];
/** Pauses before a copy that lags is read again, ms. */
const COPY_AGAIN_MS = [50, 200, 750];
/** Records of a read that are proven together: each may ask for its author. */
const AT_ONCE = 4_000;

export interface RecordsDependencies {
  ledger: Ledger;
  clock: Clock;
  random: Random;
  identities: Identities;
  inbound: Inbound;
  counters: Counters;
  ownAwards: OwnAwards;
  history: History | undefined;
  /** Is this peer handed specs? Then its own too. */
  supervises: boolean;
}

interface Envelope {
  key: RecordKey;
  rev: number;
  body: Uint8Array;
  storedAt: number;
  header(name: string): string | undefined;
}

/** Who wrote a contract record, and what the server held the write to. */
export interface Claim {
  from: string;
  rev: number;
  /** The revision that it had to follow. */
  after: number;
}

export type ProvenRecord = ReadRecord & { key: RecordKey };

const NONE = new Uint8Array(0);

export class Records {
  readonly #d: RecordsDependencies;

  constructor(dependencies: RecordsDependencies) {
    this.#d = dependencies;
  }

  /**
   * Writes one record, fenced. `done` gets the result and the record's digest (the next `prev`),
   * which is worked out only when somebody asks.
   */
  write(
    key: RecordKey,
    value: object | Uint8Array,
    fence: number,
    signer: Signer | undefined,
    done: (result: WriteResult, head: () => string) => void,
  ): void {
    const d = this.#d;
    const body = value instanceof Uint8Array ? value : jsonBytes(value);
    if (body.length > RECORD_BYTES_MAX) {
      done(
        {
          ok: false,
          fault: "refused",
          detail: `a record of ${body.length} bytes; ${RECORD_BYTES_MAX} is the most`,
        },
        () => "",
      );
      return;
    }
    const at = Math.round(d.clock.wall());
    const id = d.random.id();
    const text = once(() => preimage(recordSubject(key), fence, at, id, body));
    // Remembered only where the record may come back to this very peer.
    const comesBack = key.kind === "spec" ? d.supervises : key.toPrincipal === key.fromPrincipal;
    const signature =
      comesBack && signer !== undefined ? d.identities.sign(signer, text()) : signer?.sign(text());
    const told = d.history === undefined ? done : noted(d.history, key, fence, id, body, done);
    d.ledger.write(
      {
        key,
        body,
        guard: fence,
        id,
        ...(key.kind === "spec" ? { until: (value as Spec).deadline } : {}),
        headers: { [SIGNATURE_HEADER]: sealText(at, signature) },
      },
      (result) => told(result, () => digest(text())),
    );
  }

  /**
   * A record that the server announced (`mesh.rec.>`). `then` is not called when refused.
   * @param doubt its author cannot be found now; what is stored may tell more, soon
   */
  onNotice(
    message: Incoming,
    then: (record: ProvenRecord) => void,
    doubt?: (key: RecordKey) => void,
  ): void {
    const notice = parseRecordNotice(message.subject);
    if (notice === undefined) return void this.#d.inbound.reject("record", "E_KIND");
    const subject = message.header("Nats-Subject") ?? "";
    const key = parseRecordSubject(subject);
    const rev = Number(message.header("Nats-Sequence"));
    if (key === undefined || !noticeAgrees(notice, key) || !Number.isSafeInteger(rev)) {
      return void this.#d.inbound.reject("record", "E_FORGED_PATH");
    }
    this.#prove(
      {
        key,
        rev,
        body: message.data,
        storedAt: 0,
        header: (name) => message.header(name),
      },
      then,
      (code) => {
        if (code === "E_IDENTITY") doubt?.(key);
      },
    );
  }

  /** A contract notice read for its place only: who claimed, at which revision, after which. */
  claimOf(message: Incoming): (Claim & { owner: string; task: string }) | undefined {
    const notice = parseRecordNotice(message.subject);
    const key = parseRecordSubject(message.header("Nats-Subject") ?? "");
    if (notice === undefined || key === undefined || !noticeAgrees(notice, key)) return undefined;
    if (message.header(GUARD_HEADER) !== taskGuard(key.owner, key.task)) return undefined;
    return {
      owner: key.owner,
      task: key.task,
      from: `${key.fromPrincipal}.${key.fromAgent}`,
      rev: Number(message.header("Nats-Sequence")),
      after: Number(message.header(FENCE_HEADER) ?? "-1"),
    };
  }

  /**
   * A spec from the supervision consumer.
   * @param otherwise it cannot be proven; `unread`: now, since its author's key cannot be read;
   * `unknown`: what it says, where its author cannot be found
   */
  onSpec(
    delivery: SpecDelivery,
    then: (record: ReadRecord) => void,
    otherwise: (unread: boolean, unknown?: Spec) => void,
  ): void {
    this.#prove(delivery, then, (code, unread = false, body = undefined) =>
      otherwise(unread, code === "E_IDENTITY" ? (body as Spec) : undefined),
    );
  }

  /**
   * All records of a task, in order; of those that prove nothing, why. Where the author of one
   * cannot be found that may decide how the task ended, he is asked for again first, for a moment.
   * @param rev that they must hold: a copy that lags may hold less
   * @throws Error when the records, or the keys of who wrote them, cannot be read now
   */
  async read(owner: string, task: string, rev = 0): Promise<ProvenRecord[]> {
    const stored = await this.#readUpTo(owner, task, rev);
    for (const waitMs of AUTHOR_AGAIN_MS) {
      const records = await this.prove(stored);
      if (!mayHaveEnded(records) && unread(records) === undefined) return records;
      await new Promise<void>((resolve) => this.#d.clock.after(waitMs, resolve));
    }
    const records = await this.prove(stored);
    const author = unread(records)?.from;
    // Without him it looks as if nobody had written: what he did would be done again.
    if (author !== undefined)
      throw new ParleyError("E_STORE", `${author}'s key cannot be read now; try again`);
    return records;
  }

  async #readUpTo(owner: string, task: string, rev: number): Promise<StoredRecord[]> {
    for (const waitMs of COPY_AGAIN_MS) {
      const stored = await this.#d.ledger.read(owner, task);
      if ((stored.at(-1)?.rev ?? 0) >= rev) return stored;
      // Purged, by the word of the leader?
      if ((await this.#d.ledger.last(owner, task)) === 0) return [];
      await new Promise<void>((resolve) => this.#d.clock.after(waitMs, resolve));
    }
    throw new ParleyError("E_STORE", `a copy that lags was read of ${task}; try again`);
  }

  /** Has nothing been stored of the task since, by the word of the leader? */
  async isNewest(owner: string, task: string, rev: number): Promise<boolean> {
    const last = await this.#d.ledger.last(owner, task);
    return last !== undefined && last <= rev;
  }

  /** Records as stored, in their order; those that cannot be proven are counted and say why. */
  async prove(stored: readonly StoredRecord[]): Promise<ProvenRecord[]> {
    const proven: ProvenRecord[] = [];
    // One after the other, each author that is nobody would make all that follow wait.
    for (let i = 0; i < stored.length; i += AT_ONCE) {
      const some = stored.slice(i, i + AT_ONCE).map((record) => this.#proveStored(record));
      proven.push(...(await Promise.all(some)));
    }
    return proven;
  }

  /**
   * Packs a task's records so that its owner can prove them elsewhere (`mesh.look`): as many as one
   * message holds. `asked`: behind which; all, where it says nothing of the kind.
   */
  async pack(owner: string, task: string, asked: Uint8Array): Promise<Uint8Array> {
    const from =
      asked.length === 0
        ? undefined
        : this.#d.inbound.parse("look", LookSchema, asked, CONTROL_LIMITS);
    const { after = 0 } = from ?? {};
    return packPage(await this.#d.ledger.page(owner, task, after));
  }

  /** All that `pack` makes of a task, page after page. @param ask the request to an initiator */
  async look(
    owner: string,
    task: string,
    ask: (question: Uint8Array) => Promise<Incoming>,
  ): Promise<ProvenRecord[]> {
    const all: ProvenRecord[] = [];
    let after = 0;
    for (let page = 0; page < PAGES_MAX; page++) {
      const question = after === 0 ? NONE : msgpackBytes({ v: 1, kind: "look", after });
      const { records, next } = await this.#open(owner, task, (await ask(question)).data);
      all.push(...records);
      if (next === undefined || next <= after) break;
      after = next;
    }
    return all;
  }

  /** Opens one page; whatever is not about this task or not proven is left out. */
  async #open(owner: string, task: string, bytes: Uint8Array) {
    const pack = this.#d.inbound.parse("look", PackSchema, bytes, PACK_LIMITS);
    const about = (r: StoredRecord | undefined) => r?.key.owner === owner && r.key.task === task;
    const stored = (pack?.records ?? [])
      .map(storedOf)
      .filter((r) => r !== undefined)
      .filter(about);
    const records = await this.prove(stored);
    return { records, next: pack?.more === true ? pack.records.at(-1)?.rev : undefined };
  }

  #proveStored(record: StoredRecord): Promise<ProvenRecord> {
    const { key, rev, storedAt } = record;
    return new Promise((resolve) => {
      const otherwise = (code?: FailureCode, unread?: boolean) =>
        resolve({
          key,
          kind: key.kind,
          rev,
          digest: "",
          storedAt,
          body: {},
          flaw: code === "E_IDENTITY" ? AUTHOR_UNKNOWN : "it cannot be proven",
          ...(unread ? { unread } : {}),
          from: `${key.fromPrincipal}.${key.fromAgent}`,
          to: `${key.toPrincipal}.${key.toAgent}`,
        });
      this.#prove(record, resolve, otherwise, true);
    });
  }

  /** @param stored it was read, not heard: see `Identities.resolve` */
  #prove(
    e: Envelope,
    then: (record: ProvenRecord) => void,
    otherwise?: (code?: FailureCode, unread?: boolean, body?: object) => void,
    stored = false,
  ): void {
    const { identities, inbound } = this.#d;
    const refuse = (code: FailureCode, unread = false) => {
      inbound.reject(`record.${e.key.kind}`, code);
      otherwise?.(code, unread, body as object);
    };
    const schema = SCHEMAS[e.key.kind];
    const body =
      schema === undefined
        ? {}
        : inbound.parse(`record.${e.key.kind}`, schema, e.body, RECORD_LIMITS);
    if (body === undefined) return otherwise?.();
    if ((body as { task?: string }).task !== e.key.task && schema !== undefined) {
      return refuse("E_SENDER");
    }
    const seal = parseSeal(e.header(SIGNATURE_HEADER));
    if (seal === undefined) return refuse("E_SIGNATURE");
    const fence = Number(e.header(FENCE_HEADER) ?? "-1");
    const nonce = e.header(NONCE_HEADER) ?? "";
    const text = once(() => preimage(recordSubject(e.key), fence, seal.at, nonce, e.body));
    const finish = (role: Role | undefined) => {
      const record: ProvenRecord = {
        key: e.key,
        kind: e.key.kind,
        rev: e.rev,
        storedAt: e.storedAt,
        get digest() {
          return digest(text());
        },
        from: `${e.key.fromPrincipal}.${e.key.fromAgent}`,
        to: `${e.key.toPrincipal}.${e.key.toAgent}`,
        body: body as ReadRecord["body"],
      };
      if (role !== undefined) record.role = role;
      // Held to the whole task, not to some other subject of the author's choice.
      if (e.header(GUARD_HEADER) === taskGuard(e.key.owner, e.key.task)) record.fence = fence;
      // A spec's `award` is a wish, not an award.
      const embedded =
        e.key.kind === "spec" ? undefined : (body as { award?: EmbeddedAward }).award;
      if (embedded === undefined) return then(record);
      this.#proveEmbedded(record, embedded, then, stored);
    };
    if (!identities.on) return finish(undefined);
    if (seal.signature.length !== SIGNATURE_BYTES) return refuse("E_SIGNATURE");
    const check = (agent: AgentKey | undefined, unread: boolean) => {
      if (agent === undefined) return refuse("E_IDENTITY", unread);
      if (!AUTHORS[e.key.kind].includes(agent.role)) return refuse("E_ROLE");
      if (!identities.verify(agent, text(), seal.signature)) return refuse("E_SIGNATURE");
      finish(agent.role);
    };
    identities.resolve(e.key.fromPrincipal, e.key.fromAgent, check, stored);
  }

  /** Adds the award that a record rests on, once it is proven to name this task and author. */
  #proveEmbedded(
    record: ProvenRecord,
    embedded: EmbeddedAward,
    then: (record: ProvenRecord) => void,
    stored: boolean,
  ): void {
    const { identities, ownAwards, counters } = this.#d;
    const own = ownAwards.find(taskPath(record.key.owner, record.key.task), embedded.terms);
    const termsBytes = own === undefined ? Buffer.from(embedded.terms, "base64url") : NONE;
    const terms = own ?? openTerms(termsBytes);
    const { epoch } = record.body as { epoch?: number };
    const fits =
      terms !== undefined &&
      terms.task === record.key.task &&
      terms.owner === record.key.owner &&
      terms.contractor === record.from &&
      terms.epoch === epoch;
    const settle = (proven: boolean) => {
      if (proven && terms !== undefined) record.terms = terms;
      else counters.add(`refused.embedded.${record.kind}`);
      then(record);
    };
    if (!fits || own !== undefined || !identities.on) return settle(fits);
    const [principal, agent] = terms.initiator.split(".") as [string, string];
    const signature = Buffer.from(embedded.sig, "base64url");
    const check = (key: AgentKey | undefined, unread: boolean) => {
      if (key === undefined) record.flaw = AUTHOR_UNKNOWN;
      if (unread) record.unread = true;
      settle(
        key !== undefined &&
          proveAward({ terms, termsBytes, signature }, key, identities) === undefined,
      );
    };
    identities.resolve(principal, agent, check, stored);
  }
}

function unread(records: readonly ProvenRecord[]): ProvenRecord | undefined {
  return records.find((record) => record.unread);
}

/** Where nothing is signed most of these texts are never asked for. */
function once(make: () => Buffer): () => Buffer {
  let made: Buffer | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Tells the history of a write before it is sent, and of its fate. */
function noted(
  history: History,
  key: RecordKey,
  fence: number,
  id: string,
  body: Uint8Array,
  done: (result: WriteResult, head: () => string) => void,
): typeof done {
  const about = {
    op: key.kind,
    task: taskPath(key.owner, key.task),
    ...(key.kind === "spec" ? {} : { e: Number.parseInt(key.n, 10) || 0 }),
    who: `${key.fromPrincipal}.${key.fromAgent}`,
    id,
    d: digest(body),
  };
  history.note({ k: "inv", ...about, rev: fence });
  return (result, head) => {
    if (result.ok) history.note({ k: "ok", ...about, rev: result.rev });
    else
      history.note({
        k: result.fault === "unknown" ? "info" : "fail",
        ...about,
        note: result.fault,
      });
    done(result, head);
  };
}
