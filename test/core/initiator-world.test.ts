// Several initiators, unreliable messages, agents that die: one ledger that fences. Whatever the
// order, a task has one lawful history, and when the network heals it ends.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { AwardTerms, RecordKind } from "../../contracts/index.ts";
import { failure } from "../../contracts/index.ts";
import { step } from "../../mesh/core/initiator.ts";
import {
  type Effect,
  type Event,
  type InitiatorTask,
  newTask,
} from "../../mesh/core/initiator-task.ts";
import { createPrng, type Prng } from "../../mesh/core/prng.ts";
import { foldTask, type ReadRecord } from "../../mesh/core/task-view.ts";
import { Bench, fieldOf, makeBid, makeSpec, WALL_AT_ZERO } from "../support/core.ts";

const AGENTS = ["b.w", "c.w", "d.w"];
const DEADLINE_MS = 60_000;

interface Actor {
  bench: Bench;
  t: InitiatorTask;
  frozen: boolean;
}

interface Run {
  agent: string;
  epoch: number;
  rev: number;
}

class World {
  readonly records: ReadRecord[] = [];
  readonly actors: Actor[] = [];
  readonly mail: (() => void)[] = [];
  readonly runs: Run[] = [];
  readonly prng: Prng;
  /** Share of messages that are lost, and of agents that die at work. */
  faults: number;
  executions = 0;

  constructor(seed: number, faults: number) {
    this.prng = createPrng(seed);
    this.faults = faults;
    this.write("spec", { owner: "sue" }, "sue.main", 0);
  }

  chance(share: number): boolean {
    return this.prng.next() < share;
  }

  /** The fenced write: lands only if nothing is newer than the guard. */
  write(
    kind: RecordKind,
    body: object,
    from: string,
    guard: number,
    awardRev?: number,
  ): ReadRecord | undefined {
    if ((this.records.at(-1)?.rev ?? 0) !== guard) return undefined;
    const rev = guard + 1;
    const record: ReadRecord = {
      kind,
      rev,
      from,
      to: "a.main",
      digest: `d${rev}`,
      storedAt: rev,
      body: body as ReadRecord["body"],
      ...(awardRev === undefined ? {} : { terms: { rev: awardRev } as AwardTerms }),
    };
    this.records.push(record);
    return record;
  }

  /** Puts a message on its way; it may be lost, doubled or overtaken. */
  send(deliver: () => void, reliable = false): void {
    if (!reliable && this.chance(this.faults)) return;
    this.mail.push(deliver);
    if (!reliable && this.chance(this.faults / 3)) this.mail.push(deliver);
  }

  join(): void {
    const bench = new Bench(this.actors.length);
    bench.field = fieldOf(3);
    const now = this.actors[0]?.bench.context.now ?? 0;
    bench.advance(now);
    const spec = makeSpec({
      deadline: WALL_AT_ZERO + DEADLINE_MS,
      retry: {
        attempts: 20,
        backoffMs: 200,
      },
    });
    const actor = { bench, t: newTask(spec, "sue.main", false, 1, "d1"), frozen: false };
    this.actors.push(actor);
    if (this.actors.length === 1) this.feed(actor, { on: "begin" });
    else this.read(actor);
  }

  feed(actor: Actor, event: Event): void {
    if (actor.frozen) {
      // A paused process finds its mail when it wakes.
      this.mail.push(() => this.feed(actor, event));
      return;
    }
    step(actor.t, event, actor.bench.context);
    for (const effect of actor.bench.taken()) this.carryOut(actor, effect);
  }

  read(actor: Actor): void {
    const view = foldTask(this.records);
    this.send(() => this.feed(actor, { on: "adopt", view }), true);
  }

  carryOut(actor: Actor, effect: Effect): void {
    const { t } = actor;
    switch (effect.do) {
      case "call": {
        const { cfp } = t;
        for (const from of AGENTS) {
          const bid = makeBid({ durationMs: 1 + this.prng.int(50), validMs: 5_000 });
          this.send(() =>
            this.feed(
              actor,
              this.chance(0.7)
                ? { on: "bid", cfp, from, bid }
                : { on: "refusal", cfp, from, award: false, reason: "busy", freeInMs: undefined },
            ),
          );
        }
        return;
      }
      case "award": {
        const { cfp, rev, epoch } = t;
        return this.send(() => this.claim(actor, effect.to, cfp, rev, epoch + 1));
      }
      case "probe":
        return this.send(() => this.probe(actor, effect.contractor, t.epoch), true);
      case "withdraw":
        return this.send(() => this.forget(effect.contractor, effect.epoch));
      case "end": {
        const body = { state: effect.state, epoch: t.epoch };
        const ok = this.write("outcome", body, "a.main", t.rev) !== undefined;
        return this.send(() => this.feed(actor, { on: "ended", ok }), true);
      }
      case "reread":
        return this.read(actor);
      default:
    }
  }

  claim(actor: Actor, agent: string, cfp: string, rev: number, epoch: number): void {
    const refuse = (reason: "busy" | "stale") =>
      this.send(() =>
        this.feed(actor, {
          on: "refusal",
          cfp,
          from: agent,
          award: true,
          reason,
          freeInMs: undefined,
        }),
      );
    if (this.chance(0.2)) return refuse("busy");
    const record = this.write("contract", { epoch, contractor: agent }, agent, rev, rev);
    if (record === undefined) return refuse("stale");
    this.runs.push({ agent, epoch, rev: record.rev });
    this.notify(actor, record);
  }

  /** What a notice says depends on what the initiator knows when it comes: the driver's rule. */
  notify(actor: Actor, record: ReadRecord): void {
    this.send(() => {
      const { t } = actor;
      const { rev, digest: head, from, kind } = record;
      const body = record.body as { epoch: number };
      const unfit: Event = { on: "usurped", rev, head };
      if (kind === "contract") {
        const fits = record.terms?.rev === t.rev;
        return this.feed(
          actor,
          fits ? { on: "contract", rev, head, epoch: body.epoch, from } : unfit,
        );
      }
      const mine = from === t.contractor && body.epoch === t.epoch;
      if (!mine) return this.feed(actor, unfit);
      this.feed(
        actor,
        kind === "outcome"
          ? { on: "outcome", rev }
          : { on: "failure", rev, head, epoch: body.epoch, failure: failure("E_HANDLER") },
      );
    });
  }

  probe(actor: Actor, agent: string, epoch: number): void {
    const here = this.runs.some((r) => r.agent === agent && r.epoch === epoch);
    if (here) return this.feed(actor, { on: "seen", from: agent });
    const view = foldTask(this.records);
    const lost = view.contractOpen && view.epoch === epoch;
    this.feed(actor, lost ? { on: "lost", epoch, why: "gone" } : { on: "adopt", view });
  }

  forget(agent: string, epoch: number): void {
    const at = this.runs.findIndex((r) => r.agent === agent && r.epoch === epoch);
    if (at >= 0) this.runs.splice(at, 1);
  }

  /** A contractor ends its work, fails at it, or dies. */
  work(): void {
    const run = this.runs.splice(this.prng.int(this.runs.length), 1)[0];
    if (run === undefined || this.chance(this.faults / 2)) return;
    const kind = this.chance(0.3) ? "failure" : "outcome";
    const body = { state: "completed", epoch: run.epoch, failure: failure("E_HANDLER") };
    const record = this.write(kind, body, run.agent, run.rev);
    if (record === undefined) return;
    if (kind === "outcome") this.executions++;
    for (const actor of this.actors) this.notify(actor, record);
  }

  /** A stranger with permission to write, and without an award. */
  usurp(): void {
    const last = this.records.at(-1)?.rev ?? 0;
    const kind = this.chance(0.5) ? "contract" : "outcome";
    const record = this.write(kind, { state: "completed", epoch: 1 }, "x.w", last);
    if (record === undefined) return;
    for (const actor of this.actors) {
      this.send(() => this.feed(actor, { on: "usurped", rev: record.rev, head: record.digest }));
    }
  }

  advance(ms: number): void {
    for (const actor of this.actors) {
      const { context } = actor.bench;
      const end = context.now + ms;
      while (!actor.frozen && actor.t.dueAt <= end) {
        actor.bench.advance(Math.max(0, actor.t.dueAt - context.now));
        this.feed(actor, { on: "due" });
      }
      actor.bench.advance(Math.max(0, end - context.now));
      // The desk's part: it lets waiting tasks call again now and then.
      if (actor.t.phase === "waiting" && !actor.frozen) this.feed(actor, { on: "recall" });
    }
  }

  deliverOne(): void {
    const at = this.prng.int(this.mail.length);
    this.mail.splice(at, 1)[0]?.();
  }

  turn(): void {
    const dice = this.prng.next();
    if (dice < 0.6 && this.mail.length > 0) this.deliverOne();
    else if (dice < 0.75 && this.runs.length > 0) this.work();
    else if (dice < 0.78 && this.actors.length < 3) this.join();
    else if (dice < 0.8) {
      const actor = this.actors[this.prng.int(this.actors.length)] as Actor;
      actor.frozen = !actor.frozen;
    } else if (dice < 0.8 + this.faults / 20) this.usurp();
    else this.advance(this.prng.int(400));
  }

  heal(): void {
    this.faults = 0;
    for (const actor of this.actors) actor.frozen = false;
    for (let i = 0; i < 3_000; i++) {
      if (this.mail.length > 0) this.deliverOne();
      else if (this.runs.length > 0) this.work();
      else if (this.actors.every((a) => a.t.phase === "closed")) return;
      else this.advance(500);
    }
  }

  lawfulOutcomes(): number {
    return this.records.filter(
      (r, i) =>
        r.kind === "outcome" &&
        foldTask(this.records.slice(0, i)).outcome === undefined &&
        foldTask(this.records.slice(0, i + 1)).outcome !== undefined,
    ).length;
  }
}

/** Faults of the history that are not the stranger's doing. */
function ownFaults(records: readonly ReadRecord[]): string[] {
  return records.flatMap((r, i) => {
    if (r.from === "x.w") return [];
    const before = foldTask(records.slice(0, i)).faults.length;
    return foldTask(records.slice(0, i + 1)).faults.slice(before);
  });
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 });
const faults = fc.constantFrom(0, 0.1, 0.4);

test("S2, S3: one history, whoever writes it, and nothing lawful after its outcome", () => {
  fc.assert(
    fc.property(seeds, faults, (seed, share) => {
      const world = new World(seed, share);
      world.join();
      for (let i = 0; i < 150; i++) world.turn();
      expect(ownFaults(world.records)).toEqual([]);
      world.heal();
      expect(ownFaults(world.records)).toEqual([]);
      expect(world.executions).toBeLessThanOrEqual(1);
      const epochs = world.records
        .filter((r) => r.kind === "contract" && r.from !== "x.w")
        .map((r) => (r.body as { epoch: number }).epoch);
      expect(epochs).toEqual(epochs.map((_, i) => i + 1));
    }),
    { numRuns: 500 },
  );
});

test("healed, every initiator lets go and the task has exactly one outcome", () => {
  fc.assert(
    fc.property(seeds, faults, (seed, share) => {
      const world = new World(seed, share);
      world.join();
      for (let i = 0; i < 100; i++) world.turn();
      world.heal();
      expect(world.actors.map((a) => a.t.phase)).toEqual(world.actors.map(() => "closed"));
      expect(world.lawfulOutcomes()).toBe(1);
    }),
    { numRuns: 500 },
  );
});

test("with a sound network the task is done at the first attempt that does not fail", () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const world = new World(seed, 0);
      world.join();
      world.heal();
      expect(foldTask(world.records).state).toBe("completed");
      expect(world.actors[0]?.bench.context.now).toBeLessThan(DEADLINE_MS);
    }),
    { numRuns: 200 },
  );
});
