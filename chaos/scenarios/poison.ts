// B15, F19: a task that kills whoever runs it ends after its attempts, and harms nobody else.
import { Load } from "../harness/load.ts";
import type { Scenario } from "../scenario.ts";

const ATTEMPTS = 3;

export const scenario: Scenario = {
  name: "poison",
  about: "tasks that crash, hang or fail wherever they run: parked after their attempts",
  bars: ["B15"],
  async run(c) {
    const world = await c.world({ contractors: 8, initiators: 2 });
    const load = new Load(world, { concurrency: 32, input: () => ({ ms: 20 + c.prng.int(40) }) });
    const running = load.run();
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    const clean = p99(load, 0);
    const since = performance.now();
    const poison = new Load(world, {
      concurrency: 1,
      attempts: ATTEMPTS,
      timeoutMs: 30_000,
      input: (n) => ({ ms: 1, as: n % 2 === 0 ? "crash" : "fail" }),
    });
    const count = Math.max(4, Math.round(c.minutes * 12));
    for (let n = 0; n < count && !c.signal.aborted; n++) {
      world.faults.planned++;
      world.nemesis.note({ k: "inv", op: "poison", target: "any" });
      const state = await poison.one(n);
      if (state === "failed") world.faults.seen++;
      world.nemesis.note({ k: "ok", op: "poison", target: "any", note: state });
      c.say(`${n + 1} of ${count} poison tasks: ${state}`);
    }
    const dirty = p99(load, since);
    load.stop();
    await world.whole();
    await running;
    return [
      {
        id: "B15",
        text: `a poison task ends failed within ${ATTEMPTS} attempts`,
        figure: `${poison.ended.get("failed") ?? 0} of ${count}`,
        met: poison.ended.get("failed") === count,
      },
      {
        id: "B15",
        text: "no other task is lost; p99 of the others (crashed neighbours run again)",
        figure: `${load.done} of ${load.accepted}; p99 ${clean} ms before, ${dirty} ms during`,
        met: load.done === load.accepted,
      },
    ];
  },
};

function p99(load: Load, since: number): number {
  const took = load.ends.filter((e) => e.at >= since).map((e) => e.tookMs);
  took.sort((a, b) => a - b);
  return Math.round(took[Math.floor(took.length * 0.99)] ?? 0);
}
