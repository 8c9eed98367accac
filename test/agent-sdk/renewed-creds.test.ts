// Credentials that are renewed while an agent runs: it goes on under them, with the same key.
import { writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { addIdentity, openHome, renewIdentity } from "../../mesh/nats/identity/home.ts";
import { codeOf, gate, silent, texts, useMesh } from "./fixture.ts";

const mesh = useMesh();

/** An agent whose credentials last so long, and when the server has taken it back after that. */
async function brief(name: string, capability: string, expiresInMs: number) {
  const home = await openHome(mesh.local.home.dir);
  const identity = { name, role: "agent" as const, capabilities: [capability], expiresInMs };
  const { credsPath } = await addIdentity(home, identity);
  const back = gate();
  const warn = (_: object, text: string) => text.includes("is there again") && back.open();
  const log = { ...silent, warn: (fields: object, text: string) => void warn(fields, text) };
  const agent = await mesh.join(name, { creds: credsPath, log });
  return { agent, home, credsPath, back: back.promise };
}

test("for more capabilities: it serves them at once", async () => {
  const [first, more] = [texts("renewed-first"), texts("renewed-more")];
  const { agent, home } = await brief("renewed", first.name, 60_000);
  await agent.serve(first, (text) => `first ${text}`);
  expect(await codeOf(agent.serve(more, (text) => text))).toBe("E_PERMISSION");
  const { identity } = await renewIdentity(home, "renewed", { capabilities: [more.name] });
  expect(identity.capabilities).toEqual([first.name, more.name]);
  expect((identity.expiresAt ?? 0) - identity.issuedAt).toBe(60_000);
  await agent.serve(more, (text) => `more ${text}`);
  const user = await mesh.join("renewed-user");
  expect(await user.call(more, "a")).toBe("more a");
  expect(await user.call(first, "b")).toBe("first b");
});

test("for longer: it is back when the server has ended the old connection", async () => {
  const [served, later] = [texts("renewed-long"), texts("renewed-later")];
  const { agent, home, credsPath, back } = await brief("long", served.name, 2_000);
  await agent.serve(served, (text) => text);
  const capabilities = [later.name];
  await renewIdentity(home, "long", { expiresInMs: 3_600_000, capabilities });
  await back;
  const user = await mesh.join("long-user");
  expect(await user.call(served, "still there")).toBe("still there");
  const handle = await user.submit(served, "and proven");
  expect(await handle.result()).toBe("and proven");
  // What cannot be read now changes nothing.
  await writeFile(credsPath, "half written");
  await agent.serve(later, (text) => text);
  expect(await user.call(later, "more")).toBe("more");
}, 20_000);
