// Writes a process's history: appended, in small batches, so that kill -9 loses a tail at most.
import { closeSync, openSync, writeSync } from "node:fs";
import type { History, HistoryEvent } from "../mesh/ports/index.ts";
import type { HistoryLine } from "./format.ts";

/** A line is on its way to the kernel this soon, ms. */
const FLUSH_MS = 50;
const FLUSH_BYTES = 32 * 1024;

export interface HistoryFile extends History {
  /** Also takes fields of the nemesis, such as `target`. */
  note(event: HistoryEvent & { target?: string }): void;
  flush(): void;
  close(): void;
}

/** @param process unique within the run; @throws the system's error when `path` cannot be opened */
export function openHistory(path: string, process: string, run?: string): HistoryFile {
  const file = openSync(path, "a");
  let n = 0;
  let waiting = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    const text = Buffer.from(waiting);
    waiting = "";
    for (let at = 0; at < text.length; ) at += writeSync(file, text, at);
  };
  return {
    note(event) {
      if (closed) return;
      const t = Number(globalThis.process.hrtime.bigint());
      const line: HistoryLine = { p: process, n: n++, t, ...event };
      if (run !== undefined) line.run = run;
      waiting += `${JSON.stringify(line)}\n`;
      if (waiting.length >= FLUSH_BYTES) return flush();
      timer ??= setTimeout(flush, FLUSH_MS).unref();
    },
    flush,
    close() {
      if (closed) return;
      closed = true;
      flush();
      closeSync(file);
    },
  };
}
