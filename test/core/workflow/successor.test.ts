// W6: whoever carries on with a workflow undoes all that was done, however little of it it had
// come to know when a step failed, or when it was told to stop.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Step, type Workflow, WorkflowSchema } from "../../../contracts/index.ts";
import { type TaskEnd, type TaskWish, WorkflowRun } from "../../../mesh/core/workflow/run.ts";

const step = (id: string, over: Partial<Step> = {}): Step => ({
  id,
  capability: "work",
  compensate: { capability: "undo" },
  ...over,
});
const flow = (steps: Step[], over: object = {}): Workflow =>
  WorkflowSchema.parse({ v: 1, kind: "workflow", name: "w", steps, ...over });

const failure = { code: "E_HANDLER", message: "no", retry: false } as const;
const ends: Record<string, TaskEnd> = {
  completed: { state: "completed", output: { ok: false } },
  failed: { state: "failed", failure },
  canceled: { state: "canceled" },
};

/** What is stored of the workflow's steps outlives its contractors. */
class Contractor {
  readonly run: WorkflowRun;
  readonly stored: Map<string, string>;
  undone: string[] | undefined;
  open: string[] = [];
  /** Made after it had learnt that the workflow ends. */
  madeLate: string[] = [];

  constructor(workflow: Workflow, stored: Map<string, string>, list: readonly number[]) {
    this.run = new WorkflowRun(workflow, { list });
    this.stored = stored;
  }

  start(succeeds: boolean): this {
    this.run.start(undefined, succeeds);
    return this.take();
  }

  take(): this {
    for (const effect of this.run.out.splice(0)) {
      if (effect.do === "verdict") this.undone = effect.verdict.undo.map(({ key }) => key);
      if (effect.do === "task") this.#task(effect.wish);
    }
    return this;
  }

  #task({ key, look, step: of }: TaskWish): void {
    if (of === undefined) return;
    if (look !== true && !this.stored.has(key)) {
      if (this.run.phase !== "running") this.madeLate.push(key);
      this.stored.set(key, "running");
    }
    this.open.push(key);
  }

  /** The one of these ends; what runs ends like this. */
  end(key: string, state: string): void {
    if (this.stored.get(key) === "running") this.stored.set(key, state);
    this.open = this.open.filter((other) => other !== key);
    this.run.ended(key, ends[this.stored.get(key) ?? "canceled"] as TaskEnd);
    this.take();
  }
}

const kind = fc.constantFrom("plain", "plain", "each", "repeat", "when");
const graphs = fc
  .array(fc.record({ kind, after: fc.array(fc.nat(), { maxLength: 2 }) }), {
    minLength: 2,
    maxLength: 12,
  })
  .map((list) =>
    list.map(({ kind: what, after }, i) =>
      step(`s${i}`, {
        after: i === 0 ? [] : [...new Set(after.map((n) => `s${n % i}`))],
        ...(what === "each" ? { each: { in: { $: "params.list" }, atOnce: 2 } } : {}),
        ...(what === "repeat" ? { repeat: { until: { $: "last.ok", eq: true }, rounds: 3 } } : {}),
        ...(what === "when" ? { when: { $: "params.list" } } : {}),
      }),
    ),
  );

describe("a successor", () => {
  test("W6: undoes what any predecessor had done, last first, and makes nothing more", () => {
    const picks = fc.infiniteStream(fc.nat());
    fc.assert(
      fc.property(graphs, picks, fc.nat(30), fc.nat(5), (steps, stream, before, stopAfter) => {
        const pick = (n: number) => (stream.next().value as number) % n;
        const stored = new Map<string, string>();
        const first = new Contractor(flow(steps), stored, [1, 2, 3]).start(false);
        for (let n = 0; n < before && first.open.length > 0; n++) {
          first.end(first.open[pick(first.open.length)] as string, "completed");
        }
        // It is lost; some of what it had begun goes on, and fails.
        const next = new Contractor(flow(steps), stored, [1, 2, 3]).start(true);
        for (let n = 0; next.open.length > 0; n++) {
          if (n === stopAfter) {
            next.run.stop("enough");
            next.take();
          }
          const ended = next.open[pick(next.open.length)] as string;
          next.end(ended, ["completed", "failed", "canceled"][pick(3)] as string);
        }
        if (next.undone === undefined) return;
        expect(next.madeLate).toEqual([]);
        const of = (key: string) => key.split(/[.:]/)[0] as string;
        const done = [...stored].filter(([, state]) => state === "completed");
        const expected = new Set(done.map(([key]) => `${of(key)}~undo`));
        expect(new Set(next.undone)).toEqual(expected);
        const { undone } = next;
        const at = (id: string) => undone.indexOf(`${id}~undo`);
        for (const { id, after = [] } of steps) {
          for (const earlier of after) {
            if (at(id) >= 0 && at(earlier) >= 0) expect(at(id)).toBeLessThan(at(earlier));
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test("looks for what lies behind a step that it finds done", () => {
    const chain = [
      step("bad", { compensate: undefined }),
      ...["a", "b", "c", "d"].map((id, i, all) =>
        step(id, { after: i === 0 ? [] : [all[i - 1] as string] }),
      ),
    ];
    const stored = new Map(["a", "b", "c"].map((id) => [id, "completed"]));
    stored.set("bad", "failed");
    const next = new Contractor(flow(chain), stored, []).start(true);
    for (const key of ["bad", "a", "b", "c"]) next.end(key, "completed");
    expect(next.undone).toBeUndefined();
    expect(next.open).toEqual(["d"]);
    next.end("d", "completed");
    expect(next.undone).toEqual(["c~undo", "b~undo", "a~undo"]);
  });
});
