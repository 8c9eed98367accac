// Forged and replayed awards, bids and cards: refused, counted, and without effect.
import { beforeAll, describe, expect, test } from "vitest";
import type { AwardTerms } from "../../contracts/contract-net.ts";
import type { Spec } from "../../contracts/spec.ts";
import { publishVerdict } from "../support/permissions.ts";
import { con, ina, mal, type Open, olga, opened, sid, sue, wes, wire } from "./cast.ts";
import { awardOf, counted, json, type Stranger, termsOf, until } from "./fixture.ts";

describe("a forged award", () => {
  let open: Open;

  beforeAll(async () => {
    // For somebody who is not there, and nobody else: it stays open, and wes could do it.
    const tracker = await sue.peer.submitters.submit(
      "echo",
      { n: 1 },
      { to: "ghost.main", only: true, timeoutMs: 600_000 },
    );
    open = await opened(tracker.task);
  });

  interface Forgery {
    name: string;
    code: string;
    terms?: (t: AwardTerms) => Partial<AwardTerms>;
    spec?: (s: Spec) => Partial<Spec>;
    /** Are the terms made for the changed spec? */
    agreed?: boolean;
    from?: () => Stranger;
    agent?: string;
    signer?: () => Stranger | undefined;
    spoil?: true;
  }

  const forgeries: Forgery[] = [
    { name: "signed with another's key", code: "E_SIGNATURE", signer: () => con },
    { name: "not signed", code: "E_SIGNATURE", signer: () => undefined },
    { name: "changed after it was signed", code: "E_SIGNATURE", spoil: true },
    {
      name: "with terms for another contractor",
      code: "E_SENDER",
      terms: () => ({ contractor: "wes.two" }),
    },
    {
      name: "in another initiator's name",
      code: "E_SENDER",
      terms: () => ({ initiator: "ina.main" }),
    },
    { name: "with another spec", code: "E_SENDER", spec: () => ({ input: { n: 2 } }) },
    {
      name: "with the spec of another task",
      code: "E_SENDER",
      spec: () => ({ task: "another" }),
      agreed: true,
    },
    {
      name: "with the spec of another owner",
      code: "E_SENDER",
      spec: () => ({ owner: "mal" }),
      agreed: true,
    },
    {
      name: "with the spec of another capability",
      code: "E_SENDER",
      spec: () => ({ capability: "hold" }),
      agreed: true,
    },
    { name: "from long ago", code: "E_STALE", terms: () => ({ at: Date.now() - 31_000 }) },
    { name: "from the future", code: "E_STALE", terms: () => ({ at: Date.now() + 31_000 }) },
    { name: "by an agent without a card", code: "E_IDENTITY", agent: "ghost" },
    { name: "of a durable task, by a submitter", code: "E_ROLE", from: () => sid },
    {
      name: "of another's live call, by a submitter (P12.1)",
      code: "E_SENDER",
      from: () => sid,
      terms: () => ({ live: true, rev: 0 }),
    },
    {
      name: "of a live call for another owner, by an initiator",
      code: "E_SENDER",
      terms: ({ initiator }) => ({ live: true, rev: 0, submitter: initiator }),
    },
    { name: "without an epoch", code: "E_SCHEMA", terms: () => ({ epoch: 0 }) },
    { name: "of another version", code: "E_VERSION", terms: () => ({ v: 2 }) as never },
  ];

  test.each(forgeries)("$name is refused and counted", async (f) => {
    const from = f.from?.() ?? mal;
    const initiator = `${from.name}.${f.agent ?? "main"}`;
    const spec = json({ ...open.spec, ...f.spec?.(open.spec) });
    const honest = termsOf(open.spec, f.agreed === true ? spec : open.specBytes, {
      rev: open.rev,
      initiator,
      contractor: "wes.main",
    });
    const signer = f.signer === undefined ? from.key : f.signer()?.key;
    const award = awardOf(
      { ...honest, ...f.terms?.(honest) },
      f.spec ? spec : open.specBytes,
      signer,
    );
    // "balanced", the policy's name, stands in the signed terms.
    if (f.spoil) award[Buffer.from(award).indexOf("balanced")] = 0x42;
    const before = await wire.store();
    const counter = `refused.award.${f.code}`;
    const count = counted(wes, counter);
    from.nc.publish(`mesh.award.wes.main.${initiator}`, award);
    await until(
      () => counted(wes, counter) === count + 1,
      () => JSON.stringify(wes.peer.counters.snapshot()),
    );
    expect(wes.peer.contractors.running).toBe(0);
    expect((await wire.store()).tasks).toEqual(before.tasks);
  });

  test("for a revision that is not the task's ends at the store", async () => {
    const before = await wire.store();
    for (const rev of [0, open.rev - 1, open.rev + 1, 2 ** 40]) {
      const conflicts = counted(wes, "claim.conflict");
      const terms = termsOf(open.spec, open.specBytes, {
        rev,
        initiator: "mal.main",
        contractor: "wes.main",
      });
      mal.nc.publish("mesh.award.wes.main.mal.main", awardOf(terms, open.specBytes, mal.key));
      await until(
        () => counted(wes, "claim.conflict") === conflicts + 1,
        `a claim at ${rev} refused`,
      );
    }
    expect(counted(wes, "award.refused.stale")).toBeGreaterThanOrEqual(4);
    expect(wes.peer.contractors.running).toBe(0);
    expect((await wire.store()).tasks).toEqual(before.tasks);
  });

  test("cannot even be sent by a mere contractor, nor a bid in another's name", async () => {
    for (const subject of [
      "mesh.award.wes.main.con.main",
      "mesh.award.wes.main.ina.main",
      "mesh.bid.ina.main.c1.wes.main",
      "mesh.cfp.echo.all.con.main",
      "mesh.msg.ina.main.wes.main",
      "mesh.beat.ina.main.wes.main",
    ]) {
      expect([subject, await publishVerdict(con.nc, subject)]).toEqual([subject, "refused"]);
    }
  });
});

test("a replayed award is refused, from whomever and wherever it comes", async () => {
  const tap = olga.nc.subscribe("mesh.award.wes.main.ina.main", { max: 1 });
  await olga.nc.flush();
  const tracker = await sue.peer.submitters.submit("echo", { n: 7 }, {});
  expect(await tracker.result()).toEqual({ n: 7 });
  let award: Uint8Array = new Uint8Array(0);
  for await (const m of tap) award = m.data;
  const own = await wire.stranger("ina", "agent");
  const before = await wire.store();
  const contracts = counted(ina, "initiator.contracts");
  const count = (code: string) => counted(wes, `refused.award.${code}`);
  const [replays, senders] = [count("E_REPLAY"), count("E_SENDER")];
  for (let i = 0; i < 1_000; i++) own.nc.publish("mesh.award.wes.main.ina.main", award);
  mal.nc.publish("mesh.award.wes.main.mal.main", award);
  own.nc.publish("mesh.award.wes.two.ina.main", award);
  await until(() => count("E_REPLAY") === replays + 1_000, "a thousand replays counted");
  await until(() => count("E_SENDER") === senders + 2, "both other ways counted");
  expect(counted(ina, "initiator.contracts")).toBe(contracts);
  expect(wes.peer.contractors.running).toBe(0);
  expect((await wire.store()).tasks).toEqual(before.tasks);
});

describe("a forged card", () => {
  const other = (): Stranger => mal;

  test("is refused, whatever is wrong with it", async () => {
    await con.announce("known", { slots: 3 });
    await until(() => ina.peer.registry.card("con.known") !== undefined, "the true card");
    const good = con.card("known", { slots: 9 });
    const tampered = Buffer.from(good.body.toString().replace('"slots":9', '"slots":8'));
    const forged: [string, { body: Uint8Array; seal: string }][] = [
      ["another's key", con.card("known", { slots: 9 }, other().key)],
      ["no signature", con.card("known", { slots: 9 }, null)],
      ["a change after it was sealed", { body: tampered, seal: good.seal }],
      ["another's seal", { body: good.body, seal: other().card("known").seal }],
      ["no seal at all", { body: good.body, seal: "" }],
      ["another principal", con.card("known", { principal: "mal" })],
      ["another agent", con.card("elsewhere", { slots: 9 })],
      ["another's token", con.card("known", { slots: 9, jwt: other().creds.jwt })],
      ["no token", con.card("known", { slots: 9, jwt: undefined as never })],
      ["a token of its own making", con.card("known", { slots: 9, jwt: "e30.e30.AAAA" })],
      [
        "a capability that it was not granted",
        con.card("known", { capabilities: [{ name: "rule", version: "1.0.0" }] }),
      ],
      ["an older date", con.card("known", { slots: 9, at: Date.now() - 60_000 })],
    ];
    for (const [what, { body, seal }] of forged) {
      const before = counted(ina, "refused.card");
      const head: Record<string, string> = seal === "" ? {} : { "Mesh-Sig": seal };
      await con.request("mesh.reg.con.known", body, head);
      await until(
        () => counted(ina, "refused.card") === before + 1,
        () => `a card with ${what} refused`,
      );
      expect([what, ina.peer.registry.card("con.known")?.slots]).toEqual([what, 3]);
      expect(ina.peer.registry.card("con.elsewhere")).toBeUndefined();
    }
    expect(counted(ina, "refused.card.older")).toBe(1);
    expect(ina.peer.registry.find("rule")).toEqual([]);
  });

  test("of another principal is refused by the server", async () => {
    for (const subject of ["mesh.reg.wes.main", "mesh.key.wes.main", "$KV.mesh_agents.wes.main"]) {
      expect([subject, await publishVerdict(con.nc, subject)]).toEqual([subject, "refused"]);
    }
  });
});
