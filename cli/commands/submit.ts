// `parley submit` leaves a task with the mesh; `parley call` asks and waits, nothing is stored.
import type { Command } from "commander";
import { ATTEMPTS_MAX, DEADLINE_MS_MAX, PRIORITY_MAX } from "../../contracts/limits.ts";
import type { Outcome } from "../../contracts/records.ts";
import type { Requirements } from "../../contracts/spec.ts";
import type { Peer, TaskEvent, TaskOptions, Tracker } from "../../mesh/index.ts";
import { CliError, Interrupted, usage } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { readInput } from "../lib/input.ts";
import { orInterrupted } from "../lib/interrupt.ts";
import { lateSignal } from "../lib/late.ts";
import { type Output, oneLine } from "../lib/output.ts";
import {
  addressOf,
  duration,
  list,
  moment,
  numberFrom,
  requirement,
  token,
  version,
  weights,
} from "../lib/parse.ts";
import { checkSubmits, type Session, session, withSubmitter } from "../lib/session.ts";

interface Options {
  priority?: number;
  deadline?: number;
  policy?: string;
  weights?: Record<string, number>;
  to?: string;
  only?: boolean;
  exclude?: string[];
  requires?: Requirements;
  otherwise?: string[];
  patience?: number;
  budget?: number;
  retries?: number;
  capVersion?: string;
  task?: string;
  wait?: boolean;
  progress?: boolean;
  jsonl?: boolean;
}

/** A live call that names no time ends after this, ms: somebody is waiting for it. */
const CALL_TIMEOUT_MS = 60_000;
/** The mesh ends a task at its deadline; after this, ms, we no longer wait for the news. */
const GRACE_MS = 5_000;

export function registerSubmit(parley: Command): void {
  const submit = withExamples(
    common(
      parley
        .command("submit <capability> [input]")
        .description("leave a task with the mesh; prints its id. Input: JSON, or - for a pipe")
        .option("--wait", "wait for the outcome and print the output")
        .option(
          "--retries <n>",
          "further attempts after a failure",
          numberFrom(0, ATTEMPTS_MAX - 1),
        )
        .option(
          "--task <id>",
          "an id of your own: the same id again is the same task",
          token("task"),
        ),
    ),
    `parley submit echo '{"text":"hello"}'`,
    "parley submit summarize - --wait --progress --timeout 5m < article.json",
    `parley submit render '{}' --requires gpu=true --policy cheapest --budget 3 --priority 8`,
  );
  submit.action((capability: string, input: string | undefined, _o: Options, command: Command) =>
    run(command, capability, input, true),
  );
  const call = withExamples(
    common(
      parley
        .command("call <capability> [input]")
        .description("ask the agents and wait; nothing is stored. Input: JSON, or - for a pipe"),
    ),
    `parley call echo '{"text":"hello"}'`,
    `echo '{"text":"hello"}' | parley call echo - --timeout 10s`,
    `parley call translate '{"text":"hello"}' --to alice.worker`,
  );
  call.action((capability: string, input: string | undefined, _o: Options, command: Command) =>
    run(command, capability, input, false),
  );
}

function common(command: Command): Command {
  return command
    .option("--priority <n>", "0 (whenever) to 9 (drop everything)", numberFrom(0, PRIORITY_MAX))
    .option("--deadline <time>", "when it expires: 2027-01-31T12:00:00Z, or 5m from now", moment)
    .option("--policy <name>", "fastest, cheapest, balanced, deadline or hybrid", token("policy"))
    .option("--weights <w>", "for hybrid: time=2,cost=1,load=1,risk=1", weights)
    .option("--to <agent>", "award it straight to this agent", addressOf)
    .option("--only", "with --to: to nobody else")
    .option("--exclude <agents>", "agents that may not get it, with commas", list)
    .option(
      "--requires <k=v>",
      "attribute that the agent must have: gpu=true, memory>=16",
      requirement,
    )
    .option("--otherwise <capabilities>", "tried in this order when it failed", list)
    .option("--patience <time>", "how long to look for a free agent before the next", duration)
    .option("--budget <cost>", "most that it may cost", numberFrom(0, 1e15, false))
    .option(
      "--cap-version <v>",
      "version of the capability: the same major, at least this",
      version,
    )
    .option("--progress", "show progress on standard error")
    .option("--jsonl", "every event as a line of JSON on standard output");
}

async function run(
  command: Command,
  capability: string,
  text: string | undefined,
  durable: boolean,
): Promise<void> {
  const s = session<Options>(command);
  const options = taskOptions(s, durable);
  const input = await readInput(text);
  await withSubmitter(s, async (peer, _opened, target) => {
    checkSubmits(target);
    const startedAt = performance.now();
    if (!durable) return call(s, peer, capability, input, options, startedAt);
    const tracker = await orInterrupted(peer.submitters.submit(capability, input, options));
    const { wait, progress, jsonl } = s.options;
    if (wait !== true && progress !== true && jsonl !== true) return told(s.out, tracker);
    try {
      await follow(s, peer, tracker, options, startedAt);
    } catch (error) {
      if (error instanceof Interrupted) {
        s.out.note(`the task goes on; see: parley task watch ${tracker.task}`);
      }
      throw error;
    }
  });
}

function told(out: Output, tracker: Tracker): void {
  if (out.json) return out.document({ task: tracker.task, owner: tracker.owner });
  out.text(tracker.task);
  out.note(`follow it: parley task watch ${tracker.task}`);
}

async function call(
  s: Session<Options>,
  peer: Peer,
  capability: string,
  input: unknown,
  options: TaskOptions,
  startedAt: number,
): Promise<void> {
  const tracker = await peer.submitters.call(capability, input, options);
  try {
    await follow(s, peer, tracker, options, startedAt);
  } catch (error) {
    if (error instanceof Interrupted) await tracker.cancel("interrupted").catch(() => undefined);
    throw error;
  }
}

function taskOptions(s: Session<Options>, durable: boolean): TaskOptions {
  const o = s.options;
  if (o.only === true && o.to === undefined) throw usage("--only needs --to AGENT");
  if (o.deadline !== undefined && o.deadline <= Date.now()) {
    throw usage("the deadline has passed already", "--deadline 5m    (five minutes from now)");
  }
  const longest = Math.max((o.deadline ?? 0) - Date.now(), o.timeout ?? 0);
  if (longest > DEADLINE_MS_MAX) {
    throw usage("a task has 30 days at most", "--deadline 30d, or a trigger that begins it later");
  }
  // The program's --timeout is the task's own here; NATS_TIMEOUT is only about connecting.
  const timeoutMs = o.timeout ?? (durable ? undefined : CALL_TIMEOUT_MS);
  const wanted: TaskOptions = {};
  if (o.deadline !== undefined) wanted.deadline = o.deadline;
  else if (timeoutMs !== undefined) wanted.timeoutMs = timeoutMs;
  if (o.policy !== undefined || o.weights !== undefined) {
    wanted.award = {
      policy: o.policy ?? "hybrid",
      ...(o.weights === undefined ? {} : { weights: o.weights }),
    };
  }
  if (o.capVersion !== undefined) wanted.version = o.capVersion;
  if (o.otherwise !== undefined) {
    wanted.otherwise = o.otherwise.map((name) => ({ capability: token("capability")(name) }));
  }
  if (o.patience !== undefined) wanted.patienceMs = o.patience;
  if (o.retries !== undefined) wanted.retry = { attempts: o.retries + 1 };
  for (const name of ["priority", "to", "only", "exclude", "requires", "budget", "task"] as const) {
    if (o[name] !== undefined) Object.assign(wanted, { [name]: o[name] });
  }
  return wanted;
}

/** Prints events while they come, then the output; another end than "completed" is an error. */
async function follow(
  s: Session<Options>,
  peer: Peer,
  tracker: Tracker,
  options: TaskOptions,
  startedAt: number,
): Promise<void> {
  const { progress, jsonl } = s.options;
  let shown = Promise.resolve();
  if (progress === true || jsonl === true) {
    // Records of own tasks tell of contracts and failed attempts; outcomes come anyway.
    peer.watchOwn();
    shown = show(s, tracker);
  }
  const left = options.deadline === undefined ? options.timeoutMs : options.deadline - Date.now();
  const waiting = left === undefined ? undefined : lateSignal(left + GRACE_MS);
  const outcome = await orInterrupted(
    tracker.outcome(waiting).catch((error: unknown) => {
      if (waiting?.aborted !== true) throw error;
      throw new CliError("E_TIMEOUT", `no word of task ${tracker.task} after its deadline`, {
        next: "parley doctor    (is an initiator there?)",
      });
    }),
  );
  // The last event is the end, and stands before the output.
  await shown;
  await print(s, tracker, outcome, performance.now() - startedAt);
}

async function show(s: Session<Options>, tracker: Tracker): Promise<void> {
  for await (const event of tracker.events(true)) {
    if (s.options.jsonl === true) s.out.line({ task: tracker.task, ...event });
    if (s.options.progress === true) s.out.note(oneLine(eventText(event)));
  }
}

function eventText(event: TaskEvent): string {
  switch (event.type) {
    case "state":
      return `${event.state}${event.contractor === undefined ? "" : ` at ${event.contractor}`}`;
    case "progress": {
      const share = event.done === undefined ? "" : `${Math.round(event.done * 100)} % `;
      const partial = event.partial === undefined ? "" : ` ${JSON.stringify(event.partial)}`;
      return `${share}${event.note ?? ""}${partial}`.trim();
    }
    case "failure":
      if (event.leaving === true) return `handed back: ${event.message} (${event.code})`;
      return `attempt ${event.epoch} failed: ${event.message} (${event.code})`;
  }
}

async function print(
  s: Session<Options>,
  tracker: Tracker,
  outcome: Outcome,
  ms: number,
): Promise<void> {
  const completed = outcome.state === "completed";
  const output = completed ? await tracker.result() : undefined;
  const document = {
    task: tracker.task,
    owner: tracker.owner,
    state: outcome.state,
    ...(completed ? { output } : {}),
    ...(outcome.failure === undefined ? {} : { failure: outcome.failure }),
    attempts: outcome.attempts,
    ms: Math.round(ms * 1_000) / 1_000,
  };
  if (s.options.jsonl === true) s.out.line({ type: "outcome", ...document });
  else if (s.out.json) s.out.document(document);
  else if (completed) s.out.document(output ?? null);
  if (!completed) throw ended(tracker.task, outcome);
}

function ended(task: string, outcome: Outcome): CliError {
  const code = outcome.failure?.code ?? "E_HANDLER";
  const why = outcome.failure?.message ?? "no reason was given";
  return new CliError(code, `task ${task} ${outcome.state}: ${oneLine(why)}`, {
    // What an agent says of its own input or work is no wrong usage of this program.
    ...(code === "E_SCHEMA" || code === "E_CONNECTION" ? { exit: 1 } : {}),
  });
}
