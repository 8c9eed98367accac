// Room for large fleets: Node's heap ends at a quarter of the memory or 4 GB, whatever is there.
import { spawn } from "node:child_process";
import { totalmem } from "node:os";
import { setFlagsFromString } from "node:v8";

const FLAG = "--max-old-space-size=";
/** From so many agents on: a fleet that is busy holds a contract for each slot. */
const AGENTS_LARGE = 20_000;
const HEAP_MB = 6_144;
/** What is under way lives for seconds: in a small nursery most of it is copied (measured: 30 % of
 * that time saved at 10,000 agents). */
const NURSERY = "--max-semi-space-size=64";
/** What the simulated server stores lies in Buffers: in large pages, where the C library of Linux
 * can ask for them (measured: 7 % of the time of 100,000 agents). Elsewhere it means nothing. */
const LARGE_PAGES = "glibc.malloc.hugetlb=1";

/** Messages are many small Buffers: V8 would look through the whole heap for every 64 MB of them,
 * a quarter of the time of 100,000 agents (measured, Node 24; Node 22 does not know the flag). */
export function calmCollector(): void {
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (major >= 24) setFlagsFromString("--external-memory-accounted-in-global-limit");
}

export function needsRoom(agents: number): boolean {
  return agents >= AGENTS_LARGE && !process.execArgv.some((arg) => arg.startsWith(FLAG));
}

/** This very command in a process with a larger heap. Resolves with its exit status. */
export function withRoom(): Promise<number> {
  const heapMb = Math.min(HEAP_MB, Math.floor((totalmem() / 2 ** 20) * 0.8));
  const args = [...process.execArgv, `${FLAG}${heapMb}`, NURSERY, ...process.argv.slice(1)];
  const tunables = [LARGE_PAGES, process.env.GLIBC_TUNABLES].filter(Boolean).join(":");
  const env = { ...process.env, GLIBC_TUNABLES: tunables };
  const child = spawn(process.execPath, args, { stdio: "inherit", env });
  // A terminal sends Ctrl-C to both, `kill` to this one alone; the child decides when it is over.
  const pass = (signal: NodeJS.Signals) => void child.kill(signal);
  process.on("SIGINT", pass).on("SIGTERM", pass);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => {
      process.off("SIGINT", pass).off("SIGTERM", pass);
      resolve(code ?? 130);
    });
  });
}
