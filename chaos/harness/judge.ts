// After a run: everything quiet, the store written out, the checker's verdict.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { checkHistory, type Report } from "../../check/checker.ts";
import { type Keys, writeDump } from "../../check/dump-file.ts";
import { type Meta, type Run, readRun } from "../../check/traces.ts";
import type { World } from "./world.ts";

export interface Judged {
  report: Report;
  run: Run;
}

/** @param planned what the scenario meant to do: less than nine tenths of it is vacuous */
export async function judge(
  world: World,
  scenario: string,
  planned: NonNullable<Meta["planned"]>,
): Promise<Judged> {
  await world.quiet();
  const observer = await world.mesh.open("judge", "observer");
  const keys: Record<string, string> = {};
  for (const [name, key] of world.keys) keys[name] = key;
  try {
    await writeDump(observer.transport, join(world.dir, "dump.ndjson"), {
      principal: "judge",
      keys: keys satisfies Keys,
    });
  } finally {
    await observer.close(0);
  }
  const meta: Meta = {
    scenario,
    profile: world.mesh.profile,
    drained: true,
    proven: true,
    planned,
  };
  await writeFile(join(world.dir, "meta.json"), `${JSON.stringify(meta, null, 2)}\n`);
  const run = await readRun([world.dir]);
  return { report: checkHistory(run), run };
}
