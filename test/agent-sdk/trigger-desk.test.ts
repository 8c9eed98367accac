// What a desk serves, where the list of triggers and the word of a change cross on their way.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TriggerDesk } from "../../agent-sdk/trigger-desk.ts";
import { ParleyError } from "../../contracts/index.ts";
import type { Bucket, BucketEntry, EventLog, MeshEvent } from "../../mesh/ports/index.ts";
import { silent } from "./fixture.ts";

const LIST_AGAIN_MS = 60_000;

function entry(name: string, rev: number): BucketEntry {
  const when = { event: `${name}.*` };
  const value = { name, when, capability: "note", since: 0 };
  return { key: `ann.${name}.spec`, rev, value: Buffer.from(JSON.stringify(value)) };
}

function gone(name: string, rev: number): BucketEntry {
  return { key: `ann.${name}.spec`, rev, value: undefined };
}

/** A desk whose lists are answered by hand; `served` are the topics that it waits for. */
function stage() {
  const served = new Set<string>();
  const lists: ((entries: BucketEntry[]) => void)[] = [];
  let tell: (entry: BucketEntry) => void = () => undefined;
  const bucket: Bucket = {
    get: async () => undefined,
    put: async () => 1,
    remove: async () => undefined,
    list: () => new Promise((resolve) => lists.push(resolve)),
    watch: (_pattern, then) => {
      tell = then;
      return () => undefined;
    },
  };
  const events: EventLog = {
    emit: async () => 1,
    read: async () => [],
    last: async () => 0,
    watch: (pattern) => {
      served.add(pattern);
      return () => served.delete(pattern);
    },
  };
  const desk = new TriggerDesk(
    { bucket, events, principal: "ann", log: silent },
    { submit: async () => undefined, onClosed: () => undefined },
  );
  return {
    desk,
    served,
    tell: (entry: BucketEntry) => tell(entry),
    answer: (entries: BucketEntry[]) => lists.shift()?.(entries),
  };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("what is told while a list is under way stays, though the list does not have it", async () => {
  const { desk, served, tell, answer } = stage();
  const started = desk.start();
  tell(entry("orders", 7));
  answer([]);
  await started;
  expect([...served]).toEqual(["orders.*"]);
  desk.stop();
});

test("so does what took the place of one that a list no longer has", async () => {
  const { desk, served, tell, answer } = stage();
  const started = desk.start();
  answer([entry("orders", 7), entry("mail", 8)]);
  await started;
  await vi.advanceTimersByTimeAsync(LIST_AGAIN_MS);
  tell(entry("orders", 9));
  answer([]);
  await vi.advanceTimersByTimeAsync(0);
  expect([...served]).toEqual(["orders.*"]);
  desk.stop();
});

test("what was removed meanwhile does not come back with an older list", async () => {
  const { desk, served, tell, answer } = stage();
  const started = desk.start();
  tell(gone("orders", 8));
  answer([entry("orders", 7), entry("mail", 6)]);
  await started;
  expect([...served]).toEqual(["mail.*"]);
  tell(entry("orders", 9));
  expect([...served]).toEqual(["mail.*", "orders.*"]);
  desk.stop();
});

test("once stopped, nothing is taken: not from a list under way, nor by word", async () => {
  const { desk, served, tell, answer } = stage();
  const started = desk.start();
  desk.stop();
  answer([entry("orders", 7)]);
  await started;
  tell(entry("mail", 8));
  expect([...served]).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

/** A desk with one trigger; `submit` is told of each task's input. */
function serving(
  trigger: object,
  submit: (input: unknown) => Promise<void>,
  told: MeshEvent[] = [],
) {
  let tell: (entry: BucketEntry) => void = () => undefined;
  const kept = new Map<string, BucketEntry>();
  const put = async (key: string, value: Uint8Array) => {
    kept.set(key, { key, value, rev: kept.size + 2 });
    return kept.size + 1;
  };
  const value = Buffer.from(JSON.stringify({ name: "one", capability: "note", ...trigger }));
  const bucket: Bucket = {
    get: async (key) => kept.get(key),
    put,
    remove: async () => undefined,
    list: async () => [{ key: "ann.one.spec", rev: 1, value }],
    watch: (_pattern, then) => {
      tell = then;
      return () => undefined;
    },
  };
  const events: EventLog = {
    emit: async () => 1,
    read: async (_pattern, after, most) => told.filter((e) => e.seq > after).slice(0, most),
    last: async () => 0,
    watch: () => () => undefined,
  };
  const desk = new TriggerDesk(
    { bucket, events, principal: "ann", log: silent },
    { submit: (_capability, input) => submit(input), onClosed: () => undefined },
  );
  return { desk, tell: (entry: BucketEntry) => tell(entry) };
}

test("a trigger that is removed while it makes up for what it missed begins no more", async () => {
  const since = Date.now() - 500_500;
  let begun = 0;
  const { desk, tell } = serving(
    { when: { everyMs: 1_000 }, since, missed: "all" },
    () => new Promise((resolve) => setTimeout(resolve, 10, void begun++)),
  );
  await desk.start();
  await vi.advanceTimersByTimeAsync(50);
  const before = begun;
  tell(gone("one", 2));
  await vi.advanceTimersByTimeAsync(20_000);
  desk.stop();
  expect(before).toBeGreaterThan(1);
  expect(begun).toBeLessThanOrEqual(before + 1);
});

test("an event that was begun as its trigger was before holds up nothing behind it", async () => {
  const told = Array.from({ length: 65 }, (_, i) => ({
    seq: i + 1,
    topic: "orders.new",
    at: 0,
    data: Buffer.from(String(i + 1)),
  }));
  const begun: unknown[] = [];
  const { desk } = serving(
    { when: { event: "orders.*" }, since: 0 },
    async (input) => {
      if (input === 1) throw new ParleyError("E_TAKEN", "there is a task for something else");
      begun.push(input);
    },
    told,
  );
  await desk.start();
  await vi.advanceTimersByTimeAsync(1_000);
  desk.stop();
  expect(begun).toEqual(told.slice(1).map(({ seq }) => seq));
});
