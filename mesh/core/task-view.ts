// What the records of a task say about it: a fold, the same for adoption, `parley task` and audits.
//
// Invariants (faults page 3.3)
//   S2  One terminal record; nothing after it.
//   S3  Epochs grow by exactly one; one contractor per epoch.
//   S4  A result counts only from the contractor of the open contract, with his award.
// A record that is not lawful moves the revision (the server stored it) and nothing else.
import {
  type Address,
  type AwardTerms,
  type CancelRecord,
  type Checkpoint,
  type Contract,
  type FailureRecord,
  HAND_BACKS_MAX,
  type Outcome,
  principalOf,
  type RecordKind,
  type Role,
  type Spec,
  type TaskState,
} from "../../contracts/index.ts";

export interface ReadRecord {
  kind: RecordKind;
  rev: number;
  from: Address;
  to: Address;
  /** Chain digest of this record. */
  digest: string;
  storedAt: number;
  /** The revision that the server held this write to; absent when it was held to none. */
  fence?: number;
  /** The author's role; undefined where signing is off. */
  role?: Role;
  /** The award that a contract or a result rests on, when it is proven. */
  terms?: AwardTerms;
  /** Why this record proves nothing; it still moved the revision. */
  flaw?: string;
  /** The flaw may be none: what is stored of its author could not be read now. */
  unread?: boolean;
  body: Spec | Contract | FailureRecord | CancelRecord | Outcome | Record<string, unknown>;
}

/** The flaw of a record whose author, or that of its award, cannot be found now; perhaps soon. */
export const AUTHOR_UNKNOWN = "its author is not known here";

/** May one of these be the end of the task, although it counts for nothing as far as is known? */
export function mayHaveEnded(records: readonly ReadRecord[]): boolean {
  return (
    records.some((r) => r.flaw === AUTHOR_UNKNOWN) && records.some((r) => r.kind === "outcome")
  );
}

/** After its deadline, ms: by then whoever supervises a task has ended it. Guess. */
const SPOILED_MS = 60_000;

/**
 * Is there an end that does not count, long after the deadline? Its contractor spoiled it, and the
 * initiator took it for the end: nobody supervises the task any more. @returns why, in words
 */
export function spoiledBy(
  records: readonly ReadRecord[],
  view: TaskView,
  wall: number,
): string | undefined {
  const { spec, outcome, faults } = view;
  if (outcome !== undefined || spec === undefined || wall < spec.deadline + SPOILED_MS) return;
  if (!records.some((r) => r.kind === "outcome") || mayHaveEnded(records)) return;
  return faults.at(-1);
}

export interface TaskView {
  state: TaskState;
  /** Revision and digest of the last record. */
  rev: number;
  head: string;
  /** Epoch of the last contract; 0 before the first. */
  epoch: number;
  spec: Spec | undefined;
  submitter: Address | undefined;
  contract: Contract | undefined;
  /** Is the last contract still without failure, cancel or outcome? */
  contractOpen: boolean;
  /** Did a record that does not count move the revision, so that this contract cannot commit? */
  fenced: boolean;
  /** And was that another principal's doing? Then the contract is no attempt. */
  spoiled: boolean;
  /** Which alternative the last contract was for (0: the task as asked for), and the epoch before
   * the first contract of that tier. */
  tier: number;
  tierBase: number;
  /** Contracts that were handed back, which are no attempts; and was the last one? */
  left: number;
  handedBack: boolean;
  /** Who held a contract of that tier and did not hand it back, the last one at the end; and who
   * had before the last contract. */
  tried: Address[];
  triedBefore: Address[];
  /** Questions of the handler that nobody has answered yet. */
  questions: { key: string; question: unknown; until?: number }[];
  /** The last attempt's failure, when no contract came after it. */
  failure: FailureRecord | undefined;
  cancel: CancelRecord | undefined;
  outcome: Outcome | undefined;
  /** Revision of the outcome; 0 without one. */
  outcomeRev: number;
  submittedAt: number;
  contractAt: number | undefined;
  endedAt: number | undefined;
  /** What does not fit the rules, in words; empty for a sound task. */
  faults: string[];
}

/** @param counts is told of each record that counts, in order */
export function foldTask<R extends ReadRecord>(
  records: readonly R[],
  counts: (record: R) => void = () => undefined,
): TaskView {
  const view: TaskView = {
    state: "submitted",
    rev: 0,
    head: "",
    epoch: 0,
    spec: undefined,
    submitter: undefined,
    contract: undefined,
    contractOpen: false,
    fenced: false,
    spoiled: false,
    tier: 0,
    tierBase: 0,
    left: 0,
    handedBack: false,
    tried: [],
    triedBefore: [],
    questions: [],
    failure: undefined,
    cancel: undefined,
    outcome: undefined,
    outcomeRev: 0,
    submittedAt: 0,
    contractAt: undefined,
    endedAt: undefined,
    faults: [],
  };
  for (const record of records) {
    if (view.outcome !== undefined) view.faults.push(`S2: ${record.kind} after the outcome`);
    if (record.rev <= view.rev) view.faults.push(`revisions out of order at ${record.kind}`);
    const why = record.flaw ?? unlawful(view, record);
    if (why === undefined) {
      apply(view, record);
      counts(record);
    } else refute(view, record, why);
    view.rev = record.rev;
    view.head = record.digest;
  }
  view.state = stateOf(view);
  return view;
}

function refute(view: TaskView, record: ReadRecord, why: string): void {
  view.faults.push(`${record.kind} by ${record.from} does not count: ${why}`);
  if (!view.contractOpen) return;
  const own = principalOf(view.contract?.contractor ?? "");
  if (!view.fenced) view.spoiled = principalOf(record.from) !== own;
  view.fenced = true;
}

/** Roles whose word ends a task that is not theirs. */
const SUPERVISORS: readonly Role[] = ["initiator", "agent", "admin"];

/** Why this record does not count here; undefined when it does. */
export function unlawful(view: TaskView, record: ReadRecord): string | undefined {
  switch (record.kind) {
    case "spec": {
      // Anybody with a contractor's rights can store one here: only the first began the task.
      if (view.spec !== undefined) return "S3: a second spec";
      const { owner, parent } = record.body as Spec;
      const isOwners = principalOf(record.from) === owner;
      return isOwners || parent !== undefined ? undefined : "not its owner's, and of no parent";
    }
    case "contract": {
      const { epoch } = record.body as Contract;
      if (record.terms === undefined) return "no proven award";
      if (record.terms.rev !== view.rev) return "the award names another revision";
      const tier = record.terms.tier ?? 0;
      if (tier < view.tier) return `an award for tier ${tier} after tier ${view.tier}`;
      return epoch === view.epoch + 1 ? undefined : `S3: epoch ${epoch} after ${view.epoch}`;
    }
    case "checkpoint":
    case "failure": {
      const { epoch } = record.body as { epoch: number };
      return holds(view, record, epoch) ? undefined : "not the contractor's";
    }
    case "outcome": {
      const outcome = record.body as Outcome;
      if (view.outcome !== undefined) return "S2: a second outcome";
      if (outcome.state !== "completed") {
        return supervises(record.role) ? undefined : "not an initiator's";
      }
      return holds(view, record, outcome.epoch) ? undefined : "S4: not the contractor's";
    }
    case "cancel":
      return mayCancel(record, view.submitter, view.spec?.owner) ? undefined : "not his to cancel";
    default:
      return undefined;
  }
}

/** Could its author write under this contract? Behind a record that does not count, or whose author
 * is not known, he would have been refused: whoever gets through does not hold it (P10.2). */
function holds(view: TaskView, record: ReadRecord, epoch: number): boolean {
  const mine = view.contractOpen && !view.fenced && view.contract?.contractor === record.from;
  return mine && epoch === view.epoch;
}

export function supervises(role: Role | undefined): boolean {
  return role === undefined || SUPERVISORS.includes(role);
}

/** Submitter, owner and operators may cancel. */
export function mayCancel(
  record: ReadRecord,
  submitter: Address | undefined,
  owner: string | undefined,
): boolean {
  if (record.from === submitter || record.role === "admin") return true;
  return principalOf(record.from) === owner;
}

function apply(view: TaskView, record: ReadRecord): void {
  switch (record.kind) {
    case "spec":
      view.spec = record.body as Spec;
      view.submitter = record.from;
      view.submittedAt = record.storedAt;
      break;
    case "contract": {
      const contract = record.body as Contract;
      if (isSpoiled(view)) takeBack(view);
      view.contract = contract;
      view.contractOpen = true;
      view.fenced = false;
      view.spoiled = false;
      enterTier(view, record.terms?.tier ?? 0, contract.epoch);
      view.triedBefore = view.tried;
      view.tried = toTheEnd(view.tried, record.from);
      view.epoch = contract.epoch;
      view.failure = undefined;
      view.handedBack = false;
      view.contractAt = record.storedAt;
      break;
    }
    case "checkpoint":
      note(view, record.body as Partial<Checkpoint>);
      break;
    case "failure":
      view.failure = record.body as FailureRecord;
      view.contractOpen = false;
      if (isHandedBack(view.failure, view.left)) handBack(view);
      break;
    case "cancel":
      view.cancel = record.body as CancelRecord;
      view.contractOpen = false;
      break;
    case "outcome":
      view.contractOpen = false;
      // Nobody waits for an answer any more.
      view.questions = [];
      view.outcome = record.body as Outcome;
      view.outcomeRev = record.rev;
      view.endedAt = record.storedAt;
      break;
    default:
      break;
  }
}

/** An answer stands under its question's key with a mark. */
function note(view: TaskView, { entries = [] }: Partial<Checkpoint>): void {
  for (const { key, op, value } of entries) {
    if (op !== "ask") continue;
    view.questions = view.questions.filter((q) => q.key !== key && `${q.key}!` !== key);
    if (key.endsWith("!")) continue;
    const { question, until } = (value ?? {}) as { question?: unknown; until?: number };
    view.questions.push(until === undefined ? { key, question } : { key, question, until });
  }
}

/** Did its agent stop in order, after so many others? Then somebody else goes on, at once.
 * @param left contracts of the task that were handed back before */
export function isHandedBack(
  { leaving, failure }: Pick<FailureRecord, "leaving" | "failure">,
  left: number,
): boolean {
  return leaving === true && failure.retry && left < HAND_BACKS_MAX;
}

/** Was its contractor fenced off by somebody else's junk, after so many others? Then somebody goes
 * on, at once. */
export function isSpoiled({ contractOpen, spoiled, left }: TaskView): boolean {
  return contractOpen && spoiled && left < HAND_BACKS_MAX;
}

function handBack(view: TaskView): void {
  view.handedBack = true;
  takeBack(view);
}

/** The last contract is no attempt. */
function takeBack(view: TaskView): void {
  view.left++;
  view.tierBase++;
  view.tried = view.triedBefore;
}

/** The same agents, this one last. */
export function toTheEnd(agents: readonly Address[], who: Address): Address[] {
  return [...agents.filter((agent) => agent !== who), who];
}

function enterTier(view: TaskView, tier: number, epoch: number): void {
  if (tier === view.tier) return;
  view.tier = tier;
  view.tierBase = epoch - 1;
  view.tried = [];
}

function stateOf(view: TaskView): TaskState {
  if (view.outcome !== undefined) return view.outcome.state;
  if (view.contractOpen) return view.questions.length > 0 ? "input_required" : "running";
  if (view.failure !== undefined || view.epoch > 0) return "negotiating";
  return "submitted";
}
