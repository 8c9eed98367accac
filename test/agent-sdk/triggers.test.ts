// Triggers on a real server: what they begin is one task, whoever serves them and however often.
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { defineCapability, type Mesh } from "../../agent-sdk/index.ts";
import { codeOf, useMesh } from "./fixture.ts";

const mesh = useMesh();

/** An agent that notes what its triggers ask for, and nobody else does. */
async function noting(name: string): Promise<{ mesh: Mesh; seen: unknown[]; capability: string }> {
  const seen: unknown[] = [];
  const capability = `note-${name}`;
  const own = await mesh.join(name);
  const note = defineCapability({ name: capability, input: z.unknown(), output: z.number() });
  await own.serve(note, (input) => seen.push(input), { slots: 50 });
  return { mesh: own, seen, capability };
}

/** Stores a trigger as if it had been stored so long ago. */
async function olden(name: string, ago: number, value: object): Promise<void> {
  const { transport } = await mesh.local.open(name, "agent", []);
  const since = Date.now() - ago;
  const capability = `note-${name}`;
  const body = { v: 1, kind: "trigger", name: "old", capability, since, ...value };
  const subject = `$KV.mesh_triggers.${name}.old.spec`;
  await transport.request(subject, Buffer.from(JSON.stringify(body)), { timeoutMs: 2_000 });
  await transport.close();
}

describe("an event trigger", async () => {
  test("submits one task for each event, though two processes serve it", async () => {
    const { mesh: one, seen, capability } = await noting("shop");
    const two = await mesh.join("shop", { agent: "second" });
    const triggers = await one.triggers();
    await triggers.put({
      name: "orders",
      when: { event: "orders.*" },
      capability,
      input: { id: { $: "event.data.id" }, topic: { $: "event.topic" } },
    });
    await triggers.serve();
    await (await two.triggers()).serve();
    await triggers.emit("other.created", { id: 0 });
    for (let id = 1; id <= 20; id++) await triggers.emit("orders.created", { id });
    await vi.waitFor(() => expect(seen).toHaveLength(20), 10_000);
    // The last one once more, under another id, so that a second task of any before it shows.
    await triggers.emit("orders.last", { id: 21 });
    await vi.waitFor(() => expect(seen).toContainEqual({ id: 21, topic: "orders.last" }), 10_000);
    const ids = (seen as { id: number }[]).map(({ id }) => id);
    expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
  });

  test("that waits for another topic now begins nothing for what was told before", async () => {
    const { mesh: one, seen, capability } = await noting("turned");
    const triggers = await one.triggers();
    await triggers.put({ name: "turned", when: { event: "desk.*" }, capability });
    await triggers.emit("post.in", "before");
    await triggers.put({ name: "turned", when: { event: "post.*" }, capability });
    await triggers.emit("post.in", "after");
    await triggers.serve();
    await vi.waitFor(() => expect(seen).toContain("after"), 10_000);
    expect(seen).toEqual(["after"]);
  });

  test("makes up for what happened while nobody served it, from when it was stored", async () => {
    const { mesh: one, seen, capability } = await noting("late");
    const triggers = await one.triggers();
    await triggers.emit("mail.in", "before");
    await triggers.put({ name: "mail", when: { event: "mail.>" }, capability });
    await triggers.emit("mail.in", "first");
    const { transport } = await mesh.local.open("postman", "submitter", []);
    transport.publish("mesh.event.mail.in", Buffer.from("no JSON"));
    await transport.close();
    const stop = await triggers.serve();
    await vi.waitFor(() => expect(seen.toSorted()).toEqual(["first", "no JSON"]), 10_000);
    stop();
    await triggers.emit("mail.in", "while away");
    const again = await triggers.serve();
    await vi.waitFor(() => expect(seen).toHaveLength(3), 10_000);
    again();
    // Of another sort under the same name: what it counts by begins anew.
    await triggers.put({ name: "mail", when: { everyMs: 3_600_000 }, capability });
    await (await triggers.serve())();
    await triggers.emit("mail.in", "not for a trigger of time");
    await triggers.put({ name: "mail", when: { event: "mail.>" }, capability });
    await triggers.emit("mail.in", "for an event again");
    await triggers.serve();
    await vi.waitFor(() => expect(seen).toHaveLength(4), 10_000);
    expect(seen).toContain("for an event again");
    await triggers.remove("mail");
    expect(await codeOf(triggers.remove("mail"))).toBe("E_NOT_FOUND");
    expect(await triggers.list()).toEqual([]);
  });
});

describe("a trigger of time", async () => {
  test("submits at its moments, in their order", async () => {
    const { mesh: one, seen, capability } = await noting("clock");
    const triggers = await one.triggers();
    await triggers.serve();
    const { since } = await triggers.put({
      name: "tick",
      when: { everyMs: 1_000 },
      capability,
      input: { due: { $: "due" } },
    });
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(1), 10_000);
    const due = [1, 2].map((n) => ({ due: new Date(since + n * 1_000).toISOString() }));
    expect(seen.slice(0, 2)).toEqual(due);
    await triggers.remove("tick");
  });

  test.each([
    ["last", 1],
    ["all", 60],
    ["none", 0],
  ])("that was missed 60 times makes up for: %s", async (missed, count) => {
    const { mesh: one, seen, capability } = await noting(`away-${missed}`);
    const ago = 60 * 60_000 + 30_000;
    await olden(`away-${missed}`, ago, { when: { everyMs: 60_000 }, missed });
    const triggers = await one.triggers();
    await triggers.serve();
    // Something that comes after it, in the same process.
    await triggers.put({ name: "end", when: { event: "end.*" }, capability });
    await vi.waitFor(async () => {
      await triggers.emit(`end.${missed}`, "end");
      expect(seen).toContain("end");
    }, 10_000);
    await vi.waitFor(() => expect(seen.filter((s) => s !== "end")).toHaveLength(count), 10_000);
  });

  test("that is stored again as it was goes on where it stood", async () => {
    const { mesh: one, seen, capability } = await noting("restart");
    const trigger = { name: "old", when: { everyMs: 3_600_000 } };
    await olden("restart", 90 * 60_000, trigger);
    const triggers = await one.triggers();
    // As a program does at each of its starts.
    const { since } = await triggers.put({ ...trigger, capability });
    expect(Date.now() - since).toBeGreaterThan(80 * 60_000);
    await triggers.serve();
    await vi.waitFor(() => expect(seen).toHaveLength(1), 10_000);
    const { since: anew } = await triggers.put({
      name: "old",
      when: { everyMs: 1_000_000 },
      capability,
    });
    expect(anew).toBeGreaterThan(since);
    await triggers.remove("old");
    // A moment that is over by now was none when it was stored first.
    await olden("restart", 90 * 60_000, {
      when: { at: new Date(Date.now() - 60_000).toISOString() },
    });
    const [over] = await triggers.list();
    await triggers.put({ name: "old", when: over?.when, capability });
  });

  test("is its principal's own to write", async () => {
    const { transport } = await mesh.local.open("rival", "agent", []);
    const subject = "$KV.mesh_triggers.clock.tick.spec";
    const sent = transport.request(subject, Buffer.from("{}"), { timeoutMs: 2_000 });
    expect(await codeOf(sent)).toBe("E_PERMISSION");
    await transport.close();
  });

  test("that makes no sense is refused, with every reason", async () => {
    const triggers = await (await mesh.join("author")).triggers();
    const { message } = await triggers.put({ name: "a.b", when: { soon: true } }).catch((e) => e);
    for (const place of ["name: a token", "when: one of", "capability: "]) {
      expect(message).toContain(place);
    }
    const bad = { name: "x", when: { cron: "hourly?" }, capability: "note" };
    expect(await codeOf(triggers.put(bad))).toBe("E_SCHEMA");
    expect(await codeOf(triggers.emit("no spaces"))).toBe("E_SCHEMA");
    expect(await codeOf(triggers.emit("big", "x".repeat(70_000)))).toBe("E_TOO_LARGE");
  });
});
