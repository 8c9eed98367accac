// A research pipeline around a language model (a fake one here): sources are read side by side,
// three readers vote on what they say, a draft goes round with a critic until it is good.
import {
  criticLoop,
  defineCapability,
  fanOut,
  join,
  type Mesh,
  TerminalError,
  vote,
} from "parley-mesh";
import { z } from "zod";

const find = defineCapability({
  name: "find-sources",
  input: z.object({ topic: z.string() }),
  output: z.array(z.string()),
});
const summarize = defineCapability({
  name: "summarize",
  input: z.object({ source: z.string() }),
  output: z.string(),
});
const reader = (name: string) =>
  defineCapability({
    name,
    input: z.object({ notes: z.array(z.string()) }),
    output: z.enum(["for", "against"]),
  });
const readers = ["reader-a", "reader-b", "reader-c"].map(reader);
const write = defineCapability({
  name: "write",
  input: z.object({ task: z.unknown(), advice: z.unknown().optional() }),
  output: z.string(),
});
const review = defineCapability({
  name: "review",
  input: z.object({ task: z.unknown(), work: z.string() }),
  output: z.object({ good: z.boolean(), advice: z.string().optional() }),
});
const research = defineCapability({
  name: "research",
  input: z.object({ topic: z.string() }),
  output: z.object({ text: z.string(), finding: z.string(), rounds: z.number() }),
});

async function team(mesh: Mesh): Promise<void> {
  await mesh.serve(find, ({ topic }) => [1, 2, 3, 4].map((n) => `${topic}, part ${n}`));
  await mesh.serve(summarize, ({ source }) => `what is said in ${source}`, { slots: 4 });
  for (const [i, one] of readers.entries()) {
    await mesh.serve(one, () => (i === 1 ? "against" : "for"));
  }
  await mesh.serve(write, ({ task, advice }) => `${String(task)}${advice ? ", with sources" : ""}`);
  await mesh.serve(review, ({ work }) =>
    work.includes("sources") ? { good: true } : { good: false, advice: "name the sources" },
  );
  await mesh.serve(research, async ({ topic }, task) => {
    const sources = await (await task.submit(find, { topic })).result();
    const notes = await fanOut(
      task,
      summarize,
      sources.map((source) => ({ source })),
    );
    const { choice } = await vote(task, readers, { notes });
    if (choice === undefined) throw new TerminalError("the readers do not agree");
    const draft = await criticLoop(task, write, review, `${notes.length} notes speak ${choice} it`);
    return { text: draft.work, finding: choice, rounds: draft.rounds };
  });
}

const mesh = await join({ name: "desk" });
await team(mesh);
const { text, finding, rounds } = await (await mesh.submit(research, { topic: "nets" })).result();
console.log(`${text} (${finding}, ${rounds} rounds)`);
await mesh.drain();
