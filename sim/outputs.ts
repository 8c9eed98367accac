// Files that a command was asked to write: tried before a long run, not after it.
import { closeSync, openSync } from "node:fs";
import { WorkloadError } from "./workload/task.ts";

/** @throws WorkloadError when the file cannot be written; undefined is no file */
export function checkWritable(flag: string, file: string | undefined): void {
  if (file === undefined) return;
  try {
    closeSync(openSync(file, "a"));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const todo = `cannot be written (${why}); name a file in a folder that is there`;
    throw new WorkloadError("option", `${flag} ${file}`, todo, { cause });
  }
}
