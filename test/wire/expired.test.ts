// Credentials that expire end what their holder may do, not what it did (P4.3).
import { expect, test } from "vitest";
import type { Role } from "../../contracts/index.ts";
import { foldTask } from "../../mesh/core/task-view.ts";
import { openPeer } from "../../mesh/index.ts";
import { credentialsOf } from "../../mesh/local.ts";
import { mintUser } from "../../mesh/nats/identity/identities.ts";
import { service, silent, until, useWire } from "./fixture.ts";

const wire = useWire();
const EXPIRES_MS = 3_000;

async function brief(name: string, role: Role, capabilities: string[]) {
  const { home, urls } = wire.mesh;
  const creds = await mintUser(home, { name, role, capabilities, expiresInMs: EXPIRES_MS });
  const about = { servers: urls, name, principal: name, agent: "main", role, log: silent };
  return openPeer({ ...credentialsOf(creds, home), ...about });
}

test("what was submitted is done all the same, and what was done stays done", async () => {
  const first = await wire.peer("exina", "agent", [], { use: { contractor: false } });
  const sue = await brief("exsue", "submitter", []);
  const con = await brief("excon", "contractor", ["exsoon"]);
  con.peer.host({
    name: "w",
    slots: 1,
    services: [service("exsoon", async () => ({ output: 1 }))],
  });
  const done = await sue.peer.submitters.submit("exsoon", {}, {});
  expect(await done.result()).toBe(1);
  const open = await sue.peer.submitters.submit("exlater", {}, { timeoutMs: 60_000 });
  const isOut = () => sue.transport.state() !== "up" && con.transport.state() !== "up";
  await until(isOut, "the expiry", 2 * EXPIRES_MS);
  // Who never knew them carries on.
  const next = await wire.peer("exinb", "agent", [], { use: { contractor: false } });
  await first.close(0);
  const wes = await wire.peer("exwes", "contractor", ["exlater"]);
  wes.peer.host({
    name: "w",
    slots: 1,
    services: [service("exlater", async () => ({ output: 2 }))],
  });
  const viewOf = async (task: string) => foldTask(await next.peer.deps.records.read("exsue", task));
  await until(async () => (await viewOf(open.task)).state === "completed", "its end", 20_000);
  expect(await viewOf(done.task)).toMatchObject({ state: "completed", faults: [] });
  await Promise.all([sue.close(0), con.close(0)]);
}, 60_000);
