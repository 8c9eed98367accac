// An agent around a language model. A fake model answers unless OPENAI_API_KEY is set, so it runs
// without a key. Its bid is its price: a task may say what it can spend, and the cheapest wins.
import { defineCapability, join, RetryableError, TerminalError } from "parley-mesh";
import { z } from "zod";

const { OPENAI_API_KEY: key, OPENAI_BASE_URL: base = "https://api.openai.com/v1" } = process.env;
const { LLM_MODEL: model = key === undefined ? "fake" : "gpt-4o-mini" } = process.env;
const pricePerThousandTokens = model === "fake" ? 0.01 : 0.5;

const answer = defineCapability({
  name: "answer",
  description: "Answers a question in a few sentences",
  input: z.object({ question: z.string().min(1), tokens: z.int().min(1).default(200) }),
  output: z.object({ answer: z.string(), model: z.string() }),
});

/** Gives the answer in pieces, as they come. */
async function* think(question: string, tokens: number, signal: AbortSignal) {
  if (key === undefined) {
    yield* `You asked: ${question} I am a fake model, so I can only say that back.`.match(
      /\S+\s*/g,
    ) ?? [];
    return;
  }
  const response = await fetch(`${base}/chat/completions`, {
    method: "POST",
    signal,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({
      model,
      max_completion_tokens: tokens,
      messages: [{ role: "user", content: question }],
    }),
  });
  if (response.status === 429) {
    const afterMs = Number(response.headers.get("retry-after") ?? 1) * 1_000;
    throw new RetryableError("the model is rate limited", { afterMs });
  }
  // What is wrong with the request is wrong everywhere; a key that is not valid is our own matter.
  if ([400, 413, 422].includes(response.status)) {
    throw new TerminalError(`the model refused: ${response.status} ${await response.text()}`);
  }
  if (!response.ok) throw new Error(`the model failed: ${response.status}`);
  const body = (await response.json()) as { choices: { message: { content: string } }[] };
  yield body.choices[0]?.message.content ?? "";
}

const mesh = await join({ name: "thinker", attributes: { model } });
await mesh.serve(
  answer,
  async ({ question, tokens }, { signal, partial, cost }) => {
    let text = "";
    for await (const piece of think(question, tokens, signal)) {
      text += piece;
      partial(piece);
    }
    cost((text.length / 4 / 1_000) * pricePerThousandTokens);
    return { answer: text.trim(), model };
  },
  {
    slots: 8,
    // A model that never answers fails the attempt, not the task.
    limitMs: 60_000,
    bid: (call, usual) => ({
      ...usual,
      cost: ((call.hints?.size ?? 200) / 1_000) * pricePerThousandTokens,
    }),
  },
);

const task = await mesh.submit(
  answer,
  { question: "What does a contract net do?" },
  {
    award: { policy: "cheapest" },
    budget: 1,
    hints: { size: 200 },
  },
);
for await (const event of task.events()) {
  if (event.type === "progress") process.stdout.write(String(event.partial));
}
console.log(`\n${(await task.result()).model}, cost ${(await task.outcome()).cost?.toFixed(5)}`);
await mesh.drain();
