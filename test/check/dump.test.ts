// The judge reads a store that others have written nonsense into.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type DumpLine, writeDump } from "../../check/dump-file.ts";
import { json, specOf, useWire } from "../wire/fixture.ts";

const wire = useWire();

test("records that are no objects, and specs that are none, prove nothing", async () => {
  const dir = await mkdtemp(join(tmpdir(), "parley-dump-"));
  const mal = await wire.stranger("mal", "agent");
  const put = (task: string, kind: string, body: Uint8Array | string) =>
    mal.request(`$KV.mesh_tasks.mal.${task}.${kind}.mal.main`, body);
  try {
    for (const [i, body] of ["null", "42", '"text"', "[1]", "{"].entries()) {
      await put(`odd${i}`, "outcome.1.ina.main", body);
    }
    await put("misfit", "spec.0-1._._", json({ v: 1, kind: "spec", task: "misfit", owner: "mal" }));
    await put("other", "spec.0-1._._", json(specOf("mal", "echo", { task: "another" })));
    await put("sound", "spec.0-1._._", json(specOf("mal", "echo", { task: "sound" })));
    const reader = await wire.peer("reader", "observer");
    const path = join(dir, "dump.ndjson");
    expect(await writeDump(reader.transport, path, { principal: "reader" })).toBe(8);
    const lines = (await readFile(path, "utf8")).trim().split("\n");
    const flaws = lines.map((line) => (JSON.parse(line) as DumpLine).flaw);
    expect(flaws).toEqual([
      "the body is no JSON object",
      "the body is no JSON object",
      "the body is no JSON object",
      "the body is no JSON object",
      "the body is not JSON",
      "it is no spec of this task",
      "it is no spec of this task",
      undefined,
    ]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
