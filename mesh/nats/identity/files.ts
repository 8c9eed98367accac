// Files of the identity folder: secrets readable by their owner alone, and never half written.
import { randomBytes } from "node:crypto";
import { chmod, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import type { z } from "zod";
import { ParleyError } from "../../../contracts/failure.ts";

export const FILE_MODE = 0o600;
export const DIR_MODE = 0o700;

export async function makeDir(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: DIR_MODE });
  await chmod(path, DIR_MODE);
}

/**
 * Writes the whole file or nothing. With `exclusive` it fails with EEXIST when the file is there,
 * which makes the name itself the lock.
 */
export async function writeSecret(
  path: string,
  text: string,
  options: { exclusive?: boolean } = {},
): Promise<void> {
  const target = options.exclusive ? path : `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const file = await open(target, "wx", FILE_MODE);
  try {
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    await rm(target, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  if (!options.exclusive) await rename(target, path);
}

/** Undefined when there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

export function isErrno(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === code;
}

/** Undefined when there is no such file. @throws ParleyError E_IDENTITY when it does not fit. */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ParleyError("E_IDENTITY", `${path} cannot be read: restore it from a copy`, {
      cause,
    });
  }
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
