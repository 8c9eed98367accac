// Authority shrinks: a contractor may submit for its parent's owner under its own open contract,
// within the parent's deadline and budget. Everything else is refused, counted and never awarded.
import { Unpackr } from "msgpackr";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { OpenPeer, TaskOptions } from "../../mesh/index.ts";
import { counted, gate, json, type Stranger, service, specOf, until, useWire } from "./fixture.ts";

vi.setConfig({ testTimeout: 30_000 });
const wire = useWire();
const unpackr = new Unpackr({ useRecords: false });

let ina: OpenPeer;
/** Contractor of the parents. */
let wes: OpenPeer;
/** Another contractor. */
let con: OpenPeer;
let sue: OpenPeer;
let olga: Stranger;
const holds = new Map<string, ReturnType<typeof gate>>();
/** Tasks for which anybody was called or awarded. */
const tendered = new Set<string>();

beforeAll(async () => {
  ina = await wire.peer("ina", "agent", [], { use: { contractor: false } });
  wes = await wire.peer("wes", "contractor", ["hold"]);
  con = await wire.peer("con", "contractor", ["echo"]);
  sue = await wire.peer("sue", "submitter");
  olga = await wire.stranger("olga", "observer");
  wes.peer.host({
    name: "main",
    slots: 50,
    services: [
      service("hold", async (run) => {
        const hold = holds.get(run.spec.task) ?? gate();
        holds.set(run.spec.task, hold);
        await hold.promise;
        return { output: "held" };
      }),
    ],
  });
  con.peer.host({
    name: "main",
    slots: 50,
    services: [service("echo", async (run) => ({ output: run.input }))],
  });
  olga.nc.subscribe("mesh.cfp.>", {
    callback: (_, m) => void tendered.add((unpackr.unpack(m.data) as { task: string }).task),
  });
  olga.nc.subscribe("mesh.award.>", {
    callback: (_, m) => {
      const { terms } = unpackr.unpack(m.data) as { terms: Uint8Array };
      tendered.add((unpackr.unpack(terms) as { task: string }).task);
    },
  });
  await olga.nc.flush();
  await until(
    () => ["wes.main", "con.main"].every((a) => ina.peer.registry.card(a)?.slots === 50),
    "both in the registry",
  );
}, 30_000);

interface Parent {
  task: string;
  deadline: number;
  end(): Promise<void>;
}

/** A task of sue's, deadline in 60 s and budget 10, that wes holds the contract of. */
async function parentOf(options: TaskOptions = { budget: 10 }): Promise<Parent> {
  const deadline = Date.now() + 60_000;
  const tracker = await sue.peer.submitters.submit("hold", {}, { deadline, ...options });
  await until(() => holds.has(tracker.task), "wes at work");
  return {
    task: tracker.task,
    deadline,
    async end() {
      holds.get(tracker.task)?.open();
      expect(await tracker.result()).toBe("held");
    },
  };
}

/** What a sub-task of this parent should say. */
function lawful(p: Parent): TaskOptions {
  return {
    owner: "sue",
    deadline: p.deadline,
    budget: 10,
    parent: { task: p.task, epoch: 1, contractor: "wes.main" },
  };
}

async function accepted(options: TaskOptions): Promise<void> {
  const sub = await wes.peer.submitters.submit("echo", { n: 1 }, options);
  expect(await sub.result(AbortSignal.timeout(10_000))).toEqual({ n: 1 });
  await until(() => tendered.has(sub.task), "the tender heard");
}

async function refused(by: OpenPeer, options: TaskOptions): Promise<void> {
  const counter = "refused.record.spec.E_AUTHORITY";
  const before = counted(ina, counter);
  const sub = await by.peer.submitters.submit("echo", { n: 1 }, options);
  const outcome = await sub.outcome(AbortSignal.timeout(10_000));
  expect(outcome).toMatchObject({ state: "rejected", failure: { code: "E_AUTHORITY" } });
  expect(counted(ina, counter)).toBe(before + 1);
  // A task that comes later and is done shows that this one was not merely slow.
  const later = await sue.peer.submitters.submit("echo", { n: 2 }, {});
  await later.result();
  await until(() => tendered.has(later.task), "the tender heard");
  expect(tendered.has(sub.task)).toBe(false);
  const records = await wire.recordsOf(options.owner ?? "", sub.task);
  expect(records.map((subject) => subject.split(".")[4])).toEqual(["outcome", "spec"]);
}

test("under its own open contract, a contractor submits for the parent's owner", async () => {
  const parent = await parentOf();
  await accepted(lawful(parent));
  await accepted({ ...lawful(parent), deadline: parent.deadline - 1, budget: 0 });
  await parent.end();
});

test("where the parent has no budget, a sub-task may name one", async () => {
  const parent = await parentOf({});
  const { budget: _, ...rest } = lawful(parent);
  await accepted(rest);
  await accepted({ ...rest, budget: 1e6 });
  await parent.end();
});

describe("refused is a sub-task", () => {
  type Case = [string, (p: Parent) => TaskOptions, (() => OpenPeer)?];
  const cases: Case[] = [
    [
      "of a parent that is not there",
      (p) => ({ ...lawful(p), parent: { task: "nosuch", epoch: 1, contractor: "wes.main" } }),
    ],
    [
      "that names another contractor",
      (p) => ({ ...lawful(p), parent: { task: p.task, epoch: 1, contractor: "con.main" } }),
    ],
    ["under another's contract", (p) => lawful(p), () => con],
    [
      "under another's contract, in its own name",
      (p) => ({ ...lawful(p), parent: { task: p.task, epoch: 1, contractor: "con.main" } }),
      () => con,
    ],
    [
      "of another epoch",
      (p) => ({ ...lawful(p), parent: { task: p.task, epoch: 2, contractor: "wes.main" } }),
    ],
    ["with a later deadline", (p) => ({ ...lawful(p), deadline: p.deadline + 1 })],
    [
      "with a later deadline that it claims for the parent too",
      (p) => ({
        ...lawful(p),
        deadline: p.deadline + 1,
        parent: { task: p.task, epoch: 1, contractor: "wes.main", deadline: p.deadline + 1 },
      }),
    ],
    ["with a larger budget", (p) => ({ ...lawful(p), budget: 10.01 })],
    [
      "with a larger budget that it claims for the parent too",
      (p) => ({
        ...lawful(p),
        budget: 11,
        parent: { task: p.task, epoch: 1, contractor: "wes.main", budget: 11 },
      }),
    ],
    ["without a budget where the parent has one", (p) => without(lawful(p), "budget")],
    ["for another owner than the parent's", (p) => ({ ...lawful(p), owner: "sam" })],
  ];

  test.each(cases)("%s", async (_, options, by) => {
    const parent = await parentOf();
    await refused(by?.() ?? wes, options(parent));
    await parent.end();
  });

  test("without a parent: nothing of it counts, and its owner may use the id (P2.4)", async () => {
    const parent = await parentOf();
    const counter = "refused.record.spec.E_AUTHORITY";
    const before = counted(ina, counter);
    const options = without(lawful(parent), "parent");
    const sub = await wes.peer.submitters.submit("echo", { n: 1 }, options);
    await until(() => counted(ina, counter) > before, "the refusal");
    const owners = await sue.peer.submitters.submit("echo", { n: 2 }, { task: sub.task });
    expect(await owners.result()).toEqual({ n: 2 });
    await parent.end();
  });

  test("of a parent that is finished", async () => {
    const parent = await parentOf();
    await parent.end();
    await refused(wes, lawful(parent));
  });

  test("of a parent that was canceled", async () => {
    const deadline = Date.now() + 60_000;
    const tracker = await sue.peer.submitters.submit("hold", {}, { deadline, budget: 10 });
    await until(() => holds.has(tracker.task), "wes at work");
    await tracker.cancel();
    await refused(wes, lawful({ task: tracker.task, deadline, end: async () => undefined }));
    holds.get(tracker.task)?.open();
  });
});

test("a spec put under somebody else's task ends neither it nor its supervision", async () => {
  // Several initiators, so that the one that gets the spec is not the one that has the task.
  const others = await Promise.all(
    ["ivo", "ike"].map((name) => wire.peer(name, "agent", [], { use: { contractor: false } })),
  );
  const all = [ina, ...others];
  const refusals = () => all.reduce((n, p) => n + counted(p, "refused.record.spec.E_AUTHORITY"), 0);
  const parent = await parentOf();
  const mal = await wire.stranger("mal", "contractor", ["echo"]);
  mal.answerWho("main");
  const before = refusals();
  const specs = 9;
  for (let i = 0; i < specs; i++) {
    const spec = specOf("sue", "echo", { task: parent.task });
    const { error } = await mal.store({
      key: {
        owner: "sue",
        task: parent.task,
        kind: "spec",
        n: "0-1",
        toPrincipal: "_",
        toAgent: `x${i}`,
        fromPrincipal: "mal",
        fromAgent: "main",
      },
      body: json(spec),
      fence: 0,
      fenceHeader: null,
    });
    expect(error).toBeUndefined();
  }
  await until(
    () => refusals() >= before + specs,
    () => JSON.stringify(all.map((p) => p.peer.counters.snapshot())),
  );
  const supervision = async () => {
    const m = await olga.nc.request("$JS.API.CONSUMER.INFO.KV_mesh_tasks.initiators-1", "");
    return m.json<{ num_ack_pending: number }>().num_ack_pending;
  };
  // The parent is the only task that is still somebody's to watch.
  await until(async () => (await supervision()) === 1, "the specs acknowledged");
  expect(refusals()).toBe(before + specs);
  await parent.end();
  await Promise.all(others.map((p) => p.close(0)));
});

test("a second spec under the parent grants no more than the first", async () => {
  const parent = await parentOf();
  const deadline = parent.deadline + 60_000;
  const spec = specOf("sue", "hold", { task: parent.task, deadline, budget: 1_000 });
  const before = counted(ina, "refused.record.spec.E_AUTHORITY");
  const eve = await wire.stranger("eve", "contractor", ["echo"]);
  eve.answerWho("main");
  await eve.store({
    key: {
      owner: "sue",
      task: parent.task,
      kind: "spec",
      n: "0-1",
      toPrincipal: "_",
      toAgent: "_",
      fromPrincipal: "eve",
      fromAgent: "main",
    },
    body: json(spec),
    fence: 0,
    fenceHeader: null,
  });
  await until(() => counted(ina, "refused.record.spec.E_AUTHORITY") > before, "eve refused");
  await refused(wes, { ...lawful(parent), deadline, budget: 1_000 });
  await parent.end();
});

function without(options: TaskOptions, name: keyof TaskOptions): TaskOptions {
  const { [name]: _, ...rest } = options;
  return rest;
}
