// F21, B11: the server is killed while 1,000 agents are connected, each with its own credentials on
// its own connection. They all come back at once: is that soon, and does it stay quiet?
import { readFile } from "node:fs/promises";
import { REGISTRY_STREAM } from "../../contracts/index.ts";
import { Load } from "../harness/load.ts";
import type { World } from "../harness/world.ts";
import type { Bar, ChaosContext, Scenario } from "../scenario.ts";
import { linesOf, now, pause } from "./links.ts";

const AGENTS = 1_000;
/** Short tasks in flight, whose rate is measured, and long ones, whose contracts the outage hits.
 * More would saturate two cores, and then the rate tells what else runs on the machine. */
const SHORT = 16;
const LONG = 200;
const LONG_MS = 4_000;
const BACK_MS_MAX = 2_000;
const RATE_MIN = 0.9;
const RATE_MS_MAX = 5_000;
/** Window for rates and for card writes, before the kill and after the server listens, ms. */
const WINDOW_MS = 10_000;
/** Cards written after the kill, of those before: all renew within 25 s, outage or not. */
const WRITES_MAX = 1.25;
const GIVE_UP_MS = 30_000;

type Reader = Awaited<ReturnType<World["mesh"]["open"]>>;

/** Cards written so far. */
async function written({ transport }: Reader): Promise<number> {
  const subject = `$JS.API.STREAM.INFO.${REGISTRY_STREAM}`;
  const answer = await transport.request(subject, new Uint8Array(0), { timeoutMs: WINDOW_MS });
  const info = JSON.parse(Buffer.from(answer.data).toString()) as { state: { last_seq: number } };
  return info.state.last_seq;
}

/** When the server last began to listen, ms since 1970, by its own log. */
async function listenedAt(world: World): Promise<number> {
  const log = await readFile(world.mesh.server.logFile, "utf8");
  const said = [
    ...log.matchAll(/(\d+)\/(\d+)\/(\d+) (\d+:\d+:\d+\.\d{3}).*Listening for client connections/g),
  ].at(-1);
  if (said === undefined) throw new Error("the server's log does not say when it listened");
  const [, year, month, day, time] = said;
  return new Date(`${year}-${month}-${day}T${time}`).getTime();
}

/** Waits until every connection is up again; the moment of each, ms since 1970. */
async function allBack(world: World, connections: number, since: number): Promise<number[]> {
  const end = performance.now() + GIVE_UP_MS;
  for (;;) {
    const tallies = await Promise.all([...world.workers.values()].map((w) => w.tally()));
    const ups = tallies.flatMap((t) => t.upSince).filter((ns) => ns > since);
    if (ups.length >= connections || performance.now() > end) {
      return ups.map((ns) => Date.now() - (now() - ns) / 1e6).sort((a, b) => a - b);
    }
    await pause(100);
  }
}

async function connections(world: World): Promise<number> {
  const answer = await fetch(`${world.mesh.server.monitorUrl}/varz`);
  return ((await answer.json()) as { connections: number }).connections;
}

/** Tasks a second that ended between two moments, ms since 1970. */
function rate(load: Load, from: number, to: number): number {
  const zero = Date.now() - performance.now();
  const ended = load.ends.filter((e) => e.at + zero >= from && e.at + zero < to).length;
  return (ended / (to - from)) * 1_000;
}

/** How long after `from` a second began in which the rate was reached, ms. */
function reachedAfter(load: Load, from: number, wanted: number): number {
  for (let ms = 0; ms < WINDOW_MS - 1_000; ms += 100) {
    if (rate(load, from + ms, from + ms + 1_000) >= wanted) return ms;
  }
  return Number.POSITIVE_INFINITY;
}

interface Round {
  /** From the kill until the server listens, and from then until each connection was back, ms. */
  downMs: number;
  backMs: number[];
  connectedBefore: number;
  held: number;
  before: number;
  after: number;
  reachedMs: number;
  writes: { before: number; after: number };
}

async function round(world: World, reader: Reader, load: Load): Promise<Round> {
  const first = await written(reader);
  await pause(WINDOW_MS);
  const last = await written(reader);
  const tallies = await Promise.all([...world.workers.values()].map((w) => w.tally()));
  const connected = tallies.reduce((n, t) => n + t.upSince.length, 0);
  const connectedBefore = await connections(world);
  const killedAt = Date.now();
  const before = rate(load, killedAt - WINDOW_MS, killedAt);
  const killed = now();
  await world.killServer();
  const back = await allBack(world, connected, killed);
  const listening = await listenedAt(world);
  await pause(Math.max(0, listening + WINDOW_MS - Date.now()));
  const then = await written(reader);
  const backMs = back.map((at) => at - listening);
  // Whoever is not back counts as never.
  for (let n = back.length; n < connected; n++) backMs.push(Number.POSITIVE_INFINITY);
  return {
    downMs: listening - killedAt,
    backMs,
    connectedBefore,
    held: tallies.reduce((n, t) => n + t.running, 0),
    before,
    after: rate(load, listening + RATE_MS_MAX, listening + WINDOW_MS),
    reachedMs: reachedAfter(load, listening, RATE_MIN * before),
    writes: {
      before: last - first,
      after: then - last,
    },
  };
}

function tell(c: ChaosContext, r: Round): void {
  const half = r.backMs[Math.floor(r.backMs.length / 2)] ?? Number.NaN;
  c.say(
    `${r.connectedBefore} connections, ${r.held} contracts; down ${r.downMs.toFixed(0)} ms; ` +
      `half back ${half.toFixed(0)} ms after it listens, all ${r.backMs.at(-1)?.toFixed(0)} ms`,
  );
  c.say(
    `  ${r.before.toFixed(0)} tasks/s before, 90 % of that from ${r.reachedMs} ms on, ` +
      `${r.after.toFixed(0)} tasks/s from ${RATE_MS_MAX} ms on; ` +
      `cards written in 10 s: ${r.writes.before} before, ${r.writes.after} after`,
  );
}

function bars(rounds: Round[], loads: Load[], revoked: number): Bar[] {
  const all = Math.max(...rounds.map((r) => r.backMs.at(-1) ?? Number.POSITIVE_INFINITY));
  const fewest = Math.min(...rounds.map((r) => r.connectedBefore));
  const ratios = rounds.map((r) => (r.before === 0 ? 0 : r.after / r.before));
  // Five seconds of 100 tasks/s each: one round alone is off by several per cent.
  const ratio = ratios.reduce((a, b) => a + b, 0) / Math.max(1, ratios.length);
  const reached = Math.max(...rounds.map((r) => r.reachedMs));
  const held = Math.min(...rounds.map((r) => r.held));
  const lost = loads.reduce((n, l) => n + l.accepted - l.done, 0);
  const accepted = loads.reduce((n, l) => n + l.accepted, 0);
  return [
    {
      id: "B11",
      text: `${AGENTS} agents with a connection each: all back ${BACK_MS_MAX} ms after it listens`,
      figure: `last one ${Math.round(all)} ms (${rounds.length} kills, ${fewest} connections)`,
      met: rounds.length > 0 && fewest >= AGENTS && all <= BACK_MS_MAX,
    },
    {
      id: "B11",
      text: `throughput is at least 90 % within ${RATE_MS_MAX} ms`,
      figure:
        `reached after ${reached} ms; ${Math.round(ratio * 100)} % from then on, ` +
        `worst round ${Math.round(Math.min(...ratios) * 100)} %`,
      met: reached <= RATE_MS_MAX && ratio >= RATE_MIN,
    },
    {
      id: "B11",
      text: "no contract is revoked and no task lost because of the outage",
      figure: `${revoked} revoked, ${held} held at the least; ${lost} of ${accepted} tasks lost`,
      met: revoked === 0 && lost === 0 && held >= LONG / 2,
    },
    {
      id: "F21",
      text: "unchanged cards are not written again: no more writes in 10 s than before",
      figure: rounds.map(({ writes: w }) => `${w.before} before, ${w.after} after`).join("; "),
      met: rounds.every(({ writes: w }) => w.before > 0 && w.after <= WRITES_MAX * w.before),
    },
  ];
}

async function run(c: ChaosContext): Promise<Bar[]> {
  const world = await c.world({
    contractors: 4,
    agents: AGENTS,
    initiators: 2,
    connections: "agent",
  });
  const reader = await world.mesh.open("reader", "admin", [], {
    use: { initiator: false, contractor: false, submitter: false, intake: false },
  });
  const short = new Load(world, {
    concurrency: SHORT,
    input: () => ({ ms: 60 + c.prng.int(80) }),
  });
  const long = new Load(world, {
    concurrency: LONG,
    input: () => ({ ms: LONG_MS / 2 + c.prng.int(LONG_MS) }),
  });
  const running = [short.run(), long.run()];
  const rounds: Round[] = [];
  try {
    await pause(3_000);
    const kills = Math.max(2, Math.round(c.minutes * 3));
    for (let n = 0; n < kills && !c.signal.aborted; n++) {
      rounds.push(await round(world, reader, short));
      tell(c, rounds.at(-1) as Round);
    }
  } finally {
    await reader.close(0);
  }
  for (const load of [short, long]) load.stop();
  await Promise.all(running);
  const revoked = linesOf(world).filter((l) => l.op === "lost").length;
  return bars(rounds, [short, long], revoked);
}

export const scenario: Scenario = {
  name: "storm",
  about: "kill -9 of the server under 1,000 agents with a connection each: all come back at once",
  bars: ["B11", "F21"],
  run,
};
