// A first agent: it says what it can do, serves it, and calls it. In another terminal: parley up
// In this repository: node --conditions=parley-source examples/01-hello-agent.ts
import { defineCapability, join } from "parley-mesh";
import { z } from "zod";

const summarize = defineCapability({
  name: "summarize",
  input: z.object({ text: z.string(), words: z.number().int().default(5) }),
  output: z.object({ summary: z.string() }),
});

const mesh = await join({ name: "summarizer" }); // NATS_URL, a nats context, or `parley up`
await mesh.serve(summarize, async ({ text, words }, { log }) => {
  log.info({ words }, "summarizing");
  return { summary: text.split(/\s+/).slice(0, words).join(" ") };
});

const text = "Agents bid for tasks, the best bid is awarded, and the record of it is signed.";
console.log((await mesh.call(summarize, { text })).summary); // goes on serving until Ctrl-C
