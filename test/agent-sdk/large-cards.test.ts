// An agent whose schemas are more than a card holds is seen all the same, without the largest.
import { expect, test } from "vitest";
import { z } from "zod";
import { defineCapability } from "../../agent-sdk/index.ts";
import { silent, useMesh } from "./fixture.ts";

const mesh = useMesh();

test("the largest schemas are left out, and the log says whose", async () => {
  const fields = (n: number) =>
    z.object(
      Object.fromEntries(
        Array.from({ length: n }, (_, i) => [`field${i}`, z.string().describe("x".repeat(60))]),
      ),
    );
  const warned: unknown[] = [];
  const log = { ...silent, warn: (about: object) => void warned.push(about), child: () => log };
  const agent = await mesh.join("rich", { log });
  const large = fields(40);
  const names = Array.from({ length: 40 }, (_, i) => `rich-${i}`);
  for (const name of names) {
    await agent.serve(defineCapability({ name, input: large, output: large }), (input) => input);
  }
  const small = defineCapability({ name: "modest", input: z.string(), output: z.string() });
  await agent.serve(small, (text) => text);
  const other = await mesh.join("rich-looker");
  await mesh.sees(other, small, 1);
  const [card] = await other.agents({ capability: small });
  expect(card?.capabilities.map(({ name }) => name)).toEqual([...names, "modest"]);
  const bare = card?.capabilities.filter(({ input }) => input === undefined) ?? [];
  expect(bare.length).toBeGreaterThan(0);
  expect(bare.length).toBeLessThan(40);
  expect(card?.capabilities.at(-1)?.input).toBeDefined();
  expect(warned).toContainEqual({ agent: expect.any(String), without: expect.any(Array) });
}, 60_000);
