// What the records of a task say about it: a fold, the same for adoption, `parley task` and audits.
//
// Invariants (faults page 3.3)
//   S2  One terminal record; nothing after it.
//   S3  Epochs grow by exactly one; one contractor per epoch.
import type {
  Address, CancelRecord, Contract, FailureRecord, Outcome, RecordKind, Spec, TaskState,
} from "../../contracts/index.ts";

export interface ReadRecord {
  kind: RecordKind;
  rev: number;
  from: Address;
  to: Address;
  /** Chain digest of this record. */
  digest: string;
  storedAt: number;
  body: Spec | Contract | FailureRecord | CancelRecord | Outcome | Record<string, unknown>;
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
  /** The last attempt's failure, when no contract came after it. */
  failure: FailureRecord | undefined;
  cancel: CancelRecord | undefined;
  outcome: Outcome | undefined;
  submittedAt: number;
  contractAt: number | undefined;
  endedAt: number | undefined;
  /** What does not fit the rules, in words; empty for a sound task. */
  faults: string[];
}

export function foldTask(records: readonly ReadRecord[]): TaskView {
  const view: TaskView = {
    state: "submitted", rev: 0, head: "", epoch: 0, spec: undefined, submitter: undefined,
    contract: undefined, contractOpen: false, failure: undefined, cancel: undefined,
    outcome: undefined, submittedAt: 0, contractAt: undefined, endedAt: undefined, faults: [],
  };
  for (const record of records) {
    if (view.outcome !== undefined) view.faults.push(`S2: ${record.kind} after the outcome`);
    if (record.rev <= view.rev) view.faults.push(`revisions out of order at ${record.kind}`);
    apply(view, record);
    view.rev = record.rev;
    view.head = record.digest;
  }
  view.state = stateOf(view);
  return view;
}

function apply(view: TaskView, record: ReadRecord): void {
  switch (record.kind) {
    case "spec":
      if (view.spec !== undefined) view.faults.push("S3: a second spec");
      view.spec = record.body as Spec;
      view.submitter = record.from;
      view.submittedAt = record.storedAt;
      break;
    case "contract": {
      const contract = record.body as Contract;
      if (contract.epoch !== view.epoch + 1) {
        view.faults.push(`S3: epoch ${contract.epoch} after ${view.epoch}`);
      }
      view.contract = contract;
      view.contractOpen = true;
      view.epoch = contract.epoch;
      view.failure = undefined;
      view.contractAt = record.storedAt;
      break;
    }
    case "failure":
      view.failure = record.body as FailureRecord;
      view.contractOpen = false;
      break;
    case "cancel":
      view.cancel = record.body as CancelRecord;
      view.contractOpen = false;
      break;
    case "outcome":
      view.contractOpen = false;
      if (view.outcome !== undefined) break;
      view.outcome = record.body as Outcome;
      view.endedAt = record.storedAt;
      break;
    default:
      break;
  }
}

function stateOf(view: TaskView): TaskState {
  if (view.outcome !== undefined) return view.outcome.state;
  if (view.contractOpen) return "running";
  if (view.failure !== undefined || view.epoch > 0) return "negotiating";
  return "submitted";
}
