// The initiator dies at every point of a task's life; the next one carries on from the records.
import { gate, type Stage } from "../stage.ts";

/** Each sets the scene under the first initiator and gives what is left to do after its death. */
export async function adoptions(stage: Stage): Promise<void> {
  const acts = await Promise.all([
    unawarded(stage),
    underWay(stage, "ad-alive"),
    endedUnseen(stage),
    bothDead(stage),
    failedBefore(stage),
  ]);
  const { ina } = stage;
  await stage.player("inb", "initiator");
  await stage.fault("kill", ina, () => ina.kill());
  await Promise.all(acts.map((act) => act()));
}

type Act = () => Promise<void>;

async function started(stage: Stage, capability: string, options = {}) {
  const tracker = await stage.submit(capability, options);
  const task = `${tracker.owner}.${tracker.task}`;
  await stage.saw((e) => e.op === "start" && e.task === task);
  return { tracker, task };
}

async function unawarded(stage: Stage): Promise<Act> {
  const tracker = await stage.submit("ad-early");
  await stage.saw((e) => e.op === "cfp" && e.task === `${tracker.owner}.${tracker.task}`);
  const late = await stage.player("ad-early-a", "contractor", ["ad-early"]);
  return async () => {
    late.host("ad-early", 1, async () => ({ output: 1 }));
    await stage.until(() => tracker.state === "completed", 7_000);
  };
}

async function underWay(stage: Stage, capability: string): Promise<Act> {
  const hold = gate();
  const work = async () => {
    await hold.promise;
    return { output: 1 };
  };
  await stage.worker(`${capability}-a`, capability, work);
  await stage.worker(`${capability}-b`, capability, work);
  const { tracker, task } = await started(stage, capability);
  return async () => {
    await stage.saw((e) => e.op === "adopt" && e.task === task, 6_000);
    await stage.pause(800);
    hold.open();
    await stage.until(() => tracker.state === "completed");
  };
}

/** The result is stored when nobody is there to hear of it. */
async function endedUnseen(stage: Stage): Promise<Act> {
  const hold = gate();
  await stage.worker("ad-done-a", "ad-done", async (run) => {
    await hold.promise;
    return { output: run.epoch };
  });
  const { tracker, task } = await started(stage, "ad-done");
  return async () => {
    hold.open();
    await stage.until(() => tracker.state === "completed");
    await stage.saw((e) => e.op === "adopt" && e.task === task, 6_000);
    await stage.pause(500);
  };
}

/** Contractor and initiator are gone; only the records know that there was a contract. */
async function bothDead(stage: Stage): Promise<Act> {
  const victim = await stage.worker("ad-dead-a", "ad-dead", () => new Promise(() => undefined));
  const { tracker } = await started(stage, "ad-dead");
  await stage.worker("ad-dead-b", "ad-dead", () => ({ output: 1 }));
  return async () => {
    await stage.fault("kill", victim, () => victim.kill());
    await stage.until(() => tracker.state === "completed", 8_000);
  };
}

/** It dies while it waits to try again. */
async function failedBefore(stage: Stage): Promise<Act> {
  await stage.worker("ad-failed-a", "ad-failed", (run) => {
    if (run.epoch > 1) return { output: run.epoch };
    throw new Error("as planned");
  });
  const { tracker, task } = await started(stage, "ad-failed", { retry: { backoffMs: 2_500 } });
  await stage.saw((e) => e.op === "failure" && e.k === "ok" && e.task === task);
  return async () => {
    await stage.until(() => tracker.state === "completed", 10_000);
  };
}
