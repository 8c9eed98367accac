// What a contractor answers to a live call and is no outcome of it has failed: the call goes on.
import { expect, test } from "vitest";
import { CfpSchema } from "../../contracts/index.ts";
import { openTerms } from "../../mesh/runtime/awards.ts";
import { makeBid } from "../support/core.ts";
import { heard } from "../support/tap.ts";
import { json, msgpack, useWire } from "./fixture.ts";

const wire = useWire();
const outcome = {
  v: 1,
  kind: "outcome",
  epoch: 1,
  state: "completed",
  attempts: 1,
  endedAt: 1,
  prev: "",
};

test.each([
  ["junk", () => Buffer.from("junk")],
  ["another", () => json({ ...outcome, task: "other" })],
  ["epoch", (task: string) => json({ ...outcome, task, epoch: 7 })],
  ["failed", (task: string) => json({ ...outcome, task, state: "failed" })],
])(
  "P12.2: %s",
  async (name, answer) => {
    const capability = `live-${name}`;
    const con = await wire.stranger(`liv${name}c`, "contractor", [capability]);
    con.answerWho("main");
    await con.announce("main", { capabilities: [{ name: capability, version: "1.0.0" }] });
    const caller = `liv${name}s.main`;
    const me = `liv${name}c.main`;
    con.nc.subscribe(`mesh.cfp.${capability}.>`, {
      callback: (_, m) => {
        const { cfp } = CfpSchema.parse(heard(m).decoded());
        con.publish(`mesh.bid.${caller}.${cfp}.${me}`, msgpack(makeBid()));
      },
    });
    let answered = 0;
    con.nc.subscribe(`mesh.award.${me}.>`, {
      callback: (_, m) => {
        const { terms } = heard(m).decoded<{ terms: Uint8Array }>();
        const { owner, task, epoch } = openTerms(terms) ?? {};
        const body = answer(String(task));
        const live = { v: 1, kind: "live", owner, task, epoch, outcome: body };
        con.publish(`mesh.msg.${caller}.${me}`, msgpack(live));
        answered++;
      },
    });
    await con.nc.flush();
    const sue = await wire.peer(`liv${name}s`, "submitter");
    const call = await sue.peer.submitters.call(capability, 5, { retry: { backoffMs: 1 } });
    const end = { state: "failed", attempts: 3, failure: { code: "E_OUTPUT" } };
    expect(await call.outcome()).toMatchObject(end);
    expect(answered).toBe(3);
  },
  20_000,
);
