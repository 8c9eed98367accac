// Forged records, by clients whose credentials let them store each of these: refused, counted, and
// the task that they were about ends right.
import { describe, expect, test } from "vitest";
import type { AwardTerms } from "../../contracts/contract-net.ts";
import type { RecordKey, RecordKind } from "../../contracts/subjects.ts";
import { foldTask } from "../../mesh/core/task-view.ts";
import {
  begun,
  bodyOf,
  con,
  endsRight,
  type Held,
  held,
  heldBy,
  holds,
  ina,
  keyOf,
  mal,
  opened,
  put,
  SUE,
  sue,
  unmsgpack,
  wes,
  wire,
} from "./cast.ts";
import {
  awardOf,
  counted,
  json,
  msgpack,
  type Stranger,
  specOf,
  termsOf,
  until,
} from "./fixture.ts";

describe("a forged record", () => {
  const kinds: readonly RecordKind[] = ["contract", "failure", "cancel", "outcome"];

  test.each(kinds)(
    "%s: with a bad signature it is refused, and the task ends right",
    async (kind) => {
      const h = await held();
      const count = () => counted(ina, `refused.record.${kind}.E_SIGNATURE`);
      const before = count();
      const unlawful = counted(ina, `refused.unlawful.${kind}`);
      const record = { body: bodyOf(h, kind), fence: h.contractRev, fenceHeader: null };
      const key = (i: number) => keyOf(h, kind, { n: `1-${i}` });
      await put(con, { ...record, key: key(0), signer: undefined });
      await put(con, { ...record, key: key(1), signer: mal.key });
      await put(con, { ...record, key: key(2), head: { "Mesh-Sig": "1.AAAA" } });
      // The signature speaks of another revision than the one that the server was told.
      await put(con, {
        ...record,
        key: key(3),
        fence: 1,
        fenceHeader: 0,
        guard: "$KV.mesh_tasks.con.x",
      });
      await until(
        // Whoever reads the records later counts them again.
        () => count() >= before + 4,
        () => `${count() - before} of 4 counted`,
      );
      await endsRight(h);
      // Had one of them been taken for con's own word, it would stand there.
      expect(counted(ina, `refused.unlawful.${kind}`)).toBe(unlawful);
    },
  );

  test("contract: without an award it fits no schema", async () => {
    const h = await held();
    const count = () => counted(ina, "refused.record.contract.E_SCHEMA");
    const before = count();
    const body = bodyOf(h, "contract", { award: undefined });
    await put(con, { key: keyOf(h, "contract"), body, fence: h.contractRev });
    await until(() => count() === before + 1, "counted");
    await endsRight(h);
  });

  const awards: [string, (h: Held) => object][] = [
    ["another's award", (h) => h.contract.award],
    ["an award of its own making", (h) => selfMade(h, con)],
    ["no award, only bytes", () => ({ terms: "AAAA", sig: "AAAA" })],
  ];

  /** Terms that a contractor writes and signs for itself. */
  function selfMade(h: Held, who: Stranger, over: Partial<AwardTerms> = {}): object {
    const terms = termsOf(h.spec, h.specBytes, {
      rev: h.contractRev,
      epoch: 2,
      initiator: `${who.name}.main`,
      contractor: `${who.name}.main`,
      ...over,
    });
    const sealed = awardOf(terms, h.specBytes, who.key);
    // The embedded form: the same bytes in base64url.
    const at = Buffer.from(sealed).indexOf(msgpack(terms));
    const text = Buffer.from(sealed).subarray(at, at + msgpack(terms).length);
    const sig = Buffer.from(sealed).indexOf("sig") + 5;
    return {
      terms: text.toString("base64url"),
      sig: Buffer.from(sealed)
        .subarray(sig, sig + 64)
        .toString("base64url"),
    };
  }

  test.each(awards)("contract: with %s it gives no right", async (_, award) => {
    const h = await held();
    const names = ["refused.embedded.contract", "refused.unlawful.contract"];
    const before = names.map((name) => counted(ina, name));
    const body = bodyOf(h, "contract", { epoch: 2, award: award(h) });
    await put(con, { key: keyOf(h, "contract", { n: "2" }), body, fence: h.contractRev });
    await until(
      // Whoever reads the records later counts it again.
      () => names.every((name, i) => counted(ina, name) > (before[i] as number)),
      () => JSON.stringify(ina.peer.counters.snapshot()),
    );
    await endsRight(h);
  });

  test.each(awards)("outcome: a stranger's with %s is no result", async (_, award) => {
    const h = await held();
    const embedded = counted(sue, "refused.embedded.outcome");
    const unlawful = counted(ina, "refused.unlawful.outcome");
    const body = bodyOf(h, "outcome", { epoch: 2, award: award(h) });
    const first = await put(con, { key: keyOf(h, "outcome", SUE), body, fence: h.contractRev });
    await put(con, { key: keyOf(h, "outcome"), body, fence: first });
    await until(() => counted(sue, "refused.embedded.outcome") > embedded, "sue refused it");
    await until(() => counted(ina, "refused.unlawful.outcome") > unlawful, "ina refused it");
    expect(h.tracker.state).not.toBe("completed");
    await endsRight(h);
  });

  test("outcome: a stranger's with the contractor's award, verbatim, is no result", async () => {
    const h = await held();
    const embedded = counted(sue, "refused.embedded.outcome");
    const body = bodyOf(h, "outcome", { award: h.contract.award });
    await put(con, { key: keyOf(h, "outcome", SUE), body, fence: h.contractRev });
    await until(() => counted(sue, "refused.embedded.outcome") > embedded, "sue refused it");
    expect(h.tracker.state).not.toBe("completed");
    await endsRight(h);
  });

  test("outcome: a stranger's without any award is no result", async () => {
    const h = await held();
    const unlawful = counted(ina, "refused.unlawful.outcome");
    const body = bodyOf(h, "outcome", { award: undefined });
    const first = await put(con, { key: keyOf(h, "outcome", SUE), body, fence: h.contractRev });
    await put(con, { key: keyOf(h, "outcome"), body, fence: first });
    await until(() => counted(ina, "refused.unlawful.outcome") > unlawful, "ina refused it");
    expect(h.tracker.state).not.toBe("completed");
    await endsRight(h);
  });

  test("outcome: heard by the submitter alone, it is found out all the same", async () => {
    const h = await held();
    const body = bodyOf(h, "outcome", { award: undefined });
    await put(con, { key: keyOf(h, "outcome", SUE), body, fence: h.contractRev });
    await endsRight(h);
  });

  test.each(["failed", "canceled", "expired", "rejected"])(
    "outcome: a contractor's word that the task is %s ends nothing",
    async (state) => {
      const h = await held();
      const unlawful = counted(ina, "refused.unlawful.outcome");
      const body = bodyOf(h, "outcome", { state, award: undefined, output: undefined });
      const first = await put(con, { key: keyOf(h, "outcome", SUE), body, fence: h.contractRev });
      await put(con, { key: keyOf(h, "outcome"), body, fence: first });
      await until(() => counted(ina, "refused.unlawful.outcome") > unlawful, "refused");
      await endsRight(h);
    },
  );

  test.each(["failure", "cancel"] as const)("%s: a stranger's ends nothing", async (kind) => {
    const h = await held();
    const count = () => counted(ina, `refused.unlawful.${kind}`);
    const before = count();
    await put(con, { key: keyOf(h, kind), body: bodyOf(h, kind), fence: h.contractRev });
    await until(() => count() === before + 1, "refused");
    await endsRight(h);
  });

  test.each(["checkpoint", "question", "result", "answer"] as const)(
    "%s: a stranger's may cost an attempt, and no more",
    async (kind) => {
      const h = await held();
      await put(con, { key: keyOf(h, kind), body: json({}), fence: h.contractRev });
      await endsRight(h);
    },
  );

  test("cancel: a stranger does not become the submitter by a second spec", async () => {
    const h = await held();
    const count = () => counted(ina, "refused.unlawful.cancel");
    const before = count();
    const spec = keyOf(h, "spec", { n: "0-1", toPrincipal: "_", toAgent: "_" });
    const rev = await put(con, { key: spec, body: h.specBytes, fence: h.contractRev });
    await put(con, { key: keyOf(h, "cancel"), body: bodyOf(h, "cancel"), fence: rev });
    await until(() => count() > before, "refused");
    await endsRight(h);
  });

  test.each([
    ["a literal wildcard in its key", { n: "*" }, "{}"],
    ["another literal wildcard in its key", { toAgent: ">" }, "{}"],
    ["no bytes at all", {}, ""],
  ])("with %s, it stands in nobody's way for good", async (_, over, body) => {
    const h = await held();
    const key = keyOf(h, "checkpoint", over);
    await put(con, { key, body: Buffer.from(body), fence: h.contractRev });
    await endsRight(h);
  });

  test("takes no other's place: every key is written once", async () => {
    const h = await held();
    await endsRight(h);
    const own = await wire.stranger("wes", "contractor", ["echo", "hold"]);
    const before = await wire.store();
    for (const kind of ["contract", "outcome"] as const) {
      const to = kind === "outcome" ? SUE : {};
      const key = keyOf(h, kind, { ...to, fromPrincipal: "wes" });
      const answer = await own.store({ key, body: bodyOf(h, kind), fence: 0, fenceHeader: null });
      expect(answer.error?.err_code).toBe(10077);
    }
    expect((await wire.store()).tasks).toEqual(before.tasks);
  });

  test("a second outcome changes nothing", async () => {
    const h = await held();
    await endsRight(h);
    const rev = (await ina.peer.deps.records.read("sue", h.task)).at(-1)?.rev ?? 0;
    await put(con, { key: keyOf(h, "outcome", SUE), body: bodyOf(h, "outcome"), fence: rev });
    const records = await ina.peer.deps.records.read("sue", h.task);
    expect(records.length).toBe(4);
    expect(foldTask(records).outcome?.output).toEqual({ by: "wes" });
    expect(foldTask(records).faults.join()).toMatch(/second outcome|does not count/);
    expect(await h.tracker.result()).toEqual({ by: "wes" });
  });

  test("an outcome of another owner's task with the same id is none of this one", async () => {
    const h = await held();
    const terms = { owner: "mal", submitter: "sue.main", capability: "hold", epoch: 1, rev: 1 };
    const body = bodyOf(h, "outcome", { award: selfMade(h, mal, terms), output: { by: "mal" } });
    const key = keyOf(h, "outcome", { ...SUE, owner: "mal", fromPrincipal: "mal" });
    const count = () => counted(sue, "refused.record.outcome.E_SIGNATURE");
    const before = count();
    await put(mal, { key, body, fence: 0 });
    // Records of one author are judged in their order: when this one is, that one was.
    await put(mal, { key: { ...key, n: "2" }, body, fence: 0, fenceHeader: null, signer: con.key });
    await until(() => count() === before + 1, "the second one refused");
    expect(h.tracker.state).not.toBe("completed");
    await endsRight(h);
  });
});

describe("a contractor that was awarded and then passed over", () => {
  /** Awarded to con, which keeps silent, and so to wes in the end; with the award that con got. */
  async function passedOver(): Promise<Held & { embedded: { terms: string; sig: string } }> {
    const tap = con.nc.subscribe("mesh.award.con.main.ina.main", { max: 1 });
    await con.nc.flush();
    const tracker = await sue.peer.submitters.submit("hold", {}, { to: "con.main" });
    let award: Uint8Array = new Uint8Array(0);
    for await (const m of tap) award = m.data;
    const { terms, sig } = unmsgpack(award) as { terms: Uint8Array; sig: Uint8Array };
    const embedded = {
      terms: Buffer.from(terms).toString("base64url"),
      sig: Buffer.from(sig).toString("base64url"),
    };
    return { ...(await heldBy(tracker)), embedded };
  }

  test("P10.8: has no result to give: it never held the contract", async () => {
    const h = await passedOver();
    const body = bodyOf(h, "outcome", { award: h.embedded });
    await put(con, { key: keyOf(h, "outcome", SUE), body, fence: h.contractRev });
    await endsRight(h);
  });
});

describe("a contractor that lies to its initiator", () => {
  test("P10.7: about a result that it never stored does not end the supervision", async () => {
    const tap = con.nc.subscribe("mesh.award.con.main.ina.main", { max: 1 });
    await con.nc.flush();
    const tracker = await sue.peer.submitters.submit(
      "hold",
      {},
      { to: "con.main", timeoutMs: 1_000, retry: { attempts: 1 } },
    );
    let award: Uint8Array = new Uint8Array(0);
    for await (const m of tap) award = m.data;
    const { terms, sig } = unmsgpack(award) as { terms: Uint8Array; sig: Uint8Array };
    const h = {
      ...(await opened(tracker.task)),
      tracker,
      contractRev: 0,
      contract: {
        award: {
          terms: Buffer.from(terms).toString("base64url"),
          sig: Buffer.from(sig).toString("base64url"),
        },
      },
    };
    const contracts = counted(ina, "initiator.contracts");
    const body = bodyOf(h, "contract");
    const rev = await put(con, { key: keyOf(h, "contract"), body, fence: h.rev });
    await until(() => counted(ina, "initiator.contracts") > contracts, "a contract");
    con.nc.publish(
      "mesh.msg.ina.main.con.main",
      msgpack({
        v: 1,
        kind: "done",
        owner: "sue",
        task: h.task,
        epoch: 1,
        rev: rev + 1,
        state: "completed",
      }),
    );
    // Silence, or at the latest the deadline, must end it.
    expect((await tracker.outcome(AbortSignal.timeout(4_000))).state).toMatch(/failed|expired/);
  });
});

describe("a running contract", () => {
  test.each(["cancel", "fenced"])("is not ended by a stranger's %s notice", async (kind) => {
    const h = await held();
    const count = () => counted(wes, "refused.cancel.E_ROLE");
    const before = count();
    const notice = msgpack({ v: 1, kind, owner: "sue", task: h.task, epoch: 1, reason: "stop" });
    con.nc.publish("mesh.msg.wes.main.con.main", notice);
    await until(() => count() === before + 1, "refused");
    // Whoever asks whether it runs is told of its life from then on, and still has no say.
    const probe = msgpack({
      v: 1,
      kind: "live",
      owner: "sue",
      task: h.task,
      epoch: 1,
      from: "con.main",
    });
    expect((await con.request("mesh.live.wes.main", probe)).data[0]).toBe(1);
    con.nc.publish("mesh.msg.wes.main.con.main", notice);
    await until(() => count() === before + 2, "refused again");
    await endsRight(h);
    expect(begun.get(h.task)).toBe(1);
    const { epoch } = foldTask(await ina.peer.deps.records.read("sue", h.task));
    expect(epoch).toBe(1);
  });
});

test("two owners may choose the same id: each gets its own result", async () => {
  const sam = await wire.peer("sam", "submitter");
  const first = await sue.peer.submitters.submit("hold", {}, { task: "job-1" });
  await until(() => begun.has("job-1"), "wes at work");
  const second = await sam.peer.submitters.submit("echo", { of: "sam" }, { task: "job-1" });
  // The first is still under way.
  expect(await second.result(AbortSignal.timeout(10_000))).toEqual({ of: "sam" });
  holds.get("job-1")?.open();
  expect(await first.result(AbortSignal.timeout(10_000))).toEqual({ by: "wes" });
});

test("a spec under another's name, by somebody without his contract, is not put out", async () => {
  const spec = specOf("sue", "echo");
  const count = () => counted(ina, "refused.record.spec.E_AUTHORITY");
  const before = count();
  const key: RecordKey = {
    owner: "sue",
    task: spec.task,
    kind: "spec",
    n: "0-1",
    toPrincipal: "_",
    toAgent: "_",
    fromPrincipal: "con",
    fromAgent: "main",
  };
  await put(con, { key, body: json(spec), fence: 0 });
  await until(() => count() === before + 1, "refused");
});
