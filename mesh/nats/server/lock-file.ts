import { randomUUID } from "node:crypto";
import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Say } from "./child.ts";

/** How often a waiting process looks whether the lock is free, in ms. */
export const lockPollMs = 100;

/** Runs `work` while holding a lock file, so that two processes do not fetch the same thing at
 * once. A lock whose owner is dead is taken over, by one of those who see it. */
export async function withLock<T>(file: string, say: Say, work: () => Promise<T>): Promise<T> {
  let told = false;
  while (!takeLock(file)) {
    if (removeDeadLock(file)) continue;
    const owner = lockOwner(file);
    if (!told) say(`process ${owner ?? "?"} is fetching nats-server: waiting for it`);
    told = true;
    await pause(lockPollMs);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** Creates the lock file with the pid of its owner; false when it exists. The file appears whole
 * or not at all, so a lock without an owner is nobody's. */
export function takeLock(file: string, owner = process.pid): boolean {
  const draft = `${file}.${randomUUID()}`;
  writeFileSync(draft, `${owner}\n`);
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Removes the lock if its owner is dead; true when it may be free now. Whoever looks and whoever
 * removes must be one: between the two, another could have taken it over, and its lock would go. */
export function removeDeadLock(file: string): boolean {
  if (!isDead(file)) return false;
  const takeover = `${file}.takeover`;
  if (!takeLock(takeover)) {
    // Its holder does three synchronous calls: if it is dead, it was killed between them.
    if (isDead(takeover)) rmSync(takeover, { force: true });
    return false;
  }
  try {
    if (isDead(file)) rmSync(file, { force: true });
    return true;
  } finally {
    rmSync(takeover, { force: true });
  }
}

function isDead(file: string): boolean {
  const text = textOf(file);
  if (text === undefined) return false;
  const owner = pidIn(text);
  return owner === undefined || !isAlive(owner);
}

/** The pid in a lock file; `undefined` when it is gone. */
export function lockOwner(file: string): number | undefined {
  return pidIn(textOf(file) ?? "");
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function pidIn(text: string): number | undefined {
  const pid = Number(text.trim());
  return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
}

/** Whether a process with this pid runs, ours or another user's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return !isZombie(pid);
}

/** In a container without an init process, orphans that have ended keep their pid for ever. */
function isZombie(pid: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    return /\) [ZX] [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
