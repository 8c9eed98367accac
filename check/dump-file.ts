// The store as the judge sees it: a line for every record of the task bucket, in the order of the
// revisions, proven by public keys that the run's own setting gives (not by the mesh's cache).
import { hash, type KeyObject, verify } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import {
  ATTEMPTS_DEFAULT,
  BACKOFF_MS,
  directedSubject,
  FENCE_HEADER,
  GUARD_HEADER,
  NONCE_HEADER,
  recordSubject,
  type SeenBid,
  SIGNATURE_HEADER,
  SpecSchema,
  taskGuard,
  taskPath,
} from "../contracts/index.ts";
import { NAMED, recompute } from "../mesh/core/policy.ts";
import { dumpRecords } from "../mesh/nats/dump.ts";
import { publicKeyObject } from "../mesh/nats/identity/keys.ts";
import type { StoredRecord, Transport } from "../mesh/ports/index.ts";
import { openTerms } from "../mesh/runtime/awards.ts";
import { bidsOf, type ExplainedTerms, openBids } from "../mesh/runtime/seen-bids.ts";
import { parseSeal, preimage } from "../mesh/runtime/signing.ts";
import { type DumpStep, stepsIn, stepsOf } from "./flow-steps.ts";

/** One stored record. */
export interface DumpLine {
  rev: number;
  /** The server's time, ms since 1970. */
  at: number;
  task: string;
  kind: string;
  n: string;
  from: string;
  to: string;
  /** Revision that the server held the write to; absent: held to none, or to something else. */
  fence?: number;
  /** The write's id, and the digest of its body. */
  id: string;
  d: string;
  /** Why it proves nothing. */
  flaw?: string;
  e?: number;
  state?: string;
  attempts?: number;
  /** Of a failure: its agent stopped, which is no attempt. */
  leaving?: boolean;
  contractor?: string;
  deadline?: number;
  /** Most attempts that the spec allows. */
  attemptsMax?: number;
  /** First pause between attempts, ms. */
  backoffMs?: number;
  /** Agents that the submitter rules out, and the policy that he asks for. */
  exclude?: string[];
  /** The only agent that may do it, where no alternative says otherwise. */
  only?: string;
  policy?: string;
  /** Chain digest of this record, and the one that it names as the record before it. */
  head?: string;
  prev?: string;
  capability?: string;
  /** Of a workflow's spec. */
  steps?: DumpStep[];
  /** This checkpoint holds a change of the workflow. */
  changed?: boolean;
  award?: DumpAward;
}

export interface DumpAward {
  rev: number;
  e: number;
  by: string;
  to: string;
  cfp: string;
  rung: string;
  bids: string[];
  policy: string;
  /** Passed over: what they bid with was given to other tasks. */
  spoken?: readonly string[];
  /** What the named policy makes of these bids, lower is better; absent: a policy of one's own. */
  scores?: number[];
  spec: string;
  flaw?: string;
  /** The bids as the initiator saw them, and the time that was left, ms. */
  offers?: readonly SeenBid[];
  leftMs?: number;
}

/** Public keys (`U…`) by principal. Without them nothing is proven and S11 is not judged. */
export type Keys = Readonly<Record<string, string>>;

/** @returns lines written */
export async function writeDump(
  transport: Transport,
  path: string,
  o: {
    principal?: string;
    keys?: Keys;
  },
): Promise<number> {
  const judge = new Notary(o.keys);
  const file = createWriteStream(path);
  let lines = 0;
  const options = o.principal === undefined ? {} : { principal: o.principal };
  for await (const record of dumpRecords(transport, options)) {
    lines++;
    const line = `${JSON.stringify(judge.line(record))}\n`;
    if (!file.write(line)) await once(file, "drain");
  }
  file.end();
  await once(file, "finish");
  return lines;
}

/** Makes lines of records; with `keys`, proves them first. */
export class Notary {
  readonly #keys: Keys | undefined;
  #objects = new Map<string, KeyObject>();

  constructor(keys: Keys | undefined) {
    this.#keys = keys;
  }

  line(r: StoredRecord): DumpLine {
    const { key } = r;
    const guarded = r.header(GUARD_HEADER) === taskGuard(key.owner, key.task);
    const fence = Number(r.header(FENCE_HEADER) ?? "-1");
    const line: DumpLine = {
      rev: r.rev,
      at: r.storedAt,
      task: taskPath(key.owner, key.task),
      kind: key.kind,
      n: key.n,
      from: `${key.fromPrincipal}.${key.fromAgent}`,
      to: `${key.toPrincipal}.${key.toAgent}`,
      id: r.header(NONCE_HEADER) ?? "",
      d: hash("sha256", r.body, "base64url"),
      ...(guarded && fence >= 0 ? { fence } : {}),
    };
    const flaw = this.#flaw(r, fence);
    if (flaw !== undefined) line.flaw = flaw;
    line.head = headOf(r, fence);
    describe(line, r.body, this.#award.bind(this));
    return line;
  }

  #flaw(r: StoredRecord, fence: number): string | undefined {
    if (this.#keys === undefined) return undefined;
    const seal = parseSeal(r.header(SIGNATURE_HEADER));
    if (seal === undefined) return "no signature";
    const id = r.header(NONCE_HEADER) ?? "";
    const text = preimage(recordSubject(r.key), fence, seal.at, id, r.body);
    return this.#verified(r.key.fromPrincipal, text, seal.signature);
  }

  #verified(principal: string, text: Uint8Array, signature: Uint8Array): string | undefined {
    const key = this.#key(principal);
    if (key === undefined) return `${principal} is not known`;
    return verify(null, text, key, signature) ? undefined : "the signature does not verify";
  }

  #key(principal: string): KeyObject | undefined {
    const known = this.#objects.get(principal);
    const text = this.#keys?.[principal];
    if (known !== undefined || text === undefined) return known;
    const key = publicKeyObject(text);
    if (key !== undefined) this.#objects.set(principal, key);
    return key;
  }

  /** @param packed the bids that a contract holds; an outcome holds none */
  #award(embedded: Embedded, packed: Uint8Array | undefined): DumpAward | undefined {
    const bytes = Buffer.from(String(embedded.terms ?? ""), "base64url");
    const sealed = openTerms(bytes);
    if (sealed === undefined) return undefined;
    const open = packed === undefined ? undefined : openBids(sealed, packed);
    const terms: ExplainedTerms = open ?? { ...sealed, bids: [] };
    const award: DumpAward = {
      rev: terms.rev,
      e: terms.epoch,
      by: terms.initiator,
      to: terms.contractor,
      cfp: terms.cfp,
      rung: terms.rung,
      bids: terms.bids.map((b) => b.from),
      policy: terms.policy.name,
      spec: terms.spec,
    };
    if (terms.spoken !== undefined) award.spoken = terms.spoken;
    if (terms.bids.length > 0) {
      award.offers = terms.bids;
      award.leftMs = terms.policy.leftMs;
    }
    const scores = open === undefined ? undefined : scoresOf(open);
    if (scores !== undefined) award.scores = scores;
    if (this.#keys !== undefined) {
      const subject = directedSubject("award", terms.contractor, terms.initiator);
      const text = preimage(subject, terms.rev, terms.at, terms.nonce, bytes);
      const signature = Buffer.from(String(embedded.sig ?? ""), "base64url");
      const flaw = this.#verified(terms.initiator.split(".")[0] ?? "", text, signature);
      if (flaw !== undefined) award.flaw = flaw;
    }
    return award;
  }
}

/** The link that the next record of the task names. */
function headOf(r: StoredRecord, fence: number): string {
  const at = parseSeal(r.header(SIGNATURE_HEADER))?.at ?? 0;
  const id = r.header(NONCE_HEADER) ?? "";
  return hash("sha256", preimage(recordSubject(r.key), fence, at, id, r.body), "base64url");
}

/** An award inside a record, unread. */
type Embedded = { terms?: unknown; sig?: unknown };

function scoresOf({ policy, bids }: ExplainedTerms): number[] | undefined {
  const named = NAMED[policy.name];
  if (named === undefined) return undefined;
  const facts = { leftMs: policy.leftMs, budget: undefined, weights: policy.weights };
  return recompute(bids, named, facts);
}

function describe(
  line: DumpLine,
  bytes: Uint8Array,
  award: (embedded: Embedded, packed: Uint8Array | undefined) => DumpAward | undefined,
): void {
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
  } catch {
    line.flaw ??= "the body is not JSON";
    return;
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    line.flaw ??= "the body is no JSON object";
    return;
  }
  if (typeof body.epoch === "number") line.e = body.epoch;
  if (typeof body.state === "string") line.state = body.state;
  if (typeof body.attempts === "number") line.attempts = body.attempts;
  if (body.leaving === true) line.leaving = true;
  if (typeof body.contractor === "string") line.contractor = body.contractor;
  if (typeof body.deadline === "number") line.deadline = body.deadline;
  if (typeof body.capability === "string") line.capability = body.capability;
  if (typeof body.prev === "string") line.prev = body.prev;
  if (line.kind === "spec") {
    // Anybody may store one about tasks of his own; what is none was never accepted.
    const spec = SpecSchema.safeParse(body).data;
    if (spec === undefined || taskPath(spec.owner, spec.task) !== line.task) {
      line.flaw ??= "it is no spec of this task";
    }
    const retry = body.retry as { attempts?: number; backoffMs?: number } | undefined;
    const tiers = 1 + (Array.isArray(body.otherwise) ? body.otherwise.length : 0);
    line.attemptsMax = tiers * Number(retry?.attempts ?? ATTEMPTS_DEFAULT);
    line.backoffMs = Number(retry?.backoffMs ?? BACKOFF_MS);
    line.policy = String((body.award as { policy?: string } | undefined)?.policy ?? "balanced");
    if (Array.isArray(body.exclude)) line.exclude = body.exclude.map(String);
    if (body.only === true && body.otherwise === undefined) line.only = String(body.to);
    const steps = stepsIn(body);
    if (steps !== undefined) line.steps = steps;
    return;
  }
  if (line.kind === "checkpoint" && Array.isArray(body.entries)) {
    const keys = (body.entries as { key?: unknown }[]).map((entry) => String(entry?.key));
    if (keys.some((key) => key.startsWith("=change."))) line.changed = true;
    // A workflow by name keeps what it found under that name.
    const found = (body.entries as { value?: unknown }[])[keys.indexOf("=definition")];
    const steps = stepsOf(found?.value);
    if (steps !== undefined) line.steps = steps;
  }
  if (typeof body.award !== "object" || body.award === null) return;
  const packed = line.kind === "contract" ? bidsOf(body) : undefined;
  const opened = award(body.award as Embedded, packed);
  if (opened === undefined) line.flaw ??= "its award cannot be read";
  else line.award = opened;
}
