// Bids of who may not hear the call: however it came to know of it, it gets no award.
import { expect, test } from "vitest";
import { CfpSchema } from "../../contracts/index.ts";
import { systemRandom } from "../../mesh/nats/system.ts";
import { cfpTokens } from "../../mesh/runtime/cfp-tokens.ts";
import { makeBid } from "../support/core.ts";
import { Tap } from "../support/tap.ts";
import { msgpack, service, until, useWire } from "./fixture.ts";

const wire = useWire();

test("P5.11: who knows some calls cannot tell what the next ones are named", () => {
  const next = cfpTokens(systemRandom());
  const names = Array.from({ length: 1_000 }, () => next());
  expect(new Set(names.map((name) => name.slice(0, 6))).size).toBeGreaterThan(990);
  for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_-]{12}$/);
});

test("P5.11: a bid for what its principal was not granted is refused and counted", async () => {
  const ina = await wire.peer("bidina", "agent", [], { use: { contractor: false } });
  // Offers it and never answers, so that there is a call.
  const mute = await wire.stranger("bidmute", "contractor", ["bidrule"]);
  await mute.announce("main", { capabilities: [{ name: "bidrule", version: "1.0.0" }] });
  mute.answerWho("main");
  const mal = await wire.stranger("bidmal", "contractor", ["bidecho"]);
  await mal.announce("main", { capabilities: [{ name: "bidecho", version: "1.0.0" }] });
  mal.answerWho("main");
  const awards = new Tap(mal, "mesh.award.bidmal.>");
  const calls = new Tap(await wire.stranger("bidtap", "observer"), "mesh.cfp.bidrule.>");
  await Promise.all([awards.ready(), calls.ready()]);
  await until(() => ina.peer.registry.card("bidmal.main") !== undefined, "the card");
  const handle = await ina.peer.submitters.submit("bidrule", { secret: 42 }, {});
  const call = await calls.until(() => true, "a call");
  const { cfp } = CfpSchema.parse(call.decoded());
  mal.publish(`mesh.bid.bidina.main.${cfp}.bidmal.main`, msgpack(makeBid()));
  await until(() => ina.peer.counters.get("refused.bid.E_AUTHORITY") === 1, "the refusal");
  const wes = await wire.peer("bidwes", "contractor", ["bidrule"]);
  wes.peer.host({
    name: "main",
    slots: 1,
    services: [service("bidrule", async (run) => ({ output: run.input }))],
  });
  expect(await handle.result()).toEqual({ secret: 42 });
  expect(awards.seen).toEqual([]);
}, 20_000);
