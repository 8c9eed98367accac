// Whatever a handler throws ends its attempt, gives its slot back, and costs nobody else anything.
import { expect, test } from "vitest";
import { z } from "zod";
import { defineCapability } from "../../agent-sdk/index.ts";
import { useMesh } from "./fixture.ts";

const mesh = useMesh();
const trap = () => {
  throw new Error("looked at");
};
const withGetter = (name: string) => Object.defineProperty(new Error("x"), name, { get: trap });
const odd: Record<string, () => unknown> = {
  message: () => withGetter("message"),
  name: () => withGetter("name"),
  stack: () => withGetter("stack"),
  retry: () => withGetter("retry"),
  proxy: () => new Proxy({}, { getPrototypeOf: trap, get: trap, has: trap }),
  text: () => "a text",
  nothing: () => undefined,
};

test("an error that throws when it is looked at", async () => {
  const c = defineCapability({ name: "odd", input: z.string(), output: z.string() });
  const agent = await mesh.join("odd");
  await agent.serve(c, (what) => {
    if (what === "well") return what;
    throw odd[what]?.();
  });
  for (const what of Object.keys(odd)) {
    const retry = { attempts: 1 };
    for (const how of ["submit", "call"] as const) {
      const end =
        how === "submit"
          ? agent.submit(c, what, { retry }).then((handle) => handle.result())
          : agent.call(c, what, { retry });
      await expect(end, `${how} ${what}`).rejects.toMatchObject({ code: "E_HANDLER" });
      expect(await agent.call(c, "well", { timeoutMs: 10_000 })).toBe("well");
    }
  }
}, 60_000);
