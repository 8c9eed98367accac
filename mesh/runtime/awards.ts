// Awards: an initiator's signed choice, bound to one task, revision, contractor and moment.
import {
  AwardMessageSchema,
  type AwardTerms,
  AwardTermsSchema,
  CLOCK_SKEW_MS,
  CONTROL_BYTES_MAX,
  directedSubject,
  type FailureCode,
  principalOf,
  RECORD_BYTES_MAX,
  type Role,
  type Spec,
  SpecSchema,
  taskPath,
} from "../../contracts/index.ts";
import { specOfTier } from "../core/tiers.ts";
import type { Signer } from "../ports/index.ts";
import { decode, RECORD_LIMITS } from "./codec/codec.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { AgentKey, Identities } from "./identities.ts";
import { complaint } from "./inbound.ts";
import { bidsDigest } from "./seen-bids.ts";
import { digest, preimage, SIGNATURE_BYTES } from "./signing.ts";

const AWARD_LIMITS = {
  bytesMax: RECORD_BYTES_MAX + 4 * CONTROL_BYTES_MAX,
  depthMax: 32,
  keysMax: 1_000,
};
const NONE = new Uint8Array(0);
const VIEWS = { views: true };

export function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url");
}

/** Roles whose award counts. A submitter may award only live calls of its own. */
const AWARDERS: readonly Role[] = ["initiator", "agent", "admin"];

export interface OpenAward {
  terms: AwardTerms;
  /** Exact bytes and signature, as the contract record embeds them: views of the message. */
  termsBytes: Uint8Array;
  signature: Uint8Array;
  spec: Spec;
  /** Packed; a view of the message. */
  bids: Uint8Array;
}

function awardText(terms: AwardTerms, bytes: Uint8Array): Buffer {
  const subject = directedSubject("award", terms.contractor, terms.initiator);
  return preimage(subject, terms.rev, terms.at, terms.nonce, bytes);
}

export function sealAward(
  { terms, bids }: { terms: AwardTerms; bids: Uint8Array },
  spec: Uint8Array,
  signer: Signer | undefined,
  identities: Identities,
): { message: Uint8Array; terms: Uint8Array } {
  const bytes = msgpackBytes(terms);
  const sig = signer === undefined ? NONE : identities.sign(signer, awardText(terms, bytes));
  return {
    message: msgpackBytes({ v: 1, kind: "award", terms: bytes, sig, spec, bids }),
    terms: bytes,
  };
}

interface OwnAward {
  /** Digest of the text by which records embed it. */
  digest: string;
  terms: AwardTerms;
}

/** Awards that this peer made and that are not settled: known by their exact bytes, so that a
 * claim that embeds one needs no second proof. */
export class OwnAwards {
  #byTask = new Map<string, OwnAward[]>();

  add(terms: AwardTerms, bytes: Uint8Array): void {
    const path = taskPath(terms.owner, terms.task);
    const own = { digest: digest(base64url(bytes)), terms };
    const mine = this.#byTask.get(path);
    if (mine === undefined) this.#byTask.set(path, [own]);
    else mine.push(own);
  }

  find(path: string, text: string): AwardTerms | undefined {
    const mine = this.#byTask.get(path);
    if (mine === undefined) return undefined;
    const known = digest(text);
    return mine.find((own) => own.digest === known)?.terms;
  }

  forget(path: string): void {
    this.#byTask.delete(path);
  }
}

/** Too old, or from the future, as this clock has it? */
export function isMisdated({ terms }: OpenAward, wallNow: number): boolean {
  return Math.abs(terms.at - wallNow) > CLOCK_SKEW_MS;
}

/** Everything that can be checked without asking anybody, but for its age. */
export function openAward(data: Uint8Array, from: string, to: string): OpenAward | FailureCode {
  const outer = decode(data, AWARD_LIMITS, VIEWS);
  if (!outer.ok) return outer.code === "too_large" ? "E_TOO_LARGE" : "E_NOT_UNDERSTOOD";
  const message = AwardMessageSchema.safeParse(outer.value);
  if (!message.success) return complaint(outer.value, message.error);
  const inner = decode(message.data.terms, AWARD_LIMITS);
  if (!inner.ok) return "E_NOT_UNDERSTOOD";
  const parsed = AwardTermsSchema.safeParse(inner.value);
  if (!parsed.success) return complaint(inner.value, parsed.error);
  const terms = parsed.data;
  if (terms.initiator !== from || terms.contractor !== to) return "E_SENDER";
  // Of what is stored nowhere nobody could show for whom it is, but its caller (P12.1).
  const isCallers = terms.submitter === from && terms.owner === principalOf(from);
  if (terms.live && !isCallers) return "E_SENDER";
  if (digest(message.data.spec) !== terms.spec) return "E_SENDER";
  if (bidsDigest(message.data.bids) !== terms.bids) return "E_SENDER";
  const spec = decode(message.data.spec, RECORD_LIMITS);
  if (!spec.ok) return "E_NOT_UNDERSTOOD";
  const body = SpecSchema.safeParse(spec.value);
  if (!body.success) return complaint(spec.value, body.error);
  const asked = specOfTier(body.data, terms.tier ?? 0);
  if (
    body.data.task !== terms.task ||
    body.data.owner !== terms.owner ||
    asked?.capability !== terms.capability
  )
    return "E_SENDER";
  return {
    terms,
    bids: message.data.bids,
    termsBytes: message.data.terms,
    signature: message.data.sig,
    spec: asked,
  };
}

/** The terms inside a record's embedded award; undefined when they are none. */
export function openTerms(bytes: Uint8Array): AwardTerms | undefined {
  const inner = decode(bytes, AWARD_LIMITS);
  if (!inner.ok) return undefined;
  const parsed = AwardTermsSchema.safeParse(inner.value);
  return parsed.success ? parsed.data : undefined;
}

/** Signature and role; to be asked once the sender's key is known. */
export function proveAward(
  award: Omit<OpenAward, "spec" | "bids">,
  key: AgentKey,
  identities: Identities,
): FailureCode | undefined {
  const own = award.terms.live && award.terms.submitter === award.terms.initiator;
  if (!AWARDERS.includes(key.role) && !(own && key.role === "submitter")) return "E_ROLE";
  if (award.signature.length !== SIGNATURE_BYTES) return "E_SIGNATURE";
  const text = awardText(award.terms, award.termsBytes);
  return identities.verify(key, text, award.signature) ? undefined : "E_SIGNATURE";
}
