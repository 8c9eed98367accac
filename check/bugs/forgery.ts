// What insiders write: records signed properly by an author who has no right to them.
import {
  directedSubject,
  type EmbeddedAward,
  FENCE_HEADER,
  GUARD_HEADER,
  NONCE_HEADER,
  type RecordKey,
  recordSubject,
  SIGNATURE_HEADER,
  taskGuard,
} from "../../contracts/index.ts";
import type { Signer } from "../../mesh/ports/index.ts";
import { jsonBytes, msgpackBytes } from "../../mesh/runtime/codec/encode-own.ts";
import { preimage, sealText } from "../../mesh/runtime/signing.ts";

/** By which whoever plays knows them again. */
export const FORGED_ID = "forged-";

export interface Author {
  name: string;
  agent: string;
  signer: Signer;
}

export interface Forged {
  subject: string;
  bytes: Uint8Array;
  headers: Record<string, string>;
}

/** @param at wall clock, ms; `fence` absent: held to no revision */
export function forgeRecord(
  author: Author,
  place: Omit<RecordKey, "fromPrincipal" | "fromAgent">,
  body: object,
  at: number,
  fence?: number,
): Forged {
  const key = { ...place, fromPrincipal: author.name, fromAgent: author.agent };
  const subject = recordSubject(key);
  const bytes = jsonBytes(body);
  const id = `${FORGED_ID}${author.name}-${key.task}-${key.kind}-${fence ?? "free"}`;
  const signature = author.signer.sign(preimage(subject, fence ?? -1, at, id, bytes));
  const held = {
    [FENCE_HEADER]: String(fence),
    [GUARD_HEADER]: taskGuard(key.owner, key.task),
  };
  const sealed = { [SIGNATURE_HEADER]: sealText(at, signature), [NONCE_HEADER]: id };
  return { subject, bytes, headers: { ...(fence === undefined ? {} : held), ...sealed } };
}

export function outcomeBody(task: string, epoch: number, at: number, award?: EmbeddedAward) {
  return {
    v: 1,
    kind: "outcome",
    task,
    epoch,
    state: "completed",
    output: "forged",
    attempts: epoch,
    endedAt: at,
    prev: "",
    ...(award === undefined ? {} : { award }),
  };
}

export function cancelBody(task: string, at: number) {
  return { v: 1, kind: "cancel", task, reason: "because", at, prev: "" };
}

export interface Claimed {
  owner: string;
  task: string;
  /** Address. */
  submitter: string;
  capability: string;
  /** Address of the initiator under whose name the award is made up. */
  initiator: string;
  rev: number;
  at: number;
}

/** A claim under an award that its author wrote himself, in the name of an initiator. */
export function ownClaim(author: Author, c: Claimed): { claim: object; award: EmbeddedAward } {
  const { owner, task, submitter, capability, initiator, rev, at } = c;
  const contractor = `${author.name}.${author.agent}`;
  const place = { task, epoch: 1, attempt: 1, capability, contractor, initiator };
  const terms = {
    v: 1,
    kind: "award",
    ...place,
    owner,
    submitter,
    rev,
    prev: "",
    live: false,
    cfp: "c0",
    spec: "",
    rung: "all",
    policy: { name: "cheapest", hash: "", seed: 0, band: 0.02, leftMs: 1_000 },
    bids: "",
    refusals: 0,
    deadline: at + 60_000,
    leaseMs: 15_000,
    at,
    nonce: `own-${task}`,
  };
  const bytes = msgpackBytes(terms);
  const subject = directedSubject("award", contractor, initiator);
  const sig = author.signer.sign(preimage(subject, rev, at, terms.nonce, bytes));
  const award: EmbeddedAward = {
    terms: Buffer.from(bytes).toString("base64url"),
    sig: Buffer.from(sig).toString("base64url"),
  };
  return {
    claim: { v: 1, kind: "contract", ...place, leaseMs: 15_000, award, prev: "", at },
    award,
  };
}
