// The run as a table for other programs: one line per execution.
import type { ExecutionRow } from "./report-types.ts";

/**
 * CSV with the header `task,worker,start,end`, in order of start; times in ms after `originMs`
 * (default: as they come), to a thousandth. Ends with a line break.
 */
export function writeSchedule(executions: readonly ExecutionRow[], originMs = 0): string {
  const lines = executions
    .toSorted((a, b) => a.startMs - b.startMs)
    .map(({ task, worker, startMs, endMs }) =>
      [cell(task), cell(worker), time(startMs - originMs), time(endMs - originMs)].join(","),
    );
  return `${["task,worker,start,end", ...lines].join("\n")}\n`;
}

function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function time(ms: number): string {
  return String(Math.round(ms * 1_000) / 1_000);
}
