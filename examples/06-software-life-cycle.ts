// Ticket, design, code, review with a rework loop, test: a graph whose middle is repeated until
// the reviewer agrees. The models are fake, so it runs without a key.
import { defineCapability, join, serveWorkflows, workflow } from "parley-mesh";
import { z } from "zod";

const mesh = await join({ name: "workshop" });
const role = (name: string, work: (text: string) => string) =>
  mesh.serve(
    defineCapability({
      name,
      input: z.object({ text: z.string() }),
      output: z.object({ text: z.string() }),
    }),
    ({ text }) => ({ text: work(text) }),
  );
await role("design", (ticket) => `design for "${ticket}"`);
await role("test", (code) => `tested: ${code}`);

const rework = defineCapability({
  name: "code-and-review",
  input: z.object({ design: z.string(), round: z.number() }),
  output: z.object({ code: z.string(), agreed: z.boolean(), remark: z.string() }),
});
await mesh.serve(rework, async ({ design, round }, task) => {
  const code = await task.step("write", () => `code of the ${design}, draft ${round + 1}`);
  // This reviewer asks for two changes, whatever he is shown.
  const remark = await task.step("review", () => (round < 2 ? "name things better" : ""));
  return { code, agreed: remark === "", remark };
});
await serveWorkflows(mesh);

const ticket = await mesh.submit(workflow, {
  definition: {
    v: 1,
    kind: "workflow",
    name: "life-cycle",
    steps: [
      { id: "design", capability: "design", input: { text: { $: "params.ticket" } } },
      {
        id: "code",
        capability: "code-and-review",
        input: { design: { $: "steps.design.output.text" }, round: { $: "round" } },
        repeat: { until: { $: "last.agreed", eq: true }, rounds: 5 },
      },
      { id: "test", capability: "test", input: { text: { $: "steps.code.output.code" } } },
    ],
    output: { $: "steps.test.output.text" },
  },
  params: { ticket: "a button" },
});
console.log(await ticket.result());
await mesh.drain();
