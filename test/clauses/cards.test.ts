// Clauses 4: cards and identity.
import { describe, expect, test } from "vitest";
import { AgentCardSchema, CARD_TTL_S } from "../../contracts/index.ts";
import type { CardChange } from "../../mesh/runtime/registry.ts";
import { useClauses } from "../support/clauses.ts";
import { publishVerdict } from "../support/permissions.ts";
import { Tap } from "../support/tap.ts";
import { headersOf, json, type Stranger, service, until } from "../wire/fixture.ts";

const wire = useClauses();
const echo = (name: string) => service(name, async (run) => ({ output: run.input }));

async function tapOf(name: string, ...patterns: string[]): Promise<Tap> {
  const tap = new Tap(await wire.stranger(name, "observer"), ...patterns);
  await tap.ready();
  return tap;
}

describe("cards", () => {
  test("P4.1: a signed card appears in the bucket, with an end, and on mesh.card", async () => {
    const tap = await tapOf("p41tap", "mesh.card.>", "mesh.reg.>");
    const a = await wire.peer("p41a", "agent", ["sum"]);
    a.peer.host({ name: "w", slots: 2, services: [echo("sum")] });
    const notice = await tap.until((m) => m.subject === "mesh.card.p41a.w");
    expect(AgentCardSchema.parse(JSON.parse(Buffer.from(notice.data).toString()))).toMatchObject({
      principal: "p41a",
      agent: "w",
      slots: 2,
      capabilities: [{ name: "sum", version: "1.0.0" }],
    });
    expect(notice.header("Mesh-Sig")).toMatch(/^\d+\.[A-Za-z0-9_-]{86}$/);
    const registered = await tap.until((m) => m.subject === "mesh.reg.p41a.w");
    expect(registered.header("Nats-TTL")).toBe(`${CARD_TTL_S}s`);
    const stored = await tap.stranger.request(
      "$JS.API.DIRECT.GET.KV_mesh_agents.$KV.mesh_agents.p41a.w",
      "",
    );
    expect(stored.data).toEqual(notice.data);
  });

  test("P4.2: an agent that leaves takes its card back, and others see it", async () => {
    const seer = await wire.peer("p42s", "agent");
    const changes: CardChange[] = [];
    seer.peer.registry.onChange((change) => changes.push(change));
    const a = await wire.peer("p42a", "agent", ["sum"]);
    a.peer.host({ name: "w", slots: 1, services: [echo("sum")] });
    await wire.known("sum", 1);
    await a.close(0);
    await until(() => changes.some((c) => c.change === "left" && c.agent === "w"), "the leave");
    expect(seer.peer.registry.find("sum")).toEqual([]);
  });

  test("P4.2: a card that is not renewed expires, and others see it", async () => {
    const seer = await wire.peer("p42t", "agent");
    const changes: CardChange[] = [];
    seer.peer.registry.onChange((change) => changes.push(change));
    const dying = await wire.peer("p42d", "agent", ["sum"], { cardTtlS: 1 });
    dying.peer.host({ name: "w", slots: 1, services: [echo("sum")] });
    await until(() => changes.some((c) => c.principal === "p42d" && c.agent === "w"), "the card");
    // As if its process had been killed: no farewell.
    await dying.transport.connection.close();
    await until(() => changes.some((c) => c.change === "expired" && c.agent === "w"), "its expiry");
    expect(seer.peer.registry.card("p42d.w")).toBeUndefined();
  });

  test("P4.3: the card is kept for proofs after its agent has gone", async () => {
    const a = await wire.peer("p43a", "agent", ["sum"]);
    a.peer.host({ name: "w", slots: 1, services: [echo("sum")] });
    await wire.known("sum", 1);
    await a.close(0);
    const reader = await wire.stranger("p43r", "observer");
    const kept = await reader.request("$JS.API.DIRECT.GET.mesh_keys.mesh.key.p43a.w", "");
    expect(AgentCardSchema.parse(kept.json())).toMatchObject({ principal: "p43a", agent: "w" });
    const gone = await reader.request(
      "$JS.API.DIRECT.GET.KV_mesh_agents.$KV.mesh_agents.p43a.w",
      "",
    );
    expect(gone.data.length).toBe(0);
  });

  test("P4.4: an agent answers who it is", async () => {
    const a = await wire.peer("p44a", "agent", ["sum"]);
    a.peer.host({ name: "w", slots: 1, services: [echo("sum")] });
    const asker = await wire.stranger("p44s", "submitter");
    for (const agent of ["main", "w"]) {
      const answer = await asker.request(`mesh.who.p44a.${agent}`, "");
      expect(answer.json()).toMatchObject({ kind: "card", principal: "p44a", agent });
      expect(answer.headers?.get("Mesh-Sig")).toMatch(/^\d+\.[A-Za-z0-9_-]{86}$/);
    }
  });

  test("P4.5: nobody but the server writes the bucket of agents", async () => {
    for (const role of ["contractor", "initiator", "submitter", "observer", "agent"] as const) {
      const { nc } = await wire.stranger(`p45${role}`, role, ["sum"]);
      const verdict = await publishVerdict(nc, `$KV.mesh_agents.p45${role}.w`);
      expect([role, verdict]).toEqual([role, "refused"]);
    }
  });
});

describe("which cards count", () => {
  const refused = "refused.card";

  /** Announces something in the stranger's name and says whether it was taken or refused. */
  async function verdict(
    who: Stranger,
    agent: string,
    body: Uint8Array,
    seal: string,
  ): Promise<"taken" | "refused"> {
    const seer = await wire.peer(`${who.name}-${agent}`, "agent");
    const { registry } = seer.peer;
    const before = seer.peer.counters.get(refused);
    who.nc.publish(`mesh.reg.${who.name}.${agent}`, body, {
      headers: headersOf({ "Mesh-Sig": seal }),
    });
    const taken = (): boolean => registry.card(`${who.name}.${agent}`) !== undefined;
    await until(() => taken() || seer.peer.counters.get(refused) > before, "a verdict");
    return taken() ? "taken" : "refused";
  }

  test("P4.6: a sound card is taken", async () => {
    const who = await wire.stranger("p46a", "contractor", ["sum"]);
    const { body, seal } = who.card("w", { capabilities: [{ name: "sum", version: "1.0.0" }] });
    expect(await verdict(who, "w", body, seal)).toBe("taken");
  });

  test("P4.6: a capability not granted, a foreign key, a foreign JWT: refused", async () => {
    const who = await wire.stranger("p46b", "contractor", ["sum"]);
    const eve = await wire.stranger("p46e", "contractor", ["ocr"]);
    const cases = {
      more: who.card("more", { capabilities: [{ name: "ocr", version: "1.0.0" }] }),
      key: who.card("key", {}, eve.key),
      jwt: who.card("jwt", { jwt: eve.creds.jwt }),
      none: { ...who.card("none"), seal: `${Date.now()}.` },
      name: who.card("name", { principal: "p46e" }),
    };
    for (const [agent, { body, seal }] of Object.entries(cases)) {
      expect([agent, await verdict(who, agent, body, seal)]).toEqual([agent, "refused"]);
    }
    const { card, seal } = who.card("changed");
    expect(await verdict(who, "changed", json({ ...card, slots: 99 }), seal)).toBe("refused");
  });

  test("P4.7: an older card does not replace a newer one", async () => {
    const who = await wire.stranger("p47a", "contractor", ["sum"]);
    const seer = await wire.peer("p47s", "agent");
    const now = Date.now();
    const older = who.card("w", { at: now - 60_000, slots: 1 });
    const newer = who.card("w", { at: now, slots: 2 });
    const publish = ({ body, seal }: typeof older) =>
      who.request("mesh.reg.p47a.w", body, { "Mesh-Sig": seal });
    await publish(newer);
    await until(() => seer.peer.registry.card("p47a.w") !== undefined, "the newer card");
    await publish(older);
    await until(() => seer.peer.counters.get("refused.card.older") === 1, "the refusal");
    expect(seer.peer.registry.card("p47a.w")?.slots).toBe(2);
    // Its clock was an hour ahead, and has been set.
    await publish(who.card("w", { at: now + 3_600_000, slots: 3 }));
    await until(() => seer.peer.registry.card("p47a.w")?.slots === 3, "the card of tomorrow");
    await publish(who.card("w", { at: now + 1, slots: 4 }));
    await until(() => seer.peer.registry.card("p47a.w")?.slots === 4, "the card of today");
  });
});

test("P4.8: every agent answers as a NATS micro service", async () => {
  const a = await wire.peer("p48a", "agent", ["sum"]);
  a.peer.host({ name: "p48w", slots: 3, services: [echo("sum")] });
  const asker = await wire.stranger("p48s", "observer");
  const ask = async (verb: string) =>
    (await asker.request(`$SRV.${verb}.p48w`, "")).json<Record<string, unknown>>();
  expect(await ask("PING")).toMatchObject({
    type: "io.nats.micro.v1.ping_response",
    name: "p48w",
    id: "p48a-p48w",
  });
  expect(await ask("INFO")).toMatchObject({
    type: "io.nats.micro.v1.info_response",
    endpoints: [{ name: "sum" }],
    metadata: { address: "p48a.p48w", capabilities: "sum@1.0.0" },
  });
  expect(await ask("STATS")).toMatchObject({
    type: "io.nats.micro.v1.stats_response",
    endpoints: [{ name: "sum", num_requests: 0, num_errors: 0 }],
  });
});
