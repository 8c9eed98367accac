// What a handler may do with its journal: whatever it is given, its task comes to an end, and its
// agent lives on.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { Acts } from "../../agent-sdk/durable.ts";
import { DurableRun } from "../../agent-sdk/durable-run.ts";
import {
  type DurableActs,
  defineCapability,
  runWorkflow,
  type TaskContext,
  type WorkflowHost,
} from "../../agent-sdk/index.ts";
import { ParleyError } from "../../contracts/index.ts";
import type { Run } from "../../mesh/index.ts";
import { Journal } from "../../mesh/runtime/journal.ts";
import { useMesh } from "./fixture.ts";

const mesh = useMesh();
let count = 0;

async function ended(body: (task: TaskContext) => unknown, attempts = 1) {
  const c = defineCapability({ name: `acts-${count++}`, input: z.unknown(), output: z.any() });
  const agent = await mesh.join(c.name);
  await agent.serve(c, async (_input, task) => body(task));
  await mesh.sees(agent, c, 1);
  const retry = { attempts, backoffMs: 10 };
  const handle = await agent.submit(c, {}, { timeoutMs: 15_000, retry });
  const { state, failure } = await handle.outcome();
  return { state, code: failure?.code };
}

/** Promises that nobody looked after: each would end a process. */
async function neglected(act: () => Promise<unknown>): Promise<string[]> {
  const found: string[] = [];
  const own = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", (reason) => found.push(inspect(reason)));
  try {
    await act().catch(() => undefined);
    // They are told once the microtasks are done.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.removeAllListeners("unhandledRejection");
    for (const each of own) process.on("unhandledRejection", each);
  }
  return found;
}

function inspect(reason: unknown): string {
  try {
    return String(reason);
  } catch {
    return "what has no text";
  }
}

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
}

describe("a step", () => {
  test.for([
    ["a whole number beyond 2^53", 2 ** 60],
    ["half a character", "\ud83d"],
    ["a name that no reader takes", { constructor: 1 }],
    ["40 levels", nested(40)],
    ["half a character in 100 kB", { odd: "\ud83d", fill: "x".repeat(100_000) }],
  ] as const)("that gives %s fails, and says so", async ([, value]) => {
    const end = await ended(async (task) => void (await task.step("one", () => value)));
    expect(end).toEqual({ state: "failed", code: "E_OUTPUT" });
  });

  test("under a key that is too long for the journal fails, and says so", async () => {
    const key = "k".repeat(600);
    const end = await ended((task) => task.step("one", () => 1, { key }));
    expect(end).toEqual({ state: "failed", code: "E_OUTPUT" });
  });

  test.for([
    ["65 characters", "x".repeat(65)],
    ["a character where the journal cuts", `a${"😀".repeat(40)}`],
    ["two lines", "one\ntwo"],
  ] as const)("with a name of %s is found again", async ([, name]) => {
    let ran = 0;
    const end = await ended(async (task) => {
      await task.step(name, () => ran++);
      if (task.attempt === 1) throw new Error("fails once");
    }, 2);
    expect({ ...end, ran }).toEqual({ state: "completed", code: undefined, ran: 1 });
  });

  test("may be one of two thousand side by side", async () => {
    const end = await ended((task) =>
      Promise.all(Array.from({ length: 2_000 }, (_, n) => task.step(`s${n}`, () => ({ n, a: 1 })))),
    );
    expect(end.state).toBe("completed");
  });

  test("of 4,000 names may stand beside others of that kind", async () => {
    const large = Object.fromEntries(Array.from({ length: 4_000 }, (_, n) => [`k${n}`, n]));
    const end = await ended((task) =>
      Promise.all([1, 2, 3].map((n) => task.step(`s${n}`, () => large))),
    );
    expect(end.state).toBe("completed");
  });

  test("that is recalled need not be made again", async () => {
    const end = await ended(async (task) => {
      if ((await task.recall("k")) !== undefined) return 1;
      await task.step("work", () => "done", { key: "k" });
      throw new Error("fails once");
    }, 2);
    expect(end.state).toBe("completed");
  });

  test("of a branch that lost does not cost a result that is being stored", async () => {
    let handled = 0;
    const end = await ended(async (task) => {
      handled++;
      // They heed no signal.
      const slow = Array.from({ length: 60 }, (_, i) => (acts: DurableActs) => {
        return acts.step(`slow ${i}`, () => new Promise<number>((r) => setTimeout(r, 2 + i, i)));
      });
      await task.race([(acts: DurableActs) => acts.step("fast", () => 1), ...slow]);
      return "x".repeat(600_000);
    });
    expect({ ...end, handled }).toEqual({ state: "completed", code: undefined, handled: 1 });
  });
});

describe("a failure that the handler caught", () => {
  /** Steps that fail the first so many times. */
  function steps() {
    const ran: string[] = [];
    const step = (task: Pick<DurableActs, "step">, name: string, fails = 0, key?: string) => {
      const act = () => {
        ran.push(name);
        if (ran.filter((each) => each === name).length <= fails) throw new Error("away");
        return name;
      };
      return task.step(name, act, key === undefined ? {} : { key });
    };
    return { ran, step };
  }

  test("leads all attempts the same way, and what was done there is done once", async () => {
    const { ran, step } = steps();
    const end = await ended(async (task) => {
      const way = await step(task, "a", 1).catch(() => step(task, "b"));
      await step(task, `after ${way}`);
      if (task.attempt < 3) throw new Error("again");
    }, 3);
    expect(end.state).toBe("completed");
    expect(ran).toEqual(["a", "b", "after b"]);
  });

  test("may be that of a branch", async () => {
    const { ran, step } = steps();
    const end = await ended(async (task) => {
      const both = () => task.all([(x) => step(x, "x"), (x) => step(x, "a", 1)]);
      await both().catch(() => step(task, "b"));
      if (task.attempt === 1) throw new Error("again");
    }, 2);
    expect(end.state).toBe("completed");
    expect(ran.filter((name) => name !== "x")).toEqual(["a", "b"]);
  });

  test("may be that of a sub-task, and the next is not taken for another", async () => {
    const ran: string[] = [];
    const part = (name: string, fails: boolean) => {
      const c = defineCapability({ name, input: z.unknown(), output: z.string() });
      const work = () => {
        ran.push(name);
        if (fails) throw new Error("away");
        return name;
      };
      return { c, work };
    };
    const worker = await mesh.join("parts");
    const [shaky, backup, ship] = [part("shaky", true), part("backup", false), part("ship", false)];
    for (const { c, work } of [shaky, backup, ship]) await worker.serve(c, work);
    const once = { retry: { attempts: 1 } };
    const got: unknown[] = [];
    const end = await ended(async (task) => {
      const made = await task.submit(shaky.c, {}, once);
      const way = await made.result().catch(async () => (await task.submit(backup.c, {})).result());
      const shipped = await (await task.submit(ship.c, {})).result();
      got.push([way, shipped]);
      if (task.attempt === 1) throw new Error("again");
    }, 2);
    expect(end.state).toBe("completed");
    expect(ran).toEqual(["shaky", "backup", "ship"]);
    expect(got).toEqual([
      ["backup", "ship"],
      ["backup", "ship"],
    ]);
  });

  test("is none where nothing followed it: it is tried anew, beside what went well", async () => {
    const { ran, step } = steps();
    const end = await ended((task) => Promise.all([step(task, "a", 1), step(task, "b")]), 2);
    expect(end.state).toBe("completed");
    expect(ran).toEqual(["a", "b", "a"]);
  });

  test("is none in a row of named acts: they may come in any order", async () => {
    const { ran, step } = steps();
    const row = async (task: TaskContext, n: number, fails: number) => {
      await step(task, `one ${n}`, fails, `one/${n}`);
      await step(task, `two ${n}`, 0, `two/${n}`);
    };
    const end = await ended(async (task) => {
      const rows = await Promise.allSettled([row(task, 1, 1), row(task, 2, 0)]);
      for (const each of rows) if (each.status === "rejected") throw each.reason;
    }, 2);
    expect(end.state).toBe("completed");
    expect(ran.toSorted()).toEqual(["one 1", "one 1", "one 2", "two 1", "two 2"]);
  });

  test("is none where a branch was only cut off: the next attempt has it done", async () => {
    let fails = 1;
    const end = await ended(async (task) => {
      const slow = (acts: DurableActs) =>
        acts.step("slow", ({ signal }) => {
          if (fails === 0) return "done";
          return new Promise((_, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason), { once: true });
          });
        });
      const bad = (acts: DurableActs) =>
        acts.step("bad", () => {
          if (fails-- > 0) throw new Error("away");
        });
      await task.all([slow, bad]);
    }, 2);
    expect(end.state).toBe("completed");
  });

  test("does not excuse a handler that was changed", async () => {
    const { step } = steps();
    const end = await ended(async (task) => {
      if (task.attempt === 1) await step(task, "first");
      await step(task, "a", 1).catch(() => step(task, "b"));
      if (task.attempt === 1) throw new Error("again");
    }, 2);
    expect(end).toEqual({ state: "failed", code: "E_JOURNAL" });
  });
});

describe("a handler", () => {
  test("whose note ends within a character goes on", async () => {
    const end = await ended((task) => {
      task.progress(0.5, `a${"😀".repeat(3_000)}`);
      task.partial("\ud83d");
    });
    expect(end.state).toBe("completed");
  });

  test("that sleeps until a moment that has passed goes on", async () => {
    expect(await ended((task) => task.sleep(-5))).toEqual({ state: "completed", code: undefined });
  });

  test("that sleeps for no number of ms is told so", async () => {
    const end = await ended((task) => task.sleep(Number.NaN));
    expect(end).toEqual({ state: "failed", code: "E_SCHEMA" });
  });

  test.for([
    ["an object without text", Object.create(null)],
    ["an object whose text throws", { toString: () => fail() }],
    ["an object whose parts throw", Object.defineProperty({}, "retry", { get: fail })],
    ["nothing", undefined],
  ] as const)("that throws %s has failed, and nothing else has", async ([, thrown]) => {
    let end: unknown;
    const lost = await neglected(async () => {
      end = await ended(() => {
        throw thrown;
      });
    });
    expect({ end, lost }).toEqual({ end: { state: "failed", code: "E_HANDLER" }, lost: [] });
  });
});

function fail(): never {
  throw new Error("no");
}

/** Acts of a contract whose store answers when it is told to. */
function stage({ epoch = 1, records = async () => [] as never[] } = {}) {
  const abort = new AbortController();
  const running = {
    award: { terms: { epoch, task: "t", owner: "o" }, spec: {} },
    rev: 1,
    head: "",
    abort,
  };
  const asked = Promise.withResolvers<(ok: boolean) => void>();
  const journal = new Journal(running as never, {} as never, {
    write: (_n, _body, done) =>
      asked.resolve((ok) =>
        done(
          (ok ? { ok: true, rev: 2 } : { ok: false, fault: "conflict", detail: "" }) as never,
          () => "h",
        ),
      ),
    records,
    mayRead: true,
    now: () => Date.now(),
  });
  const run = { spec: { owner: "o", task: "t" }, epoch, journal, signal: abort.signal };
  const durable = new DurableRun(run as unknown as Run, undefined as never);
  const acts = new Acts(durable, "", abort.signal);
  return { abort, acts, stored: asked.promise };
}

test("all who wait for a word hear it", async () => {
  const { signal } = new AbortController();
  const journal = new Journal({} as never, {} as never, {} as never);
  const heard = [journal.answer("=stop", signal), journal.answer("=stop", signal)];
  expect(journal.answered("=stop", "now")).toBe(true);
  expect(await Promise.all(heard)).toEqual(["now", "now"]);
  expect(journal.answered("=stop", "again")).toBe(false);
});

describe("a contract that ends", () => {
  test("while a question is being stored, by the fence, rejects nothing else", async () => {
    const { acts, stored } = stage();
    const lost = await neglected(async () => {
      const asking = acts.ask("?");
      (await stored)(false);
      await asking;
    });
    expect(lost).toEqual([]);
  });

  test("while a question is being stored, by a cancel, rejects nothing else", async () => {
    const { acts, stored, abort } = stage();
    const lost = await neglected(async () => {
      const asking = acts.ask("?");
      const answer = await stored;
      abort.abort(new ParleyError("E_CANCELED"));
      await new Promise((resolve) => setImmediate(resolve));
      answer(true);
      await asking;
    });
    expect(lost).toEqual([]);
  });

  test("while somebody is asked leaves no timer of the question's limit", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((r) => r === "Timeout").length;
    const { acts, stored, abort } = stage();
    const before = timers();
    const asking = acts.ask("?", { timeoutMs: 3_600_000 });
    (await stored)(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(timers()).toBe(before + 1);
    abort.abort(new ParleyError("E_CANCELED"));
    await expect(asking).rejects.toMatchObject({ code: "E_CANCELED" });
    expect(timers()).toBe(before);
  });

  test("while a workflow's successor reads on rejects nothing else", async () => {
    const read = Promise.withResolvers<never[]>();
    const { acts, abort } = stage({ epoch: 2, records: () => read.promise });
    const host = {
      submit: acts.submit.bind(acts),
      step: acts.step.bind(acts),
      recall: acts.recall.bind(acts),
      hear: acts.hear.bind(acts),
      progress: () => undefined,
      epoch: 2,
      signal: abort.signal,
    } as unknown as WorkflowHost;
    const steps = [{ id: "a", capability: "x" }];
    const definition = { v: 1 as const, kind: "workflow" as const, name: "w", steps };
    const lost = await neglected(async () => {
      const ending = runWorkflow(definition as never, {}, host);
      ending.catch(() => undefined);
      abort.abort(new ParleyError("E_DRAINING"));
      await new Promise((resolve) => setImmediate(resolve));
      read.resolve([]);
      await ending;
    });
    expect(lost).toEqual([]);
  });
});
