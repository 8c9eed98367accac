// What a desk serves, where the list of triggers and the word of a change cross on their way.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TriggerDesk } from "../../agent-sdk/trigger-desk.ts";
import type { Bucket, BucketEntry, EventLog } from "../../mesh/ports/index.ts";
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
