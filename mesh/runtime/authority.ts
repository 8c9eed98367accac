// Authority shrinks: a sub-task acts for somebody else's owner only under its parent's contract,
// and never beyond the parent's deadline and budget (architecture section 7).
import { type Address, ParleyError, type RecordKey, type Spec } from "../../contracts/index.ts";
import { foldTask, type ReadRecord, type TaskView } from "../core/task-view.ts";
import type { Records } from "./records.ts";

/**
 * Undefined when the parent's contract covered the sub-task at the moment that it was stored; else
 * what is wrong, in words. Revisions of all tasks are of one order, so that moment is no matter of
 * clocks, and a sub-task stays lawful when its parent goes to another contractor.
 */
export async function checkParent(
  records: Records,
  key: RecordKey,
  record: ReadRecord,
): Promise<string | undefined> {
  const spec = record.body as Spec;
  const parent = spec.parent;
  if (parent === undefined) return `${record.from} is not ${key.owner} and names no parent`;
  if (parent.contractor !== record.from) return "the parent's contractor is somebody else";
  const read = await records.read(key.owner, parent.task);
  const view = foldTask(read.filter((r) => r.rev < record.rev));
  const fault = faultUnder(view, record);
  // A copy that lags knows nothing of the contract yet.
  const isSure =
    fault === undefined || (await records.isNewest(key.owner, parent.task, read.at(-1)?.rev ?? 0));
  if (!isSure) throw new ParleyError("E_STORE", "the parent cannot be read up to now; try again");
  return fault;
}

function faultUnder(view: TaskView, record: ReadRecord): string | undefined {
  const spec = record.body as Spec;
  const parent = spec.parent as NonNullable<Spec["parent"]>;
  if (view.contract === undefined || !view.contractOpen) return "the parent has no open contract";
  if (view.contract.contractor !== record.from) return "the parent's contract is another's";
  if (view.epoch !== parent.epoch) return `the parent is in epoch ${view.epoch}`;
  if (view.spec === undefined) return "the parent has no spec";
  if (spec.deadline > view.spec.deadline) return "the deadline is later than the parent's";
  const budget = view.spec.budget;
  if (budget !== undefined && (spec.budget === undefined || spec.budget > budget)) {
    return "the budget is larger than the parent's";
  }
  return undefined;
}

/** Does this agent hold the contract that a sub-task is part of now? False where that cannot be
 * read. */
export async function holdsParent(records: Records, spec: Spec, agent: Address): Promise<boolean> {
  if (spec.parent === undefined) return false;
  try {
    const view = foldTask(await records.read(spec.owner, spec.parent.task));
    return view.contractOpen && view.contract?.contractor === agent;
  } catch {
    return false;
  }
}
