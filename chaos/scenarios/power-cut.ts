// B2: the power is cut under load. The shipped durable profile loses nothing that it acknowledged;
// the same cut under the default setting loses some, or this proves nothing.
import { join } from "node:path";
import { writeDump } from "../../check/dump-file.ts";
import { readRun } from "../../check/traces.ts";
import { LoopDisk, noDisk } from "../harness/disk.ts";
import { Load } from "../harness/load.ts";
import { World } from "../harness/world.ts";
import type { ChaosContext, Scenario } from "../scenario.ts";

const LOAD_MS = 6_000;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function cut(world: World, disk: LoopDisk): Promise<void> {
  const { server } = world.mesh;
  world.faults.planned++;
  world.nemesis.note({ k: "inv", op: "power-cut", target: "server" });
  server.kill("SIGSTOP");
  const image = await disk.snapshot();
  server.kill("SIGKILL");
  await server.exited;
  await disk.replace(image);
  await server.restart();
  world.nemesis.note({ k: "ok", op: "power-cut", target: "server" });
  world.faults.seen++;
}

/** How many acknowledged specs are gone after one cut under the default fsync. */
async function vacuity(c: ChaosContext, dir: string): Promise<{ acked: number; gone: number }> {
  const disk = await LoopDisk.create();
  const setting = { dir, agents: 10, seed: c.seed, say: c.say };
  let world: World | undefined;
  try {
    world = await World.start(setting, {
      profile: "dev",
      storeDir: disk.path,
      superviseServer: false,
      contractors: 1,
      initiators: 1,
    });
    const load = new Load(world, { concurrency: 32, input: () => ({ ms: 5 }) });
    const running = load.run().catch(() => undefined);
    await pause(LOAD_MS);
    load.stop();
    const { server } = world.mesh;
    server.kill("SIGSTOP");
    const image = await disk.snapshot();
    server.kill("SIGKILL");
    await server.exited;
    await disk.replace(image);
    await server.restart();
    await world.quiet();
    const file = join(dir, "dump.ndjson");
    const left = await readSpecs(world, file);
    const run = await readRun([dir]);
    const acked = [...run.traces.values()].flatMap((t) =>
      t.operations.filter((o) => o.op === "spec" && o.fate === "ok"),
    );
    void running;
    return { acked: acked.length, gone: acked.filter((o) => !left.has(o.id)).length };
  } finally {
    await world?.close();
    await disk.remove();
  }
}

/** Ids of the specs that the store still has; none when the stream itself is gone. */
async function readSpecs(world: World, file: string): Promise<Set<string>> {
  const ids = new Set<string>();
  try {
    const observer = await world.mesh.open("judge", "observer");
    await writeDump(observer.transport, file, { principal: "judge" });
    await observer.close(0);
    for (const trace of (await readRun([file])).traces.values()) {
      for (const r of trace.records) ids.add(r.id);
    }
  } catch {
    // Nothing left to read: everything acknowledged is gone.
  }
  return ids;
}

export const scenario: Scenario = {
  name: "power-cut",
  about: "the power is cut under load, by a copy of the disk image",
  bars: ["B2"],
  needs: noDisk,
  async run(c) {
    const dir = c.dir;
    const disk = await LoopDisk.create();
    c.cleanup(() => disk.remove());
    const world = await c.world({
      storeDir: disk.path,
      superviseServer: false,
      contractors: 3,
      initiators: 2,
    });
    const load = new Load(world, { concurrency: 48, input: () => ({ ms: 5 + c.prng.int(30) }) });
    const running = load.run();
    const cuts = Math.max(2, Math.round(c.minutes * 6));
    for (let n = 0; n < cuts && !c.signal.aborted; n++) {
      await pause(LOAD_MS * (0.5 + c.prng.next() / 2));
      await cut(world, disk);
      c.say(`cut ${n + 1} of ${cuts}: ${load.accepted} accepted, ${load.done} ended`);
    }
    await pause(2_000);
    load.stop();
    await running;
    const loss = await vacuity(c, join(dir, "default-fsync"));
    return [
      {
        id: "B2",
        text: "accepted tasks lost by power cuts under durable-1",
        figure: `${load.accepted - load.done} of ${load.accepted} in ${cuts} cuts`,
        met: load.done === load.accepted,
      },
      {
        id: "B2",
        text: "the same cut under the default setting loses some",
        figure: `${loss.gone} of ${loss.acked} acknowledged specs gone`,
        met: loss.gone > 0,
      },
    ];
  },
};
