// Every invariant, broken by hand in the smallest history that shows it; and the sound history
// beside it. The judge must name the number.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkHistory } from "../../check/checker.ts";
import { type DumpLine, Notary } from "../../check/dump-file.ts";
import { s8, s9 } from "../../check/flow-rules.ts";
import { type Piece, piecesOf, stepsIn } from "../../check/flow-steps.ts";
import { fold } from "../../check/fold.ts";
import { type HistoryLine, lineFault } from "../../check/format.ts";
import {
  addLine,
  addRecord,
  emptyRun,
  type Meta,
  type Operation,
  type Trace,
} from "../../check/traces.ts";

const TASK = "bob.t1";
const MS = 1e6;

interface Story {
  lines: HistoryLine[];
  records: DumpLine[];
  meta: Meta;
}

/** A task that was submitted, awarded, claimed, worked on and completed, as all agree. */
function sound(): Story {
  const counts = new Map<string, number>();
  const line = (p: string, t: number, rest: Partial<HistoryLine>): HistoryLine => {
    const n = counts.get(p) ?? 0;
    counts.set(p, n + 1);
    return { p, n, t: t * MS, k: "obs", op: "", task: TASK, ...rest };
  };
  const write = (
    p: string,
    t: number,
    op: string,
    who: string,
    e: number,
    at: [number, number],
  ) => [
    line(p, t, { k: "inv", op, who, e, id: `i-${op}`, d: `d-${op}`, rev: at[0] }),
    line(p, t + 1, { k: "ok", op, who, e, id: `i-${op}`, d: `d-${op}`, rev: at[1] }),
  ];
  const record = (kind: string, rev: number, from: string, fence: number): DumpLine => ({
    rev,
    at: 1_000_000 + rev,
    task: TASK,
    kind,
    n: "1",
    from,
    to: "_._",
    fence,
    id: `i-${kind}`,
    d: `d-${kind}`,
  });
  const award = {
    rev: 1,
    e: 1,
    by: "ina.main",
    to: "amy.a",
    cfp: "c1",
    rung: "s8",
    policy: "fastest",
  };
  return {
    lines: [
      ...write("load", 1, "spec", "bob.main", 0, [0, 1]),
      line("ina", 3, { op: "cfp", who: "ina.main", id: "c1" }),
      line("amy", 4, { op: "bid", who: "amy.a", to: "ina.main", id: "c1" }),
      line("ina", 5, { op: "award", who: "ina.main", to: "amy.a", e: 1, id: "c1", rev: 1 }),
      ...write("amy", 6, "contract", "amy.a", 1, [1, 2]),
      line("amy", 8, { op: "start", who: "amy.a", e: 1 }),
      ...write("amy", 9, "outcome", "amy.a", 1, [2, 3]),
      line("amy", 11, { op: "stop", who: "amy.a", e: 1 }),
    ],
    records: [
      { ...record("spec", 1, "bob.main", 0), attemptsMax: 3, deadline: 2_000_000 },
      {
        ...record("contract", 2, "amy.a", 1),
        e: 1,
        award: { ...award, bids: ["amy.a"], spec: "d-spec" },
      },
      { ...record("outcome", 3, "amy.a", 2), e: 1, state: "completed", attempts: 1 },
    ],
    meta: { drained: true, proven: true },
  };
}

function verdict(story: Story) {
  const run = emptyRun();
  run.meta = story.meta;
  const pending = new Map<string, Operation>();
  for (const line of story.lines) addLine(run, line, pending);
  for (const record of story.records) addRecord(run, record);
  return checkHistory(run);
}

const at = (s: Story, kind: string): DumpLine => s.records.find((r) => r.kind === kind) as DumpLine;
const drop = (s: Story, op: string) => {
  s.lines = s.lines.filter((l) => l.op !== op);
};

const BREACHES: [rule: string, what: string, breach: (s: Story) => void][] = [
  ["S1", "an acknowledged record is gone", (s) => void s.records.pop()],
  [
    "S1",
    "it is stored with another body",
    (s) => {
      at(s, "outcome").d = "other";
    },
  ],
  [
    "S1",
    "the award carried another spec",
    (s) => {
      at(s, "contract").award!.spec = "x";
    },
  ],
  [
    "S2",
    "something follows the outcome",
    (s) => void s.records.push({ ...at(s, "outcome"), rev: 4, fence: 3, id: "again" }),
  ],
  [
    "S3",
    "an epoch is left out",
    (s) => {
      at(s, "contract").e = 2;
    },
  ],
  [
    "S4",
    "a result of somebody else",
    (s) => {
      at(s, "outcome").from = "bob.main";
    },
  ],
  [
    "S4",
    "a result of an old epoch",
    (s) => {
      at(s, "outcome").e = 0;
    },
  ],
  [
    "S5",
    "a write without a fence",
    (s) => {
      delete at(s, "outcome").fence;
    },
  ],
  ["S5", "a handler without a contract", (s) => drop(s, "contract")],
  ["S7", "an award without a bid", (s) => drop(s, "bid")],
  [
    "S7",
    "an award of what is for somebody else alone",
    (s) => {
      at(s, "spec").only = "ann.a";
    },
  ],
  [
    "S4",
    "a result behind a void record",
    (s) => {
      const forged = { ...at(s, "outcome"), rev: 3, fence: 2, id: "eve", flaw: "no signature" };
      Object.assign(at(s, "outcome"), { rev: 4, fence: 3 });
      s.records.splice(2, 0, forged);
    },
  ],
  ["S10", "an award for a task of nobody's", (s) => void s.records.shift()],
  [
    "S11",
    "a record that is not signed",
    (s) => {
      at(s, "spec").flaw = "no signature";
    },
  ],
  [
    "S12",
    "a record of a revoked identity",
    (s) => {
      s.meta.revoked = { amy: 1_000 };
    },
  ],
  ["S13", "a task that never ends", (s) => void s.records.pop()],
  [
    "S14",
    "more attempts than allowed",
    (s) => {
      at(s, "spec").attemptsMax = 0;
    },
  ],
  [
    "S16",
    "what was refused is stored",
    (s) => {
      for (const l of s.lines) if (l.op === "outcome" && l.k === "ok") l.k = "fail";
    },
  ],
  [
    "L1",
    "an end long after the deadline",
    (s) => {
      endsAfter(s, 6_501);
    },
  ],
];

/** Its deadline is over as it is stored; it ends so many ms later. */
function endsAfter(s: Parameters<typeof at>[0], ms: number): void {
  const spec = at(s, "spec");
  spec.deadline = spec.at;
  at(s, "outcome").at = spec.at + ms;
}

describe("the judge", () => {
  test("finds nothing in a sound history", () => {
    const report = verdict(sound());
    expect(report.violations).toEqual([]);
    expect(report.verdict).toBe("valid");
    expect(report.counts).toMatchObject({ accepted: 1, completed: 1, lost: 0 });
  });

  test("L1: allows for a delivery that was lost", () => {
    const s = sound();
    endsAfter(s, 6_500);
    expect(verdict(s).violations).toEqual([]);
  });

  test.each([
    ["over 8 s before", 8_000, ["ok"], []],
    ["over longer ago", 8_001, ["ok"], ["L1"]],
    ["not over", 9_000, [], []],
  ] as const)("L1: after a fault, time to recover: %s", (_, ms, fates, rules) => {
    const s = sound();
    endsAfter(s, 20_000);
    const end = s.lines.find((l) => l.op === "outcome" && l.k === "ok") as HistoryLine;
    const fault = { p: "nemesis", n: 0, op: "cut", target: "elsewhere" };
    s.lines.push({ ...fault, k: "inv", t: end.t - 30_000 * MS });
    for (const k of fates) s.lines.push({ ...fault, k, n: 1, t: end.t - ms * MS });
    expect(verdict(s).violations.map((v) => v.rule)).toEqual(rules);
  });

  test.each(BREACHES)("%s: %s", (rule, _what, breach) => {
    const story = sound();
    breach(story);
    const report = verdict(story);
    expect(report.verdict).toBe("invalid");
    const found = report.violations.find((v) => v.rule === rule);
    expect(report.violations.map((v) => v.rule)).toContain(rule);
    expect(found?.task).toBe(TASK);
    expect(found?.witness.length).toBeGreaterThan(0);
  });

  test.each([
    [3, "held to what stood last, as its initiator", "valid"],
    [2, "held to its own contract", "invalid"],
  ])("S5: who was fenced and awarded it to itself ends it, revision %i: %s", (fence, _, result) => {
    const s = sound();
    const award = at(s, "contract").award as NonNullable<DumpLine["award"]>;
    award.by = "amy.a";
    for (const l of s.lines) {
      if (l.who === "ina.main") l.who = "amy.a";
      if (l.op === "bid") l.to = "amy.a";
      if (l.op === "outcome") l.rev = l.k === "inv" ? fence : 4;
    }
    const told = s.lines.findIndex((l) => l.op === "outcome");
    const fenced = { p: "amy", n: 0, t: 8.5 * MS, k: "obs", op: "fenced", task: TASK } as const;
    s.lines.splice(told, 0, { ...fenced, who: "amy.a", e: 1, note: "by bob.main" });
    let n = 0;
    for (const l of s.lines) if (l.p === "amy") l.n = n++;
    const cancel = { ...at(s, "spec"), kind: "cancel", rev: 3, fence: 2, id: "i-cancel" };
    Object.assign(at(s, "outcome"), { rev: 4, fence, state: "canceled" });
    s.records.splice(2, 0, cancel);
    expect(verdict(s).verdict).toBe(result);
  });

  test("calls a run vacuous in which nothing happened, or no fault was seen", () => {
    expect(verdict({ lines: [], records: [], meta: {} }).verdict).toBe("vacuous");
    const story = sound();
    story.meta.planned = { faults: 1 };
    expect(verdict(story).verdict).toBe("vacuous");
  });

  test("says which rules it had no evidence for", () => {
    expect(Object.keys(verdict(sound()).notJudged)).toEqual(
      expect.arrayContaining(["S6", "S8", "S9", "L3"]),
    );
  });

  test("refuses any line that is none, whatever it is", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const fault = lineFault(value);
        if (fault === undefined) expect(value).toMatchObject({ p: expect.any(String) });
        else expect(fault).not.toBe("");
      }),
    );
  });
});

describe("workflows", () => {
  const STEPS = [
    { id: "a", capability: "x" },
    { id: "b", capability: "x", input: { of: { $: "steps.a.output" } } },
    { id: "c", capability: "x", after: ["b"] },
    { id: "map", capability: "x", each: { in: { $: "steps.a.output" } } },
    { id: "loop", capability: "x", repeat: { rounds: 3 }, after: ["map"] },
  ];
  const spec = { owner: "bob", task: "flow", capability: "workflow" };
  const steps = stepsIn({ ...spec, input: { definition: { steps: STEPS } } }) ?? [];
  const line = (task: string, kind: string, rev: number, state?: string): DumpLine => ({
    rev,
    at: rev,
    task,
    kind,
    n: "1",
    from: "amy.a",
    to: "_._",
    id: `${kind}${rev}`,
    d: "",
    ...(state === undefined ? {} : { state }),
  });
  const pieces = new Map<string, Piece>();
  for (const step of steps) {
    let most = 3;
    for (const piece of piecesOf("bob.flow", step, () => most-- > 0)) pieces.set(piece.name, piece);
  }
  /** Contract and end of each piece at these revisions; the second list: of its second task. */
  const judge = (at: Record<string, [number, number][]>, over: Partial<DumpLine> = {}) => {
    const run = emptyRun();
    addRecord(run, { ...line("bob.flow", "spec", 1), steps, ...over });
    for (const [id, tries] of Object.entries(at)) {
      const { tasks } = pieces.get(id) as Piece;
      tries.forEach(([contract, end], n) => {
        const task = tasks[n] as string;
        addRecord(run, line(task, "spec", contract - 1));
        addRecord(run, line(task, "contract", contract));
        addRecord(run, line(task, "outcome", end, "completed"));
      });
    }
    const found: string[] = [];
    const trace = run.traces.get("bob.flow") as Trace;
    const c = { trace, run, fold: fold(trace.records), judged: () => undefined };
    for (const rule of [s8, s9])
      rule({ ...c, found: (r, what) => void found.push(`${r} ${what}`) });
    return found;
  };

  test("S9: values and order are what a step comes after", () => {
    expect(steps.map((s) => s.after)).toEqual([[], ["a"], ["b"], ["a"], ["map"]]);
    expect(judge({ a: [[3, 4]], b: [[6, 7]], c: [[9, 10]] })).toEqual([]);
    expect(judge({ a: [[3, 8]], b: [[6, 7]], c: [[9, 10]] })).toEqual([
      'S9 step "b" was begun at 6, before "a" was done',
    ]);
  });

  test("S9: what comes after a skipped step goes on", () => {
    expect(judge({ a: [[3, 4]], c: [[6, 7]] })).toEqual([]);
  });

  test("S8: a step that is done twice is found, also when its second try was another task", () => {
    expect(
      judge({
        a: [
          [3, 4],
          [6, 7],
        ],
      }),
    ).toEqual(['S8 step "a" is recorded 2 times']);
  });

  test("S9: a map is done when each of its elements is, a loop after each of its rounds", () => {
    const rounds = { loop: [[12, 13]], "loop:1": [[15, 16]] } as Record<string, [number, number][]>;
    const map = { a: [[3, 4]], "map.0": [[6, 7]], "map.1": [[6, 10]] } as typeof rounds;
    expect(judge({ ...map, ...rounds })).toEqual([]);
    expect(judge({ ...map, "map.1": [[6, 14]], ...rounds })).toEqual([
      'S9 step "loop" was begun at 12, before "map.1" was done',
    ]);
    expect(judge({ ...map, loop: [[12, 18]], "loop:1": [[15, 16]] })).toEqual([
      'S9 step "loop:1" was begun at 15, before "loop" was done',
    ]);
  });

  test("S8: an element of a map is done once", () => {
    const map = { a: [[3, 4]], "map.0": [[6, 7]] } as Record<string, [number, number][]>;
    const twice: [number, number][] = [
      [6, 7],
      [9, 10],
    ];
    expect(judge({ ...map, "map.1": twice })).toEqual(['S8 step "map.1" is recorded 2 times']);
  });

  test("by name are judged by what their journal keeps", () => {
    const to = { toPrincipal: "_", toAgent: "_", fromPrincipal: "amy", fromAgent: "a" };
    const key = { owner: "bob", task: "flow", kind: "checkpoint", n: "1-1", ...to } as const;
    const entries = [{ key: "=definition", value: { steps: STEPS } }];
    const body = Buffer.from(JSON.stringify({ entries }));
    const record = { key, rev: 2, storedAt: 2, body, header: () => undefined };
    expect(new Notary(undefined).line(record).steps).toEqual(steps);
  });

  test("that were changed on the way are not judged", () => {
    expect(judge({ a: [[3, 8]], b: [[6, 7]] }, { changed: true })).toEqual([]);
  });
});
