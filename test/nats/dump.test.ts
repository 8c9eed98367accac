import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { patterns, recordSubject, taskGuard } from "../../contracts/index.ts";
import { type DumpOptions, dumpRecords, parseStamp } from "../../mesh/nats/dump.ts";
import { provision } from "../../mesh/nats/provision.ts";
import { NatsTransport } from "../../mesh/nats/transport.ts";
import { startMesh, type TestMesh } from "../support/nats-server.ts";
import { store } from "../support/permissions.ts";

let mesh: TestMesh;
let reader: NatsTransport;

function subject(owner: string, task: string, kind: "spec" | "outcome"): string {
  return recordSubject({
    owner,
    task,
    kind,
    n: "0",
    toPrincipal: "_",
    toAgent: "_",
    fromPrincipal: "p",
    fromAgent: "a",
  });
}

async function dump(options: DumpOptions = {}) {
  const found = [];
  for await (const record of dumpRecords(reader, { principal: "eye", ...options })) {
    found.push(record);
  }
  return found;
}

beforeAll(async () => {
  mesh = await startMesh();
  const admin = await mesh.join("admin", "admin");
  await provision(admin, { audit: false, storage: "memory" });
  // An observer's rights must do.
  reader = new NatsTransport(await mesh.join("eye", "observer"));
  for (let i = 0; i < 25; i++) {
    await store(admin, subject("ann", `t${i}`, "spec"), `{"i":${i}}`, { "X-I": String(i) });
    if (i % 5 === 0) await store(admin, subject("ann", `t${i}`, "outcome"), "{}");
  }
  await store(admin, subject("bob", "t1", "spec"), "{}");
  await store(admin, "$KV.mesh_tasks.by-hand", "{}");
});
afterAll(() => mesh.stop());

describe("dumpRecords", () => {
  test.each([500, 7, 1])(
    "gives every record once, in order, in pages of %i",
    async (pageRecords) => {
      const began = Date.now() - 60_000;
      const records = await dump({ pageRecords });
      expect(records).toHaveLength(31);
      const revs = records.map((record) => record.rev);
      expect(revs).toEqual(revs.toSorted((a, b) => a - b));
      expect(new Set(revs).size).toBe(31);
      const third = records.find((record) => record.key.task === "t3");
      expect(third?.key).toMatchObject({ owner: "ann", kind: "spec", fromPrincipal: "p" });
      expect(new TextDecoder().decode(third?.body)).toBe('{"i":3}');
      expect(third?.header("X-I")).toBe("3");
      expect(third?.storedAt).toBeGreaterThan(began);
      expect(third?.storedAt).toBeLessThan(began + 120_000);
    },
  );

  test("narrows to an owner or a kind", async () => {
    expect(await dump({ pattern: taskGuard("bob", "*") })).toHaveLength(1);
    const outcomes = await dump({ pattern: patterns.outcomes });
    expect(outcomes.map((record) => record.key.task)).toEqual(["t0", "t5", "t10", "t15", "t20"]);
  });

  test("goes on behind the last revision that was seen", async () => {
    const all = await dump();
    const rev = all[10]?.rev as number;
    const rest = await dump({ fromRev: rev + 1 });
    expect(rest.map((record) => record.rev)).toEqual(all.slice(11).map((record) => record.rev));
    expect(await dump({ fromRev: (all.at(-1)?.rev as number) + 2 })).toEqual([]);
  });

  test("says that nobody keeps records where there is no stream", async () => {
    const bare = await startMesh();
    try {
      const transport = new NatsTransport(await bare.join("eye", "observer"));
      await expect(dumpRecords(transport, { principal: "eye" }).next()).rejects.toMatchObject({
        code: "E_STORE",
      });
    } finally {
      await bare.stop();
    }
  });
});

describe("parseStamp", () => {
  test.each([
    ["2026-11-20T23:35:54.123456789Z", Date.UTC(2026, 10, 20, 23, 35, 54) + 123.456789],
    ["2026-11-20T23:35:54Z", Date.UTC(2026, 10, 20, 23, 35, 54)],
    ["2026-11-20T23:35:54.5+01:00", Date.UTC(2026, 10, 20, 22, 35, 54) + 500],
    ["yesterday", 0],
    ["", 0],
  ])("%s", (text, ms) => {
    expect(parseStamp(text)).toBeCloseTo(ms, 3);
  });
});
