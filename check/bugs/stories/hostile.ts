// Insiders: they have credentials and a contractor's rights, and write what they have no right to.
import {
  directedSubject,
  type EmbeddedAward,
  NOBODY,
  type RecordKey,
} from "../../../contracts/index.ts";
import { msgpackBytes } from "../../../mesh/runtime/codec/encode-own.ts";
import { cancelBody, forgeRecord, outcomeBody, ownClaim } from "../forgery.ts";
import { gate, kindOf, type Player, type Stage } from "../stage.ts";

/** Stores a record that its author signs properly and has no right to. */
function forge(player: Player, place: Place, body: object, fence?: number) {
  const author = { name: player.name, agent: "w", signer: player.signer };
  const { subject, bytes, headers } = forgeRecord(author, place, body, Date.now(), fence);
  player.say(subject, bytes, { headers });
}

type Place = Omit<RecordKey, "fromPrincipal" | "fromAgent">;

/** Puts a result, a cancel and a claim under tasks of others. All of them have to end well. */
export async function hostile(stage: Stage): Promise<void> {
  const mallory = await stage.player("mallory", "contractor", ["nothing"], { insider: true });
  mallory.host("nothing", 1, async () => ({ output: 0 }));
  await stage.known("nothing", "mallory");
  const deeds: Record<string, (owner: string, task: string) => void> = {
    "forged-outcome": (owner, task) => {
      const key = { owner, task, kind: "outcome", n: "1", toPrincipal: "ina", toAgent: "main" };
      forge(mallory, key as Place, outcomeBody(task, 1, Date.now()));
    },
    "forged-cancel": (owner, task) => {
      const key = { owner, task, kind: "cancel", n: "0-9", toPrincipal: NOBODY, toAgent: NOBODY };
      forge(mallory, key as Place, cancelBody(task, Date.now()));
    },
  };
  await Promise.all(
    Object.entries(deeds).map(async ([capability, deed]) => {
      const hold = gate();
      await stage.worker(`victim-${capability}`, capability, async (run) => {
        if (run.epoch === 1) await hold.promise;
        return { output: "honest" };
      });
      const tracker = await stage.submit(capability);
      const { owner, task } = tracker;
      await stage.saw((e) => e.op === "start" && e.task === `${owner}.${task}`);
      deed(owner, task);
      await stage.pause(150);
      hold.open();
      await stage.until(() => tracker.state === "completed");
    }),
  );
  await forgedClaim(stage, mallory);
}

/** An award that the insider wrote himself, under the name of the initiator. */
async function forgedClaim(stage: Stage, mallory: Player): Promise<void> {
  const tracker = await stage.submit("forged-claim");
  const { owner, task } = tracker;
  await stage.saw((e) => e.op === "cfp" && e.task === `${owner}.${task}`);
  const { rev } = tracker;
  const author = { name: mallory.name, agent: "w", signer: mallory.signer };
  const { claim, award } = ownClaim(author, {
    owner,
    task,
    submitter: stage.sue.open.peer.address,
    capability: "forged-claim",
    initiator: "ina.main",
    rev,
    at: Date.now(),
  });
  const place = { owner, task, n: "1", toPrincipal: "ina", toAgent: "main" };
  forge(mallory, { ...place, kind: "contract" }, claim, rev);
  await stage.pause(150);
  forge(mallory, { ...place, kind: "outcome" }, outcomeBody(task, 1, Date.now(), award));
  await stage.pause(150);
  await stage.worker("claim-honest", "forged-claim", () => ({ output: "honest" }));
  await stage.until(() => tracker.state === "completed");
}

/** Claims as one should, and then says that it is done without having done anything. */
export async function liar(stage: Stage): Promise<void> {
  const hold = gate();
  const liar = await stage.worker(
    "liar",
    "lies",
    async () => {
      await hold.promise;
      return { output: 0 };
    },
    { cost: 0, insider: true },
  );
  const tracker = await stage.submit("lies");
  const { owner, task } = tracker;
  const start = await stage.saw((e) => e.op === "start" && e.task === `${owner}.${task}`);
  await stage.fault("freeze", liar, async () => {
    const done = { v: 1, kind: "done", owner, task, epoch: 1, state: "completed" };
    const subject = directedSubject("msg", "ina.main", "liar.w");
    liar.say(subject, msgpackBytes({ ...done, rev: (start?.rev ?? 0) + 1 }));
    liar.freeze();
    await stage.worker("lies-honest", "lies", () => ({ output: 1 }), { cost: 9 });
    await stage.until(() => tracker.state === "completed", 6_000);
  });
}

/** A contractor that was replaced stores its result all the same, with its true, old award. */
export async function exCommit(stage: Stage): Promise<void> {
  const hold = gate();
  const fresh = gate();
  const work = async () => {
    await hold.promise;
    return { output: 0 };
  };
  const ex = await stage.worker("ex", "ex-commit", work, { insider: true });
  let award: EmbeddedAward | undefined;
  ex.fate = (subject, _options, data) => {
    if (kindOf(subject) === "contract") award = JSON.parse(Buffer.from(data).toString()).award;
    return "pass";
  };
  const tracker = await stage.submit("ex-commit");
  const { owner, task } = tracker;
  await stage.saw((e) => e.op === "start" && e.task === `${owner}.${task}`);
  await stage.fault("freeze", ex, async () => {
    ex.freeze();
    await stage.worker("ex-next", "ex-commit", async (run) => {
      if (run.epoch === 2) await fresh.promise;
      return { output: 1 };
    });
    await stage.saw((e) => e.op === "start" && e.task === `${owner}.${task}` && e.e === 2);
    ex.fate = () => "pass";
    const key = { owner, task, kind: "outcome", n: "1", toPrincipal: "ina", toAgent: "main" };
    forge(ex, key as Place, outcomeBody(task, 1, Date.now(), award));
    await stage.pause(200);
    ex.freeze();
  });
  fresh.open();
  await stage.until(() => tracker.state === "completed");
}
