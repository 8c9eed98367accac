// Proxies between worker processes and the server, and what the histories say of a cut.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { HistoryLine } from "../../check/format.ts";
import type { World } from "../harness/world.ts";
import { type FrameProxy, type Rules, startProxy } from "../proxy/index.ts";

export class Links {
  readonly #seed: number;
  readonly #proxies = new Map<string, FrameProxy>();
  /** Rules that every link has from the start. */
  #rules: Rules = {};

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** For `WorldOptions.route`: a proxy of its own for each worker, kept over its lives. */
  readonly route = async (worker: string, url: string): Promise<string> => {
    const known = this.#proxies.get(worker);
    if (known !== undefined) return known.url;
    const proxy = await startProxy({ to: url, seed: `${this.#seed}/${worker}` });
    this.#proxies.set(worker, proxy);
    await proxy.set(this.#rules);
    return proxy.url;
  };

  of(worker: string): FrameProxy {
    const proxy = this.#proxies.get(worker);
    if (proxy === undefined) throw new Error(`${worker} has no proxy`);
    return proxy;
  }

  all(): FrameProxy[] {
    return [...this.#proxies.values()];
  }

  async setAll(rules: Rules): Promise<void> {
    this.#rules = rules;
    await Promise.all(this.all().map((p) => p.set(rules)));
  }

  /** Cuts one worker's link and writes that down; resolves with the moment, ns. */
  async cut(world: World, worker: string, rules: Rules): Promise<number> {
    const op = rules.cut === "both" ? "cut" : `cut-${rules.cut}`;
    world.faults.planned++;
    world.nemesis.note({ k: "inv", op, target: worker });
    const at = now();
    await this.of(worker).set(rules);
    world.nemesis.note({ k: "ok", op, target: worker });
    world.nemesis.flush();
    world.faults.seen++;
    return at;
  }

  async heal(world: World, worker: string): Promise<number> {
    await this.of(worker).heal();
    world.nemesis.note({ k: "ok", op: "heal", target: worker });
    world.nemesis.flush();
    return now();
  }

  async close(): Promise<void> {
    await Promise.all(this.all().map((p) => p.close()));
  }
}

/** The clock of the histories, ns. */
export function now(): number {
  return Number(process.hrtime.bigint());
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** All lines of all processes; a torn last line of a killed one is left out. */
export function linesOf(world: World): HistoryLine[] {
  const lines: HistoryLine[] = [];
  for (const file of readdirSync(world.dir).filter((f) => f.endsWith(".ndjson"))) {
    for (const text of readFileSync(join(world.dir, file), "utf8").split("\n")) {
      try {
        if (text !== "") lines.push(JSON.parse(text) as HistoryLine);
      } catch {
        // The tail of a process that was killed.
      }
    }
  }
  return lines.sort((a, b) => a.t - b.t);
}

export interface Tried {
  worker: string;
  cutAt: number;
  healedAt: number;
  ms: number;
}

export interface Cut {
  /** Contracts that ran at the cut, and what became of them. */
  running: number;
  selfFenced: number;
  replaced: number;
  /** From the cut to the first word of a contractor's loss, and to the next start elsewhere, ms. */
  lostMs: number[];
  againMs: number[];
  /** Outcomes stored by a contractor under an epoch that was already replaced. */
  stale: number;
}

/** Reads one cut off the histories. */
export function readCut(lines: readonly HistoryLine[], t: Tried): Cut {
  const cut: Cut = { running: 0, selfFenced: 0, replaced: 0, lostMs: [], againMs: [], stale: 0 };
  const open = new Map<string, number>();
  for (const l of lines) {
    if (l.task === undefined || l.t > t.cutAt) continue;
    if (l.op === "start" && l.who?.startsWith(`${t.worker}.`)) open.set(l.task, l.e ?? 0);
    if (l.op === "stop" && l.who?.startsWith(`${t.worker}.`)) open.delete(l.task);
  }
  cut.running = open.size;
  const ms = (l: HistoryLine) => (l.t - t.cutAt) / 1e6;
  const moved = new Set<string>();
  const lost = new Set<string>();
  for (const l of lines) {
    const epoch = l.task === undefined ? undefined : open.get(l.task);
    if (l.task === undefined || epoch === undefined || l.t < t.cutAt) continue;
    if (l.op === "fenced" && l.e === epoch && l.note === "by itself") cut.selfFenced++;
    if (l.op === "lost" && !lost.has(l.task)) {
      lost.add(l.task);
      cut.lostMs.push(ms(l));
    }
    if (l.op === "start" && (l.e ?? 0) > epoch && !moved.has(l.task)) {
      moved.add(l.task);
      cut.replaced++;
      cut.againMs.push(ms(l));
    }
    if (l.op === "outcome" && l.k === "ok" && l.e === epoch && moved.has(l.task)) cut.stale++;
  }
  return cut;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** Until every initiator knows so many agents again; the time that took, ms. */
export async function viewsWhole(world: World, agents: number, limitMs: number): Promise<number> {
  const begun = performance.now();
  for (;;) {
    const tallies = await Promise.all(world.initiators.map((w) => w.tally()));
    const tookMs = performance.now() - begun;
    if (tallies.every((t) => t.known === agents)) return tookMs;
    if (tookMs > limitMs) return Number.POSITIVE_INFINITY;
    await pause(20);
  }
}
