// Durable handlers on a real server: contractors that die, fail, change, and come back too late.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type DurableActs, defineCapability, TerminalError } from "../../agent-sdk/index.ts";
import type { Mesh } from "../../agent-sdk/mesh.ts";
import { gate, useMesh } from "./fixture.ts";

const mesh = useMesh();

let count = 0;
/** A capability of one test alone. */
function capability(name: string) {
  return defineCapability({
    name: `${name}-${count++}`,
    input: z.object({ n: z.number().default(0) }),
    output: z.object({ by: z.string(), log: z.array(z.unknown()) }),
  });
}

const part = defineCapability({
  name: "part",
  input: z.object({ n: z.number() }),
  output: z.object({ double: z.number() }),
});

/** Two agents of one capability: the first to get it stops at a gate, until it is told to die. */
async function pair(
  c: ReturnType<typeof capability>,
  body: (acts: DurableActs, by: string, hold: () => Promise<void>) => Promise<unknown[]>,
) {
  const reached = Promise.withResolvers<string>();
  const release = gate();
  const agents = new Map<string, Mesh>();
  let held = false;
  for (const letter of ["a", "b"]) {
    const name = `${c.name}-${letter}`;
    const agent = await mesh.join(name, { tuning: { silenceMs: 400 } });
    agents.set(name, agent);
    await agent.serve(c, async (_input, task) => {
      const hold = async () => {
        if (held) return;
        held = true;
        reached.resolve(name);
        await release.promise;
      };
      return { by: name, log: await body(task, name, hold) };
    });
  }
  return { agents, reached: reached.promise, release };
}

describe("a durable handler", () => {
  test("P10.10: goes on at another agent where the first one left off", async () => {
    const c = capability("relay");
    const ran: string[] = [];
    const worker = await mesh.join(`${c.name}-worker`);
    await worker.serve(part, ({ n }) => {
      ran.push(`part ${n}`);
      return { double: n * 2 };
    });
    const { agents, reached, release } = await pair(c, async (acts, by, hold) => {
      const began = await acts.now();
      const draw = await acts.random();
      const one = await acts.step("one", () => {
        ran.push("one");
        return { by };
      });
      const sub = await acts.submit(part, { n: 21 });
      const { double } = await sub.result();
      await hold();
      const two = await acts.step("two", () => {
        ran.push("two");
        return { by };
      });
      return [began, draw, one, double, two];
    });
    const sue = await mesh.join(`${c.name}-sue`);
    await mesh.sees(sue, c, 2);
    const handle = await sue.submit(c, {});
    const first = await reached;
    const began = Date.now();
    await agents.get(first)!.close();
    release.open();
    const { by, log } = await handle.result();
    expect(by).not.toBe(first);
    const [at, draw, one, double, two] = log as [number, number, object, number, object];
    expect(ran.sort()).toEqual(["one", "part 21", "two"]);
    expect([one, two, double]).toEqual([{ by: first }, { by }, 42]);
    expect(at).toBeLessThanOrEqual(began);
    expect(draw).toBeGreaterThanOrEqual(0);
  }, 30_000);

  test("does not do again what succeeded when an attempt fails", async () => {
    const c = capability("again");
    const ran: string[] = [];
    const agent = await mesh.join(c.name);
    await agent.serve(c, async (_input, task) => {
      await task.step("charge", ({ key }) => void ran.push(`charge ${key}`));
      await task.step("ship", () => {
        ran.push(`ship in attempt ${task.attempt}`);
        if (task.attempt < 3) throw new Error("no carrier");
      });
      return { by: c.name, log: [] };
    });
    const handle = await agent.submit(c, {}, { retry: { attempts: 3, backoffMs: 0 } });
    expect((await handle.outcome()).state).toBe("completed");
    expect(ran.filter((each) => each.startsWith("charge"))).toHaveLength(1);
    expect(ran.slice(1)).toEqual([1, 2, 3].map((n) => `ship in attempt ${n}`));
  });

  test("keeps a failure that no retry mends", async () => {
    const c = capability("terminal");
    let tries = 0;
    const agent = await mesh.join(c.name);
    await agent.serve(c, async (_input, task) => {
      const failed = await task
        .step("refused", () => {
          tries++;
          throw new TerminalError("card refused");
        })
        .catch((error: Error) => error.message);
      if (task.attempt < 2) throw new Error("elsewhere");
      return { by: c.name, log: [failed] };
    });
    const handle = await agent.submit(c, {}, { retry: { attempts: 2, backoffMs: 0 } });
    expect((await handle.result()).log).toEqual(["card refused"]);
    expect(tries).toBe(1);
  });

  test("makes a failed sub-task anew in its next attempt, and keeps the good ones", async () => {
    const c = capability("tree");
    const leaf = defineCapability({
      name: `${c.name}-leaf`,
      input: z.object({ n: z.number() }),
      output: z.number(),
    });
    const ran: number[] = [];
    const agent = await mesh.join(c.name, { slots: 4 });
    await agent.serve(leaf, ({ n }) => {
      ran.push(n);
      if (n === 2 && ran.filter((each) => each === 2).length === 1) throw new Error("once");
      return n;
    });
    await agent.serve(c, async (_input, task) => {
      const log: number[] = [];
      for (const n of [1, 2, 3]) {
        const once = { retry: { attempts: 1 } };
        const { state, output } = await (await task.submit(leaf, { n }, once)).outcome();
        if (state !== "completed") throw new Error("a leaf failed");
        log.push(output as number);
      }
      return { by: c.name, log };
    });
    const handle = await agent.submit(c, {}, { retry: { attempts: 2, backoffMs: 0 } });
    expect((await handle.result()).log).toEqual([1, 2, 3]);
    expect(ran).toEqual([1, 2, 2, 3]);
  });

  test("that was changed under way is refused, with the first difference", async () => {
    const c = capability("changed");
    const agent = await mesh.join(c.name);
    const done: string[] = [];
    await agent.serve(c, async (_input, task) => {
      const names = task.attempt === 1 ? ["reserve", "charge"] : ["reserve", "bill"];
      for (const name of names) await task.step(name, () => void done.push(name));
      if (task.attempt === 1) throw new Error("deployed meanwhile");
      return { by: c.name, log: [] };
    });
    const handle = await agent.submit(c, {}, { retry: { attempts: 2, backoffMs: 0 } });
    const { failure } = await handle.outcome();
    expect(failure?.code).toBe("E_JOURNAL");
    expect(failure?.message).toMatch(/has step "charge", the handler asks for step "bill"/);
    expect(done).toEqual(["reserve", "charge"]);
  });

  test("that asks for less than it did is refused too", async () => {
    const c = capability("less");
    const agent = await mesh.join(c.name);
    await agent.serve(c, async (_input, task) => {
      await task.step("one", () => 1);
      if (task.attempt === 1) {
        await task.step("two", () => 2);
        throw new Error("deployed meanwhile");
      }
      return { by: c.name, log: [] };
    });
    const handle = await agent.submit(c, {}, { retry: { attempts: 2, backoffMs: 0 } });
    expect((await handle.outcome()).failure?.message).toMatch(/has step "two" at 1, the handler/);
  });
});

describe("branches", () => {
  test("of all keep their acts apart, whatever order they run in", async () => {
    const c = capability("branches");
    const ran: string[] = [];
    const agent = await mesh.join(c.name);
    await agent.serve(c, async (_input, task) => {
      const walk = (name: string, ms: number) => async (acts: DurableActs) => {
        const log: string[] = [];
        for (const n of [1, 2, 3]) {
          await new Promise((resolve) => setTimeout(resolve, ms));
          const one = await acts.step(`${n}`, () => {
            ran.push(`${name}${n}`);
            return `${name}${n}`;
          });
          log.push(one);
        }
        return log;
      };
      // In the second attempt the slow one is the quick one.
      const [x, y] = task.attempt === 1 ? [5, 0] : [0, 5];
      const log = await task.all([walk("x", x), walk("y", y)]);
      if (task.attempt === 1) throw new Error("again");
      return { by: c.name, log: log.flat() };
    });
    const handle = await agent.submit(c, {}, { retry: { attempts: 2, backoffMs: 0 } });
    const steps = ["x1", "x2", "x3", "y1", "y2", "y3"];
    expect((await handle.result()).log).toEqual(steps);
    expect(ran.sort()).toEqual(steps);
  });

  test("of race have one winner for ever", async () => {
    const c = capability("race");
    const agent = await mesh.join(c.name);
    const tried: string[] = [];
    await agent.serve(c, async (_input, task) => {
      const winner = await task.race([
        async (acts) => {
          await acts.sleep(60_000);
          return "slow";
        },
        async (acts) => {
          tried.push("quick");
          return acts.step("quick", () => "quick");
        },
      ]);
      if (task.attempt === 1) throw new Error("again");
      return { by: c.name, log: [winner] };
    });
    const handle = await agent.submit(c, {}, { retry: { attempts: 2, backoffMs: 0 } });
    expect((await handle.result()).log).toEqual(["quick"]);
    expect(tried).toHaveLength(2);
  });

  test("of which there are none win no race, and it says so", async () => {
    const c = capability("race-of-none");
    const agent = await mesh.join(c.name);
    await agent.serve(c, (_input, task) => task.race([]));
    const handle = await agent.submit(c, {}, { retry: { attempts: 1 } });
    await expect(handle.result()).rejects.toThrow(/a race of no branches/);
  });
});

test("sleep goes on where it was, and large values travel by reference", async () => {
  const c = capability("sleeper");
  const agent = await mesh.join(c.name);
  const slept: number[] = [];
  await agent.serve(c, async (_input, task) => {
    const text = await task.step("large", () => "x".repeat(100_000));
    const from = Date.now();
    await task.sleep(400);
    slept.push(Date.now() - from);
    if (task.attempt === 1) throw new Error("again");
    return { by: c.name, log: [text.length] };
  });
  const handle = await agent.submit(c, {}, { retry: { attempts: 2, backoffMs: 0 } });
  expect((await handle.result()).log).toEqual([100_000]);
  // The second attempt finds the time over, or nearly so.
  const [first = 0, second = first] = slept;
  expect(second).toBeLessThan(first / 2);
});
