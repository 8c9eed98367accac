// Golden interactions: what an initiator does, told as a script (the format is raft's).
//
// A script is a list of blocks: commands, `----`, and the trace that they give. Lines that begin
// with # are remarks. `a` is the initiator of task t1; other names are agents, `b` is b.w.
//
//   field agents=20 [offering=20]   who could answer a call
//   task [to=b only exclude=b policy=… budget=… attempts=… backoff=… deadline=+10s
//         duration=… otherwise=c1,c2 patience=… live requires]
//                                the spec, stored (revision 1) unless it is live
//   sick sum [b]           five failures in a row of the capability (b: of its agent b alone)
//   deaf sum b             five awards of the capability that b left unclaimed
//   queueing yes|no                           does somebody wait for this capability already?
//   begin                                     a new initiator takes the task up
//   adopt                                     another initiator takes it over from its records
//   read [n]                                  the (first n) records that the initiator asked for
//   bid b [finish=10 cost=1 confidence=0.99 load=0 valid=2s]
//   refuse b busy [award]                     an answer to the call, or to the award
//   nobody                                    the server's no-responders answer
//   advance 20ms                              time passes; due moments are stepped on their way
//   recall | seen b | lost b …why
//   contract b | failure E_CODE [leaving] | outcome | cancel …why
//                          stored, and the initiator hears of it
//   store contract b …                        stored, but the notice is lost
//   live failure E_CODE | live outcome        a live contractor's last word
//   usurp x contract|outcome|…     stored by x, who has no right to it, and seen by the initiator
//   unfit                          a record came that does not fit what the initiator knows
//   ended ok|conflict                         the fate of the outcome that the initiator wrote
import type {
  AwardTerms,
  Contract,
  FailureCode,
  Outcome,
  RecordKind,
  RefusalReason,
  Spec,
} from "../../contracts/index.ts";
import { failure } from "../../contracts/index.ts";
import { step } from "../../mesh/core/initiator.ts";
import {
  type Effect,
  type Event,
  type InitiatorTask,
  newTask,
} from "../../mesh/core/initiator-task.ts";
import { foldTask, type ReadRecord } from "../../mesh/core/task-view.ts";
import { Bench, fieldOf, makeBid, makeSpec, WALL_AT_ZERO } from "./core.ts";

type Options = Record<string, string>;

interface Words {
  plain: string[];
  options: Options;
}

function words(line: string): Words {
  const plain: string[] = [];
  const options: Options = {};
  for (const word of line.split(/\s+/).slice(1)) {
    const [name, value] = word.split("=", 2) as [string, string | undefined];
    if (value === undefined) plain.push(word);
    else options[name] = value;
  }
  return { plain, options };
}

function ms(text: string): number {
  const match = /^\+?(\d+(?:\.\d+)?)(ms|s)$/.exec(text);
  if (match === null) throw new Error(`"${text}" is no length of time: 20ms, 1.5s`);
  return Number(match[1]) * (match[2] === "s" ? 1_000 : 1);
}

function span(length: number): string {
  const rounded = Math.round(length);
  return rounded >= 1_000 && rounded % 100 === 0 ? `${rounded / 1_000}s` : `${rounded}ms`;
}

const agent = (name: string): string => `${name}.w`;
const short = (address: string): string => address.replace(/\.w$/, "");

export class Interaction {
  readonly #bench = new Bench("interactions");
  readonly #commands: Record<string, (w: Words) => void>;
  #records: ReadRecord[] = [];
  #spec: Spec = makeSpec();
  #live = false;
  #task: InitiatorTask = this.#bench.task();
  #lines: string[] = [];
  #state = "";

  constructor() {
    this.#commands = {
      field: ({ options }) => this.#field(options),
      task: (w) => this.#define(w),
      queueing: ({ plain }) => {
        this.#bench.queueing = plain[0] === "yes";
      },
      sick: ({ plain: [capability = "", name] }) => {
        const who = name === undefined ? undefined : agent(name);
        const { now } = this.#bench.context;
        const { breakers } = this.#bench;
        for (let n = 0; n < 5; n++) breakers.failed(capability, who, "E_HANDLER", now);
        // Of one agent alone: others have done well meanwhile.
        if (who !== undefined) breakers.succeeded(capability, "x.w", now);
      },
      deaf: ({ plain: [capability = "", name = ""] }) => {
        const { now } = this.#bench.context;
        for (let n = 0; n < 5; n++) this.#bench.breakers.unclaimed(capability, agent(name), now);
      },
      begin: () => this.#feed({ on: "begin" }),
      adopt: () => {
        this.#task = this.#fresh();
        this.#feed({ on: "adopt", view: foldTask(this.#records) });
      },
      read: ({ plain }) => {
        const seen = this.#records.slice(0, Number(plain[0] ?? this.#records.length));
        this.#feed({ on: "adopt", view: foldTask(seen) });
      },
      bid: (w) => this.#bid(w),
      refuse: (w) => this.#refuse(w),
      nobody: () => this.#feed({ on: "nobody", cfp: this.#task.cfp }),
      advance: ({ plain }) => this.#advance(ms(plain[0] as string)),
      recall: () => this.#feed({ on: "recall" }),
      seen: ({ plain }) => this.#feed({ on: "seen", from: agent(plain[0] as string) }),
      lost: ({ plain }) => {
        const epoch = this.#task.live ? this.#task.epoch + 1 : this.#task.epoch;
        this.#feed({ on: "lost", epoch, why: plain.join(" ") });
      },
      contract: ({ plain }) => this.#record("contract", plain, true),
      failure: ({ plain }) => this.#record("failure", plain, true),
      outcome: ({ plain }) => this.#record("outcome", plain, true),
      cancel: ({ plain }) => this.#record("cancel", plain, true),
      store: ({ plain }) => this.#record(plain[0] as RecordKind, plain.slice(1), false),
      live: ({ plain }) => this.#liveWord(plain),
      unfit: () => {
        const last = this.#records.at(-1) as ReadRecord;
        this.#feed({ on: "usurped", rev: last.rev, head: last.digest });
      },
      usurp: ({ plain }) => {
        const record = this.#store(
          plain[1] as RecordKind,
          { state: "completed", epoch: 1 },
          agent(plain[0] as string),
        );
        this.#feed({ on: "usurped", rev: record.rev, head: record.digest });
      },
      ended: ({ plain }) => {
        if (plain[0] === "ok") this.#store("outcome", { state: "expired" }, "a.main");
        this.#feed({ on: "ended", ok: plain[0] === "ok" });
      },
    };
  }

  /** Runs the commands of one block and gives its trace. */
  run(commands: readonly string[]): string[] {
    for (const line of commands) {
      if (line === "" || line.startsWith("#")) continue;
      const verb = line.split(/\s+/)[0] as string;
      const command = this.#commands[verb];
      if (command === undefined) throw new Error(`no such command: ${line}`);
      command(words(line));
    }
    return this.#lines.splice(0);
  }

  #field(o: Options): void {
    const agents = Number(o.agents);
    this.#bench.field = fieldOf(agents, Number(o.offering ?? agents));
  }

  #define({ plain, options: o }: Words): void {
    this.#live = plain.includes("live");
    this.#spec = makeSpec({
      deadline: WALL_AT_ZERO + (o.deadline === undefined ? 60_000 : ms(o.deadline)),
      ...(o.to === undefined ? {} : { to: agent(o.to) }),
      ...(plain.includes("only") ? { only: true } : {}),
      ...(o.exclude === undefined ? {} : { exclude: [agent(o.exclude)] }),
      ...(o.otherwise === undefined
        ? {}
        : { otherwise: o.otherwise.split(",").map((capability) => ({ capability })) }),
      ...(o.patience === undefined ? {} : { patienceMs: ms(o.patience) }),
      ...(plain.includes("requires") ? { requires: { region: "eu" } } : {}),
      ...(o.policy === undefined ? {} : { award: { policy: o.policy } }),
      ...(o.budget === undefined ? {} : { budget: Number(o.budget) }),
      ...(o.duration === undefined ? {} : { hints: { durationMs: ms(o.duration) } }),
      ...(o.attempts === undefined
        ? {}
        : { retry: { attempts: Number(o.attempts), backoffMs: ms(o.backoff ?? "200ms") } }),
    });
    if (!this.#live) this.#store("spec", this.#spec, "sue.main");
    this.#task = this.#fresh();
  }

  #fresh(): InitiatorTask {
    return newTask(this.#spec, "sue.main", this.#live, this.#live ? 0 : 1, this.#live ? "" : "d1");
  }

  #bid({ plain, options: o }: Words): void {
    const from = agent(plain[0] as string);
    const bid = makeBid({
      durationMs: Number(o.finish ?? 10),
      cost: Number(o.cost ?? 1),
      confidence: Number(o.confidence ?? 1),
      load: Number(o.load ?? 0),
      validMs: ms(o.valid ?? "2s"),
    });
    this.#feed({ on: "bid", cfp: this.#task.cfp, from, bid });
  }

  #refuse({ plain }: Words): void {
    const [name, reason, award] = plain as [string, RefusalReason, string | undefined];
    this.#feed({
      on: "refusal",
      cfp: this.#task.cfp,
      from: agent(name),
      award: award === "award",
      reason,
      freeInMs: undefined,
    });
  }

  #advance(length: number): void {
    const end = this.#bench.context.now + length;
    for (;;) {
      const { now } = this.#bench.context;
      if (this.#task.dueAt > end) break;
      this.#bench.advance(Math.max(0, this.#task.dueAt - now));
      this.#feed({ on: "due" });
    }
    this.#bench.advance(end - this.#bench.context.now);
  }

  #store(kind: RecordKind, body: object, from: string, awardRev?: number): ReadRecord {
    const rev = this.#records.length + 1;
    const { tier } = this.#task;
    const record: ReadRecord = {
      kind,
      rev,
      from,
      to: "a.main",
      digest: `d${rev}`,
      storedAt: this.#bench.context.wall,
      ...(awardRev === undefined ? {} : { terms: { rev: awardRev, tier } as AwardTerms }),
      body: body as ReadRecord["body"],
    };
    this.#records.push(record);
    return record;
  }

  #record(kind: RecordKind, rest: string[], heard: boolean): void {
    const last = foldTask(this.#records);
    const by = last.contract?.contractor ?? "b.w";
    switch (kind) {
      case "contract": {
        const from = agent(rest[0] as string);
        const body: Partial<Contract> = { epoch: last.epoch + 1, contractor: from };
        const { rev, digest: head } = this.#store(kind, body, from, last.rev);
        if (heard) this.#feed({ on: "contract", rev, head, epoch: last.epoch + 1, from });
        return;
      }
      case "failure": {
        const why = failure(rest[0] as FailureCode);
        const body = { epoch: last.epoch, failure: why, leaving: rest[1] === "leaving" };
        const { rev, digest: head } = this.#store(kind, body, by);
        if (heard) this.#feed({ on: "failure", rev, head, ...body });
        return;
      }
      case "cancel": {
        const reason = rest.join(" ");
        const { rev, digest: head } = this.#store(kind, { reason }, "sue.main");
        if (heard) this.#feed({ on: "cancel", rev, head, reason });
        return;
      }
      default: {
        const body: Partial<Outcome> = { state: "completed", epoch: last.epoch };
        const { rev } = this.#store("outcome", body, by);
        if (heard) this.#feed({ on: "outcome", rev });
      }
    }
  }

  #liveWord([what, code]: string[]): void {
    if (what === "outcome") return this.#feed({ on: "outcome", rev: 0 });
    if (what === "cancel")
      return this.#feed({ on: "cancel", rev: 0, head: "", reason: code ?? "" });
    const epoch = this.#task.epoch + 1;
    this.#feed({
      on: "failure",
      rev: 0,
      head: "",
      epoch,
      failure: failure(code as FailureCode),
    });
  }

  #feed(event: Event): void {
    step(this.#task, event, this.#bench.context);
    for (const effect of this.#bench.taken()) this.#say(this.#tell(effect));
    const t = this.#task;
    const whom = t.phase === "running" ? ` with ${short(t.contractor ?? "?")}` : "";
    const state = `${t.phase}${whom} epoch=${t.epoch} rev=${t.rev}`;
    if (state !== this.#state) this.#say(`a       ${state}${this.#due()}`);
    this.#state = state;
  }

  #due(): string {
    const { dueAt } = this.#task;
    const { now } = this.#bench.context;
    return dueAt === Number.POSITIVE_INFINITY ? "" : ` due=+${span(dueAt - now)}`;
  }

  #say(line: string): void {
    this.#lines.push(`${span(this.#bench.context.now).padStart(7)}  ${line}`);
  }

  #tell(effect: Effect): string {
    const t = this.#task;
    switch (effect.do) {
      case "call":
        return `a -> *  cfp        ${t.cfp} rung=${effect.rung} expected=${t.expected}`;
      case "award": {
        const bids = effect.order.map((b) => short(b.from)).join(",");
        return (
          `a -> ${short(effect.to)}  award      epoch=${t.epoch + 1} rev=${t.rev} ` +
          (bids === "" ? "directed" : `order=${bids}`)
        );
      }
      case "wait":
        return effect.on ? "a       waits      for a free slot" : "a       waits      no longer";
      case "probe":
        return `a -> ${short(effect.contractor)}  live?`;
      case "withdraw":
        return (
          `a -> ${short(effect.contractor)}  cancel     ` +
          `epoch=${effect.epoch}: ${effect.reason}`
        );
      case "end":
        return (
          `a       store      outcome state=${effect.state} ` +
          `${effect.failure?.code ?? ""}: ${effect.failure?.message ?? ""}`
        );
      case "reread":
        return "a       reads      the records";
      case "fallback":
        return `a       falls back from ${effect.from}: ${effect.failure.message}`;
      case "close":
        return "a       lets go";
    }
  }
}

export interface Block {
  commands: string[];
  expected: string[];
}

/** Blocks of a script; a block ends at the empty line after its trace. */
export function parseScript(text: string): Block[] {
  const blocks: Block[] = [];
  let commands: string[] = [];
  let expected: string[] | undefined;
  for (const line of text.split("\n")) {
    if (expected === undefined) {
      if (line === "----") expected = [];
      else commands.push(line);
    } else if (line === "") {
      blocks.push({ commands, expected });
      commands = [];
      expected = undefined;
    } else {
      expected.push(line);
    }
  }
  if (expected !== undefined) blocks.push({ commands, expected });
  return blocks;
}

/** The script with the traces that its commands give now. */
export function replay(text: string): string {
  const stage = new Interaction();
  return parseScript(text)
    .map(({ commands }) => {
      while (commands[0] === "") commands.shift();
      return [...commands, "----", ...stage.run(commands), ""].join("\n");
    })
    .join("\n");
}
