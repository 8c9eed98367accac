// Reads Azure LLM inference traces (AzurePublicDataset, CC BY 4.0) of 2023 and 2024, and what is
// like them: columns TIMESTAMP, ContextTokens and GeneratedTokens, in any order and among others;
// timestamps in steps of 100 ns at best, in order. A file that ends in .gz is unpacked.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { cellsOf } from "./csv.ts";
import {
  CAPABILITY_DEFAULT,
  serviceMsOf,
  takeTasks,
  WorkloadError,
  type WorkloadTask,
} from "./task.ts";

export interface AzureCsvOptions {
  /** How many tasks; more than the file has plays it again. Default: as many as the file has. */
  readonly limit?: number;
  /** Default `llm-chat`. */
  readonly capability?: string;
}

const COLUMNS = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"] as const;
/** Digits behind the seventh are below 100 ns and are left out. */
const STAMP =
  /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,7})\d{0,2})?(Z|[+-][01]\d:?[0-5]\d)?$/;
const COUNT = /^\d{1,9}$/;
const TICKS_PER_MS = 10_000;

/** Reads and parses the file. Throws WorkloadError; never code `option` unless `limit` is bad. */
export function readAzureCsv(file: string, options: AzureCsvOptions = {}): WorkloadTask[] {
  let text: string;
  try {
    text = tableText(file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const todo = "check the path, or leave --workload out to use the built-in generator";
    throw new WorkloadError("unreadable", file, `cannot be read (${why}); ${todo}`, { cause });
  }
  return parseAzureCsv(text, file, options);
}

/** A table, packed or not; decoded without the mark that some editors put before a text. */
export function tableText(file: string): string {
  const bytes = readFileSync(file);
  return new TextDecoder().decode(/\.gz$/i.test(file) ? gunzipSync(bytes) : bytes);
}

/** Parses the text of such a file; `name` is what errors call it. */
export function parseAzureCsv(
  text: string,
  name: string,
  options: AzureCsvOptions = {},
): WorkloadTask[] {
  const capability = options.capability ?? CAPABILITY_DEFAULT;
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  const columns = columnsOf(lines[0] ?? "", name);
  const tasks: WorkloadTask[] = [];
  // Whole 100 ns ticks since the first row: exact, where ms since 1970 as a double would round.
  let first: Stamp | undefined;
  let latest = 0;
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] as string;
    if (line.trim() === "") continue;
    const place = `${name}:${index + 1}`;
    const row = parseRow(line, columns, place);
    first ??= row.stamp;
    const ticks = (row.stamp.ms - first.ms) * TICKS_PER_MS + (row.stamp.ticks - first.ticks);
    if (ticks < latest) {
      const todo = "TIMESTAMP is before the row above; sort the file by TIMESTAMP";
      throw new WorkloadError("order", place, todo);
    }
    latest = ticks;
    tasks.push({
      id: `t${String(tasks.length + 1).padStart(6, "0")}`,
      arriveMs: ticks / TICKS_PER_MS,
      serviceMs: serviceMsOf(row.inputTokens, row.outputTokens),
      capability,
      inputTokens: row.inputTokens,
      outputTokens: row.outputTokens,
    });
  }
  if (tasks.length === 0) {
    throw new WorkloadError("empty", name, "it has a header but no rows; give a file with tasks");
  }
  return options.limit === undefined ? tasks : takeTasks(tasks, options.limit);
}

interface Stamp {
  /** Whole seconds, in ms since 1970; UTC where no zone is named. */
  readonly ms: number;
  /** The rest, in steps of 100 ns. */
  readonly ticks: number;
}

interface Row {
  readonly stamp: Stamp;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Where the three columns are, and how many there are in all. */
type Columns = readonly [time: number, context: number, generated: number, all: number];

function columnsOf(line: string, name: string): Columns {
  const heads = cellsOf(line).map((head) => head.toLowerCase());
  const [time = -1, context = -1, generated = -1] = COLUMNS.map((column) =>
    heads.indexOf(column.toLowerCase()),
  );
  if (time >= 0 && context >= 0 && generated >= 0) return [time, context, generated, heads.length];
  const todo =
    `the first line must name the columns ${COLUMNS.join(", ")}, as that of an Azure LLM trace; ` +
    "parley sim compare, and nothing else, also takes workflows and job shops (.json, .json.gz), " +
    "and runs of agents (CSV: task_id, trial, step, capability, chars)";
  throw new WorkloadError("header", `${name}:1`, todo);
}

function parseRow(line: string, columns: Columns, place: string): Row {
  const cells = cellsOf(line);
  const [time, context, generated, all] = columns;
  if (cells.length !== all) {
    const todo = `${cells.length} columns where the first line has ${all}; mend or delete the row`;
    throw new WorkloadError("row", place, todo);
  }
  const inputTokens = parseCount(cells[context] ?? "", "ContextTokens", place);
  const outputTokens = parseCount(cells[generated] ?? "", "GeneratedTokens", place);
  if (inputTokens + outputTokens === 0) {
    throw new WorkloadError("row", place, "no tokens at all, so no service time; delete the row");
  }
  return { stamp: parseStamp(cells[time] ?? "", place), inputTokens, outputTokens };
}

function parseCount(cell: string, column: string, place: string): number {
  if (COUNT.test(cell)) return Number(cell);
  const todo = `${column} "${shorten(cell)}" must be a whole number of 0 to 999999999`;
  throw new WorkloadError("row", place, `${todo}; mend or delete the row`);
}

function parseStamp(cell: string, place: string): Stamp {
  const match = STAMP.exec(cell);
  const parts = match?.slice(1, 7).map(Number) ?? [];
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  // Date.UTC rolls 31 February over into March; written back, such a stamp differs.
  const back = match === null ? "" : new Date(ms).toISOString().slice(0, 19);
  if (match === null || back !== cell.slice(0, 19).replace(" ", "T")) {
    const todo = `TIMESTAMP "${shorten(cell)}" must look like 2023-11-16 18:15:46.6805900`;
    throw new WorkloadError("row", place, `${todo}; mend or delete the row`);
  }
  return { ms: ms - zoneMs(match[8] ?? "Z"), ticks: Number((match[7] ?? "").padEnd(7, "0")) };
}

/** Ahead of UTC; a file may hold the change to summer time. */
function zoneMs(zone: string): number {
  if (zone === "Z") return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return (zone.startsWith("-") ? -60_000 : 60_000) * minutes;
}

function shorten(cell: string): string {
  return cell.length > 40 ? `${cell.slice(0, 40)}…` : cell;
}
