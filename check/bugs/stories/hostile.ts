// Insiders: they have credentials and a contractor's rights, and write what they have no right to.
import {
  directedSubject,
  type EmbeddedAward,
  FENCE_HEADER,
  GUARD_HEADER,
  NOBODY,
  NONCE_HEADER,
  type RecordKey,
  recordSubject,
  SIGNATURE_HEADER,
  taskGuard,
} from "../../../contracts/index.ts";
import { jsonBytes, msgpackBytes } from "../../../mesh/runtime/codec/encode-own.ts";
import { preimage, sealText } from "../../../mesh/runtime/signing.ts";
import { gate, kindOf, type Player, type Stage } from "../stage.ts";

/** Stores a record that its author signs properly and has no right to. Held to no revision. */
function forge(author: Player, key: Omit<RecordKey, "fromPrincipal" | "fromAgent">, body: object) {
  const whole = { ...key, fromPrincipal: author.name, fromAgent: "w" };
  const subject = recordSubject(whole);
  const bytes = jsonBytes(body);
  const at = Date.now();
  const id = `forged-${author.name}-${key.task}-${key.kind}`;
  const signature = author.signer.sign(preimage(subject, -1, at, id, bytes));
  author.say(subject, bytes, {
    headers: { [SIGNATURE_HEADER]: sealText(at, signature), [NONCE_HEADER]: id },
  });
}

function outcomeBody(task: string, epoch: number, award?: EmbeddedAward): object {
  return {
    v: 1,
    kind: "outcome",
    task,
    epoch,
    state: "completed",
    output: "forged",
    attempts: epoch,
    endedAt: Date.now(),
    prev: "",
    ...(award === undefined ? {} : { award }),
  };
}

/** Puts a result, a cancel and a claim under tasks of others. All of them have to end well. */
export async function hostile(stage: Stage): Promise<void> {
  const mallory = await stage.player("mallory", "contractor", ["nothing"], { insider: true });
  mallory.host("nothing", 1, async () => ({ output: 0 }));
  await stage.known("nothing", "mallory");
  const deeds: Record<string, (owner: string, task: string) => void> = {
    "forged-outcome": (owner, task) => {
      const key = { owner, task, kind: "outcome", n: "1", toPrincipal: "ina", toAgent: "main" };
      forge(mallory, key as RecordKey, outcomeBody(task, 1));
    },
    "forged-cancel": (owner, task) => {
      const key = { owner, task, kind: "cancel", n: "0-9", toPrincipal: NOBODY, toAgent: NOBODY };
      const body = { v: 1, kind: "cancel", task, reason: "because", at: Date.now(), prev: "" };
      forge(mallory, key as RecordKey, body);
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
  const { terms, claim } = ownAward(stage, mallory, tracker);
  const to = { toPrincipal: "ina", toAgent: "main" };
  const place = { owner, task, n: "1", ...to };
  const headers = (fence: number) => ({
    [FENCE_HEADER]: String(fence),
    [GUARD_HEADER]: taskGuard(owner, task),
  });
  const store = (kind: "contract" | "outcome", fence: number, body: object) => {
    const key = { ...place, kind, fromPrincipal: mallory.name, fromAgent: "w" };
    const subject = recordSubject(key);
    const bytes = jsonBytes(body);
    const at = Date.now();
    const id = `forged-${task}-${kind}`;
    const sig = mallory.signer.sign(preimage(subject, fence, at, id, bytes));
    mallory.say(subject, bytes, {
      headers: { ...headers(fence), [SIGNATURE_HEADER]: sealText(at, sig), [NONCE_HEADER]: id },
    });
  };
  store("contract", terms.rev, claim);
  await stage.pause(150);
  const award = (claim as { award: EmbeddedAward }).award;
  forge(mallory, { ...place, kind: "outcome" }, outcomeBody(task, 1, award));
  await stage.pause(150);
  await stage.worker("claim-honest", "forged-claim", () => ({ output: "honest" }));
  await stage.until(() => tracker.state === "completed");
}

function ownAward(
  stage: Stage,
  mallory: Player,
  tracker: { owner: string; task: string; rev: number },
) {
  const at = Date.now();
  const terms = {
    v: 1,
    kind: "award",
    task: tracker.task,
    owner: tracker.owner,
    submitter: stage.sue.open.peer.address,
    capability: "forged-claim",
    epoch: 1,
    attempt: 1,
    rev: tracker.rev,
    prev: "",
    live: false,
    cfp: "c0",
    spec: "",
    initiator: "ina.main",
    contractor: `${mallory.name}.w`,
    rung: "all",
    policy: { name: "cheapest", hash: "", seed: 0, band: 0.02, leftMs: 1_000 },
    bids: [],
    refusals: 0,
    deadline: at + 60_000,
    leaseMs: 15_000,
    at,
    nonce: `own-${tracker.task}`,
  };
  const bytes = msgpackBytes(terms);
  const subject = directedSubject("award", terms.contractor, terms.initiator);
  const sig = mallory.signer.sign(preimage(subject, terms.rev, at, terms.nonce, bytes));
  const award: EmbeddedAward = {
    terms: Buffer.from(bytes).toString("base64url"),
    sig: Buffer.from(sig).toString("base64url"),
  };
  const claim = {
    v: 1,
    kind: "contract",
    task: tracker.task,
    epoch: 1,
    attempt: 1,
    capability: "forged-claim",
    contractor: terms.contractor,
    initiator: terms.initiator,
    leaseMs: 15_000,
    award,
    prev: "",
    at,
  };
  return { terms, claim };
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
    forge(ex, key as RecordKey, outcomeBody(task, 1, award));
    await stage.pause(200);
    ex.freeze();
  });
  fresh.open();
  await stage.until(() => tracker.state === "completed");
}
