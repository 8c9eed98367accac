// Durable tasks through the agent-sdk, on a real server.
import { describe, expect, test } from "vitest";
import { RetryableError, type TaskEvent, TerminalError } from "../../agent-sdk/index.ts";
import { aborted, codeOf, gate, texts, useMesh } from "./fixture.ts";

const mesh = useMesh();

async function collect(events: AsyncIterable<TaskEvent>): Promise<TaskEvent[]> {
  const all: TaskEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** An event without what differs from run to run. */
function brief(e: TaskEvent): string {
  if (e.type === "state") return `${e.state} ${e.epoch}`;
  if (e.type === "failure") return `failure ${e.epoch} ${e.code}`;
  return `progress ${e.epoch} ${e.done ?? ""}${e.note ?? ""}${e.partial ?? ""}`;
}

describe("submit", () => {
  test("gives a handle: result, outcome, events with progress and partial output", async () => {
    const work = texts("work");
    const amy = await mesh.join("amy");
    await amy.serve(work, (input, { progress, partial, attempt, epoch, deadline }) => {
      progress(0.25, "quarter");
      partial("piece");
      return `${input} ${attempt} ${epoch} ${deadline > Date.now()}`;
    });
    const bob = await mesh.join("bob");
    const handle = await bob.submit(work, "x");
    const events = await collect(handle.events());
    expect(events.map(brief)).toEqual([
      "running 1",
      "progress 1 0.25quarter",
      "progress 1 piece",
      "completed 1",
    ]);
    expect(events[0]).toMatchObject({ contractor: amy.address });
    expect(await handle.result()).toBe("x 1 1 true");
    expect(await handle.outcome()).toMatchObject({ state: "completed", attempts: 1 });
    expect(handle.owner).toBe("bob");
    // Asked for afterwards, the history is the same.
    expect((await collect(handle.events())).map(brief)).toEqual(events.map(brief));
  });

  test("under an id of one's own is one task, however often it is sent", async () => {
    const once = texts("once");
    let ran = 0;
    const cyd = await mesh.join("cyd");
    await cyd.serve(once, () => `run ${++ran}`);
    const task = "order-4711";
    const handles = [await cyd.submit(once, "x", { task }), await cyd.submit(once, "x", { task })];
    expect(await Promise.all(handles.map((h) => h.result()))).toEqual(["run 1", "run 1"]);
    expect(await codeOf(cyd.submit(once, "x", { task: "order.4711" }))).toBe("E_SCHEMA");
  });

  test("under the id of a task that asks for another thing is refused, open or ended", async () => {
    const hold = texts("hold");
    const other = texts("other");
    const done = gate();
    const [ivy, jon] = [await mesh.join("ivy"), await mesh.join("jon")];
    await ivy.serve(hold, async (input) => {
      await done.promise;
      return input;
    });
    const task = "order-4712";
    const handle = await jon.submit(hold, "x", { task });
    const twin = await mesh.join("jon", { agent: "twin" });
    const refused = async () => {
      for (const who of [jon, twin]) {
        expect(await codeOf(who.submit(hold, "y", { task }))).toBe("E_TAKEN");
        expect(await codeOf(who.submit(other, "x", { task }))).toBe("E_TAKEN");
      }
    };
    await refused();
    const again = await twin.submit(hold, "x", { task });
    done.open();
    expect(await handle.result()).toBe("x");
    expect(await again.result()).toBe("x");
    await refused();
  });

  test("costs what the bid asked for, or what the handler says", async () => {
    const paid = texts("paid");
    const dee = await mesh.join("dee");
    await dee.serve(
      paid,
      (input, { cost }) => {
        if (input === "dear") {
          cost(7);
          cost(1);
        }
        return "";
      },
      { cost: 3 },
    );
    const costs = await Promise.all(
      ["usual", "dear"].map(
        async (input) => (await (await dee.submit(paid, input)).outcome()).cost,
      ),
    );
    expect(costs).toEqual([3, 8]);
    const tooDear = await dee.submit(paid, "usual", { budget: 2, timeoutMs: 200 });
    expect(await tooDear.outcome()).toMatchObject({ state: "expired" });
  });
});

describe("cancel", () => {
  test("aborts the handler's signal and yields canceled", async () => {
    const wait = texts("wait");
    const started = gate();
    const stopped = gate<unknown>();
    const [eva, fin] = [await mesh.join("eva"), await mesh.join("fin")];
    await eva.serve(wait, async (_, { signal }) => {
      started.open();
      stopped.open(await aborted(signal));
      throw signal.reason;
    });
    const handle = await fin.submit(wait, "");
    await started.promise;
    await handle.cancel("enough");
    expect(await handle.outcome()).toMatchObject({
      state: "canceled",
      failure: { code: "E_CANCELED", message: "enough" },
    });
    expect(await codeOf(handle.result())).toBe("E_CANCELED");
    expect(await stopped.promise).toMatchObject({ code: "E_CANCELED", message: "enough" });
  });

  test("comes from an AbortSignal too; waiting ends without it", async () => {
    const gil = await mesh.join("gil");
    const control = new AbortController();
    const handle = await gil.submit(texts("nobody"), "", { signal: control.signal });
    const waiting = AbortSignal.timeout(20);
    await expect(handle.result(waiting)).rejects.toThrow(/timeout/);
    control.abort(new Error("not needed"));
    expect(await handle.outcome()).toMatchObject({
      state: "canceled",
      failure: { message: "not needed" },
    });
  });
});

describe("attempts", () => {
  test("fail with back-off, then end as failed with the last failure", async () => {
    const flaky = texts("flaky");
    const at: number[] = [];
    const hao = await mesh.join("hao");
    await hao.serve(flaky, (_, { attempt }) => {
      at.push(performance.now());
      throw new Error(`attempt ${attempt} broke`);
    });
    const handle = await hao.submit(flaky, "", { retry: { attempts: 3, backoffMs: 40 } });
    const events = (await collect(handle.events())).map(brief);
    expect(events).toEqual([
      "running 1",
      "failure 1 E_HANDLER",
      "negotiating 1",
      "running 2",
      "failure 2 E_HANDLER",
      "negotiating 2",
      "running 3",
      "failure 3 E_HANDLER",
      "negotiating 3",
      "failed 3",
    ]);
    expect(await handle.outcome()).toMatchObject({
      state: "failed",
      attempts: 3,
      failure: { code: "E_HANDLER", message: "Error: attempt 3 broke (attempt 3 of 3)" },
    });
    expect(at).toHaveLength(3);
    // 40 ms and then 80 ms, each less a quarter at most.
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(30);
    expect(at[2]! - at[1]!).toBeGreaterThanOrEqual(60);
  });

  test("succeed after a RetryableError, not before the pause that it asked for", async () => {
    const limited = texts("limited");
    const at: number[] = [];
    const ivy = await mesh.join("ivy");
    await ivy.serve(limited, () => {
      at.push(performance.now());
      if (at.length === 1) throw new RetryableError("rate limit", { afterMs: 150 });
      return "done";
    });
    const handle = await ivy.submit(limited, "", { retry: { backoffMs: 1 } });
    expect(await handle.result()).toBe("done");
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(145);
  });

  test("end at once with a TerminalError", async () => {
    const hopeless = texts("hopeless");
    let ran = 0;
    const jim = await mesh.join("jim");
    await jim.serve(hopeless, () => {
      ran += 1;
      throw new TerminalError("no such page");
    });
    const handle = await jim.submit(hopeless, "");
    expect(await handle.outcome()).toMatchObject({
      state: "failed",
      attempts: 1,
      failure: { code: "E_TERMINAL", retry: false },
    });
    expect(ran).toBe(1);
  });
});

test("large input and result of a durable task go by reference", async () => {
  const echo = texts("echo");
  const [kit, lou] = [await mesh.join("kit"), await mesh.join("lou")];
  await kit.serve(echo, (s) => s);
  const text = "large ".repeat(35_000);
  expect(await (await lou.submit(echo, text)).result()).toBe(text);
});
