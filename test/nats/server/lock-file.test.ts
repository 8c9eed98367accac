import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  lockOwner,
  removeDeadLock,
  takeLock,
  withLock,
} from "../../../mesh/nats/server/lock-file.ts";

let folder: string;
let lock: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "parley-lock-"));
  lock = join(folder, ".lock");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const deadPid = () => spawnSync(process.execPath, ["--version"]).pid;

describe("a lock file", () => {
  test("has one owner, whoever else asks", () => {
    expect([takeLock(lock), takeLock(lock)]).toEqual([true, false]);
    expect(lockOwner(lock)).toBe(process.pid);
    expect(removeDeadLock(lock)).toBe(false);
    expect(readdirSync(folder)).toEqual([".lock"]);
  });

  test.each([
    ["a dead process", () => `${deadPid()}\n`],
    ["nobody", () => ""],
    ["nonsense", () => "parley\n"],
  ])("of %s is removed", (_, owner) => {
    writeFileSync(lock, owner());
    expect(takeLock(lock)).toBe(false);
    expect(removeDeadLock(lock)).toBe(true);
    expect(existsSync(lock)).toBe(false);
  });

  test("of the dead is not removed while another one takes it over", () => {
    writeFileSync(lock, `${deadPid()}\n`);
    expect(takeLock(`${lock}.takeover`)).toBe(true);
    expect(removeDeadLock(lock)).toBe(false);
    expect(existsSync(lock)).toBe(true);
  });

  test("outlives one who was killed while taking it over", () => {
    writeFileSync(lock, `${deadPid()}\n`);
    writeFileSync(`${lock}.takeover`, `${deadPid()}\n`);
    expect([removeDeadLock(lock), removeDeadLock(lock)]).toEqual([false, true]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("taken over by eight processes at once is held by one at a time", async () => {
    writeFileSync(lock, `${deadPid()}\n`);
    const holder = new URL("../../../mesh/nats/server/lock-file.ts", import.meta.url).href;
    const witness = join(folder, "witness");
    // Whoever holds the lock makes a file that must not be there yet, and takes it away again.
    const script = `
      import { closeSync, openSync, rmSync } from "node:fs";
      import { withLock } from ${JSON.stringify(holder)};
      for (let turn = 0; turn < 5; turn++) {
        await withLock(${JSON.stringify(lock)}, () => {}, async () => {
          closeSync(openSync(${JSON.stringify(witness)}, "wx"));
          await new Promise(setImmediate);
          rmSync(${JSON.stringify(witness)});
        });
      }`;
    const children = Array.from({ length: 8 }, () =>
      spawn(process.execPath, ["--input-type=module", "--eval", script], {
        stdio: ["ignore", "ignore", "inherit"],
      }),
    );
    const codes = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0]));
    expect(codes).toEqual(Array(8).fill(0));
    expect(readdirSync(folder)).toEqual([]);
  });

  test("is given back when the work fails", async () => {
    const failing = withLock(
      lock,
      () => {},
      () => Promise.reject(new Error("no")),
    );
    await expect(failing).rejects.toThrow("no");
    expect(existsSync(lock)).toBe(false);
  });
});
