// Programs in plain JavaScript: an option that there is not is named, and what was meant.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineCapability, join } from "../../agent-sdk/index.ts";
import { useMesh } from "./fixture.ts";

const mesh = useMesh();
/** What an error says to a person. */
const textOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "no error",
    (error: unknown) => String(error),
  );
const echo = defineCapability({ name: "echo", input: z.string(), output: z.string() });

describe("options that there are not", () => {
  test.each<[unknown, RegExp]>([
    [{ timeout: 500 }, /a task has no option "timeout"; there is: timeoutMs/],
    [{ prio: 3 }, /no option "prio"; there is: priority/],
    [{ wait: true }, /no option "wait"; there is: to, only, exclude, .*, key$/],
    [5_000, /the options of a task are an object, not number/],
    [null, /the options of a task are an object/],
    [{ timeoutMs: "500" }, /timeoutMs must be more than 0, not 500/],
    [{ hedge: "yes" }, /hedge must be true, false or \{ afterMs \}/],
    [{ hedge: null }, /hedge must be true, false/],
    [{ hedge: { afterMs: -1 } }, /hedge must be true, false/],
    [{ hedge: {} }, /hedge must be true, false/],
    [{ onEvent: "x" }, /onEvent must be a function/],
    [{ signal: new AbortController() }, /must be an AbortSignal; give the controller's \.signal/],
    [{ signal: 1 }, /signal of a task must be an AbortSignal$/],
  ])("of a call: %j", async (options, why) => {
    const user = await mesh.join("wrong-caller");
    expect(await textOf(user.call(echo, "x", options as never))).toMatch(why);
    expect(await textOf(user.submit(echo, "x", options as never))).toMatch(why);
    await user.close();
  });

  test("of serve", async () => {
    const agent = await mesh.join("wrong-server");
    const serve = (options: unknown) => textOf(agent.serve(echo, (text) => text, options as never));
    expect(await serve({ slot: 2 })).toMatch(/serve\(echo\) has no option "slot"; there is: slots/);
    expect(await serve({ bid: "x" })).toMatch(/bid of echo must be a function/);
    expect(await serve(null)).toMatch(/the options of serve\(echo\) are an object/);
    await agent.serve(echo, (text) => text, { slots: undefined } as never);
    expect(await agent.call(echo, "well")).toBe("well");
  });

  test("of join", async () => {
    const text = (options: unknown) => textOf(join(options as never));
    expect(await text({ name: "ann", srv: "x" })).toMatch(/join has no option "srv"/);
    expect(await text({ name: "ann", servers: "x" })).toMatch(/there is: server/);
    expect(await text({ name: "ann", log: console })).toMatch(/log must have debug, .*, child/);
    expect(await text({ name: "ann", log: {} })).toMatch(/log must have/);
    expect(await text({ name: "ann", signal: {} })).toMatch(/signal of join must be/);
  });
});
