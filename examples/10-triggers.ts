// Tasks that begin by themselves: on an event (here told by this program; any `nats pub
// mesh.event.orders.created '{"id":7}'` does the same) and at a moment. Start this on two machines
// under one name, and each event still makes one task.
import { defineCapability, join } from "parley-mesh";
import { z } from "zod";

const pack = defineCapability({
  name: "pack",
  input: z.object({ order: z.number() }),
  output: z.string(),
});
const close = defineCapability({
  name: "close-till",
  input: z.object({ due: z.string() }),
  output: z.null(),
});

const mesh = await join({ name: "warehouse" });
const packed = Promise.withResolvers<number>();
const closed = Promise.withResolvers<void>();
await mesh.serve(pack, ({ order }) => {
  packed.resolve(order);
  return `order ${order}`;
});
await mesh.serve(close, () => {
  closed.resolve();
  return null;
});

const triggers = await mesh.triggers();
await triggers.put({
  name: "orders",
  when: { event: "orders.*" },
  capability: "pack",
  input: { order: { $: "event.data.id" } },
});
const at = new Date(Date.now() + 500).toISOString();
await triggers.put({ name: "evening", when: { at }, capability: "close-till" });
await triggers.serve();

await triggers.emit("orders.created", { id: 7 });
console.log(`packed order ${await packed.promise}`);
await closed.promise;
console.log("closed in the evening");
await mesh.drain();
