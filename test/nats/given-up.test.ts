// A start that is given up leaves nothing behind that would keep its process.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startMesh } from "../support/nats-server.ts";

const LIMIT_MS = 20_000;

test("a process whose start was given up half way ends", { timeout: 2 * LIMIT_MS }, async () => {
  const mesh = await startMesh();
  const script = join(import.meta.dirname, "../support/given-up.ts");
  const args = ["--conditions=parley-source", script, mesh.home.dir, mesh.server.url];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: LIMIT_MS });
    expect(stdout).toMatch(/given up: ParleyError: the (start was given up|connection was closed)/);
  } finally {
    await mesh.stop();
  }
});
