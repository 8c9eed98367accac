// A run, sorted by task: what the processes said that they did, and what the store kept.
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import type { DumpLine } from "./dump-file.ts";
import { HistoryError, type HistoryLine, lineFault } from "./format.ts";

/** An operation with a fate: its begin, and its end when there was one. */
export interface Operation {
  op: string;
  who: string;
  id: string;
  d: string;
  e: number;
  /** Revision that it was fenced by. */
  fence: number;
  begun: number;
  /** `open`: never ended, so it may or may not have happened. */
  fate: "ok" | "fail" | "info" | "open";
  ended: number;
  rev: number;
}

export interface Trace {
  task: string;
  records: DumpLine[];
  operations: Operation[];
  seen: HistoryLine[];
}

export interface Fault {
  op: string;
  target: string;
  t: number;
}

export interface Meta {
  run?: string;
  scenario?: string;
  profile?: string;
  /** Did the run wait until every accepted task had ended? */
  drained?: boolean;
  planned?: { tasks?: number; faults?: number };
  /** Principals revoked, at the server's time, ms since 1970. */
  revoked?: Record<string, number>;
  /** Slots of agents, by address; whoever is not named is not judged by them. */
  slots?: Record<string, number>;
  /** Signatures were checked for the dump. */
  proven?: boolean;
}

export interface Run {
  traces: Map<string, Trace>;
  faults: Fault[];
  meta: Meta;
  events: number;
  /** Last word of each process, ns: before it, nothing of its file is missing. */
  lastWord: Map<string, number>;
  firstWord: Map<string, number>;
  /** Bids sent, by call and bidder. */
  bids: Map<string, number>;
  /** Which process an agent's principal runs in. */
  processOf: Map<string, string[]>;
}

export function emptyRun(): Run {
  return {
    traces: new Map(),
    faults: [],
    meta: {},
    events: 0,
    lastWord: new Map(),
    firstWord: new Map(),
    bids: new Map(),
    processOf: new Map(),
  };
}

export function traceOf(run: Run, task: string): Trace {
  let trace = run.traces.get(task);
  if (trace === undefined) {
    trace = { task, records: [], operations: [], seen: [] };
    run.traces.set(task, trace);
  }
  return trace;
}

/** Reads directories and files. @throws HistoryError, or the system's error */
export async function readRun(paths: readonly string[]): Promise<Run> {
  const run = emptyRun();
  for (const path of await filesOf(paths)) {
    const name = basename(path);
    if (name === "meta.json") run.meta = JSON.parse(await readFile(path, "utf8")) as Meta;
    else if (name === "dump.ndjson") await eachLine(path, (v) => addRecord(run, v as DumpLine));
    else if (name.endsWith(".ndjson")) await readHistory(run, path);
  }
  return run;
}

async function filesOf(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    if (!(await stat(path)).isDirectory()) files.push(path);
    else for (const name of (await readdir(path)).sort()) files.push(join(path, name));
  }
  return files;
}

/** A last line that was cut off is what kill -9 leaves; anywhere else it is damage. */
async function eachLine(path: string, take: (value: unknown, line: number) => void): Promise<void> {
  const lines = createInterface({ input: createReadStream(path, { highWaterMark: 1 << 20 }) });
  let at = 0;
  let broken = 0;
  for await (const line of lines) {
    at++;
    if (line === "") continue;
    if (broken > 0) throw new HistoryError(path, broken, "not JSON");
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      broken = at;
      continue;
    }
    take(value, at);
  }
}

async function readHistory(run: Run, path: string): Promise<void> {
  const pending = new Map<string, Operation>();
  let next = 0;
  await eachLine(path, (value, at) => {
    const fault = lineFault(value);
    if (fault !== undefined) throw new HistoryError(path, at, fault);
    const line = value as HistoryLine;
    if (line.n !== next) throw new HistoryError(path, at, `n is ${line.n}, ${next} was expected`);
    next++;
    addLine(run, line, pending);
  });
}

export function addRecord(run: Run, record: DumpLine): void {
  traceOf(run, record.task).records.push(record);
}

export function addLine(run: Run, line: HistoryLine, pending: Map<string, Operation>): void {
  run.events++;
  run.lastWord.set(line.p, line.t);
  if (line.n === 0) run.firstWord.set(line.p, line.t);
  if (line.p === "nemesis") {
    run.faults.push({ op: `${line.k} ${line.op}`, target: line.target ?? "", t: line.t });
    return;
  }
  if (line.who !== undefined) host(run, line.who, line.p);
  if (line.k === "obs") {
    if (line.op === "bid") run.bids.set(`${line.id} ${line.who}`, line.t);
    if (line.task !== undefined) traceOf(run, line.task).seen.push(line);
    return;
  }
  const id = line.id ?? "";
  if (line.k === "inv") {
    const operation: Operation = {
      op: line.op,
      who: line.who ?? "",
      id,
      d: line.d ?? "",
      e: line.e ?? 0,
      fence: line.rev ?? 0,
      begun: line.t,
      fate: "open",
      ended: Number.POSITIVE_INFINITY,
      rev: 0,
    };
    pending.set(id, operation);
    if (line.task !== undefined) traceOf(run, line.task).operations.push(operation);
    return;
  }
  const operation = pending.get(id);
  if (operation === undefined) return;
  pending.delete(id);
  operation.fate = line.k;
  operation.ended = line.t;
  operation.rev = line.rev ?? 0;
}

/** Margin for an agent that was started anew: its earlier life's last lines may be lost, ns. */
const LIFE_NS = 3e9;

/**
 * Is the file of one life of this agent whole between these moments? Every line before a life's
 * last word is there; what a killed life said last may be lost, and the next life knows nothing.
 */
export function whole(run: Run, who: string, from: number, until: number): boolean {
  const lives = run.processOf.get(who) ?? [];
  return lives.some((p) => {
    const first = (run.firstWord.get(p) ?? Number.POSITIVE_INFINITY) + LIFE_NS;
    return (lives.length === 1 || first <= from) && (run.lastWord.get(p) ?? 0) > until;
  });
}

function host(run: Run, who: string, process: string): void {
  const processes = run.processOf.get(who);
  if (processes === undefined) run.processOf.set(who, [process]);
  else if (processes.at(-1) !== process && !processes.includes(process)) processes.push(process);
}
