// Beats: a busy process tells those who hold contracts with its agents, and nobody else, that it
// lives.
import { type Address, type Alive, BEAT_MS, directedSubject } from "../../contracts/index.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";
import type { Running } from "./running.ts";

/** Contracts named in one beat: with the longest of names it stays below its 64 KiB. */
const TASKS_MAX = 256;

interface Round {
  /** In whose name it is sent: the agent of its first contract. */
  from: Address;
  tasks: Alive[];
}

/** One message for each initiator, whatever the number of agents; contracts older than a beat. */
export function sendBeats(d: Deps, running: Iterable<Running>, lagMs: number): void {
  const due = d.clock.now() - BEAT_MS;
  const rounds = new Map<Address, Round>();
  const send = (to: Address, { from, tasks }: Round) =>
    d.transport.publish(
      directedSubject("beat", to, from),
      msgpackBytes({ v: 1, kind: "beat", tasks, lagMs: Math.round(lagMs) }),
    );
  for (const run of running) {
    if (run.startedAt > due || run.over) continue;
    for (const to of run.beatTo) {
      let round = rounds.get(to);
      if (round === undefined) {
        round = { from: run.agent.address, tasks: [] };
        rounds.set(to, round);
      }
      round.tasks.push(run.alive);
      if (round.tasks.length < TASKS_MAX) continue;
      send(to, round);
      rounds.delete(to);
    }
  }
  for (const [to, round] of rounds) send(to, round);
}
