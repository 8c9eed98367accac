// Ordinary work, and handlers that fail.
import { gate, type Stage } from "../stage.ts";

/** Several agents at different prices, one that never bids, one that somebody excludes. */
export async function plain(stage: Stage): Promise<void> {
  const work = async () => {
    await stage.pause(40);
    return { output: "done" };
  };
  const [, , shunned] = await Promise.all([
    stage.worker("pl-cheap", "plain", work, { slots: 2, cost: 1 }),
    stage.worker("pl-dear", "plain", work, { slots: 2, cost: 5 }),
    stage.worker("pl-shunned", "plain", work, { slots: 2, cost: 0.5 }),
    stage.worker("pl-picky", "plain", work, { slots: 40, cost: 0.1, bids: false }),
  ]);
  const exclude = [`${shunned.name}.w`];
  const one = async (n: number) => {
    const tracker = await stage.submit("plain", n % 2 === 0 ? { exclude } : {}, { n });
    await stage.until(() => tracker.state === "completed", 1_500);
  };
  for (let round = 0; round < 4; round++) await one(round);
  await Promise.all(Array.from({ length: 16 }, (_, n) => one(n)));
}

/** An agent with one slot, which is at work while a second task looks for somebody. */
export async function crowd(stage: Stage): Promise<void> {
  const release = gate();
  let started = 0;
  const work = async () => {
    started++;
    await release.promise;
    return { output: "done" };
  };
  await stage.worker("cr-a", "crowd", work, { slots: 1 });
  const first = await stage.submit("crowd");
  await stage.until(() => started === 1);
  const second = await stage.submit("crowd");
  // Time for what must not be: the only agent takes the second as well.
  await stage.until(() => started > 1, 3_000);
  release.open();
  await stage.until(() => first.state === "completed" && second.state === "completed");
}

export async function retries(stage: Stage): Promise<void> {
  await stage.worker("re-a", "fragile", (run) => {
    const { fails, final } = run.input as { fails: number; final?: boolean };
    if (run.attempt > fails) return { output: run.attempt };
    throw Object.assign(new Error("as planned"), final === true ? { retry: false } : {});
  });
  const trackers = await Promise.all([
    stage.submit("fragile", { retry: { attempts: 3 } }, { fails: 2 }),
    stage.submit("fragile", { retry: { attempts: 2 } }, { fails: 9 }),
    stage.submit("fragile", {}, { fails: 9, final: true }),
  ]);
  await stage.until(() => trackers.every((t) => ["completed", "failed"].includes(t.state)));
}
