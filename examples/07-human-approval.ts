// A person decides in the middle. The question is shown by `parley task ls --needs-input` and
// answered by `parley task answer ID '{"approved":true}'`, also days later and after a restart.
// Here nobody answers within a second, so what was said for that case counts.
import { defineCapability, join } from "parley-mesh";
import { z } from "zod";

const refund = defineCapability({
  name: "refund",
  input: z.object({ order: z.string(), sum: z.number() }),
  output: z.object({ paid: z.boolean(), by: z.string() }),
});
const Answer = z.object({ approved: z.boolean(), by: z.string().default("somebody") });

const mesh = await join({ name: "cashier" });
await mesh.serve(refund, async ({ order, sum }, task) => {
  if (sum < 50) return { paid: true, by: "the rule for small sums" };
  const answer = await task.ask(
    { text: `pay ${sum} back for order ${order}?`, form: { approved: "true or false" } },
    { timeoutMs: 1_000, otherwise: { approved: false, by: "nobody in time" } },
  );
  const { approved, by } = Answer.parse(answer);
  if (approved) await task.step("pay", () => console.log(`paid ${sum}`));
  return { paid: approved, by };
});

for (const sum of [20, 200]) {
  const { paid, by } = await (await mesh.submit(refund, { order: "A1", sum })).result();
  console.log(`${sum}: ${paid ? "paid" : "not paid"}, decided by ${by}`);
}
await mesh.drain();
