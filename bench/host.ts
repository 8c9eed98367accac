// A host process of a bench: takes its order over the channel, and goes when the parent goes.
import { floorHost } from "./floor.ts";
import { productHost, type Side } from "./product.ts";
import type { HostOrder, HostReport } from "./shape.ts";

let side: Side | undefined;
const tell = (report: HostReport) => process.send?.(report);

process.on("disconnect", () => process.exit(0));
process.on("message", (message: HostOrder | "counts" | "stop") => {
  if (message === "counts") {
    const { user, system } = process.cpuUsage();
    return tell({
      counts: {
        ...(side?.counts() ?? { sent: 0, bids: 0 }),
        cpuMs: (user + system) / 1_000,
      },
    });
  }
  if (message === "stop") {
    return void side?.close().finally(() => process.exit(0));
  }
  const order = message;
  (order.side === "floor" ? floorHost : productHost)(order).then(
    (made) => {
      side = made;
      tell({ ready: true });
    },
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
