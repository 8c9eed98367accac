// `npm run sim:swarm -- --seeds A..B`: runs drawn from their seeds, each judged at every event.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { BUGS } from "../../check/bugs/list.ts";
import { onInterrupt } from "../interrupt.ts";
import { commandOf } from "../virtual/flags.ts";
import { drawRun } from "./draw.ts";
import { swarm } from "./swarm.ts";
import type { Answer } from "./worker.ts";

const USAGE = `npm run sim:swarm -- --seeds A..B [--jobs N] [--json]
npm run sim:swarm -- --bug NAME|all [--seeds A..B] [--json]

--seeds  runs drawn from these numbers; default 1..100
--jobs   processes; default: the processors
--bug    plants this bug of check/bugs (or each in turn) and tells which seed finds it
--json   one JSON object on standard output
A seed that fails is made small, and the command that plays it again is printed.
Ctrl-C ends it with what was played so far, a second one at once.
Exit: 0 all rules held (with --bug: found), 1 not, 64 bad arguments, 130 stopped.
`;

interface Options {
  seeds: number[];
  jobs: number;
  json: boolean;
  bugs: string[];
}

function optionsOf(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      seeds: { type: "string", default: "1..100" },
      jobs: { type: "string" },
      json: { type: "boolean", default: false },
      bug: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) return undefined;
  const range = /^(\d+)(?:\.\.(\d+))?$/.exec(values.seeds);
  const [from, to] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
  if (range === null || to < from) throw new Error(`--seeds ${values.seeds}: give A..B`);
  const jobs = Number(values.jobs ?? availableParallelism());
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs ${values.jobs}: at least 1`);
  const names = BUGS.map((b) => b.name);
  const bugs = values.bug === undefined ? [] : values.bug === "all" ? names : [values.bug];
  const unknown = bugs.find((b) => !names.includes(b));
  if (unknown !== undefined) throw new Error(`no planted bug "${unknown}": ${names.join(", ")}`);
  const seeds = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  return { seeds, jobs, json: values.json, bugs };
}

async function hunt(o: Options, stopped: () => boolean): Promise<number> {
  const found: { bug: string; seed?: number; rule?: string; what?: string }[] = [];
  for (const bug of o.bugs) {
    if (stopped()) break;
    const run = { seeds: o.seeds, jobs: o.jobs, shrink: false, bug, untilFound: true, stopped };
    const hit = (await swarm(run)).find((a) => a.played.wrong !== undefined)?.played;
    if (stopped() && hit === undefined) break;
    found.push({
      bug,
      ...(hit?.wrong === undefined ? {} : { seed: hit.seed, ...pickWrong(hit.wrong) }),
    });
    const text = hit?.wrong === undefined ? "not found" : `seed ${hit.seed}: ${hit.wrong.rule}`;
    if (!o.json) console.log(`${bug.padEnd(32)} ${text}`);
    if (!o.json && hit !== undefined && o.bugs.length === 1) {
      console.log(`  again: npm run sim:swarm -- --bug ${bug} --seeds ${hit.seed}`);
    }
  }
  if (o.json) console.log(JSON.stringify({ bugs: found }));
  const missed = found.filter((f) => f.seed === undefined).length;
  if (!o.json) console.log(`${found.length - missed} passed, ${missed} failed`);
  return missed === 0 ? 0 : 1;
}

function pickWrong({ rule, what }: { rule: string; what: string }) {
  return { rule, what };
}

function tell({ played, shrunk }: Answer): void {
  const { seed, wrong } = played;
  if (wrong === undefined) return;
  console.log(`seed ${seed}: ${wrong.rule} broken: ${wrong.what}`);
  for (const line of (shrunk?.wrong ?? wrong).witness) console.log(`  ${line}`);
  console.log(`  again: ${shrunk?.command ?? commandOf(drawRun(seed))}`);
}

async function sweep(o: Options, stopped: () => boolean): Promise<number> {
  let said = performance.now();
  let done = 0;
  const begun = performance.now();
  const answers = await swarm({
    seeds: o.seeds,
    jobs: o.jobs,
    shrink: true,
    stopped,
    each: (answer) => {
      done++;
      if (!o.json) tell(answer);
      if (performance.now() - said < 5_000) return;
      said = performance.now();
      process.stderr.write(`${done} of ${o.seeds.length} seeds\n`);
    },
  });
  const failed = answers.filter((a) => a.played.wrong !== undefined);
  const sum = (of: (a: Answer) => number) => answers.reduce((n, a) => n + of(a), 0);
  const judged: Record<string, number> = {};
  for (const { played } of answers) {
    for (const [rule, n] of Object.entries(played.judged)) judged[rule] = (judged[rule] ?? 0) + n;
  }
  const total = {
    seeds: answers.length,
    failed: failed.map((a) => ({ ...a.played, command: a.shrunk?.command })),
    tasks: sum((a) => a.played.completed),
    faults: sum((a) => a.played.faults),
    events: sum((a) => a.played.events),
    worldSeconds: Math.round(sum((a) => a.played.worldMs) / 1_000),
    seconds: (performance.now() - begun) / 1_000,
    judged,
    ...(stopped() ? { stopped: true } : {}),
  };
  if (o.json) console.log(JSON.stringify(total));
  else {
    console.log(
      `${total.tasks} tasks, ${total.faults} faults, ${total.worldSeconds} s of the world in ` +
        `${total.seconds.toFixed(0)} s`,
    );
    console.log(
      `judged: ${Object.entries(judged)
        .map(([rule, n]) => `${rule} ${n}`)
        .join(", ")}`,
    );
    console.log(`${answers.length - failed.length} passed, ${failed.length} failed`);
    if (stopped())
      console.log(`Stopped early: ${o.seeds.length - answers.length} were not played.`);
  }
  return failed.length === 0 ? 0 : 1;
}

async function main(args: string[]): Promise<number> {
  let options: Options | undefined;
  try {
    options = optionsOf(args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 64;
  }
  if (options === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  const interrupt = onInterrupt();
  try {
    const status = await (options.bugs.length > 0 ? hunt : sweep)(options, interrupt.stopped);
    return interrupt.stopped() ? interrupt.exit : status;
  } finally {
    interrupt.release();
  }
}

process.exitCode = await main(process.argv.slice(2));
