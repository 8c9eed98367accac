// The builder: what it makes, and what the compiler does not let pass.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineCapability, defineFlow, undo, where } from "../../agent-sdk/index.ts";

const search = defineCapability({
  name: "search",
  input: z.object({ q: z.string() }),
  output: z.object({ links: z.array(z.object({ url: z.string() })), count: z.number() }),
});
const read = defineCapability({
  name: "read",
  input: z.object({ url: z.string(), place: z.number().optional() }),
  output: z.string(),
  durationMs: 50,
});
const write = defineCapability({
  name: "write",
  input: z.object({ pages: z.array(z.string()), round: z.number() }),
  output: z.object({ text: z.string(), good: z.boolean() }),
});
const forget = defineCapability({
  name: "forget",
  input: z.object({ text: z.string() }),
  output: z.null(),
});

describe("a flow", () => {
  test("is a definition with every value where it belongs", () => {
    const flow = defineFlow<{ topic: string }>("report", { defaults: { topic: "otters" } });
    const found = flow.step("find", search, { q: flow.params.topic });
    const pages = flow.each(
      "read",
      read,
      found.output.links,
      (link, index) => ({ url: link.url, place: index }),
      { atOnce: 4, when: where(found.output.count, { gt: 0 }) },
    );
    const text = flow.loop("write", write, (_last, round) => ({ pages: pages.output, round }), {
      until: (last) => where(last.good, { eq: true }),
      rounds: 3,
      compensate: (output) => undo(forget, { text: output.text }),
    });
    flow.onExit(forget, (end) => ({ text: end.failure.message }));
    expect(flow.build({ text: text.output.text })).toEqual({
      v: 1,
      kind: "workflow",
      name: "report",
      version: "1.0.0",
      params: { topic: "otters" },
      steps: [
        { id: "find", capability: "search", input: { q: { $: "params.topic" } } },
        {
          id: "read",
          capability: "read",
          input: { url: { $: "item.url" }, place: { $: "index" } },
          each: { in: { $: "steps.find.output.links" }, atOnce: 4 },
          when: { $: "steps.find.output.count", gt: 0 },
          durationMs: 50,
        },
        {
          id: "write",
          capability: "write",
          input: { pages: { $: "steps.read.output" }, round: { $: "round" } },
          repeat: { until: { $: "last.good", eq: true }, rounds: 3 },
          compensate: { capability: "forget", input: { text: { $: "output.text" } } },
        },
      ],
      output: { text: { $: "steps.write.output.text" } },
      onExit: { capability: "forget", input: { text: { $: "failure.message" } } },
    });
  });

  test("does not compile with values that do not fit", () => {
    const flow = defineFlow<{ topic: string; n: number }>("wrong");
    const found = flow.step("find", search, { q: flow.params.topic });
    // @ts-expect-error a number for a text
    flow.step("a", search, { q: flow.params.n });
    // @ts-expect-error a list for a text
    flow.step("b", search, { q: found.output.links });
    // @ts-expect-error there is no such output
    flow.step("c", search, { q: found.output.title });
    // @ts-expect-error the input lacks "q"
    flow.step("d", search, {});
    expect(() => flow.step("find", search, { q: "x" }) && flow.build()).toThrow(
      /"find" is the id of steps\.0 too/,
    );
  });
});
