import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Step, type Workflow, WorkflowSchema } from "../../../contracts/index.ts";
import { graphOf } from "../../../mesh/core/workflow/graph.ts";
import { type TaskEnd, type Verdict, WorkflowRun } from "../../../mesh/core/workflow/run.ts";

const step = (id: string, after: string[] = [], over: Partial<Step> = {}): Step => ({
  id,
  after,
  capability: "work",
  ...over,
});
const flow = (steps: Step[], over: object = {}): Workflow =>
  WorkflowSchema.parse({ v: 1, kind: "workflow", name: "w", steps, ...over });

/** Plays a run: `end` says how each task ends, `pick` which of the open ones is next. */
class Play {
  readonly run: WorkflowRun;
  readonly began: string[] = [];
  readonly ended: string[] = [];
  readonly inputs = new Map<string, unknown>();
  verdict: Verdict | undefined;
  result: { output: unknown; failure: unknown } | undefined;
  #open: string[] = [];

  constructor(workflow: Workflow, params = {}) {
    this.run = new WorkflowRun(workflow, params);
  }

  start(verdict?: Verdict): this {
    this.run.start(verdict);
    this.#take();
    return this;
  }

  #take(): void {
    for (const effect of this.run.out.splice(0)) {
      if (effect.do === "task") {
        this.began.push(effect.wish.key);
        this.inputs.set(effect.wish.key, effect.wish.input);
        this.#open.push(effect.wish.key);
      }
      if (effect.do === "verdict") this.verdict = structuredClone(effect.verdict);
      if (effect.do === "end") this.result = effect;
    }
  }

  get open(): readonly string[] {
    return this.#open;
  }

  one(key: string, end: TaskEnd): void {
    this.#open = this.#open.filter((k) => k !== key);
    this.ended.push(key);
    this.run.ended(key, end);
    this.#take();
  }

  all(end: (key: string) => TaskEnd, pick: (n: number) => number = () => 0): this {
    while (this.#open.length > 0) {
      const key = this.#open[pick(this.#open.length)] as string;
      this.one(key, end(key));
    }
    return this;
  }
}

const good = (output: unknown = null): TaskEnd => ({ state: "completed", output });
const bad: TaskEnd = {
  state: "failed",
  failure: { code: "E_HANDLER", message: "no", retry: false },
};

describe("a run", () => {
  test("W1: begins a step after all that it needs, whatever order they end in", () => {
    const graphs = fc
      .array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 30 })
      .map((lists) =>
        lists.map((list, i) => step(`s${i}`, i === 0 ? [] : list.map((n) => `s${n % i}`))),
      );
    fc.assert(
      fc.property(graphs, fc.infiniteStream(fc.nat()), (steps, picks) => {
        const play = new Play(flow(steps)).start();
        const order: string[] = [];
        play.all(
          (key) => {
            order.push(key);
            return good();
          },
          (n) => (picks.next().value as number) % n,
        );
        expect(play.result?.failure).toBeUndefined();
        expect(new Set(play.began).size).toBe(steps.length);
        const g = graphOf(steps);
        steps.forEach((s, i) => {
          for (const b of g.before[i]!) {
            expect(order.indexOf(steps[b]!.id)).toBeLessThan(order.indexOf(s.id));
          }
        });
      }),
    );
  });

  test("gives each step the values that it asks for", () => {
    const play = new Play(
      flow([
        step("a"),
        step("b", [], { input: { twice: { $: "steps.a.output.n" }, by: { $: "params.by" } } }),
      ]),
      { by: 2 },
    ).start();
    play.all((key) => good(key === "a" ? { n: 21 } : { ok: true }));
    expect(play.inputs.get("b")).toEqual({ twice: 21, by: 2 });
    expect(play.result?.output).toEqual({ b: { ok: true } });
  });

  test("takes one way of a switch; what follows both goes on", () => {
    const play = new Play(
      flow([
        step("kind"),
        step("small", [], { when: { $: "steps.kind.output", lt: 10 } }),
        step("large", [], { when: { $: "steps.kind.output", ge: 10 } }),
        step("end", ["small", "large"], { input: { s: { $: "steps.small.state" } } }),
      ]),
    ).start();
    play.all((key) => good(key === "kind" ? 50 : null));
    expect(play.began).toEqual(["kind", "large", "end"]);
    expect(play.inputs.get("end")).toEqual({ s: "skipped" });
  });

  test("maps over a list, so many at a time, in its order", () => {
    const each = { in: { $: "params.list" }, atOnce: 2 };
    const map = step("m", [], { each, input: { x: { $: "item" } } });
    const play = new Play(flow([map, step("sum", [], { input: { $: "steps.m.output" } })]), {
      list: [1, 2, 3, 4, 5],
    }).start();
    let most = 0;
    play.all(
      (key) => {
        most = Math.max(most, play.open.length);
        return good((play.inputs.get(key) as { x?: number }).x ?? 0);
      },
      (n) => n - 1,
    );
    expect(most).toBe(2);
    expect(play.inputs.get("sum")).toEqual([1, 2, 3, 4, 5]);
  });

  test("maps over nothing, and fails on what is no list", () => {
    const m = step("m", [], { each: { in: { $: "params.list" } } });
    expect(new Play(flow([m]), { list: [] }).start().result).toMatchObject({ output: { m: [] } });
    const wrong = new Play(flow([m]), { list: 3 }).start().all(() => good());
    expect(wrong.result?.failure).toMatchObject({ message: expect.stringMatching(/is no list/) });
  });

  test("repeats a step until its condition holds, or its rounds are over", () => {
    const repeat = { until: { $: "last.ok", eq: true }, rounds: 3 };
    const loop = flow([step("try", [], { repeat, input: { n: { $: "round" } } })]);
    let n = 0;
    const play = new Play(loop).start().all(() => good({ ok: ++n === 2 }));
    expect(play.began).toEqual(["try", "try:1"]);
    expect(play.result?.failure).toBeUndefined();
    const never = new Play(loop).start().all(() => good({ ok: false }));
    expect(never.began).toHaveLength(3);
    expect(never.result?.failure).toMatchObject({ message: expect.stringMatching(/3 rounds/) });
  });

  test("walks a long row of skipped steps", () => {
    const never = { $: "params.no" };
    const row = Array.from({ length: 20_000 }, (_, i) =>
      step(`s${i}`, i === 0 ? [] : [`s${i - 1}`], { when: never }),
    );
    expect(new Play(flow(row)).start().result).toMatchObject({ failure: undefined });
  });
});

describe("after a failure", () => {
  const undo = { compensate: { capability: "undo" } };
  const saga = flow(
    [
      step("flight", [], undo),
      step("hotel", ["flight"], undo),
      step("note", ["hotel"]),
      step("car", ["note"], undo),
      step("never", ["car"]),
    ],
    { onExit: { capability: "tell", input: { how: { $: "state" }, why: { $: "failure.code" } } } },
  );

  test("W2: nothing begins, what completed is undone, last first, then comes the exit", () => {
    const play = new Play(saga).start();
    play.all((key) => (key === "car" ? bad : good({ id: key })));
    const order = ["flight", "hotel", "note", "car", "hotel~undo", "flight~undo", "~exit"];
    expect(play.began).toEqual(order);
    expect(play.inputs.get("hotel~undo")).toEqual({ id: "hotel" });
    expect(play.inputs.get("~exit")).toEqual({ how: "failed", why: "E_HANDLER" });
    expect(play.result?.failure).toMatchObject({ message: 'step "car" failed: no', retry: false });
  });

  test("W3: whoever carries on is given what is to be undone, and adds nothing", () => {
    const first = new Play(saga).start();
    first.all((key) => (key === "car" ? bad : good({ id: key })));
    const second = new Play(saga).start(first.verdict).all(() => good());
    expect(second.began).toEqual(["hotel~undo", "flight~undo", "~exit"]);
    expect(second.result?.failure).toMatchObject({ message: 'step "car" failed: no' });
  });

  test("what runs beside is stopped first, and undone if it completed all the same", () => {
    const play = new Play(flow([step("a", [], undo), step("b", [], undo), step("c", ["a"])]));
    play.start();
    play.one("b", bad);
    expect(play.run.phase).toBe("stopping");
    play.one("a", good(1));
    expect(play.began).toEqual(["a", "b", "a~undo"]);
  });

  test("W5: of a map, the elements that completed are undone when another fails", () => {
    const each = { in: { $: "params.list" }, atOnce: 2 };
    const map = step("book", [], { ...undo, each, input: { $: "item" } });
    const play = new Play(flow([map]), { list: [1, 2, 3, 4] }).start();
    play.one("book.1", good({ id: "b" }));
    play.one("book.0", good({ id: "a" }));
    play.one("book.2", bad);
    play.all((key) => (key === "book.3" ? { state: "canceled" } : good()));
    expect(play.began).toEqual(["book.0", "book.1", "book.2", "book.3", "book~undo"]);
    expect(play.inputs.get("book~undo")).toEqual([{ id: "a" }, { id: "b" }]);
  });

  test("W5: so are they when another step fails in the middle, before what they came after", () => {
    const each = { in: { $: "params.list" }, atOnce: 1 };
    const steps = [
      step("first", [], undo),
      step("book", ["first"], { ...undo, each }),
      step("bad", ["first"]),
    ];
    const play = new Play(flow(steps), { list: [1, 2, 3] }).start();
    play.one("first", good("f"));
    play.one("book.0", good("a"));
    play.one("bad", bad);
    play.all((key) => (key === "book.1" ? { state: "canceled" } : good()));
    expect(play.began.slice(-2)).toEqual(["book~undo", "first~undo"]);
    expect(play.inputs.get("book~undo")).toEqual(["a"]);
  });

  test("W5: of a loop, the last round that completed is undone", () => {
    const repeat = { until: { $: "last.ok", eq: true }, rounds: 3 };
    const loop = flow([step("try", [], { ...undo, repeat })]);
    const play = new Play(loop).start();
    play.all((key) => (key === "try:2" ? bad : good({ of: key })));
    expect(play.began).toEqual(["try", "try:1", "try:2", "try~undo"]);
    expect(play.inputs.get("try~undo")).toEqual({ of: "try:1" });
  });

  test("W5: where no element or round completed there is nothing to undo", () => {
    const each = { in: { $: "params.list" } };
    const play = new Play(flow([step("book", [], { ...undo, each })]), { list: [1] }).start();
    play.all(() => bad);
    expect(play.began).toEqual(["book.0"]);
  });

  test("an undoing that fails is told, and the others go on", () => {
    const play = new Play(saga).start();
    play.all((key) => (key === "car" || key === "hotel~undo" ? bad : good()));
    expect(play.began).toContain("flight~undo");
    expect(play.result?.failure).toMatchObject({
      message: 'step "car" failed: no; hotel~undo failed: no',
    });
  });
});

describe("a run that is stopped", () => {
  const chain = (n: number) =>
    flow(
      Array.from({ length: n }, (_, i) =>
        step(`s${i}`, i === 0 ? [] : [`s${i - 1}`], {
          compensate: { capability: "undo", input: { of: { $: "output" } } },
        }),
      ),
      { onExit: { capability: "bye" } },
    );

  test("undoes exactly what completed, last first, wherever it is stopped", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.nat(7), (n, done) => {
        const play = new Play(chain(n)).start();
        const completed = Math.min(done, n - 1);
        for (let i = 0; i < completed; i++) play.one(`s${i}`, { state: "completed", output: i });
        play.run.stop("enough");
        play.all((key) => ({
          state: key.startsWith("s") && !key.includes("~") ? "canceled" : "completed",
        }));
        const undone = play.began.filter((key) => key.endsWith("~undo"));
        const wanted = Array.from({ length: completed }, (_, i) => `s${completed - 1 - i}~undo`);
        expect(undone).toEqual(wanted);
        expect(play.began.at(-1)).toBe("~exit");
        expect(play.result).toMatchObject({ failure: { code: "E_CANCELED", message: "enough" } });
      }),
    );
  });

  test("W4: a change touches no step that has begun, and all of it or nothing", () => {
    const play = new Play(flow([step("a"), step("b", ["a"]), step("c", ["a"])])).start();
    expect(play.run.change({ drop: ["a"], add: [step("x")] })).toHaveLength(1);
    expect(play.run.stateOf("x")).toBe("unknown");
    expect(
      play.run.change({ drop: ["b", "b"], replace: [step("c", ["b"])], add: [step("d", ["c"])] }),
    ).toEqual([]);
    play.all(() => ({ state: "completed" }));
    expect(play.began).toEqual(["a", "c", "d"]);
    expect(play.run.change({ add: [step("late")] })).toMatchObject([
      { problem: "this workflow is about to end" },
    ]);
  });

  test("left, hands over what is still to be undone, and begins nothing", () => {
    const play = new Play(chain(3)).start();
    play.one("s0", { state: "completed", output: 1 });
    play.run.leave("gone");
    const handed: unknown[] = [];
    play.run.ended("s1", { state: "completed", output: 2 });
    for (const effect of play.run.out) if (effect.do === "handOver") handed.push(...effect.duties);
    expect(handed).toEqual([
      { key: "s1~undo", capability: "undo", input: { of: 2 } },
      { key: "s0~undo", capability: "undo", input: { of: 1 } },
      { key: "~exit", capability: "bye", input: { state: "failed" } },
    ]);
  });
});
