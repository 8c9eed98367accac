// Who has left the mesh begins nothing more, and is told so at once.
import { expect, test } from "vitest";
import { aborted, codeOf, gate, texts, useMesh } from "./fixture.ts";

const mesh = useMesh();

test("a call that is tried again while its agent closes ends", async () => {
  const waits = texts("waits-close");
  const begun = gate();
  const hands = await mesh.join("close-hands");
  await hands.serve(waits, async (_, { signal }) => {
    begun.open();
    await aborted(signal);
    return "";
  });
  const caller = await mesh.join("close-caller");
  const ends: string[] = [];
  // As a program does that does not give up.
  const persist = async (once: () => Promise<unknown>) => {
    for (let n = 0; n < 5; n++) ends.push(await codeOf(once()));
  };
  const all = Promise.all([
    persist(() => caller.call(waits, "x")),
    persist(async () => (await caller.submit(waits, "x")).result()),
  ]);
  await begun.promise;
  await caller.close();
  await all;
  expect(new Set(ends.slice(2))).toEqual(new Set(["E_DRAINING"]));
  expect(ends.slice(0, 2)).toEqual(["E_CONNECTION", "E_CONNECTION"]);
}, 20_000);

test("a listener that rejects is logged, like one that throws", async () => {
  const speaks = texts("speaks");
  const agent = await mesh.join("speaker");
  await agent.serve(speaks, (text, { partial }) => {
    partial("one");
    partial("two");
    return text;
  });
  const heard: unknown[] = [];
  const onEvent = async (event: { type: string; partial?: unknown }) => {
    if (event.type !== "progress") return;
    heard.push(event.partial);
    throw new Error("the client hung up");
  };
  expect(await agent.call(speaks, "x", { onEvent })).toBe("x");
  expect(heard).toEqual(["one"]);
});
