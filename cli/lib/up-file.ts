// `<home>/up.json`: what `parley up` tells the other commands about the server that it runs.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

const UpSchema = z.object({
  /** Of three servers all addresses, with commas between. */
  url: z.string(),
  home: z.string(),
  /** Of `parley up` itself. */
  pid: z.int(),
  /** As `profile` and `store`, only of a server that it started itself. */
  serverPid: z.int().optional(),
  /** The servers of a cluster; those that were started again have another process by now. */
  servers: z.array(z.object({ url: z.string(), pid: z.int() })).optional(),
  profile: z.enum(["dev", "durable-1", "durable-3"]).optional(),
  version: z.string(),
  store: z.string().optional(),
  monitorUrl: z.string().optional(),
  startedAt: z.string(),
});
export type UpFile = z.infer<typeof UpSchema>;

export function upPath(home: string): string {
  return join(home, "up.json");
}

export async function writeUp(up: UpFile): Promise<void> {
  await writeFile(upPath(up.home), `${JSON.stringify(up, undefined, 2)}\n`, { mode: 0o600 });
}

/** Removes the file if it is still about this process. */
export async function removeUp(home: string): Promise<void> {
  const up = await readFile(upPath(home), "utf8").then(parse, () => undefined);
  if (up === undefined || up.pid === process.pid) await rm(upPath(home), { force: true });
}

/** Undefined when there is none, or when the process that wrote it is gone. */
export async function readUp(home: string): Promise<UpFile | undefined> {
  const up = await readFile(upPath(home), "utf8").then(parse, () => undefined);
  return up !== undefined && isAlive(up.pid) ? up : undefined;
}

function parse(text: string): UpFile | undefined {
  try {
    return UpSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
