// Ways of working together, one line each: pipeline, map-reduce, group chat, handoff, delegation.
import {
  defineCapability,
  delegate,
  groupChat,
  handoff,
  join,
  mapReduce,
  pipeline,
} from "parley-mesh";
import { z } from "zod";

const trim = defineCapability({ name: "trim", input: z.string(), output: z.string() });
const shout = defineCapability({ name: "shout", input: z.string(), output: z.string() });
const length = defineCapability({ name: "length", input: z.string(), output: z.number() });
const talk = (name: string) =>
  defineCapability({
    name,
    input: z.object({ history: z.array(z.unknown()), speaker: z.string() }),
    output: z.string(),
  });
const [ann, bob] = [talk("ann"), talk("bob")];
const desk = defineCapability({ name: "desk", input: z.string(), output: z.unknown() });
const expert = defineCapability({ name: "expert", input: z.string(), output: z.unknown() });
const show = defineCapability({ name: "show", input: z.null(), output: z.array(z.string()) });

const mesh = await join({ name: "circle" });
await mesh.serve(trim, (text) => text.trim());
await mesh.serve(shout, (text) => `${text.toUpperCase()}!`);
await mesh.serve(length, (text) => text.length, { slots: 8 });
for (const one of [ann, bob]) {
  await mesh.serve(one, ({ history, speaker }) => `${speaker} heard ${history.length}`);
}
await mesh.serve(desk, (text) => ({ handoff: "expert", input: `${text}, please` }));
await mesh.serve(expert, (text) => `done: ${text}`);
await mesh.serve(show, async (_, task) => {
  const words = ["one", "three", "seven"];
  const loud = await pipeline(task, "  hello ", [trim, shout]);
  const letters = await mapReduce(task, length, words, (a, b) => a + b);
  const longest = await delegate(task, length, words, (lengths) => Math.max(...lengths));
  const chat = await groupChat(task, "begin", { speakers: { ann, bob }, turns: 3 });
  const { output, path } = await handoff(task, { desk, expert }, "desk", "help");
  return [
    `pipeline: ${String(loud)}`,
    `map-reduce: ${letters} letters, the longest has ${longest}`,
    `group chat: ${chat.map((said) => said.text).join("; ")}`,
    `handoff: ${path.join(" to ")}, ${String(output)}`,
  ];
});

for (const line of await (await mesh.submit(show, null)).result()) console.log(line);
await mesh.drain();
