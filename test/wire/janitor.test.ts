// The janitor takes out what is finished and due, and nothing else, whatever others store.
import { jetstreamManager } from "@nats-io/jetstream";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type RecordKey, recordSubject } from "../../contracts/subjects.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import { Janitor } from "../../mesh/nats/janitor.ts";
import { systemClock } from "../../mesh/nats/system.ts";
import { HOSTILE_BYTES } from "../support/hostile-bytes.ts";
import { gate, json, type Stranger, service, silent, until, useWire } from "./fixture.ts";

vi.setConfig({ testTimeout: 30_000 });
const wire = useWire();

let sue: OpenPeer;
let con: Stranger;
let root: Stranger;
let janitor: Janitor;
const holds = new Map<string, ReturnType<typeof gate>>();

beforeAll(async () => {
  const ina = await wire.peer("ina", "agent", [], { use: { contractor: false }, silenceMs: 300 });
  const wes = await wire.peer("wes", "contractor", ["echo", "hold"]);
  sue = await wire.peer("sue", "submitter");
  wes.peer.host({
    name: "main",
    slots: 50,
    services: [
      service("echo", async (run) => ({ output: run.input })),
      service("hold", async (run) => {
        const hold = holds.get(run.spec.task) ?? gate();
        holds.set(run.spec.task, hold);
        await hold.promise;
        return { output: "held" };
      }),
    ],
  });
  await until(() => ina.peer.registry.card("wes.main")?.slots === 50, "wes in the registry");
  con = await wire.stranger("con", "contractor", ["echo"]);
  root = await wire.stranger("roo", "admin");
  const janet = await wire.peer("janet", "admin", [], {
    use: { contractor: false, initiator: false, intake: false },
  });
  janitor = new Janitor(janet.transport, systemClock, silent, "janet", (owner, task, rev) =>
    janet.peer.isFinished(owner, task, rev),
  );
  janitor.start();
}, 30_000);
afterAll(() => janitor?.stop());

async function echo(retainMs: number): Promise<string> {
  const tracker = await sue.peer.submitters.submit("echo", { n: 1 }, { retainMs });
  await tracker.result();
  return tracker.task;
}

async function hold(retainMs: number) {
  const tracker = await sue.peer.submitters.submit("hold", {}, { retainMs });
  await until(() => holds.has(tracker.task), "the task to run");
  return tracker;
}

/** Tasks that should have been purged by now. */
let purges = 0;

/** Purged, and nothing else but what was purged before. */
async function gone(task: string): Promise<void> {
  purges++;
  await until(async () => (await wire.recordsOf("sue", task)).length === 0, `${task} purged`);
  await until(() => janitor.purged >= purges, "the purge counted");
  expect(janitor.purged).toBe(purges);
}

/** Has the janitor been told of every outcome that is stored by now? */
async function told(): Promise<void> {
  const jsm = await jetstreamManager(root.nc, { checkAPI: false });
  await until(async () => {
    const info = await jsm.consumers.info("KV_mesh_tasks", "janitor");
    return info.num_pending === 0;
  }, "every outcome delivered to the janitor");
}

function outcomeKey(task: string, over: Partial<RecordKey> = {}): RecordKey {
  return {
    owner: "sue",
    task,
    kind: "outcome",
    n: "1",
    toPrincipal: "sue",
    toAgent: "main",
    fromPrincipal: "con",
    fromAgent: "main",
    ...over,
  };
}

function forgedOutcome(task: string, retainMs: unknown): Uint8Array {
  return json({
    v: 1,
    kind: "outcome",
    task,
    epoch: 1,
    state: "completed",
    attempts: 1,
    endedAt: Date.now(),
    prev: "",
    retainMs,
  });
}

test("a finished task goes when its retention is over, and leaves nothing behind", async () => {
  const kept = await echo(3_600_000);
  const running = await hold(0);
  const soon = await echo(50);
  await gone(soon);
  expect((await wire.recordsOf("sue", kept)).length).toBe(3);
  expect((await wire.recordsOf("sue", running.task)).length).toBe(2);
  holds.get(running.task)?.open();
  expect(await running.result()).toBe("held");
  await gone(running.task);
  expect((await wire.recordsOf("sue", kept)).length).toBe(3);
});

test("a failed task goes as well", async () => {
  const tracker = await sue.peer.submitters.submit("nobody", {}, { retainMs: 0, timeoutMs: 300 });
  expect((await tracker.outcome()).state).toBe("expired");
  await gone(tracker.task);
});

test("a forged outcome purges nothing, and the task it was for ends right", async () => {
  const running = await hold(50);
  const { refused } = janitor;
  for (const n of ["1", "2"]) {
    await con.store({
      key: outcomeKey(running.task, { n }),
      body: forgedOutcome(running.task, 0),
      fence: 0,
      fenceHeader: null,
      signer: n === "1" ? con.key : undefined,
    });
  }
  await until(() => janitor.refused >= refused + 2, "both outcomes turned down");
  expect((await wire.recordsOf("sue", running.task)).length).toBe(4);
  holds.get(running.task)?.open();
  expect(await running.result(AbortSignal.timeout(15_000))).toBe("held");
  await gone(running.task);
});

test("a forged outcome of a finished task does not shorten its retention", async () => {
  const kept = await echo(3_600_000);
  const { refused } = janitor;
  await con.store({
    key: outcomeKey(kept),
    body: forgedOutcome(kept, 0),
    fence: 0,
    fenceHeader: null,
  });
  await until(() => janitor.refused > refused, "the forged one turned down");
  expect(janitor.purged).toBe(purges);
  expect((await wire.recordsOf("sue", kept)).length).toBe(4);
});

test("hostile outcomes, and hostile retentions, neither stop it nor mislead it", async () => {
  const running = await hold(0);
  const kept = await echo(3_600_000);
  const { refused } = janitor;
  for (const [i, { bytes }] of HOSTILE_BYTES.entries()) {
    con.nc.publish(recordSubject(outcomeKey("hostile", { n: `${i}` })), bytes);
  }
  const due = [0, -0, 1e-300];
  const odd = [-1, 1e308, "0", null, [], {}, true];
  for (const [i, retainMs] of [...due, ...odd].entries()) {
    const key = outcomeKey(running.task, { n: `odd${i}` });
    con.nc.publish(recordSubject(key), forgedOutcome(running.task, retainMs));
  }
  await con.nc.flush();
  await told();
  await until(() => janitor.refused >= refused + due.length, "those that are due turned down");
  expect(janitor.purged).toBe(purges);
  expect((await wire.recordsOf("sue", kept)).length).toBe(3);
  const soon = await echo(0);
  await gone(soon);
  holds.get(running.task)?.open();
  expect(await running.result(AbortSignal.timeout(15_000))).toBe("held");
  await gone(running.task);
});

test("literal wildcards in a stored key are no filter: nothing of others is purged", async () => {
  const kept = await Promise.all([echo(3_600_000), echo(3_600_000)]);
  for (const key of [
    outcomeKey("*"),
    outcomeKey(">"),
    outcomeKey("*", { owner: "*" }),
    outcomeKey(">", { owner: ">" }),
    outcomeKey(kept[0] as string, { owner: "*" }),
    outcomeKey(kept[0] as string, { n: "*" }),
    outcomeKey(kept[0] as string, { toPrincipal: "*", toAgent: ">" }),
  ]) {
    con.publish(recordSubject(key), forgedOutcome(key.task, 0));
  }
  await con.nc.flush();
  await told();
  const soon = await echo(0);
  await gone(soon);
  expect((await wire.recordsOf("sue", kept[0] as string)).length).toBe(5);
  expect((await wire.recordsOf("sue", kept[1] as string)).length).toBe(3);
});
