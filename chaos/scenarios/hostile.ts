// F20: an insider with valid credentials sends what no decoder may take, and what is well-formed
// and a lie, to every subject that it may publish to. The others must hardly notice.
import { CLASSES, type Class, Insider } from "../harness/insider.ts";
import { Load } from "../harness/load.ts";
import type { World } from "../harness/world.ts";
import type { Bar, ChaosContext, Scenario } from "../scenario.ts";
import { pause, quantile } from "./links.ts";

/** Hostile messages a second, sent in slices: what they say is tried here. How many somebody may
 * send is another matter. */
const RATE = 250;
const SLICE_MS = 10;
const PHASE_MS_MIN = 8_000;
const STALL_MS_MAX = 50;
const SLOWER_MAX = 2;
/** Its own tasks have ended by then, ms. */
const SETTLE_MS = 30_000;

type Counters = Record<string, number>;

interface Phase {
  tookMs: number[];
  /** Longest of any worker, see WorkerReport, ms. */
  lagMs: number;
  heldMs: number;
}

async function tallies(world: World) {
  return Promise.all([...world.workers.values()].map((w) => w.tally()));
}

async function counters(world: World): Promise<Counters> {
  const sum: Counters = {};
  const all = (await tallies(world)).map((t) => t.counters);
  for (const one of [...all, world.load.peer.counters.snapshot()]) {
    for (const [name, n] of Object.entries(one)) sum[name] = (sum[name] ?? 0) + n;
  }
  return sum;
}

/** Refusals counted under names that begin so. */
function refused(after: Counters, before: Counters, prefix: string): number {
  return Object.entries(after)
    .filter(([name]) => name.startsWith(prefix))
    .reduce((sum, [name, n]) => sum + n - (before[name] ?? 0), 0);
}

async function phase(c: ChaosContext, world: World, load: Load, ms: number): Promise<Phase> {
  await tallies(world);
  const from = load.ends.length;
  let [lagMs, heldMs] = [0, 0];
  const end = performance.now() + ms;
  while (performance.now() < end && !c.signal.aborted) {
    await pause(1_000);
    for (const t of await tallies(world)) {
      lagMs = Math.max(lagMs, t.lagMs);
      heldMs = Math.max(heldMs, t.heldMs);
    }
  }
  return { tookMs: load.ends.slice(from).map((e) => e.tookMs), lagMs, heldMs };
}

/** Sends until it is told to stop; resolves with the messages sent. */
async function attack(insider: Insider, over: () => boolean): Promise<number> {
  const slice = (RATE * SLICE_MS) / 1_000;
  const begun = performance.now();
  let sent = 0;
  while (!over()) {
    const due = ((performance.now() - begun) / SLICE_MS) * slice;
    for (; sent < due; sent++) insider.send(CLASSES[sent % CLASSES.length] as Class);
    await insider.flush();
    await pause(SLICE_MS);
  }
  return sent;
}

/** Waits until nobody holds a task any more: some of the insider's are real ones. */
async function settled(world: World): Promise<void> {
  const end = performance.now() + SETTLE_MS;
  while (performance.now() < end) {
    if ((await tallies(world)).every((t) => t.open === 0 && t.running === 0)) return;
    await pause(200);
  }
}

function note(world: World, seen: readonly string[]): void {
  for (const target of CLASSES) {
    world.faults.planned++;
    if (seen.includes(target)) world.faults.seen++;
    world.nemesis.note({ k: "ok", op: "hostile", target });
  }
}

function slowdown(clean: Phase, dirty: Phase): Bar {
  const p99 = [clean, dirty].map((p) => Math.round(quantile(p.tookMs, 0.99)));
  const [before = 0, then = 0] = p99;
  return {
    id: "F20-others",
    text: "p99 of the others' tasks at most doubles",
    figure: `${before} ms before, ${then} ms during (${dirty.tookMs.length} tasks)`,
    met: dirty.tookMs.length > 0 && then <= SLOWER_MAX * before,
  };
}

function stall(clean: Phase, dirty: Phase): Bar {
  const [before, then] = [clean, dirty].map((p) => p.heldMs.toFixed(0));
  const late = `timers at most ${clean.lagMs.toFixed(0)} and ${dirty.lagMs.toFixed(0)} ms late`;
  return {
    id: "F20-stall",
    text: `no process works longer than ${STALL_MS_MAX} ms without coming back to its event loop`,
    figure: `${before} ms before, ${then} ms during; ${late}`,
    met: dirty.heldMs <= STALL_MS_MAX,
  };
}

async function run(c: ChaosContext): Promise<Bar[]> {
  const world = await c.world({ contractors: 4, initiators: 2 });
  // The door is opened by the role that may both initiate and submit.
  await world.join("agent", 0, "door");
  const insider = await Insider.enter(world, c.prng.fork("insider"));
  const load = new Load(world, { concurrency: 16, input: () => ({ ms: 20 + c.prng.int(60) }) });
  const running = load.run();
  const phaseMs = Math.max(PHASE_MS_MIN, c.minutes * 24_000);
  const workers = [...world.workers.values()];
  await pause(4_000);
  const clean = await phase(c, world, load, phaseMs);
  const before = await counters(world);
  world.nemesis.note({ k: "inv", op: "hostile", target: "any" });
  let over = false;
  const attacking = attack(insider, () => over);
  const dirty = await phase(c, world, load, phaseMs);
  over = true;
  const sent = await attacking;
  await pause(1_000);
  const after = await counters(world);
  load.stop();
  await running;
  await settled(world);
  const classes = CLASSES.map((name) => [name, refused(after, before, `refused.${name}`)] as const);
  note(
    world,
    classes.filter(([, n]) => n > 0).map(([name]) => name),
  );
  c.say(`${sent} sent; refused: ${classes.map(([name, n]) => `${name} ${n}`).join(", ")}`);
  c.say(
    `the server refused ${insider.denied}, the door answered ${insider.turnedAway} with errors`,
  );
  const intact = workers.filter((w) => w.alive && world.workers.get(w.plan.name) === w).length;
  const links = after.reconnects ?? 0;
  const total = refused(after, before, "refused.");
  const held = insider.connected;
  await insider.leave();
  return [
    {
      id: "F20",
      text: "no process ends, no connection is lost, and every accepted task completes",
      figure:
        `${intact} of ${workers.length} processes, ${links} reconnects, ` +
        `${load.ended.get("completed") ?? 0} of ${load.accepted} tasks`,
      met:
        intact === workers.length && links === 0 && load.ended.get("completed") === load.accepted,
    },
    {
      id: "F20-refused",
      text: "what is refused is counted, on every class of subject",
      figure:
        `${total} by the mesh and ${insider.denied} by the server of ${sent} sent; ` +
        `${classes.filter(([, n]) => n > 0).length} of ${classes.length} classes`,
      met: held && insider.denied > 0 && classes.every(([, n]) => n > 0),
    },
    stall(clean, dirty),
    slowdown(clean, dirty),
  ];
}

export const scenario: Scenario = {
  name: "hostile",
  about: "an insider sends malformed, oversized, forged and replayed messages everywhere",
  bars: ["F20"],
  run,
};
