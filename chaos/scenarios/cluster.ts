// B12: three servers, and the leader of the tasks is killed, frozen, or stopped in order, while
// contracts run; at the end two of three are lost. Nobody is revoked for it, nothing is lost.
import { readRun } from "../../check/traces.ts";
import { TASKS_STREAM } from "../../contracts/index.ts";
import type { Cluster } from "../../mesh/nats/server/index.ts";
import { timings } from "../harness/figures.ts";
import { Load } from "../harness/load.ts";
import { Pulse } from "../harness/pulse.ts";
import type { World } from "../harness/world.ts";
import type { Bar, ChaosContext, Scenario } from "../scenario.ts";

/** What a task must bear: the longest election, and finding its way afterwards. */
const SLACK_MS = 12_000;
const GAP_P95_MS = 9_000;
const GAP_MS_MAX = 12_000;
const PLANNED_MS_MAX = 500;
const REFUSAL_MS_MAX = 2_000;
const RESUMED_MS_MAX = 10_000;
/** Between the return of one and the loss of the next, ms: contracts settle. */
const REST_MS = 2_000;
const TWO_LOST_MS = 22_000;
/** Until it is certain that this is no election, and a refusal. */
const CERTAIN_MS = 13_000;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export type Blow = "kill-server" | "freeze-server" | "stop-server";
const BLOWS: readonly Blow[] = ["kill-server", "freeze-server", "stop-server"];

export function note(world: World, k: "inv" | "ok", op: string, target: string): void {
  if (k === "inv") world.faults.planned++;
  else world.faults.seen++;
  world.nemesis.note({ k, op, target });
  world.nemesis.flush();
}

export function clusterOf(world: World): Cluster {
  const { cluster } = world.mesh;
  if (cluster === undefined) throw new Error("this scenario needs the profile durable-3");
  return cluster;
}

/** The member that leads the tasks; waits for one. */
export async function leaderOf(cluster: Cluster): Promise<number> {
  for (;;) {
    const i = await cluster.leader(TASKS_STREAM);
    if (i !== undefined) return i;
    await pause(50);
  }
}

/** One blow at the leader; resolves with the time without a write, when all three are back. */
async function strike(world: World, pulse: Pulse, blow: Blow): Promise<number> {
  const cluster = clusterOf(world);
  const victim = await leaderOf(cluster);
  const target = `server ${victim}`;
  note(world, "inv", blow, target);
  const struck = performance.now();
  if (blow === "stop-server") await cluster.stopMember(victim);
  else await cluster.signal(victim, blow === "kill-server" ? "SIGKILL" : "SIGSTOP");
  await pulse.next(performance.now() + 500, 2 * GAP_MS_MAX);
  // Contracts that ran all along must find their way too, before the next blow.
  await pause(REST_MS);
  const until = performance.now();
  note(world, "ok", blow, target);
  if (blow === "freeze-server") await cluster.signal(victim, "SIGCONT");
  else await cluster.start(victim);
  await cluster.whole();
  return pulse.gap(struck, until);
}

interface TwoLost {
  refusals: number;
  /** From the loss to the first refusal, and how long the later ones took, ms. */
  firstMs: number;
  slowestMs: number;
  codes: string[];
  acked: number;
  resumedMs: number;
}

/** Two of three are killed: nothing can be written, and that is said. */
async function loseTwo(world: World, pulse: Pulse): Promise<TwoLost> {
  const cluster = clusterOf(world);
  const victim = await leaderOf(cluster);
  const victims = [victim, (victim + 1) % 3];
  note(world, "inv", "kill-server", "two servers");
  await Promise.all(victims.map((i) => cluster.signal(i, "SIGKILL")));
  const lost = performance.now();
  const dead = lost + 500;
  await pause(TWO_LOST_MS);
  const until = performance.now();
  note(world, "ok", "kill-server", "two servers");
  await Promise.all(victims.map((i) => cluster.start(i)));
  const quorum = performance.now();
  const resumed = await pulse.next(quorum, 60_000);
  await cluster.whole(60_000);
  const refusals = pulse.refusals.filter((r) => r.at > dead && r.at < until);
  const later = refusals.filter((r) => r.at - r.tookMs > lost + CERTAIN_MS);
  return {
    refusals: later.length,
    firstMs: Math.round((refusals[0]?.at ?? Number.POSITIVE_INFINITY) - lost),
    slowestMs: Math.round(Math.max(0, ...later.map((r) => r.tookMs))),
    codes: [...new Set(refusals.map((r) => r.code))],
    // Asked for since: what was on its way may have been stored just before, and be found later.
    acked: pulse.acks.filter((at, i) => at < until && (pulse.asked[i] as number) > lost).length,
    resumedMs: Math.round(resumed - quorum),
  };
}

function gapBar(text: string, gaps: readonly number[]): Bar {
  const sorted = [...gaps].sort((a, b) => a - b);
  const p95 = sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))] ?? 0;
  const max = sorted.at(-1) ?? 0;
  return {
    id: "B12",
    text: `time without a write, ${text}: p95 <= 9 s, at most 12 s`,
    figure: `p95 ${Math.round(p95)} ms, max ${Math.round(max)} ms, of ${gaps.length}`,
    met: gaps.length > 0 && p95 <= GAP_P95_MS && max <= GAP_MS_MAX,
  };
}

function twoLostBars(two: TwoLost): Bar[] {
  return [
    {
      id: "F13",
      text:
        "two of three lost: none accepted, and refused with a reason: the first when no election " +
        "can be the cause any more, within 13 s, later ones within 2 s",
      figure:
        `${two.acked} accepted, first refusal (${two.codes.join(", ")}) after ${two.firstMs} ms, ` +
        `then ${two.refusals} within ${two.slowestMs} ms`,
      met:
        two.acked === 0 &&
        two.firstMs <= CERTAIN_MS &&
        two.refusals > 0 &&
        two.slowestMs <= REFUSAL_MS_MAX,
    },
    {
      id: "F13",
      text: "service resumes within 10 s of the return",
      figure: `${two.resumedMs} ms`,
      met: two.resumedMs <= RESUMED_MS_MAX,
    },
  ];
}

async function lossBars(world: World, loads: Load[], pulse: Pulse): Promise<Bar[]> {
  const { wrong } = timings(await readRun([world.dir]), []);
  const accepted = loads.reduce((n, l) => n + l.accepted, pulse.accepted);
  const ended = loads.reduce((n, l) => n + l.done, pulse.ended);
  const late = pulse.ends.get("expired") ?? 0;
  return [
    {
      id: "B12",
      text: "accepted tasks lost",
      figure: `${accepted - ended} of ${accepted}`,
      met: accepted === ended && accepted > 0,
    },
    {
      id: "B12",
      text: "contracts taken away because a server was",
      figure: String(wrong),
      met: wrong === 0,
    },
    {
      id: "B12",
      text: "tasks late whose slack was 12 s",
      figure: `${late} of ${pulse.accepted}`,
      met: late === 0 && pulse.accepted > 0,
    },
  ];
}

async function rounds(c: ChaosContext, world: World, pulse: Pulse): Promise<Map<Blow, number[]>> {
  const gaps = new Map<Blow, number[]>(BLOWS.map((blow) => [blow, []]));
  const count = Math.max(1, Math.round(c.minutes * 1.5));
  for (let n = 0; n < count * BLOWS.length && !c.signal.aborted; n++) {
    const blow = BLOWS[n % BLOWS.length] as Blow;
    const gap = await strike(world, pulse, blow);
    gaps.get(blow)?.push(gap);
    c.say(`${n + 1} of ${count * BLOWS.length}: ${blow}, ${Math.round(gap)} ms without a write`);
    await pause(REST_MS);
  }
  return gaps;
}

export const scenario: Scenario = {
  name: "cluster",
  about: "three servers: the leader killed, frozen, stopped in order; two of three lost",
  bars: ["B12", "F13"],
  async run(c) {
    const world = await c.world({
      profile: "durable-3",
      contractors: 4,
      initiators: 3,
      agents: 60,
    });
    const long = new Load(world, {
      concurrency: 16,
      input: () => ({ ms: 2_000 + c.prng.int(6_000) }),
    });
    const short = new Load(world, { concurrency: 8, input: () => ({ ms: 50 + c.prng.int(200) }) });
    const pulse = new Pulse(world, { everyMs: 25, serviceMs: 20, slackMs: SLACK_MS });
    const running = Promise.all([long.run(), short.run()]);
    pulse.start();
    await pause(3_000);
    const gaps = await rounds(c, world, pulse);
    await pulse.stop();
    // Nothing has slack enough for what comes now.
    const last = new Pulse(world, { everyMs: 100, serviceMs: 20, slackMs: 120_000 });
    last.start();
    await pause(1_000);
    const two = await loseTwo(world, last);
    c.say(`two of three lost: ${two.refusals} refused, back after ${two.resumedMs} ms`);
    await pause(3_000);
    long.stop();
    short.stop();
    await last.stop();
    await running;
    const planned = gaps.get("stop-server") ?? [];
    return [
      gapBar("leader killed", gaps.get("kill-server") ?? []),
      gapBar("leader frozen", gaps.get("freeze-server") ?? []),
      {
        id: "B12",
        text: "time without a write at a planned stop: at most 500 ms",
        figure: `max ${Math.round(Math.max(0, ...planned))} ms, of ${planned.length}`,
        met: planned.length > 0 && Math.max(...planned) <= PLANNED_MS_MAX,
      },
      ...(await lossBars(world, [long, short], pulse)),
      ...twoLostBars(two),
    ];
  },
};
