// B4: contractors stopped until others hold their contracts, then resumed: none of their results
// is recorded, and each is told that it is fenced.
import { readRun } from "../../check/traces.ts";
import { quantiles } from "../harness/figures.ts";
import { Load } from "../harness/load.ts";
import type { Scenario } from "../scenario.ts";

const TASK_MS = 6_000;

export const scenario: Scenario = {
  name: "zombie",
  about: "SIGSTOP past revocation, then SIGCONT: fenced and told so",
  bars: ["B4"],
  async run(c) {
    const slots = 10;
    const agents = Math.min(c.agents, 200);
    const world = await c.world({ contractors: 6, initiators: 2, agents, slots });
    const open = Math.min(agents * slots * 0.45, 450);
    const load = new Load(world, { concurrency: open, input: () => ({ ms: TASK_MS }) });
    const running = load.run();
    const rounds = Math.max(1, Math.round(c.minutes * 3));
    for (let round = 0; round < rounds && !c.signal.aborted; round++) {
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const victims = world.contractors.filter((_, i) => i % 2 === round % 2);
      for (const victim of victims) world.pause(victim);
      await new Promise((resolve) => setTimeout(resolve, 4_500));
      for (const victim of victims) world.resume(victim);
      c.say(`round ${round + 1} of ${rounds}: ${load.accepted} accepted, ${load.done} ended`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    load.stop();
    await running;
    await world.quiet();
    const run = await readRun([world.dir]);
    const told: number[] = [];
    let zombies = 0;
    const resumed = run.faults.filter((f) => f.op === "ok cont");
    for (const trace of run.traces.values()) {
      for (const lost of trace.seen.filter((s) => s.op === "lost")) {
        const process = lost.to?.split(".")[0];
        const back = resumed.find((f) => f.target === process && f.t > lost.t);
        if (back === undefined) continue;
        zombies++;
        const word = trace.seen.find(
          (s) => s.op === "fenced" && s.who === lost.to && s.e === lost.e,
        );
        if (word !== undefined) told.push((word.t - back.t) / 1e6);
      }
    }
    const ms = quantiles(told);
    const soon = told.filter((t) => t <= 1_000).length;
    return [
      {
        id: "B4",
        text: "every resumed contractor is told that it is fenced within 1 s",
        figure: `${soon} of ${zombies} (p99 ${ms.p99} ms)`,
        met: zombies > 0 && soon === zombies,
      },
    ];
  },
};
