// A policy of one's own: code that scores the bids of a call, lower is better. This one keeps work
// near its data and asks elsewhere only when that saves more than 50 ms.
import { defineCapability, join, type Policy } from "parley-mesh";
import { z } from "zod";

const resize = defineCapability({
  name: "resize",
  input: z.object({ image: z.string(), width: z.int().min(1) }),
  output: z.object({ image: z.string(), by: z.string() }),
});

const awayPenaltyMs = 50;
const nearby = new Set<string>();
const nearFirst: Policy = (bids) =>
  bids.map(
    (bid) => bid.bid.startMs + bid.believed.durationMs + (nearby.has(bid.from) ? 0 : awayPenaltyMs),
  );

const caller = await join({ name: "gallery", policies: { "near-first": nearFirst } });
const workers = await Promise.all(
  ["eu", "us"].map(async (region) => {
    const worker = await join({ name: `resizer-${region}`, attributes: { region } });
    await worker.serve(
      resize,
      ({ image, width }) => ({ image: `${image}?w=${width}`, by: region }),
      {
        // The one far away is the faster.
        bid: (_, usual) => ({ ...usual, durationMs: region === "eu" ? 20 : 5 }),
      },
    );
    return worker;
  }),
);

// Cards tell where an agent is; the registry has them soon after it has joined.
while (nearby.size < 1 || (await caller.agents({ capability: resize })).length < 2) {
  for (const card of await caller.agents({ capability: resize, requires: { region: "eu" } })) {
    nearby.add(`${card.principal}.${card.agent}`);
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
}

for (const policy of ["fastest", "near-first"]) {
  const { by } = await caller.call(resize, { image: "cat.png", width: 64 }, { award: { policy } });
  console.log(`${policy}: ${by}`);
}
await Promise.all([caller, ...workers].map((mesh) => mesh.drain()));
