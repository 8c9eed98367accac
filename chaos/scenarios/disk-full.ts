// B14: the disk fills up. New tasks are refused with a reason, nothing acknowledged is lost, and
// service resumes when there is space again and the supervisor has restarted the server.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ParleyError } from "../../contracts/index.ts";
import { Load } from "../harness/load.ts";
import { CAPABILITY, type World } from "../harness/world.ts";
import type { Scenario } from "../scenario.ts";

const run = promisify(execFile);
const SMALL_MB = 24;
const LARGE_MB = 512;
const FILLER_BYTES = 40_000;
const REFUSAL_MS_MAX = 2_000;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function noTmpfs(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return "needs root on Linux to mount a small tmpfs";
  }
  const dir = await mkdtemp(join(tmpdir(), "parley-tmpfs-"));
  try {
    await run("mount", ["-t", "tmpfs", "-o", "size=1m", "none", dir]);
    await run("umount", [dir]);
    return undefined;
  } catch (error) {
    return `a tmpfs cannot be mounted here (${(error as Error).message.trim()})`;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Refusal {
  tookMs: number;
  code: string;
}

/** Submits large tasks until one is refused; undefined when the time is up before. */
async function fill(world: World, accepted: (end: Promise<unknown>) => void): Promise<Refusal> {
  const filler = "x".repeat(FILLER_BYTES);
  for (let n = 0; n < 4_000; n++) {
    const since = performance.now();
    try {
      const input = { ms: 1, filler };
      const tracker = await world.load.peer.submitters.submit(CAPABILITY, input, {
        timeoutMs: 120_000,
        retry: { attempts: 20, backoffMs: 100 },
      });
      accepted(tracker.outcome());
    } catch (error) {
      const code = error instanceof ParleyError ? error.code : String(error);
      return { tookMs: performance.now() - since, code };
    }
  }
  throw new Error("the disk did not fill up");
}

export const scenario: Scenario = {
  name: "disk-full",
  about: "the store's disk fills up, and is made larger",
  bars: ["B14"],
  needs: noTmpfs,
  async run(c) {
    const dir = await mkdtemp(join(tmpdir(), "parley-full-"));
    const store = join(dir, "store");
    await mkdir(store);
    await run("mount", ["-t", "tmpfs", "-o", `size=${SMALL_MB}m`, "none", store]);
    c.cleanup(async () => {
      await run("umount", ["-l", store]).catch(() => undefined);
      await rm(dir, { recursive: true, force: true });
    });
    const world = await c.world({ storeDir: store, contractors: 2, initiators: 2, agents: 40 });
    const ends: Promise<unknown>[] = [];
    world.faults.planned++;
    world.nemesis.note({ k: "inv", op: "disk-full", target: "server" });
    const refusal = await fill(world, (end) => ends.push(end));
    world.nemesis.note({ k: "ok", op: "disk-full", target: "server" });
    world.faults.seen++;
    c.say(`full after ${ends.length} tasks: ${refusal.code} in ${Math.round(refusal.tookMs)} ms`);
    const second = await fill(world, (end) => ends.push(end));
    await run("mount", ["-o", `remount,size=${LARGE_MB}m`, store]);
    const since = performance.now();
    world.mesh.server.kill("SIGKILL");
    await world.mesh.server.exited;
    const load = new Load(world, { concurrency: 1, tasks: 1, input: () => ({ ms: 1 }) });
    await load.run();
    const resumedMs = Math.round(performance.now() - since);
    await Promise.race([Promise.all(ends), pause(60_000)]);
    const slowest = Math.round(Math.max(refusal.tookMs, second.tookMs));
    return [
      {
        id: "B14",
        text: "a full disk refuses new tasks with a reason within 2 s",
        figure: `${refusal.code} within ${slowest} ms`,
        met: slowest <= REFUSAL_MS_MAX && refusal.code === "E_STORE",
      },
      {
        id: "B14",
        text: "service resumes within 10 s of space and restart",
        figure: `${resumedMs} ms`,
        met: resumedMs <= 10_000,
      },
    ];
  },
};
