// A handler goes the same way in every attempt, whoever runs it and however its branches race.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { Acts } from "../../agent-sdk/durable.ts";
import { DurableRun } from "../../agent-sdk/durable-run.ts";
import {
  type DurableActs,
  defineCapability,
  type JoinOptions,
  serveWorkflows,
  type TaskContext,
  TerminalError,
  workflow,
} from "../../agent-sdk/index.ts";
import { ParleyError } from "../../contracts/index.ts";
import type { Run } from "../../mesh/index.ts";
import { gate, useMesh } from "./fixture.ts";

const mesh = useMesh();
const COMPLETED = { state: "completed", message: undefined };
let count = 0;

const capability = (name: string) =>
  defineCapability({ name, input: z.unknown(), output: z.unknown() });

/** How a task ends whose handler this is. */
async function endOf(body: (task: TaskContext) => unknown, attempts: number) {
  const c = capability(`ways-${count++}`);
  const agent = await mesh.join(c.name);
  await agent.serve(c, async (_input, task) => (await body(task)) ?? null);
  const handle = await agent.submit(c, {}, { retry: { attempts, backoffMs: 10 } });
  const { state, failure } = await handle.outcome();
  return { state, message: failure?.message };
}

/** What stays as long as nobody stops it. */
const stay = ({ signal }: { signal: AbortSignal }) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

describe("a failure that the handler caught", () => {
  test.each([
    ["by its class", new TerminalError("declined"), (e: unknown) => e instanceof TerminalError],
    [
      "by its code",
      Object.assign(new Error("declined"), { code: "DECLINED" }),
      (e: unknown) => (e as { code?: string }).code === "DECLINED",
    ],
    [
      "by its name",
      Object.assign(new Error("declined"), { name: "Declined" }),
      (e: unknown) => (e as Error).name === "Declined",
    ],
  ])("%s is known again in the next attempt", async (_how, error, isIt) => {
    const ran: string[] = [];
    const end = await endOf(async (task) => {
      try {
        await task.step("pay", () => {
          ran.push("pay");
          throw error;
        });
      } catch (caught) {
        if (!isIt(caught)) throw caught;
        await task.step("refund", () => void ran.push("refund"));
      }
      if (task.attempt === 1) throw new Error("again");
    }, 3);
    expect([end, ran]).toEqual([COMPLETED, ["pay", "refund"]]);
  });

  test("of one branch of all: it does not matter how far the others came", async () => {
    const others = gate();
    let tries = 0;
    const end = await endOf(async (task) => {
      const bad = async (acts: DurableActs) =>
        acts.step("bad", async () => {
          await others.promise;
          tries++;
          throw new Error("bad");
        });
      const long = async (acts: DurableActs) => {
        for (let i = 0; i < 40; i++) await acts.step(`s${i}`, () => i);
        others.open();
      };
      await task.all([bad, long]).catch(() => undefined);
      await task.step("fallback", () => 1);
      if (task.attempt === 1) throw new Error("again");
    }, 2);
    expect([end, tries]).toEqual([COMPLETED, 1]);
  });
});

describe("an agent that stops", () => {
  /** The first agent to take the task leaves while it is in the middle of it. */
  async function outputAfterLeaving(
    name: string,
    begun: Promise<void>,
    body: (task: TaskContext, first: boolean) => unknown,
    options: Partial<JoinOptions> = {},
  ) {
    const c = capability(name);
    const user = await mesh.join(`${name}-user`);
    const serve = async (who: string, first: boolean) => {
      const agent = await mesh.join(who, options);
      await agent.serve(c, async (_input, task) => body(task, first));
      return agent;
    };
    const leaver = await serve(`${name}-a`, true);
    await mesh.sees(user, c, 1);
    const handle = await user.submit(c, {});
    await begun;
    await serve(`${name}-b`, false);
    await leaver.drain(0);
    return handle.result();
  }

  test("decides over no race: a branch that failed for good has not lost it alone", async () => {
    const begun = gate();
    const output = await outputAfterLeaving("racer", begun.promise, (task, first) =>
      task.race([
        (acts) =>
          acts.step("cache", () => {
            throw new TerminalError("not in the cache");
          }),
        (acts) =>
          acts.step("slow", (about) => {
            if (!first) return "slow";
            begun.open();
            return stay(about);
          }),
      ]),
    );
    expect(output).toBe("slow");
  });

  test("leaves its sub-tasks to whoever follows, though that one initiates nothing", async () => {
    const begun = gate();
    const part = capability("part");
    await (await mesh.join("part")).serve(part, () => "done");
    const body = async (task: TaskContext, first: boolean) => {
      const made = await task.submit(part, {});
      const output = await made.result();
      if (!first) return output;
      begun.open();
      return stay(task);
    };
    const roles = { roles: { initiator: false, intake: false } };
    const output = await outputAfterLeaving("follower", begun.promise, body, roles);
    expect(output).toBe("done");
  });

  test("leaves no trace of what its handler does in a catch", async () => {
    const begun = gate();
    const output = await outputAfterLeaving("catcher", begun.promise, async (task, first) => {
      let got: unknown;
      try {
        got = await task.step("primary", (about) => {
          if (!first) return "primary";
          begun.open();
          return stay(about);
        });
      } catch {
        await task.sleep(50);
        got = await task.step("backup", () => "backup");
      }
      return task.step("ship", () => got);
    });
    expect(output).toBe("primary");
  });
});

test("a sub-task that a failed attempt cut off is made anew, however slow its end", async () => {
  const ran: string[] = [];
  const began = gate();
  const job = defineCapability({
    name: "ways-job",
    input: z.object({ what: z.string(), ms: z.number() }),
    output: z.unknown(),
  });
  const hands = await mesh.join("ways-hands");
  const does = async ({ what, ms }: { what: string; ms: number }) => {
    ran.push(what);
    if (what === "b") began.open();
    await new Promise((resolve) => setTimeout(resolve, ms));
    return what;
  };
  await hands.serve(job, does, { slots: 10 });
  await serveWorkflows(await mesh.join("ways-boss"));
  const act = (what: string, ms: number) => ({ capability: job.name, input: { what, ms } });
  const steps = [
    // Undoing takes longer than the pause before the next attempt.
    { id: "a", ...act("a", 1), compensate: act("no-a", 1_000) },
    { id: "b", ...act("b", 300), after: ["a"] },
  ];
  const definition = {
    v: 1 as const,
    kind: "workflow" as const,
    name: "w",
    version: "1.0.0",
    steps,
  };
  const end = await endOf(async (task) => {
    await task.all([
      async (acts) => (await acts.submit(workflow, { definition })).result(),
      async () => {
        if (task.attempt > 1) return;
        await began.promise;
        throw new Error("once");
      },
    ]);
  }, 3);
  expect([end, ran]).toEqual([COMPLETED, ["a", "b", "no-a", "a", "b"]]);
}, 20_000);

test("a journal that cannot be read for a moment fails one act, not all that follow", async () => {
  let reads = 0;
  const journal = {
    read: async () => {
      if (reads++ === 0) throw new ParleyError("E_STORE", "a copy that lags");
      return { entries: [{ key: "=x", op: "step", d: "one", value: 7 }], failures: 0 };
    },
  };
  const { signal } = new AbortController();
  const run = { spec: { owner: "o", task: "t" }, epoch: 2, journal, signal } as unknown as Run;
  const acts = new Acts(new DurableRun(run, undefined as never), "", signal);
  await expect(acts.recall("x")).rejects.toMatchObject({ code: "E_STORE" });
  expect(await acts.recall("x")).toBe(7);
});

test("P10.5: who heeds its deadline ends as expired, whoever says so first", async () => {
  const c = capability("ways-late");
  const agent = await mesh.join("ways-late");
  await agent.serve(c, (_input, { signal }) => stay({ signal }), { slots: 30 });
  const ends = Array.from({ length: 30 }, async (_, i) => {
    const handle = await agent.submit(c, {}, { timeoutMs: 500 + i * 20 });
    const { state, failure } = await handle.outcome();
    return `${state} ${failure?.code}`;
  });
  expect(new Set(await Promise.all(ends))).toEqual(new Set(["expired E_DEADLINE"]));
}, 20_000);

test("who asks for another capability at the place of a sub-task is refused", async () => {
  const [reserve, charge] = [capability("ways-reserve"), capability("ways-charge")];
  const ran: string[] = [];
  const hands = await mesh.join("ways-hands");
  for (const c of [reserve, charge]) await hands.serve(c, () => void ran.push(c.name));
  const end = await endOf(async (task) => {
    const c = task.attempt === 1 ? reserve : charge;
    await (await task.submit(c, {})).result();
    if (task.attempt === 1) throw new Error("once");
  }, 2);
  expect(end.state).toBe("failed");
  expect(end.message).toMatch(/is for "ways-reserve", the handler asks for "ways-charge" there/);
  expect(ran).toEqual(["ways-reserve"]);
});
