// Many seeds over a few processes, and what came of them.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Answer, Order } from "./worker.ts";

/** A seed takes a tenth of a second; on a starved machine some. Making it small takes many. */
const HANG_MS = 45_000;
const SHRINK_MS = 120_000;

export interface SwarmOptions {
  seeds: readonly number[];
  /** Processes. */
  jobs: number;
  shrink: boolean;
  /** A planted bug of check/bugs. */
  bug?: string;
  /** Stop at the first seed that finds something. */
  untilFound?: boolean;
  /** No other seed is begun once this is so. */
  stopped?: () => boolean;
  each?: (answer: Answer) => void;
  /** Flags of Node. Default: those of this process. */
  execArgv?: readonly string[];
}

/** Plays all seeds; resolves with the answers, of those that were played, in their order. */
export async function swarm(o: SwarmOptions): Promise<Answer[]> {
  const answers = new Map<number, Answer>();
  const left = [...o.seeds];
  let over = false;
  const lane = async () => {
    let player = start(o.bug, o.execArgv ?? process.execArgv);
    try {
      while (left.length > 0 && !over && o.stopped?.() !== true) {
        const seed = left.shift() as number;
        const limitMs = o.shrink ? HANG_MS + SHRINK_MS : HANG_MS;
        const answer = await ask(player, { seed, shrink: o.shrink }, limitMs);
        if (answer.played.wrong?.rule === "hang") {
          player.child.kill("SIGKILL");
          player = start(o.bug, o.execArgv ?? process.execArgv);
        }
        answers.set(seed, answer);
        o.each?.(answer);
        if (o.untilFound === true && answer.played.wrong !== undefined) over = true;
      }
    } finally {
      player.child.kill("SIGKILL");
    }
  };
  const lanes = Math.min(o.jobs, o.seeds.length);
  await Promise.all(Array.from({ length: lanes }, lane));
  return o.seeds.flatMap((seed) => answers.get(seed) ?? []);
}

interface Player {
  child: ChildProcess;
  /** Rejects when the process ends by itself. */
  gone: Promise<never>;
}

function start(bug: string | undefined, flags: readonly string[]): Player {
  const register = join(import.meta.dirname, "..", "..", "check", "bugs", "register.ts");
  const child = fork(join(import.meta.dirname, "worker.ts"), [], {
    execArgv: [...flags, ...(bug === undefined ? [] : ["--import", register])],
    env: { ...process.env, NODE_NO_WARNINGS: "1", PARLEY_BUG: bug ?? "" },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const gone = once(child, "exit").then(([code]) => {
    throw new Error(`a process of the swarm ended (${code})`);
  });
  gone.catch(() => undefined);
  return { child, gone };
}

/** Whoever goes in circles within one event never comes back to say so. */
async function ask({ child, gone }: Player, order: Order, limitMs: number): Promise<Answer> {
  const over = new AbortController();
  const told = once(child, "message", over) as Promise<[Answer]>;
  const hang = pause(limitMs, undefined, over).then(() => [hung(order.seed, limitMs)]);
  for (const promise of [told, hang]) promise.catch(() => undefined);
  child.send(order);
  try {
    const [answer] = await Promise.race([told, hang, gone]);
    return answer as Answer;
  } finally {
    over.abort();
  }
}

function hung(seed: number, limitMs: number): Answer {
  const wrong = { rule: "hang", what: `no end within ${limitMs / 1_000} s`, witness: [] };
  const nothing = { completed: 0, faults: 0, events: 0, worldMs: 0, judged: {}, livenessMs: 0 };
  return { played: { seed, wrong, ...nothing, realMs: limitMs } };
}
