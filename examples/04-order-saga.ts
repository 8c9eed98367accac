// A saga: flight, hotel and car are booked one after the other; when the car cannot be had, what
// was booked is given back, last first. Agents take the steps; this one also runs the graph.
import { defineCapability, join, serveWorkflows, workflow } from "parley-mesh";
import { z } from "zod";

const booking = z.object({ what: z.string(), id: z.string() });
const book = defineCapability({
  name: "book",
  input: z.object({ what: z.string(), sold: z.boolean().default(false) }),
  output: booking,
});
const release = defineCapability({
  name: "release",
  input: booking,
  output: z.object({ released: z.string() }),
});

const mesh = await join({ name: "travel-desk" });
await mesh.serve(book, async ({ what, sold }, task) => {
  if (sold) throw new Error(`no ${what} is left`);
  // Done once, also when this agent dies between booking and answering.
  return task.step("book", ({ key }) => ({ what, id: key.slice(0, 8) }));
});
await mesh.serve(release, ({ what }) => {
  console.log(`gave back the ${what}`);
  return { released: what };
});
await serveWorkflows(mesh);

const trip = await mesh.submit(workflow, {
  definition: {
    v: 1,
    kind: "workflow",
    name: "trip",
    steps: ["flight", "hotel", "car"].map((what, i, all) => ({
      id: what,
      capability: "book",
      after: all.slice(Math.max(0, i - 1), i),
      input: { what, sold: { $: `params.sold.${what}` } },
      retry: { attempts: 1 },
      compensate: { capability: "release" },
    })),
  },
  params: { sold: { flight: false, hotel: false, car: true } },
});
const { state, failure } = await trip.outcome();
console.log(`${state}: ${failure?.message}`);
await mesh.drain();
