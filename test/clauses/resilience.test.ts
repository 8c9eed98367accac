// Clauses 7.12 to 7.14, 10.9, 13.5: breakers, alternatives, parking, admission.
import { describe, expect, test } from "vitest";
import {
  BREAKER_FAILURES,
  type FAILURES,
  OPEN_TASKS_MAX,
  ParleyError,
  patterns,
  RETAIN_MS_PARKED,
} from "../../contracts/index.ts";
import { foldTask } from "../../mesh/core/task-view.ts";
import type { OpenPeer, Service } from "../../mesh/index.ts";
import { useClauses } from "../support/clauses.ts";
import { service, until } from "../wire/fixture.ts";

const wire = useClauses();

const failing = (capability: string, sick: () => boolean): Service =>
  service(capability, async (run) => {
    if (sick()) throw new ParleyError("E_HANDLER", "the model is down");
    return { output: run.spec.capability };
  });

function hosts(peer: OpenPeer, services: Service[], slots = 8, name = "w"): void {
  peer.peer.host({ name, slots, services });
}

const once = { retry: { attempts: 1, backoffMs: 0 } };

describe("breakers", () => {
  test("P7.12: five failures stop awards but trials; healing shows within 5 s", async () => {
    let sick = true;
    let runs = 0;
    const a = await wire.peer("p712", "agent", ["frail"]);
    const count = () => {
      runs++;
      return sick;
    };
    hosts(a, [failing("frail", count)]);
    await wire.known("frail", 1);
    const watcher = await wire.stranger("p712o", "observer");
    const told: string[] = [];
    watcher.nc.subscribe(patterns.breakers, {
      callback: (_e, m) => {
        const { capability, agent, state } = m.json<Record<string, string>>();
        if (agent === undefined) told.push(`${capability} ${state}`);
      },
    });
    await watcher.nc.flush();
    for (let n = 0; n < BREAKER_FAILURES; n++) {
      const failed = await a.peer.submitters.submit("frail", {}, once);
      expect((await failed.outcome()).failure?.code).toBe("E_HANDLER");
    }
    await until(() => told.length === 1, "the notice");
    const before = runs;
    const waiting = await a.peer.submitters.submit("frail", {}, { timeoutMs: 30_000 });
    await until(() => a.peer.counters.get("waits") > 0, "the task to wait");
    expect(runs).toBe(before);
    sick = false;
    const healed = performance.now();
    expect((await waiting.outcome()).state).toBe("completed");
    expect(performance.now() - healed).toBeLessThan(5_000);
    expect(runs).toBe(before + 1);
    await until(() => told.length === 2, "the second notice");
    expect(told).toEqual(["frail open", "frail closed"]);
  });

  test("P7.13: who fails again and again is passed over, and the award says so", async () => {
    const a = await wire.peer("p713a", "agent", ["twice"]);
    const b = await wire.peer("p713b", "agent", ["twice"]);
    // Cheap and broken: the better bid until nobody trusts it.
    const cheap = { ...failing("twice", () => true).capability, cost: 1 };
    hosts(a, [{ ...failing("twice", () => true), capability: cheap }]);
    hosts(b, [{ ...failing("twice", () => false), capability: { ...cheap, cost: 9 } }]);
    await wire.known("twice", 2);
    const options = { award: { policy: "cheapest" }, retry: { attempts: 4, backoffMs: 0 } };
    const sue = await wire.peer("p713s", "submitter");
    let distrusted: readonly string[] | undefined;
    for (let n = 0; n < 20 && distrusted === undefined; n++) {
      const handle = await sue.peer.submitters.submit("twice", {}, options);
      expect((await handle.outcome()).state).toBe("completed");
      for (const peer of [a, b]) {
        const records = await peer.peer.deps.records.read("p713s", handle.task);
        for (const r of records) distrusted ??= r.terms?.distrusted;
      }
    }
    expect(distrusted).toEqual(["p713a.w"]);
  });
});

describe("alternatives", () => {
  test("P7.14: are tried in order, with attempts of their own, by the records alone", async () => {
    const a = await wire.peer("p714", "agent", ["best", "good", "plain"]);
    const services = ["best", "good"].map((name) => failing(name, () => true));
    hosts(a, [...services, failing("plain", () => false)]);
    await wire.known("plain", 1);
    const handle = await a.peer.submitters.submit(
      "best",
      {},
      { ...once, otherwise: [{ capability: "good" }, { capability: "plain" }] },
    );
    expect(await handle.result()).toBe("plain");
    const records = await a.peer.deps.records.read("p714", handle.task);
    const tiers = records.filter((r) => r.kind === "contract").map((r) => r.terms?.tier ?? 0);
    expect(tiers).toEqual([0, 1, 2]);
    expect(foldTask(records)).toMatchObject({ tier: 2, tierBase: 2, epoch: 3, faults: [] });
  });

  test("are tried at once where nobody offers the capability, live calls too", async () => {
    const a = await wire.peer("p714b", "agent", ["there"]);
    hosts(a, [failing("there", () => false)]);
    await wire.known("there", 1);
    const otherwise = [{ capability: "there" }];
    const call = await a.peer.submitters.call("nowhere", {}, { otherwise, timeoutMs: 5_000 });
    expect(await call.result()).toBe("there");
  });

  test("that all fail end in a failure that names each of them", async () => {
    const a = await wire.peer("p714c", "agent", ["one", "two"]);
    hosts(a, [failing("one", () => true), failing("two", () => true)]);
    await wire.known("two", 1);
    const otherwise = [{ capability: "two" }];
    const handle = await a.peer.submitters.submit("one", {}, { ...once, otherwise });
    const { state, failure, attempts } = await handle.outcome();
    expect([state, failure?.code, attempts]).toEqual(["failed", "E_ALL_FAILED", 2]);
    expect(failure?.message).toMatch(/one: the model is down; two: the model is down/);
  });
});

test("P10.9: a task that failed in every attempt is parked, a hopeless one is not", async () => {
  const a = await wire.peer("p109", "agent", ["parks"]);
  hosts(a, [
    service("parks", async (run) => {
      throw new ParleyError((run.input as { code: "E_HANDLER" }).code, "no");
    }),
  ]);
  await wire.known("parks", 1);
  const end = async (code: keyof typeof FAILURES) =>
    (await a.peer.submitters.submit("parks", { code }, once)).outcome();
  expect(await end("E_HANDLER")).toMatchObject({ parked: true, retainMs: RETAIN_MS_PARKED });
  expect((await end("E_TERMINAL")).parked).toBeUndefined();
});

test("P5.4: more often than its rate allows, an agent refuses, and takes it up later", async () => {
  const a = await wire.peer("p54r", "agent", ["rated"]);
  const rated = failing("rated", () => false);
  hosts(a, [{ ...rated, capability: { ...rated.capability, rate: { perS: 10, burst: 2 } } }]);
  await wire.known("rated", 1);
  const began = performance.now();
  const tasks = await Promise.all(
    Array.from({ length: 6 }, () => a.peer.submitters.submit("rated", {}, {})),
  );
  for (const task of tasks) expect((await task.outcome()).state).toBe("completed");
  // Two at once, four more at ten a second.
  expect(performance.now() - began).toBeGreaterThan(350);
  expect(a.peer.counters.get("refusals.rate")).toBeGreaterThan(0);
});

test("P13.5: a full desk refuses live calls, the less urgent first", async () => {
  const a = await wire.peer("p135", "submitter");
  const calls: Promise<unknown>[] = [];
  const call = (priority: number) =>
    a.peer.submitters.call("nobody-here", {}, { priority, timeoutMs: 60_000 });
  for (let n = 0; n < OPEN_TASKS_MAX * 0.8; n++) calls.push(call(9));
  await Promise.all(calls);
  await expect(call(0)).rejects.toMatchObject({ code: "E_OVERLOAD" });
  expect((await call(5)).state).toBe("submitted");
}, 60_000);
