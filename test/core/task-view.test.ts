import { describe, expect, test } from "vitest";
import type {
  AwardTerms,
  Contract,
  FailureRecord,
  Outcome,
  RecordKind,
  Role,
} from "../../contracts/index.ts";
import {
  AUTHOR_UNKNOWN,
  foldTask,
  mayHaveEnded,
  type ReadRecord,
} from "../../mesh/core/task-view.ts";
import { makeSpec } from "../support/core.ts";

let rev = 0;

function record(kind: RecordKind, body: object, from = "b.w", awardRev?: number): ReadRecord {
  rev += 1;
  return {
    kind,
    rev,
    from,
    to: "a.main",
    digest: `d${rev}`,
    storedAt: 1_000 + rev,
    ...(awardRev === undefined ? {} : { terms: { rev: awardRev } as AwardTerms }),
    body: body as ReadRecord["body"],
  };
}

const spec = () => record("spec", makeSpec(), "sue.main");
const contract = (epoch: number, awardRev = rev) =>
  record("contract", { epoch, contractor: "b.w" } as Partial<Contract>, "b.w", awardRev);
const failure = (epoch: number, from = "b.w") =>
  record("failure", { epoch } as Partial<FailureRecord>, from);
const cancel = () => record("cancel", { reason: "enough" }, "sue.main");
const outcome = (state: Outcome["state"], from = "b.w", epoch = 1) =>
  record("outcome", { state, epoch } as Partial<Outcome>, from);
const role = (r: ReadRecord, as: Role): ReadRecord => ({ ...r, role: as });

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

  test("a contract that was handed back is no attempt, a hundred times and not for ever", () => {
    const body = { leaving: true, failure: { code: "E_DRAINING", message: "", retry: true } };
    const leaves = (epoch: number) => record("failure", { ...body, epoch });
    const rows = Array.from({ length: 101 }, (_, i) => () => [contract(i + 1), leaves(i + 1)]);
    const some = fold(spec(), ...rows.slice(0, 2).flatMap((row) => row()));
    expect(some).toMatchObject({ left: 2, tierBase: 2, handedBack: true, tried: [], faults: [] });
    expect(fold(spec(), ...rows[0]!(), contract(2)).handedBack).toBe(false);
    const all = fold(spec(), ...rows.flatMap((row) => row()));
    expect(all).toMatchObject({ epoch: 101, left: 100, tierBase: 100, handedBack: false });
    // Who had failed it before has failed it still.
    const again = fold(spec(), contract(1), failure(1), contract(2), leaves(2));
    expect(again).toMatchObject({ left: 1, tried: ["b.w"] });
  });

  test("what is handed back for good is a failure like any other", () => {
    const failed = { code: "E_TERMINAL", message: "", retry: false };
    const last = record("failure", { leaving: true, failure: failed, epoch: 1 });
    expect(fold(spec(), contract(1), last)).toMatchObject({ left: 0, handedBack: false });
  });

  test("a contract may follow a contract that fell silent", () => {
    expect(fold(spec(), contract(1), contract(2)).faults).toEqual([]);
  });

  test("kinds that only accompany a task change nothing but its revision", () => {
    const view = fold(
      spec(),
      contract(1),
      record("checkpoint", { epoch: 1 }),
      record("question", {}),
    );
    expect(view).toMatchObject({ state: "running", epoch: 1, faults: [] });
    expect(view.rev).toBe(rev);
  });
});

describe("faults", () => {
  const counts = /does not count/;

  test("S2: anything after the outcome; the first outcome counts", () => {
    const list = [spec(), contract(1), outcome("completed"), outcome("failed")];
    const view = foldTask(list);
    expect(view.faults.join("; ")).toMatch(/S2: outcome after the outcome.*S2: a second outcome/);
    expect(view.state).toBe("completed");
    expect(view.endedAt).toBe(list[2]?.storedAt);
    expect(fold(spec(), outcome("expired"), contract(1)).faults[0]).toBe(
      "S2: contract after the outcome",
    );
  });

  test("S3: an epoch that is repeated, skipped or goes back makes no contract", () => {
    for (const epochs of [[1, 1], [2], [1, 2, 1]]) {
      const view = fold(spec(), ...epochs.map((epoch) => contract(epoch)));
      expect(view.faults.join()).toMatch(/S3: epoch/);
      expect(view.epoch).toBe(epochs.slice(0, -1).at(-1) ?? 0);
    }
  });

  test("S3: a second spec", () => {
    const { faults } = fold(spec(), spec());
    expect(faults.join()).toMatch(/spec by .* does not count: S3: a second spec/);
  });

  test("revisions out of order", () => {
    const [a, b] = [spec(), contract(1)];
    expect(foldTask([b, a]).faults.join()).toMatch(/revisions out of order at spec/);
  });

  test("S4: a result of somebody who holds no contract, or of an earlier epoch", () => {
    const stranger = fold(spec(), contract(1), outcome("completed", "x.w"));
    expect(stranger.state).toBe("running");
    expect(stranger.faults.join()).toMatch(/S4/);
    const late = fold(spec(), contract(1), contract(2), outcome("completed", "b.w", 1));
    expect(late.outcome).toBeUndefined();
    expect(fold(spec(), outcome("completed", "b.w", 0)).outcome).toBeUndefined();
  });

  test("a claim without a proven award, or for another revision, makes no contract", () => {
    const bare = record("contract", { epoch: 1, contractor: "b.w" });
    expect(fold(spec(), bare)).toMatchObject({ epoch: 0, contractOpen: false, rev: bare.rev });
    const first = spec();
    expect(fold(first, contract(1, first.rev - 1)).contract).toBeUndefined();
  });

  test("a failure counts from the contractor only", () => {
    const view = fold(spec(), contract(1), failure(1, "x.w"));
    expect(view).toMatchObject({ state: "running", failure: undefined });
    expect(view.faults.join()).toMatch(counts);
    expect(fold(spec(), contract(1), failure(2)).failure).toBeUndefined();
  });

  test("a cancel counts from submitter, owner and operators", () => {
    const by = (from: string, as?: Role) => {
      const r = record("cancel", { reason: "" }, from);
      return fold(spec(), as === undefined ? r : role(r, as)).cancel !== undefined;
    };
    expect([by("sue.main"), by("sue.other"), by("root.x", "admin")]).toEqual([true, true, true]);
    expect([by("bob.w"), by("bob.w", "agent")]).toEqual([false, false]);
  });

  test("other ends than completed count from those who may supervise", () => {
    const by = (as: Role) =>
      fold(spec(), role(outcome("expired", "z.main", 0), as)).outcome !== undefined;
    expect([by("initiator"), by("agent"), by("admin")]).toEqual([true, true, true]);
    expect([by("contractor"), by("submitter"), by("observer")]).toEqual([false, false, false]);
  });

  test("a record that cannot be proven moves the revision and nothing else", () => {
    const forged = { ...cancel(), flaw: "it cannot be proven" };
    const view = fold(spec(), forged);
    expect(view).toMatchObject({ rev: forged.rev, head: forged.digest, cancel: undefined });
    expect(view.faults.join()).toMatch(/cannot be proven/);
  });

  test("under a contract nothing counts behind a record that does not (P10.2)", () => {
    const first = [spec(), contract(1)];
    const forged = { ...cancel(), flaw: "it cannot be proven" };
    const held = foldTask([...first, forged]);
    expect(held).toMatchObject({ contractOpen: true, fenced: true });
    for (const late of [outcome("completed"), failure(1), record("checkpoint", { epoch: 1 })]) {
      const view = foldTask([...first, forged, late]);
      expect(view).toMatchObject({ outcome: undefined, failure: undefined, contractOpen: true });
      expect(view.faults).toHaveLength(2);
    }
    const next = contract(2, forged.rev);
    const done = outcome("completed", "b.w", 2);
    expect(foldTask([...first, forged, next, done]).outcome).toBe(done.body);
  });

  test("an end is in doubt while the author of any record is not known", () => {
    const list = [spec(), contract(1), outcome("completed")];
    expect(mayHaveEnded(list)).toBe(false);
    for (const unknown of list) {
      const some = list.map((r) => (r === unknown ? { ...r, flaw: AUTHOR_UNKNOWN } : r));
      expect(mayHaveEnded(some), unknown.kind).toBe(true);
      expect(mayHaveEnded(some.slice(0, 2)), unknown.kind).toBe(false);
    }
  });
});
