// Map-reduce over 1,000 texts in one durable handler: every piece is a task of its own, 64 at a
// time, and whoever takes the handler over finds the pieces that are done.
import { defineCapability, join } from "parley-mesh";
import { z } from "zod";

const count = defineCapability({
  name: "count-words",
  input: z.object({ text: z.string() }),
  output: z.number(),
});
const total = defineCapability({
  name: "count-all",
  input: z.object({ texts: z.array(z.string()) }),
  output: z.object({ words: z.number(), texts: z.number() }),
});

const mesh = await join({ name: "counter" });
await mesh.serve(count, ({ text }) => text.split(/\s+/).filter(Boolean).length, { slots: 64 });
await mesh.serve(total, async ({ texts }, task) => {
  let words = 0;
  for (let at = 0; at < texts.length; at += 64) {
    const pieces = await task.all(
      texts.slice(at, at + 64).map((text) => async (acts) => {
        const piece = await acts.submit(count, { text });
        return piece.result();
      }),
    );
    words += pieces.reduce((sum, n) => sum + n, 0);
    task.progress((at + pieces.length) / texts.length);
  }
  return { words, texts: texts.length };
});

const texts = Array.from({ length: 1_000 }, (_, i) => "word ".repeat(i % 10));
const { words } = await (await mesh.submit(total, { texts })).result();
console.log(`${words} words in ${texts.length} texts`);
await mesh.drain();
