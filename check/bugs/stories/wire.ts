// The network's own faults: acks that are lost, messages that come twice or again.
import type { PublishOptions } from "../../../mesh/ports/index.ts";
import { isRecord, kindOf, type Player, type Stage } from "../stage.ts";

const ID = "Nats-Msg-Id";

/** Loses the ack of the first try of every record, or the first try itself. */
function forgetful(player: Player, fate: "unanswered" | "drop", only?: string): void {
  const tried = new Set<string>();
  player.fate = (subject, options?: PublishOptions) => {
    if (!isRecord(subject) || (only !== undefined && kindOf(subject) !== only)) return "pass";
    // By place, not by id: a repeat under a new id is a repeat all the same.
    const name = options?.headers?.[ID] === undefined ? "" : subject;
    if (tried.has(name)) return "pass";
    tried.add(name);
    return fate;
  };
}

export async function lostAcks(stage: Stage): Promise<void> {
  const work = () => ({ output: "done" });
  const [one, two] = await Promise.all([
    stage.worker("la-one", "lost-claim", work),
    stage.worker("la-two", "lost-outcome", work),
    stage.worker("la-three", "lost-request", work).then((p) => forgetful(p, "drop", "outcome")),
    stage.worker("la-four", "doubled", work).then((p) => {
      p.fate = (subject) => (isRecord(subject) ? "twice" : "pass");
    }),
  ]);
  forgetful(one, "unanswered", "contract");
  forgetful(two, "unanswered", "outcome");
  const trackers = await Promise.all(
    ["lost-claim", "lost-outcome", "lost-request", "doubled"].map((c) => stage.submit(c)),
  );
  await stage.until(() => trackers.every((t) => t.state === "completed"), 6_000);
  await stage.until(() => one.open.ledger.pending + two.open.ledger.pending === 0, 4_000);
}

/** Every award comes twice, and once more while its task runs, and once more when it is over. */
export async function replay(stage: Stage): Promise<void> {
  const awards: [string, Uint8Array][] = [];
  const { ina } = stage;
  const before = ina.fate;
  ina.fate = (subject, options, data) => {
    if (!subject.startsWith("mesh.award.rp-")) return before(subject, options, data);
    awards.push([subject, data]);
    return "twice";
  };
  const again = () => {
    for (const [subject, data] of awards.splice(0)) ina.say(subject, data);
  };
  await stage.worker("rp-a", "replay", async () => {
    await stage.pause(150);
    return { output: 1 };
  });
  const trackers = await Promise.all([1, 2, 3].map(() => stage.submit("replay")));
  await stage.until(() => awards.length >= 3);
  const kept = [...awards];
  again();
  await stage.until(() => trackers.every((t) => t.state === "completed"));
  ina.fate = before;
  for (const [subject, data] of kept) ina.say(subject, data);
  await stage.pause(200);
  // A last word of the initiator: what is missing before it was never said.
  const last = await stage.submit("replay");
  await stage.until(() => last.state === "completed");
}
