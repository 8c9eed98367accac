// An initiator's watch over its contractors: who was heard of, who is asked, who is told that he
// was replaced. Three findings apart: gone (the server knows nobody there), hung (no answer for
// the whole silence), and our own blindness, which revokes nobody.
import { type Address, type Alive, directedSubject, taskPath } from "../../contracts/index.ts";
import { Awareness, LOOK_MS } from "../core/awareness.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";
import type { Entry } from "./desk.ts";
import { probe } from "./probe.ts";

/** After our own return others are still on their way: a herd of 1,000 needs 2 s, and more on
 * starved cores. */
const HERD_MS = 5_000;
/** Between a question that led to nothing and the next, ms. */
const AGAIN_MS = 250;
/** Revoked contracts remembered, so that a late sign of life can be answered. */
const REVOKED_MAX = 20_000;

export interface WatchHooks {
  entry(path: string): Entry | undefined;
  /** @param aware the observer's time, ms */
  seen(entry: Entry, from: Address, aware: number): void;
  /** Nobody works on it as far as can be seen from here; `rev`: its newest record, if durable. */
  gone(entry: Entry, epoch: number, why: string, rev: number | undefined): void;
}

export class Watch {
  readonly #d: Deps;
  readonly #agent: Address;
  readonly #silenceMs: number;
  readonly #hooks: WatchHooks;
  readonly #awareness = new Awareness();
  #revoked = new Map<string, number>();
  #look: { cancel(): void } | undefined;

  constructor(dependencies: Deps, agent: Address, silenceMs: number, hooks: WatchHooks) {
    this.#d = dependencies;
    this.#agent = agent;
    this.#silenceMs = silenceMs;
    this.#hooks = hooks;
  }

  start(): void {
    const turn = () => {
      this.aware();
      this.#look = this.#d.clock.after(LOOK_MS, turn);
    };
    this.#look = this.#d.clock.after(LOOK_MS, turn);
  }

  stop(): void {
    this.#look?.cancel();
  }

  /** Time that this observer was really looking, ms. */
  aware(): number {
    const now = this.#d.clock.now();
    if (this.#d.transport.state() !== "up") this.#awareness.blind(now + HERD_MS);
    return this.#awareness.at(now);
  }

  /** Contracts that were taken back: a beat for one of them is answered. */
  revoked(path: string, epoch: number): void {
    this.#revoked.delete(path);
    if (this.#revoked.size >= REVOKED_MAX) {
      this.#revoked.delete(this.#revoked.keys().next().value as string);
    }
    this.#revoked.set(path, epoch);
  }

  /** A sign of life for a contract: the current one, or one that was replaced. */
  onSeen(from: Address, owner: string, task: string, epoch: number): void {
    this.#sign(from, owner, task, epoch, this.aware());
  }

  /** Signs of life for many contracts of one principal. */
  onBeat(principal: string, sender: string, tasks: readonly Alive[]): void {
    const aware = this.aware();
    for (const [owner, task, epoch, agent = sender] of tasks) {
      this.#sign(`${principal}.${agent}`, owner, task, epoch, aware);
    }
  }

  #sign(from: Address, owner: string, task: string, epoch: number, aware: number): void {
    const path = taskPath(owner, task);
    const entry = this.#hooks.entry(path);
    const current = entry === undefined ? undefined : epochOf(entry);
    if (entry !== undefined && epoch === current) {
      this.#hooks.seen(entry, from, aware);
      if (entry.t.contractor === from || entry.t.live) return;
    }
    const over = Math.max(this.#revoked.get(path) ?? 0, (current ?? 0) - 1);
    if (epoch >= 1 && epoch <= over) this.#tellFenced(from, owner, task, epoch);
  }

  #tellFenced(to: Address, owner: string, task: string, epoch: number): void {
    this.#d.counters.add("fenced.told");
    this.#d.transport.publish(
      directedSubject("msg", to, this.#agent),
      msgpackBytes({ v: 1, kind: "fenced", owner, task, epoch }),
    );
  }

  probe(entry: Entry, contractor: Address): void {
    if (entry.probing) return;
    entry.probing = true;
    const epoch = epochOf(entry);
    const { owner, id: task } = entry.t;
    const order = { owner, task, epoch, contractor, from: this.#agent };
    const leftMs = this.#silenceMs - (this.aware() - entry.t.lastSeenAt);
    void probe(this.#d, order, leftMs).then((found) => {
      entry.probing = false;
      const { t } = entry;
      if (this.#hooks.entry(taskPath(owner, task)) !== entry) return;
      if (t.contractor !== contractor || epochOf(entry) !== epoch) return;
      const aware = this.aware();
      if (found.is === "alive") return this.#hooks.seen(entry, contractor, aware);
      if (this.#awareness.isBlind(this.#d.clock.now())) return;
      if (found.is === "gone") return this.#gone(entry, contractor, epoch, found.why);
      if (t.phase !== "running") return;
      if (aware - t.lastSeenAt >= this.#silenceMs) {
        return this.#gone(entry, contractor, epoch, found.why);
      }
      this.probe(entry, contractor);
    });
  }

  /** While nothing can be stored nobody is replaced: it would gain nothing, and whoever lost the
   * same server as the store's leader is back before there is another. */
  #gone(entry: Entry, contractor: Address, epoch: number, why: string): void {
    const { owner, id: task, live } = entry.t;
    if (live) return this.#hooks.gone(entry, epoch, why, undefined);
    entry.probing = true;
    void this.#d.ledger.last(owner, task).then((rev) => {
      entry.probing = false;
      if (this.#hooks.entry(taskPath(owner, task)) !== entry) return;
      if (entry.t.contractor !== contractor || epochOf(entry) !== epoch) return;
      if (rev !== undefined) return this.#hooks.gone(entry, epoch, why, rev);
      this.#d.counters.add("revocations.held");
      this.again(entry, contractor, epoch);
    });
  }

  /** Asks once more, after a pause. */
  again(entry: Entry, contractor: Address, epoch: number): void {
    this.#d.clock.after(AGAIN_MS, () => {
      if (this.#hooks.entry(taskPath(entry.t.owner, entry.t.id)) !== entry) return;
      if (entry.t.contractor === contractor && epochOf(entry) === epoch) {
        this.probe(entry, contractor);
      }
    });
  }
}

function epochOf(entry: Entry): number {
  return entry.t.live ? entry.t.epoch + 1 : entry.t.epoch;
}
