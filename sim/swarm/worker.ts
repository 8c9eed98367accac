// A process of the swarm: plays the seeds that it is sent, one at a time.
import type { Played, Shrunk } from "./play.ts";
import { playSeed, shrink } from "./play.ts";

export interface Order {
  seed: number;
  shrink: boolean;
}
export interface Answer {
  played: Played;
  shrunk?: Shrunk;
}

process.on("message", (order: Order) => {
  void answer(order).then((a) => process.send?.(a));
});
process.on("disconnect", () => process.exit(0));
// A terminal tells all its processes; the seed under way is played to its end.
process.on("SIGINT", () => undefined);

async function answer(order: Order): Promise<Answer> {
  const played = await playSeed(order.seed);
  if (played.wrong === undefined || !order.shrink) return { played };
  return { played, shrunk: await shrink(order.seed, played.wrong) };
}
