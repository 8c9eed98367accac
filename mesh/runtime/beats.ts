// Beats: a busy contractor tells those who hold a contract with it, and nobody else, that it lives.
import { type Address, BEAT_MS, directedSubject } from "../../contracts/index.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";
import type { HostedAgent } from "./hosted-agent.ts";
import type { Running } from "./running.ts";

/** Contracts named in one beat; the schema's bound is a little above. */
const TASKS_MAX = 1_000;

interface Beat {
  agent: HostedAgent;
  to: Address;
  tasks: [string, string, number][];
}

/** One message per agent and initiator, for contracts older than a beat. */
export function sendBeats(d: Deps, running: Iterable<Running>, lagMs: number): void {
  const due = d.clock.now() - BEAT_MS;
  const beats = new Map<string, Beat>();
  for (const run of running) {
    if (run.startedAt > due || run.over) continue;
    const { owner, task, epoch } = run.award.terms;
    for (const to of run.beatTo) {
      const key = `${run.agent.name} ${to}`;
      const beat = beats.get(key) ?? { agent: run.agent, to, tasks: [] };
      if (beat.tasks.length < TASKS_MAX) beat.tasks.push([owner, task, epoch]);
      beats.set(key, beat);
    }
  }
  for (const { agent, to, tasks } of beats.values()) {
    d.transport.publish(
      directedSubject("beat", to, agent.address),
      msgpackBytes({ v: 1, kind: "beat", tasks, lagMs: Math.round(lagMs) }),
    );
  }
}
