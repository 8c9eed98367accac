// What a record means to the initiator that watches its task, in step with core/task-view.ts,
// which says the same of a whole history.
import type { FailureRecord, Outcome } from "../../contracts/index.ts";
import type { Event, InitiatorTask } from "../core/initiator-task.ts";
import { mayCancel, supervises } from "../core/task-view.ts";
import type { ProvenRecord } from "./records.ts";

/** Undefined when its author had no right to write it: then it moved the revision, no more. */
export function lawfulEvent(t: InitiatorTask, record: ProvenRecord): Event | undefined {
  const { rev, digest: head, from, body } = record;
  switch (record.kind) {
    case "contract":
      if (record.terms === undefined || record.terms.rev !== t.rev) return undefined;
      return { on: "contract", rev, head, epoch: record.terms.epoch, from };
    case "failure": {
      const { epoch, failure, leaving = false } = body as FailureRecord;
      if (from !== t.contractor || epoch !== t.epoch) return undefined;
      return { on: "failure", rev, head, epoch, failure, leaving };
    }
    case "checkpoint": {
      const { epoch } = body as { epoch: number };
      return from === t.contractor && epoch === t.epoch ? { on: "moved", rev, head } : undefined;
    }
    case "outcome": {
      const { state, epoch } = body as Outcome;
      const his = record.terms !== undefined && from === t.contractor && epoch === t.epoch;
      const lawful = state === "completed" ? his : supervises(record.role);
      return lawful ? { on: "outcome", rev } : undefined;
    }
    case "cancel":
      if (!mayCancel(record, t.submitter, t.owner)) return undefined;
      return { on: "cancel", rev, head, reason: (body as { reason: string }).reason };
    default:
      return undefined;
  }
}
