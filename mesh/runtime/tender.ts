// The initiator's own words: what it says in a call, an award, and an end.
import {
  type Address,
  type AwardTerms,
  type Cfp,
  FAILURES,
  type Failure,
  LEASE_MS,
  type Outcome,
  RETAIN_MS_PARKED,
  type RecordKey,
  type Spec,
  type TerminalState,
} from "../../contracts/index.ts";
import { type InitiatorTask, newTask } from "../core/initiator-task.ts";
import { NEAR_EQUAL, type ScoredBid, seen } from "../core/policy.ts";
import { foldTask, isSpoiled, type ReadRecord } from "../core/task-view.ts";
import type { Signer, SpecDelivery } from "../ports/index.ts";
import type { Deps } from "./dependencies.ts";

/** The abstraction of a task: all that a participant needs for a bid. */
export function cfpOf(t: InitiatorTask, windowMs: number, crowd: number | undefined): Cfp {
  const { spec } = t;
  const cfp: Cfp = {
    v: 1,
    kind: "cfp",
    cfp: t.cfp,
    task: t.id,
    priority: spec.priority,
    windowMs,
    deadline: spec.deadline,
  };
  if (spec.version !== undefined) cfp.version = spec.version;
  if (spec.requires !== undefined) cfp.requires = spec.requires;
  if (spec.hints !== undefined) cfp.hints = spec.hints;
  if (spec.rank !== undefined) cfp.rank = spec.rank;
  if (spec.budget !== undefined) cfp.costMax = spec.budget;
  if (spec.exclude !== undefined) cfp.exclude = spec.exclude;
  cfp.owner = spec.owner;
  if (crowd !== undefined) cfp.crowd = crowd;
  return cfp;
}

export interface Choice {
  to: Address;
  /** Bids in the order of their scores; empty when the award was directed. */
  order: readonly ScoredBid[];
  /** Digest of those that are told with the award. */
  bids: string;
  /** Digest of the spec's bytes. */
  spec: string;
  initiator: Address;
  policyHash: string;
  at: number;
  nonce: string;
  leaseMs: number | undefined;
}

/** Everything that binds the award, and everything that explains it. */
export function termsOf(t: InitiatorTask, c: Choice): AwardTerms {
  const { spec } = t;
  const policy: AwardTerms["policy"] = {
    name: spec.award?.policy ?? "balanced",
    hash: c.policyHash,
    seed: t.draw,
    band: NEAR_EQUAL,
    leftMs: t.leftMs,
  };
  if (spec.award?.weights !== undefined) policy.weights = definedOnly(spec.award.weights);
  const more: Partial<AwardTerms> = {};
  if (t.tier > 0) more.tier = t.tier;
  if (t.distrusted.length > 0) more.distrusted = t.distrusted;
  if (t.spoken.length > 0) more.spoken = t.spoken;
  const own = c.order.find((b) => b.from === c.to);
  if (own !== undefined) more.bid = seen(own);
  return {
    v: 1,
    kind: "award",
    task: t.id,
    owner: t.owner,
    submitter: t.submitter,
    capability: spec.capability,
    epoch: t.epoch + 1,
    attempt: t.epoch + 1 - t.left,
    rev: t.rev,
    prev: t.head,
    live: t.live,
    cfp: t.cfp,
    spec: c.spec,
    initiator: c.initiator,
    contractor: c.to,
    rung: t.rung,
    policy,
    bids: c.bids,
    refusals: t.refusals,
    deadline: spec.deadline,
    leaseMs: c.leaseMs ?? LEASE_MS,
    at: c.at,
    nonce: c.nonce,
    ...more,
  };
}

export function endOf(
  t: InitiatorTask,
  state: TerminalState,
  failure: Failure | undefined,
  endedAt: number,
): Outcome {
  const outcome: Outcome = {
    v: 1,
    kind: "outcome",
    task: t.id,
    epoch: t.epoch,
    state,
    attempts: t.epoch - t.left,
    endedAt,
    prev: t.head,
  };
  if (failure !== undefined) {
    const message = failure.message.slice(0, 4_096).toWellFormed();
    outcome.failure = { ...failure, message };
  }
  const parked = state === "failed" && t.epoch > 0 && isParking(failure);
  if (parked) outcome.parked = true;
  const retainMs = t.origin.retainMs ?? (parked ? RETAIN_MS_PARKED : undefined);
  if (retainMs !== undefined) outcome.retainMs = retainMs;
  return outcome;
}

/** Would it be worth a try once the cause is mended? Not what a handler called hopeless. */
function isParking(failure: Failure | undefined): boolean {
  return failure !== undefined && (failure.code === "E_ALL_FAILED" || FAILURES[failure.code].retry);
}

/** What is stored of a task. Who spoils it is told to the operator, who can revoke him. */
export async function viewOf(d: Pick<Deps, "records" | "log">, t: InitiatorTask) {
  const view = foldTask(await d.records.read(t.owner, t.id, t.rev));
  const fault = view.faults.at(-1);
  const about = { owner: t.owner, task: t.id, contractor: t.contractor, fault };
  if (isSpoiled(view)) d.log.warn(about, "its contract was spoiled; somebody else goes on with it");
  return view;
}

/** Where the outcome of a task stands, by whom it may be. */
export function outcomeKey(t: InitiatorTask, author: Address): RecordKey {
  const [fromPrincipal, fromAgent] = author.split(".") as [string, string];
  const [toPrincipal, toAgent] = t.submitter.split(".") as [string, string];
  const place = { toPrincipal, toAgent, fromPrincipal, fromAgent };
  return { owner: t.owner, task: t.id, kind: "outcome", n: String(t.epoch), ...place };
}

/** How long the work of an outcome took, ms, and whether it came to a good end. */
export function workOf(o: Outcome): [number | undefined, boolean] {
  const worked = o.startedAt === undefined ? undefined : o.endedAt - o.startedAt;
  return [worked, o.state === "completed"];
}

/** Tells a contractor that it no longer holds the contract. */
export function withdrawalOf(
  t: InitiatorTask,
  { epoch, reason, over }: { epoch: number; reason: string; over: boolean },
): object {
  const cut = reason.slice(0, 1024).toWellFormed();
  const notice = { v: 1, kind: "cancel", owner: t.owner, task: t.id, epoch, reason: cut };
  return over ? { ...notice, over } : notice;
}

function definedOnly(weights: Record<string, number | undefined>): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [name, value] of Object.entries(weights)) if (value !== undefined) out[name] = value;
  return out;
}

/** Writes a task's end that its initiator declares; `done(false)`: something newer is stored. */
export function storeEnd(
  d: Deps,
  o: { agent: Address; signer?: Signer | undefined },
  t: InitiatorTask,
  state: TerminalState,
  failure: Failure | undefined,
  done: (ok: boolean) => void,
): void {
  d.records.write(
    outcomeKey(t, o.agent),
    endOf(t, state, failure, Math.round(d.clock.wall())),
    t.rev,
    o.signer,
    (result) => done(result.ok),
  );
}

/** Ends a proven task that nobody may carry out, and lets go of its spec. */
export function refuseSpec(
  d: Deps,
  o: { agent: Address; signer?: Signer | undefined },
  record: ReadRecord,
  { receipt }: SpecDelivery,
  failure: Failure,
): void {
  const spec = record.body as Spec;
  const again = () => receipt.release(1_000);
  d.records.read(spec.owner, spec.task, record.rev).then((records) => {
    const last = records.at(-1);
    const began: ReadRecord[] = [];
    const { outcome } = foldTask(records, (r) => void (r.kind === "spec" && began.push(r)));
    // Put under a task that somebody else began, or may yet begin, it must not end that one.
    const isIt = began[0]?.rev === record.rev;
    if (last === undefined || !isIt || outcome !== undefined) return receipt.ack();
    const t = newTask(spec, record.from, false, last.rev, last.digest);
    d.counters.add("ended.rejected");
    // Not stored: somebody wrote meanwhile, and whoever gets the spec next looks again.
    storeEnd(d, o, t, "rejected", failure, (ok) => (ok ? receipt.ack() : again()));
  }, again);
}
