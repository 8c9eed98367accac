import { describe, expect, test } from "vitest";
import type { RecordKind } from "../../../contracts/index.ts";
import type { StoredRecord } from "../../../mesh/ports/index.ts";
import { Judge } from "../../../sim/live/judge.ts";
import type { Execution } from "../../../sim/live/messages.ts";

let rev = 0;

function record(
  task: string,
  kind: RecordKind,
  from: string,
  storedAt: number,
  body: object = {},
  n = "1",
): StoredRecord {
  const [fromPrincipal = "", fromAgent = ""] = from.split(".");
  return {
    key: {
      owner: "sim",
      task,
      kind,
      n,
      toPrincipal: "_",
      toAgent: "_",
      fromPrincipal,
      fromAgent,
    },
    rev: ++rev,
    storedAt,
    body: Buffer.from(JSON.stringify(body)),
    header: () => undefined,
  };
}

const done = { state: "completed", startedAt: 12, endedAt: 19 };

function execution(task: string, worker: string, epoch: number, finished = true): Execution {
  return { task, worker, epoch, startMs: 12.5, endMs: 19.5, finished };
}

function judge(records: StoredRecord[], reported: Execution[] = [], ids = ["t"]) {
  const one = new Judge("sim");
  for (const each of records) one.see(each);
  return one.verdict(
    ids.map((id) => ({ id, submitMs: 5 })),
    reported,
  );
}

describe("the judge", () => {
  test("takes moments from the server and executions from the hosts", () => {
    const { tasks, executions, secondContracts } = judge(
      [
        record("t", "spec", "sim.main", 6, {}, "0-1"),
        record("t", "contract", "h.a1", 8),
        record("t", "outcome", "h.a1", 20, done),
      ],
      [execution("t", "h.a1", 1)],
    );
    expect(tasks).toEqual([
      {
        id: "t",
        submitMs: 5,
        specMs: 6,
        contractMs: 8,
        outcomeMs: 20,
        state: "completed",
        contractor: "h.a1",
        outcomes: 1,
      },
    ]);
    expect(executions).toEqual([
      { task: "t", worker: "h.a1", startMs: 12.5, endMs: 19.5, completed: true },
    ]);
    expect(secondContracts).toBe(0);
  });

  test("leaves a task without an outcome in no terminal state", () => {
    const { tasks } = judge([record("t", "spec", "sim.main", 6)], [], ["t", "u"]);
    expect(tasks.map(({ state, outcomes }) => [state, outcomes])).toEqual([
      ["submitted", 0],
      ["submitted", 0],
    ]);
    const { tasks: running } = judge([record("t", "contract", "h.a1", 8)]);
    expect(running[0]?.state).toBe("running");
  });

  test("counts two outcomes of one task", () => {
    const { tasks, executions } = judge([
      record("t", "outcome", "h.a1", 20, done),
      record("t", "outcome", "h.a2", 21, done, "2"),
    ]);
    expect(tasks[0]?.outcomes).toBe(2);
    expect(executions.filter((row) => row.completed === true)).toHaveLength(2);
  });

  test("counts an execution whose outcome was fenced out as not completed", () => {
    const { tasks, executions, secondContracts } = judge(
      [
        record("t", "contract", "h.a1", 8),
        record("t", "contract", "h.a2", 11, {}, "2"),
        record("t", "outcome", "h.a2", 21, done, "2"),
      ],
      [execution("t", "h.a1", 1), execution("t", "h.a2", 2)],
    );
    expect(executions.map(({ worker, completed }) => [worker, completed])).toEqual([
      ["h.a1", false],
      ["h.a2", true],
    ]);
    expect(tasks[0]).toMatchObject({ contractMs: 8, contractor: "h.a2", outcomes: 1 });
    expect(secondContracts).toBe(1);
  });

  test("counts the same contract executed twice", () => {
    const twice = [execution("t", "h.a1", 1), execution("t", "h.a1", 1)];
    const { executions } = judge([record("t", "outcome", "h.a1", 20, done)], twice);
    expect(executions.filter((row) => row.completed === true)).toHaveLength(2);
  });

  test("knows of an execution whose host died before it could report", () => {
    const { executions } = judge([record("t", "outcome", "h.a1", 20, done)]);
    expect(executions).toEqual([
      { task: "t", worker: "h.a1", startMs: 12, endMs: 19, completed: true },
    ]);
  });

  test("ignores other owners, other tasks, and bytes that are no outcome", () => {
    const foreign = record("t", "outcome", "h.a1", 20, done);
    const { tasks, executions } = judge(
      [
        { ...foreign, key: { ...foreign.key, owner: "ann" } },
        record("x", "outcome", "h.a1", 20, done),
        { ...record("t", "outcome", "h.a1", 22), body: Buffer.from("\u0000") },
      ],
      [execution("x", "h.a1", 1)],
    );
    expect(tasks).toHaveLength(1);
    expect(tasks[0]).toMatchObject({ state: "unreadable", outcomes: 1 });
    expect(executions).toEqual([]);
  });
});
