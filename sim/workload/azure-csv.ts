// Reads the Azure LLM inference trace (AzurePublicDataset, CC BY 4.0): TIMESTAMP, ContextTokens,
// GeneratedTokens; timestamps without a zone, in steps of 100 ns, in order.
import { readFileSync } from "node:fs";
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

const HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens";
const STAMP = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,7}))?$/;
const COUNT = /^\d{1,9}$/;
const TICKS_PER_MS = 10_000;

/** Reads and parses the file. Throws WorkloadError; never code `option` unless `limit` is bad. */
export function readAzureCsv(file: string, options: AzureCsvOptions = {}): WorkloadTask[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const todo = "check the path, or leave --workload out to use the built-in generator";
    throw new WorkloadError("unreadable", file, `cannot be read (${why}); ${todo}`, { cause });
  }
  return parseAzureCsv(text, file, options);
}

/** Parses the text of such a file; `name` is what errors call it. */
export function parseAzureCsv(
  text: string,
  name: string,
  options: AzureCsvOptions = {},
): WorkloadTask[] {
  const capability = options.capability ?? CAPABILITY_DEFAULT;
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  if (lines[0]?.trim() !== HEADER) {
    const todo = `the first line must be "${HEADER}"; is this the Azure LLM trace?`;
    throw new WorkloadError("header", `${name}:1`, todo);
  }
  const tasks: WorkloadTask[] = [];
  // Whole 100 ns ticks since the first row: exact, where ms since 1970 as a double would round.
  let first: Stamp | undefined;
  let latest = 0;
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] as string;
    if (line === "" && index === lines.length - 1) break;
    const place = `${name}:${index + 1}`;
    const row = parseRow(line, place);
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
  /** Whole seconds, in ms since 1970 (the zone does not matter: only differences are used). */
  readonly ms: number;
  /** The rest, in steps of 100 ns. */
  readonly ticks: number;
}

interface Row {
  readonly stamp: Stamp;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

function parseRow(line: string, place: string): Row {
  const cells = line.split(",");
  if (cells.length !== 3) {
    const todo = `${cells.length} columns where 3 are needed (${HEADER}); mend or delete the row`;
    throw new WorkloadError("row", place, todo);
  }
  const [time = "", context = "", generated = ""] = cells.map((cell) => cell.trim());
  const inputTokens = parseCount(context, "ContextTokens", place);
  const outputTokens = parseCount(generated, "GeneratedTokens", place);
  if (inputTokens + outputTokens === 0) {
    throw new WorkloadError("row", place, "no tokens at all, so no service time; delete the row");
  }
  return { stamp: parseStamp(time, place), inputTokens, outputTokens };
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
  const back = match === null ? "" : new Date(ms).toISOString().slice(0, 19).replace("T", " ");
  if (match === null || back !== cell.slice(0, 19)) {
    const todo = `TIMESTAMP "${shorten(cell)}" must look like 2023-11-16 18:15:46.6805900`;
    throw new WorkloadError("row", place, `${todo}; mend or delete the row`);
  }
  return { ms, ticks: Number((match[7] ?? "").padEnd(7, "0")) };
}

function shorten(cell: string): string {
  return cell.length > 40 ? `${cell.slice(0, 40)}…` : cell;
}
