// F6 and F7: the link of contractor processes is cut, both ways or one way, for 3 s and for 10 s.
// Their contracts run elsewhere, they stop by themselves, and nothing stale is stored.
import { LEASE_MS } from "../../contracts/index.ts";
import { Load } from "../harness/load.ts";
import type { World } from "../harness/world.ts";
import type { Rules } from "../proxy/index.ts";
import type { Bar, ChaosContext, Scenario } from "../scenario.ts";
import {
  type Cut,
  Links,
  linesOf,
  pause,
  quantile,
  readCut,
  type Tried,
  viewsWhole,
} from "./links.ts";

/** The last one is longer than a lease: handlers still at work then must stop by themselves. */
const LENGTHS_MS = [3_000, 10_000, 17_000];
/** Together with the load they fit into what is left when a process is cut off: otherwise the
 * figure would be that of waiting for a free slot. */
const LONG_TASKS = 12;
const LOAD = 16;
const LONG_MS = 20_000;
const VIEW_MS_MAX = 2_000;
/** From the cut to the next start of the same task elsewhere, ms (matrix row F6). */
const AGAIN_MS_MAX = 4_000;
const CONTRACTORS = 4;

async function oneCut(
  world: World,
  links: Links,
  worker: string,
  rules: Rules,
  ms: number,
): Promise<{ tried: Tried; viewMs: number }> {
  const cutAt = await links.cut(world, worker, rules);
  await pause(ms);
  const healedAt = await links.heal(world, worker);
  const agents = world.contractors.reduce((n, w) => n + w.plan.agents, 0);
  const viewMs = await viewsWhole(world, agents, 4 * VIEW_MS_MAX);
  return { tried: { worker, cutAt, healedAt, ms }, viewMs };
}

/** One kind of cut, at both lengths, on each contractor process in turn while time is left. */
export async function runCuts(c: ChaosContext, kinds: Rules[], row: string): Promise<Bar[]> {
  const links = new Links(c.seed);
  const world = await c.world({ contractors: CONTRACTORS, agents: 40, route: links.route });
  try {
    const input = () => ({ ms: 300 + c.prng.int(700) });
    const load = new Load(world, { concurrency: LOAD, input });
    const all = load.run();
    await load.reach(100);
    const until = performance.now() + c.minutes * 60_000;
    const tried: Tried[] = [];
    const viewMs: number[] = [];
    const long: Promise<void>[] = [];
    for (let i = 0; i < 3 * kinds.length || performance.now() < until; i++) {
      if (c.signal.aborted) break;
      const rules = kinds[i % kinds.length] as Rules;
      const ms = LENGTHS_MS[Math.floor(i / kinds.length) % 3] as number;
      if (ms > LEASE_MS) {
        const plan = { concurrency: LONG_TASKS, tasks: LONG_TASKS, input: () => ({ ms: LONG_MS }) };
        long.push(new Load(world, plan).run());
        await pause(1_500);
      }
      const done = await oneCut(world, links, `con${i % CONTRACTORS}`, rules, ms);
      tried.push(done.tried);
      viewMs.push(done.viewMs);
      const was = load.done;
      await load.reach(was + 50);
      c.say(`${rules.cut} for ${ms} ms: views whole after ${Math.round(done.viewMs)} ms`);
    }
    load.stop();
    await Promise.all([all, ...long]);
    await pause(200);
    const lines = linesOf(world);
    return bars(
      row,
      tried.map((t) => readCut(lines, t)),
      viewMs,
    );
  } finally {
    for (const proxy of links.all()) await proxy.heal();
    world.mesh.server.exited.then(() => links.close());
  }
}

function bars(row: string, cuts: readonly Cut[], viewMs: readonly number[]): Bar[] {
  const sum = (of: (c: Cut) => number) => cuts.reduce((n, c) => n + of(c), 0);
  const running = sum((c) => c.running);
  const againMs = cuts.flatMap((c) => c.againMs);
  const p99 = Math.round(quantile(againMs, 0.99));
  const lost99 = Math.round(
    quantile(
      cuts.flatMap((c) => c.lostMs),
      0.99,
    ),
  );
  const stale = sum((c) => c.stale);
  const slowest = Math.round(Math.max(...viewMs));
  return [
    {
      id: row,
      text: "no stale commit by a contractor that was cut off",
      figure: `${stale} of ${running} contracts under way`,
      met: stale === 0 && running > 0,
    },
    {
      id: `${row}-again`,
      text: `p99 from the cut to the same task's next start <= ${AGAIN_MS_MAX} ms`,
      figure: `${p99} ms of ${againMs.length}; p99 to the loss ${lost99} ms`,
      met: againMs.length > 0 && p99 <= AGAIN_MS_MAX,
    },
    {
      id: `${row}-fence`,
      text: "handlers still at work after a whole lease without a link stop by themselves",
      figure: `${sum((c) => c.selfFenced)} stopped`,
      met: sum((c) => c.selfFenced) > 0,
    },
    {
      id: `${row}-view`,
      text: `every initiator's view is whole ${VIEW_MS_MAX} ms after each heal`,
      figure: `${slowest} ms at most in ${viewMs.length} cuts`,
      met: slowest <= VIEW_MS_MAX,
    },
  ];
}

export const scenario: Scenario = {
  name: "cut",
  about: "links of contractor processes and of an initiator cut for 3 s and 10 s",
  bars: ["F6"],
  run: (c) => runCuts(c, [{ cut: "both" }, { cut: "both", forget: true }], "F6"),
};
