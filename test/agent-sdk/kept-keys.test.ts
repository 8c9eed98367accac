// An agent of a fixed name that joins beside the mesh's folder has the same key after a restart.
import { stat, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { agentKey, homeFiles, openHome } from "../../mesh/nats/identity/home.ts";
import { texts, useMesh } from "./fixture.ts";

const mesh = useMesh();

test("what it had submitted before is done", async () => {
  const later = texts("later-keys");
  // Nobody takes the spec in hand before its author is gone.
  const about = { agent: "main", roles: { initiator: false, contractor: false } };
  const before = await mesh.join("keeper", about);
  const { task } = await before.submit(later, "x", { task: "keys-1" });
  await before.close();
  const after = await mesh.join("keeper", { agent: "main" });
  await after.submit(later, "y", { task: "keys-2", timeoutMs: 60_000 });
  const hands = await mesh.join("keeper-hands");
  await hands.serve(later, (text) => text);
  const again = await after.submit(later, "x", { task });
  expect(await again.result(AbortSignal.timeout(20_000))).toBe("x");
}, 30_000);

test("all its processes have it, whichever comes first", async () => {
  const home = await openHome(mesh.local.home.dir);
  const keys = await Promise.all([1, 2, 3].map(() => agentKey(home, "twin", "main")));
  expect(new Set(keys.map(({ publicKey }) => publicKey)).size).toBe(1);
  const file = homeFiles(home.dir).agentKey("twin", "main");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await writeFile(file, "no key");
  await expect(agentKey(home, "twin", "main")).rejects.toThrow(/holds no key: restore it/);
});
