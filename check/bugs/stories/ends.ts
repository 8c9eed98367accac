// Tasks that are canceled, and tasks whose time runs out.
import { gate, type Stage } from "../stage.ts";

export async function cancels(stage: Stage): Promise<void> {
  const hold = gate();
  await stage.worker("ca-a", "cancels", async (run) => {
    await Promise.race([
      hold.promise,
      new Promise((resolve) => run.signal.addEventListener("abort", resolve, { once: true })),
    ]);
    return { output: "too late" };
  });
  const running = await stage.submit("cancels");
  const waiting = await stage.submit("cancels-nobody");
  await stage.saw((e) => e.op === "start" && e.task === `${running.owner}.${running.task}`);
  await Promise.all([
    Promise.race([running.cancel("no longer needed"), stage.pause(3_000)]),
    Promise.race([waiting.cancel("no longer needed"), stage.pause(3_000)]),
  ]);
  hold.open();
}

/** One that nobody can do, one that is too slow. Both have to end when they should. */
export async function expiry(stage: Stage): Promise<void> {
  const hold = gate();
  await stage.worker("ex-slow", "expiry", async () => {
    await hold.promise;
    return { output: "too late" };
  });
  const trackers = await Promise.all([
    stage.submit("expiry-nobody", { timeoutMs: 700 }),
    stage.submit("expiry", { timeoutMs: 900 }),
  ]);
  await stage.until(() => trackers.every((t) => t.state === "expired"), 5_500);
  hold.open();
}
