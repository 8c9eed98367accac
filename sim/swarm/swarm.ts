// Many seeds over a few processes, and what came of them.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Answer, Order } from "./worker.ts";

export interface SwarmOptions {
  seeds: readonly number[];
  /** Processes. */
  jobs: number;
  shrink: boolean;
  /** A planted bug of check/bugs. */
  bug?: string;
  /** Stop at the first seed that finds something. */
  untilFound?: boolean;
  each?: (answer: Answer) => void;
  /** Flags of Node. Default: those of this process. */
  execArgv?: readonly string[];
}

/** Plays all seeds; resolves with the answers in the order of the seeds. */
export async function swarm(o: SwarmOptions): Promise<Answer[]> {
  const answers = new Map<number, Answer>();
  const left = [...o.seeds];
  let over = false;
  const lane = async () => {
    const child = start(o.bug, o.execArgv ?? process.execArgv);
    const gone = once(child, "exit").then(([code]) => {
      throw new Error(`a process of the swarm ended (${code})`);
    });
    gone.catch(() => undefined);
    try {
      for (let seed = left.shift(); seed !== undefined && !over; seed = left.shift()) {
        const answer = await ask(child, { seed, shrink: o.shrink }, gone);
        answers.set(seed, answer);
        o.each?.(answer);
        if (o.untilFound === true && answer.played.wrong !== undefined) over = true;
      }
    } finally {
      child.kill();
    }
  };
  const lanes = Math.min(o.jobs, o.seeds.length);
  await Promise.all(Array.from({ length: lanes }, lane));
  return o.seeds.flatMap((seed) => answers.get(seed) ?? []);
}

function start(bug: string | undefined, flags: readonly string[]): ChildProcess {
  const register = join(import.meta.dirname, "..", "..", "check", "bugs", "register.ts");
  return fork(join(import.meta.dirname, "worker.ts"), [], {
    execArgv: [...flags, ...(bug === undefined ? [] : ["--import", register])],
    env: { ...process.env, NODE_NO_WARNINGS: "1", PARLEY_BUG: bug ?? "" },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
}

async function ask(child: ChildProcess, order: Order, gone: Promise<never>): Promise<Answer> {
  const told = once(child, "message") as Promise<[Answer]>;
  child.send(order);
  const [answer] = await Promise.race([told, gone]);
  return answer;
}
