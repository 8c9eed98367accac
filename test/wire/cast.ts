// Who plays in the tests of forgeries: real peers (ina initiates, wes contracts, sue submits) and
// strangers with credentials of their own (mal, con, sid; olga only listens).
import { Unpackr } from "msgpackr";
import { beforeAll, expect, vi } from "vitest";
import type { Spec } from "../../contracts/spec.ts";
import type { RecordKey, RecordKind } from "../../contracts/subjects.ts";
import { foldTask } from "../../mesh/core/task-view.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import { gate, json, type RecordParts, type Stranger, service, until, useWire } from "./fixture.ts";

vi.setConfig({ testTimeout: 30_000 });
const unpackr = new Unpackr({ useRecords: false });
export const unmsgpack = (bytes: Uint8Array): unknown => unpackr.unpack(bytes);

export let ina: OpenPeer;
export let wes: OpenPeer;
export let sue: OpenPeer;
/** An agent like any other: contractor, initiator and submitter of its own. */
export let mal: Stranger;
/** A contractor with the same capabilities as wes. */
export let con: Stranger;
/** A submitter. */
export let sid: Stranger;
/** Hears everything, may send nothing. */
export let olga: Stranger;
/** Tasks of `hold` end when they are told to. */
export const holds = new Map<string, ReturnType<typeof gate>>();
/** How often wes began each task. */
export const begun = new Map<string, number>();

export const wire = useWire();

beforeAll(async () => {
  ina = await wire.peer("ina", "agent", [], { use: { contractor: false }, silenceMs: 300 });
  wes = await wire.peer("wes", "contractor", ["echo", "hold"]);
  sue = await wire.peer("sue", "submitter");
  wes.peer.host({
    name: "main",
    slots: 50,
    services: [
      service("echo", async (run) => ({ output: run.input })),
      service("hold", async (run) => {
        const stopped = new Promise((_, reject) => {
          run.signal.addEventListener("abort", () => reject(run.signal.reason), { once: true });
        });
        const { task } = run.spec;
        begun.set(task, (begun.get(task) ?? 0) + 1);
        const hold = holds.get(task) ?? gate();
        holds.set(task, hold);
        await Promise.race([hold.promise, stopped]);
        return { output: { by: "wes" } };
      }),
    ],
  });
  wes.peer.host({ name: "two", slots: 1, services: [] });
  mal = await wire.stranger("mal", "agent", ["echo"]);
  con = await wire.stranger("con", "contractor", ["echo", "hold"]);
  sid = await wire.stranger("sid", "submitter");
  olga = await wire.stranger("olga", "observer");
  for (const stranger of [mal, con, sid]) {
    stranger.answerWho("main");
    await stranger.nc.flush();
  }
  await until(() => ina.peer.registry.card("wes.main")?.slots === 50, "wes in the registry");
}, 30_000);

/** A record as it is stored: its bytes and its revision. */
export async function stored(subject: string): Promise<{ data: Uint8Array; rev: number }> {
  const m = await olga.nc.request(`$JS.API.DIRECT.GET.KV_mesh_tasks.${subject}`, "");
  return { data: m.data, rev: Number(m.headers?.get("Nats-Sequence")) };
}

export interface Open {
  task: string;
  spec: Spec;
  specBytes: Uint8Array;
  rev: number;
}

export async function opened(task: string): Promise<Open> {
  const { data, rev } = await stored(`$KV.mesh_tasks.sue.${task}.spec.0-1._._.sue.main`);
  return { task, rev, specBytes: data, spec: JSON.parse(Buffer.from(data).toString()) };
}

export interface Held extends Open {
  tracker: Awaited<ReturnType<OpenPeer["peer"]["submitters"]["submit"]>>;
  /** Revision and body of the contract that wes holds. */
  contractRev: number;
  contract: { award: { terms: string; sig: string } };
}

/** A task of sue's that wes is working on, until `hold` is opened. */
export async function held(): Promise<Held> {
  return heldBy(await sue.peer.submitters.submit("hold", {}, { retry: { backoffMs: 1 } }));
}

export async function heldBy(tracker: Held["tracker"]): Promise<Held> {
  const subject = `$KV.mesh_tasks.sue.${tracker.task}.contract.1.ina.main.wes.main`;
  await until(async () => (await stored(subject)).rev > 0, "a contract");
  await until(() => begun.has(tracker.task), "wes at work");
  const { data, rev } = await stored(subject);
  return {
    ...(await opened(tracker.task)),
    tracker,
    contractRev: rev,
    contract: JSON.parse(Buffer.from(data).toString()),
  };
}

/** The task ends as it should, and the records say the same as the handle. */
export async function endsRight(h: Held): Promise<void> {
  holds.get(h.task)?.open();
  expect(await h.tracker.result(AbortSignal.timeout(15_000))).toEqual({ by: "wes" });
  const view = foldTask(await ina.peer.deps.records.read("sue", h.task));
  expect(view.state).toBe("completed");
  expect(view.contract?.contractor).toBe("wes.main");
  expect(view.outcome?.output).toEqual({ by: "wes" });
}

export function keyOf(h: Held, kind: RecordKind, over: Partial<RecordKey> = {}): RecordKey {
  return {
    owner: "sue",
    task: h.task,
    kind,
    n: "1",
    toPrincipal: "ina",
    toAgent: "main",
    fromPrincipal: "con",
    fromAgent: "main",
    ...over,
  };
}

export const SUE = { toPrincipal: "sue", toAgent: "main" };

export function bodyOf(h: Held, kind: RecordKind, over: object = {}): Uint8Array {
  const common = { v: 1, kind, task: h.task, prev: "" };
  const bodies: Partial<Record<RecordKind, object>> = {
    contract: {
      epoch: 1,
      attempt: 1,
      capability: "hold",
      contractor: "con.main",
      initiator: "ina.main",
      leaseMs: 15_000,
      at: Date.now(),
      award: h.contract.award,
    },
    failure: {
      epoch: 1,
      attempt: 1,
      endedAt: Date.now(),
      failure: { code: "E_TERMINAL", message: "given up", retry: false },
    },
    cancel: { reason: "because", at: Date.now() },
    outcome: {
      epoch: 1,
      state: "completed",
      output: { by: "con" },
      attempts: 1,
      endedAt: Date.now(),
      award: h.contract.award,
      retainMs: 0,
    },
  };
  return json({ ...common, ...bodies[kind], ...over });
}

/** Stored, or the test is about nothing. */
export async function put(who: Stranger, record: RecordParts): Promise<number> {
  const { seq } = await who.store(record);
  expect(seq).toBeGreaterThan(0);
  return seq as number;
}
