// Why did this agent get this task? Answered from the contract record alone: it embeds what the
// initiator signed, so anybody can check the signature and compute the choice again.
import {
  type Address,
  type AwardTerms,
  BIDS_EXPLAINED_MAX,
  type Contract,
  type SeenBid,
  type Spec,
} from "../../contracts/index.ts";
import { NAMED, type Policy, rank, recompute, remembered, type TaskFacts } from "../core/policy.ts";
import { specOfTier } from "../core/tiers.ts";
import { openTerms, proveAward } from "./awards.ts";
import type { Identities } from "./identities.ts";
import { Policies } from "./policies.ts";
import { bidsOf, type ExplainedTerms, openBids } from "./seen-bids.ts";
import { digest } from "./signing.ts";

/** Outcome of one check; `text` says it in words. */
export interface Check {
  name: "signature" | "terms" | "spec" | "revision" | "chain" | "choice";
  verdict: "good" | "bad" | "unknown";
  text: string;
}

export interface OtherPolicy {
  policy: string;
  winner: Address | undefined;
}

export interface Explanation {
  epoch: number;
  contractor: Address;
  /** Undefined when the embedded terms cannot even be read. */
  terms: ExplainedTerms | undefined;
  /** Scores computed here, in the order of `terms.bids`; empty where they cannot be. */
  recomputed: number[];
  /** Who would have been first under each of the named policies, all else equal. */
  others: OtherPolicy[];
  checks: Check[];
}

/** A contract record, with what stood in the store before it. */
export interface ContractEvidence {
  contract: Contract;
  /** Author of the contract record. */
  from: Address;
  /** The record before it: the revision that the award was bound to, and its digest. */
  previous: { rev: number; digest: string } | undefined;
  spec: Spec | undefined;
  /** The spec's exact bytes. */
  specBytes: Uint8Array | undefined;
  /** Who held contracts of this tier before, the last one at the end. */
  contractorsBefore: readonly Address[];
}

/** Relative difference that floating point may leave between two machines. */
const SCORE_TOLERANCE = 1e-9;

export async function explain(
  evidence: ContractEvidence,
  identities: Identities,
  policies = new Policies(),
): Promise<Explanation> {
  const { contract } = evidence;
  const explanation: Explanation = {
    epoch: contract.epoch,
    contractor: contract.contractor,
    terms: undefined,
    recomputed: [],
    others: [],
    checks: [],
  };
  const bytes = Buffer.from(contract.award.terms, "base64url");
  const terms = openTerms(bytes);
  if (terms === undefined) {
    explanation.checks.push({
      name: "terms",
      verdict: "bad",
      text: "the award inside the contract cannot be read",
    });
    return explanation;
  }
  const open = openBids(terms, bidsOf(contract));
  explanation.terms = open ?? { ...terms, bids: [] };
  explanation.checks.push(
    await signatureOf(terms, bytes, Buffer.from(contract.award.sig, "base64url"), identities),
    termsFit(terms, evidence),
    ...linksOf(terms, evidence),
  );
  if (open !== undefined) judge(explanation, open, evidence, policies);
  else {
    const text = "the bids in the contract are not those that the award names";
    explanation.checks.push({ name: "choice", verdict: "bad", text });
  }
  return explanation;
}

async function signatureOf(
  terms: AwardTerms,
  termsBytes: Uint8Array,
  signature: Uint8Array,
  identities: Identities,
): Promise<Check> {
  if (!identities.on) {
    return {
      name: "signature",
      verdict: "unknown",
      text: "signatures are not checked: the mesh's trust.json is not here",
    };
  }
  const [principal, agent] = terms.initiator.split(".") as [string, string];
  const key = await new Promise<Parameters<typeof proveAward>[1] | undefined>((resolve) =>
    identities.resolve(principal, agent, resolve),
  );
  if (key === undefined) {
    return {
      name: "signature",
      verdict: "unknown",
      text: `no card tells the key of ${terms.initiator}`,
    };
  }
  const fault = proveAward({ terms, termsBytes, signature }, key, identities);
  if (fault === undefined) {
    return { name: "signature", verdict: "good", text: `signed by ${terms.initiator}` };
  }
  return {
    name: "signature",
    verdict: "bad",
    text:
      fault === "E_ROLE"
        ? `${terms.initiator} is ${key.role} and may not award this`
        : `these terms are not what ${terms.initiator} signed`,
  };
}

function termsFit(terms: AwardTerms, { contract, from, spec }: ContractEvidence): Check {
  const wrong: string[] = [];
  if (terms.contractor !== from) wrong.push(`awarded to ${terms.contractor}, claimed by ${from}`);
  if (terms.task !== contract.task) wrong.push(`about another task (${terms.task})`);
  if (terms.epoch !== contract.epoch) wrong.push(`for epoch ${terms.epoch}`);
  if (terms.initiator !== contract.initiator) wrong.push(`by ${terms.initiator}`);
  const tier = spec === undefined ? undefined : specOfTier(spec, terms.tier ?? 0);
  if (spec !== undefined && terms.capability !== tier?.capability) {
    wrong.push(`for ${terms.capability}`);
  }
  const asked = tier?.award?.policy ?? "balanced";
  if (spec !== undefined && terms.policy.name !== asked) {
    wrong.push(`by policy ${terms.policy.name}, where the spec asks for ${asked}`);
  }
  return wrong.length === 0
    ? { name: "terms", verdict: "good", text: "the award fits the contract" }
    : { name: "terms", verdict: "bad", text: `the award does not fit: ${wrong.join("; ")}` };
}

function linksOf(terms: AwardTerms, e: ContractEvidence): Check[] {
  const checks: Check[] = [];
  if (e.specBytes !== undefined) {
    const same = digest(e.specBytes) === terms.spec;
    checks.push({
      name: "spec",
      verdict: same ? "good" : "bad",
      text: same ? "awarded for exactly this spec" : "awarded for another spec than the one stored",
    });
  }
  if (e.previous === undefined) return checks;
  const { previous } = e;
  checks.push(
    previous.rev === terms.rev
      ? { name: "revision", verdict: "good", text: `bound to revision ${terms.rev}` }
      : {
          name: "revision",
          verdict: "bad",
          text: `bound to revision ${terms.rev}, stored after ${previous.rev}`,
        },
  );
  checks.push(
    previous.digest === terms.prev
      ? { name: "chain", verdict: "good", text: "names the record before it by its digest" }
      : { name: "chain", verdict: "bad", text: "names another record before it than is stored" },
  );
  return checks;
}

function judge(
  out: Explanation,
  terms: ExplainedTerms,
  evidence: ContractEvidence,
  policies: Policies,
): void {
  const choice = (verdict: Check["verdict"], text: string): void => {
    out.checks.push({ name: "choice", verdict, text });
  };
  const facts: TaskFacts = {
    leftMs: terms.policy.leftMs,
    budget: evidence.spec?.budget,
    weights: terms.policy.weights,
  };
  out.others = Object.keys(NAMED).map((policy) => ({
    policy,
    winner: firstUnder(terms, NAMED[policy] as Policy, facts),
  }));
  if (terms.bids.length === 0) {
    return choice(
      terms.rung === "directed" ? "good" : "unknown",
      terms.rung === "directed"
        ? "awarded straight to the agent that the spec names; there were no bids"
        : "the award names no bids",
    );
  }
  const policy = policies.get(terms.policy.name);
  if (policy === undefined) {
    return choice(
      "unknown",
      `policy ${terms.policy.name} is the initiator's own and is not known here`,
    );
  }
  out.recomputed = recompute(terms.bids, policy, facts);
  const [verdict, text] = verdictOf(terms, out.recomputed, evidence.contractorsBefore);
  const ours = policies.hash(terms.policy.name) === terms.policy.hash;
  choice(verdict, ours ? text : `${text} (the initiator ran another version of this policy)`);
}

function same(a: number, b: number): boolean {
  return Math.abs(a - b) <= SCORE_TOLERANCE * Math.max(1, Math.abs(a), Math.abs(b));
}

function verdictOf(
  terms: ExplainedTerms,
  ours: readonly number[],
  before: readonly Address[],
): [Check["verdict"], string] {
  const { bids } = terms;
  const wrong = bids.findIndex((b, i) => !same(ours[i] ?? Number.NaN, b.score));
  const complete = bids.length < BIDS_EXPLAINED_MAX;
  if (wrong >= 0 && complete) {
    return [
      "bad",
      `the score of ${bids[wrong]?.from} should be ${ours[wrong]}, not ` +
        `${bids[wrong]?.score}: the policy was not followed`,
    ];
  }
  const place = bids.findIndex((b) => b.from === terms.contractor);
  if (place < 0) return ["bad", `${terms.contractor} is not among the bids`];
  if (!sameBid(terms.bid, bids[place])) {
    return ["bad", `the award was made for another bid of ${terms.contractor} than it names`];
  }
  if (wrong >= 0) {
    return [
      "unknown",
      `the award names the best ${bids.length} bids only, and the policy scores ` +
        "against all of them: the choice cannot be computed again",
    ];
  }
  const passedOver =
    place === 0
      ? ""
      : `; ${place} better ${place === 1 ? "bid" : "bids"} ` +
        "before it refused the award, had run out or was spoken for";
  if (inOrder(terms, bids)) return ["good", `the same choice follows from the bids${passedOver}`];
  const late = putLast(terms, bids, before);
  if (late.length > 0) {
    return [
      "good",
      `the same choice follows from the bids, with ${late.join(", ")} put last for having ` +
        `failed it${passedOver}`,
    ];
  }
  if (!complete && before.length > 0) {
    return ["unknown", "the award names its best bids only, which do not show who was put last"];
  }
  return [
    "bad",
    `the bids are not in the order of policy ${terms.policy.name}: another agent ` +
      "should have been first",
  ];
}

/** Whoever failed the task goes to the end of the order, the longest ago first; empty where the
 * bids do not stand so. */
function putLast(
  terms: ExplainedTerms,
  bids: readonly SeenBid[],
  before: readonly Address[],
): readonly Address[] {
  const late = before.filter((who) => bids.some((b) => b.from === who));
  const fresh = bids.slice(0, bids.length - late.length);
  const asIs = late.every((who, i) => bids[fresh.length + i]?.from === who);
  if (asIs && (fresh.length === 0 || inOrder(terms, fresh))) return late;
  // Peers of earlier versions put the last one last, and drew among all.
  const last = bids.at(-1);
  if (last === undefined || last.from !== before.at(-1)) return [];
  return inOrder(terms, [last, ...bids.slice(0, -1)]) ? [last.from] : [];
}

function sameBid(a: SeenBid | undefined, b: SeenBid | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Is this the order that ranking gives: ascending scores, but for the draw among near-equals? */
function inOrder(terms: ExplainedTerms, bids: readonly SeenBid[]): boolean {
  const best = Math.min(...bids.map((b) => b.score));
  const reach = best + Math.abs(best) * terms.policy.band;
  const near = bids.filter((b) => b.score <= reach).length;
  const pick = Math.min(near - 1, Math.floor(terms.policy.seed * near));
  const order = [...bids];
  const drawn = order[0] as SeenBid;
  order[0] = order[pick] as SeenBid;
  order[pick] = drawn;
  if (order.every((b, i) => i === 0 || b.score >= (order[i - 1] as SeenBid).score)) return true;
  // With more bids than are named, the draw may have reached beyond them.
  return bids.length >= BIDS_EXPLAINED_MAX && drawn.score <= reach;
}

function firstUnder(terms: ExplainedTerms, policy: Policy, facts: TaskFacts): Address | undefined {
  return rank(terms.bids.map(remembered), policy, facts, terms.policy.seed)[0]?.from;
}
