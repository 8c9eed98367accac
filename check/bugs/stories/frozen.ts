// Contractors that stop, are replaced, and come back.
import { gate, kindOf, type Stage } from "../stage.ts";

/** Two that freeze under a contract: one has its result on the way, one is still at work. */
export async function frozen(stage: Stage): Promise<void> {
  await Promise.all([resumed(stage, "zw", true), resumed(stage, "zt", false)]);
}

async function resumed(stage: Stage, name: string, early: boolean): Promise<void> {
  const capability = `frozen-${name}`;
  const first = gate();
  const second = gate();
  const one = await stage.worker(`${name}-one`, capability, async () => {
    await first.promise;
    return { output: "stale" };
  });
  const tracker = await stage.submit(capability);
  const task = `${tracker.owner}.${tracker.task}`;
  await stage.saw((e) => e.op === "start" && e.task === task);
  await stage.fault("freeze", one, async () => {
    one.freeze();
    if (early) first.open();
    await stage.worker(`${name}-two`, capability, async () => {
      await second.promise;
      return { output: "fresh" };
    });
    await stage.saw((e) => e.op === "start" && e.task === task && e.who === `${name}-two.w`);
    one.thaw();
  });
  const told = (e: { op: string; task?: string; who?: string }) =>
    e.op === "fenced" && e.task === task && e.who === `${name}-one.w`;
  await stage.saw(told, 1_500);
  first.open();
  await stage.pause(100);
  second.open();
  await stage.until(() => tracker.state === "completed");
}

/** Its beats are lost, and it answers when asked: nobody may take its work away. */
export async function deaf(stage: Stage): Promise<void> {
  const hold = gate();
  const work = async () => {
    await hold.promise;
    return { output: 1 };
  };
  const one = await stage.worker("deaf-one", "deaf", work);
  const tracker = await stage.submit("deaf");
  const task = `${tracker.owner}.${tracker.task}`;
  await stage.saw((e) => e.op === "start" && e.task === task);
  one.fate = (subject) => (subject.startsWith("mesh.beat.") ? "drop" : "pass");
  await stage.worker("deaf-two", "deaf", work);
  await stage.pause(2_000);
  hold.open();
  await stage.until(() => tracker.state === "completed");
}

/** A claim that is so long on its way that the award has gone to the next one. */
export async function lateClaim(stage: Stage): Promise<void> {
  const hold = gate();
  const work = async () => {
    await hold.promise;
    return { output: 1 };
  };
  const slow = await stage.worker("late-slow", "late", work, { cost: 1 });
  await stage.worker("late-next", "late", work, { cost: 2 });
  slow.fate = (subject) => (kindOf(subject) === "contract" ? "hold" : "pass");
  const tracker = await stage.submit("late");
  const task = `${tracker.owner}.${tracker.task}`;
  await stage.saw((e) => e.op === "start" && e.task === task && e.who === "late-next.w");
  slow.thaw();
  await stage.saw((e) => e.op === "contract" && e.k === "fail" && e.task === task, 1_000);
  await stage.pause(50);
  hold.open();
  await stage.until(() => tracker.state === "completed");
}
