import { describe, expect, test } from "vitest";
import type { Contract, FailureRecord, Outcome, RecordKind } from "../../contracts/index.ts";
import { foldTask, type ReadRecord } from "../../mesh/core/task-view.ts";
import { makeSpec } from "../support/core.ts";

let rev = 0;

function record(kind: RecordKind, body: object, from = "b.w"): ReadRecord {
  rev += 1;
  return {
    kind,
    rev,
    from,
    to: "a.main",
    digest: `d${rev}`,
    storedAt: 1_000 + rev,
    body: body as ReadRecord["body"],
  };
}

const spec = () => record("spec", makeSpec(), "sue.main");
const contract = (epoch: number) =>
  record("contract", { epoch, contractor: "b.w" } as Partial<Contract>);
const failure = (epoch: number) => record("failure", { epoch } as Partial<FailureRecord>);
const cancel = () => record("cancel", { reason: "enough" }, "sue.main");
const outcome = (state: Outcome["state"]) => record("outcome", { state } as Partial<Outcome>);

function fold(...records: ReadRecord[]) {
  return foldTask(records);
}

describe("a sound task", () => {
  test("states from the first record to the last", () => {
    expect(fold().state).toBe("submitted");
    expect(fold(spec()).state).toBe("submitted");
    expect(fold(spec(), contract(1)).state).toBe("running");
    expect(fold(spec(), contract(1), failure(1)).state).toBe("negotiating");
    expect(fold(spec(), contract(1), cancel()).state).toBe("negotiating");
    for (const state of ["completed", "failed", "canceled", "expired", "rejected"] as const) {
      expect(fold(spec(), contract(1), outcome(state)).state).toBe(state);
    }
  });

  test("remembers who, when and under which revision", () => {
    const list = [spec(), contract(1), outcome("completed")];
    const view = foldTask(list);
    expect(view).toMatchObject({
      rev: list[2]?.rev,
      head: list[2]?.digest,
      epoch: 1,
      submitter: "sue.main",
      submittedAt: list[0]?.storedAt,
      contractAt: list[1]?.storedAt,
      endedAt: list[2]?.storedAt,
      faults: [],
    });
  });

  test("a failure is forgotten once a new contract is there", () => {
    const failed = fold(spec(), contract(1), failure(1));
    expect(failed.failure).toBeDefined();
    expect(failed.contractOpen).toBe(false);
    const again = fold(spec(), contract(1), failure(1), contract(2));
    expect(again.failure).toBeUndefined();
    expect(again).toMatchObject({ contractOpen: true, epoch: 2, faults: [] });
  });

  test("a contract may follow a contract that fell silent", () => {
    expect(fold(spec(), contract(1), contract(2)).faults).toEqual([]);
  });

  test("kinds that only accompany a task change nothing but its revision", () => {
    const view = fold(spec(), contract(1), record("checkpoint", {}), record("question", {}));
    expect(view).toMatchObject({ state: "running", epoch: 1, faults: [] });
    expect(view.rev).toBe(rev);
  });
});

describe("faults", () => {
  test("S2: anything after the outcome; the first outcome counts", () => {
    const list = [spec(), contract(1), outcome("completed"), outcome("failed")];
    const view = foldTask(list);
    expect(view.faults).toEqual(["S2: outcome after the outcome"]);
    expect(view.state).toBe("completed");
    expect(view.endedAt).toBe(list[2]?.storedAt);
    expect(fold(spec(), outcome("expired"), contract(1)).faults).toEqual([
      "S2: contract after the outcome",
    ]);
  });

  test("S3: an epoch that is repeated, skipped or goes back", () => {
    expect(fold(spec(), contract(1), contract(1)).faults).toEqual(["S3: epoch 1 after 1"]);
    expect(fold(spec(), contract(2)).faults).toEqual(["S3: epoch 2 after 0"]);
    expect(fold(spec(), contract(1), contract(2), contract(1)).faults).toEqual([
      "S3: epoch 1 after 2",
    ]);
  });

  test("S3: a second spec", () => {
    expect(fold(spec(), spec()).faults).toEqual(["S3: a second spec"]);
  });

  test("revisions out of order", () => {
    const [a, b] = [spec(), contract(1)];
    expect(foldTask([b, a]).faults.join()).toMatch(/revisions out of order at spec/);
  });
});
