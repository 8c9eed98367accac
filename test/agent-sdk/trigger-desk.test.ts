// What a desk serves, where the list of triggers and the word of a change cross on their way.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TriggerDesk } from "../../agent-sdk/trigger-desk.ts";
import { Triggers } from "../../agent-sdk/triggers.ts";
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
  mark?: { rev: number; of: "event" | "time"; upTo: number; topic?: string },
) {
  let tell: (entry: BucketEntry) => void = () => undefined;
  const kept = new Map<string, BucketEntry>();
  const put = async (key: string, value: Uint8Array) => {
    kept.set(key, { key, value, rev: kept.size + 2 });
    return kept.size + 1;
  };
  if (mark !== undefined) {
    const key = "ann.one.mark";
    const bytes = Buffer.from(JSON.stringify({ v: 1, kind: "mark", ...mark }));
    kept.set(key, { key, value: bytes, rev: mark.rev });
  }
  const value = Buffer.from(JSON.stringify({ name: "one", capability: "note", ...trigger }));
  const bucket: Bucket = {
    get: async (key) => kept.get(key),
    put,
    remove: async () => undefined,
    list: async () => [{ key: "ann.one.spec", rev: 10, value }],
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
  tell(gone("one", 11));
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

test("of a long time away all that was missed is begun, where none may be left out", async () => {
  const hour = 3_600_000;
  let begun = 0;
  const { desk } = serving(
    { when: { everyMs: 1_000 }, since: Date.now() - hour, missed: "all" },
    async () => void begun++,
  );
  await desk.start();
  await vi.advanceTimersByTimeAsync(10);
  desk.stop();
  expect(begun).toBe(3_600);
});

test("a moment that comes between a look and the sleep after it is not slept through", async () => {
  const day = 24 * 3_600_000;
  const due = Math.floor(Date.now() / day + 1) * day;
  const begun: unknown[] = [];
  const { desk } = serving(
    { when: { cron: "0 0 * * *" }, since: due - 1_000, missed: "none" },
    async (input) => void begun.push(input),
  );
  vi.setSystemTime(due);
  vi.spyOn(Date, "now").mockReturnValueOnce(due - 1);
  await desk.start();
  await vi.advanceTimersByTimeAsync(1_000);
  desk.stop();
  vi.mocked(Date.now).mockRestore();
  expect(begun).toEqual([{ due: new Date(due).toISOString() }]);
});

describe("a mark from when the trigger waited for something else", () => {
  const told = [5, 6].map((seq) => ({
    seq,
    topic: "orders.new",
    at: 0,
    data: Buffer.from(String(seq)),
  }));
  const trigger = { when: { event: "orders.*" }, since: 0, from: 5 };

  test.each([
    { of: "event", topic: "mail.*", upTo: 1_000 },
    { of: "event", topic: "orders.*", upTo: 1 },
    { of: "time", upTo: 1_000 },
  ] as const)("says nothing of this one: %j", async (mark) => {
    const begun: unknown[] = [];
    const submit = async (input: unknown) => void begun.push(input);
    const { desk } = serving(trigger, submit, told, { rev: 9, ...mark });
    await desk.start();
    await vi.advanceTimersByTimeAsync(1_000);
    desk.stop();
    expect(begun).toEqual([6]);
  });

  test("newer than the trigger: that was changed meanwhile, and others serve it", async () => {
    const begun: unknown[] = [];
    const submit = async (input: unknown) => void begun.push(input);
    const newer = { rev: 12, of: "event", topic: "mail.*", upTo: 1_000 } as const;
    const { desk } = serving(trigger, submit, told, newer);
    await desk.start();
    await vi.advanceTimersByTimeAsync(1_000);
    desk.stop();
    expect(begun).toEqual([]);
  });
});

test("a change that the store refuses leaves the trigger and its mark as they were", async () => {
  const stored = entry("orders", 7);
  const written: string[] = [];
  const bucket = {
    get: async (key: string) => (key === stored.key ? stored : undefined),
    put: async (key: string) => {
      written.push(key);
      throw new ParleyError("E_STORE");
    },
  } as unknown as Bucket;
  const events = { last: async () => 9 } as unknown as EventLog;
  const ports = { bucket, events, principal: "ann", log: silent };
  const triggers = new Triggers(ports, {
    submit: async () => undefined,
    onClosed: () => undefined,
  });
  const other = { name: "orders", when: { event: "mail.*" }, capability: "note" };
  await expect(triggers.put(other)).rejects.toThrow(ParleyError);
  expect(written).toEqual(["ann.orders.spec"]);
});
