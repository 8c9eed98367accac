// Forged and replayed awards, bids, records and cards, by clients whose credentials let them send
// each of these: refused, counted, and without effect on the task.
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { AwardTerms } from "../../contracts/contract-net.ts";
import type { Spec } from "../../contracts/spec.ts";
import { type RecordKey, type RecordKind, recordSubject } from "../../contracts/subjects.ts";
import { foldTask } from "../../mesh/core/task-view.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import { publishVerdict } from "../support/permissions.ts";
import {
  awardOf,
  counted,
  gate,
  json,
  msgpack,
  type RecordParts,
  type Stranger,
  service,
  specOf,
  termsOf,
  until,
  useWire,
} from "./fixture.ts";

vi.setConfig({ testTimeout: 30_000 });
const wire = useWire();

let ina: OpenPeer;
let wes: OpenPeer;
let sue: OpenPeer;
/** An agent like any other: contractor, initiator and submitter of its own. */
let mal: Stranger;
/** A contractor with the same capabilities as wes. */
let con: Stranger;
/** A submitter. */
let sid: Stranger;
/** Hears everything, may send nothing. */
let olga: Stranger;
/** Tasks of `hold` end when they are told to. */
const holds = new Map<string, ReturnType<typeof gate>>();
/** How often wes began each task. */
const begun = new Map<string, number>();

beforeAll(async () => {
  ina = await wire.peer("ina", "agent", [], { use: { contractor: false }, silenceMs: 300 });
  wes = await wire.peer("wes", "contractor", ["echo", "hold"]);
  sue = await wire.peer("sue", "submitter");
  wes.peer.host({
    name: "main",
    slots: 50,
    services: [
      service("echo", async (run) => ({ output: run.input })),
      service("hold", async (run) => {
        const stopped = new Promise((_, reject) => {
          run.signal.addEventListener("abort", () => reject(run.signal.reason), { once: true });
        });
        const { task } = run.spec;
        begun.set(task, (begun.get(task) ?? 0) + 1);
        const hold = holds.get(task) ?? gate();
        holds.set(task, hold);
        await Promise.race([hold.promise, stopped]);
        return { output: { by: "wes" } };
      }),
    ],
  });
  wes.peer.host({ name: "two", slots: 1, services: [] });
  mal = await wire.stranger("mal", "agent", ["echo"]);
  con = await wire.stranger("con", "contractor", ["echo", "hold"]);
  sid = await wire.stranger("sid", "submitter");
  olga = await wire.stranger("olga", "observer");
  for (const stranger of [mal, con, sid]) {
    stranger.answerWho("main");
    await stranger.nc.flush();
  }
  await until(() => ina.peer.registry.card("wes.main")?.slots === 50, "wes in the registry");
}, 30_000);

/** A record as it is stored: its bytes and its revision. */
async function stored(subject: string): Promise<{ data: Uint8Array; rev: number }> {
  const m = await olga.nc.request(`$JS.API.DIRECT.GET.KV_mesh_tasks.${subject}`, "");
  return { data: m.data, rev: Number(m.headers?.get("Nats-Sequence")) };
}

interface Open {
  task: string;
  spec: Spec;
  specBytes: Uint8Array;
  rev: number;
}

async function opened(task: string): Promise<Open> {
  const { data, rev } = await stored(`$KV.mesh_tasks.sue.${task}.spec.0-1._._.sue.main`);
  return { task, rev, specBytes: data, spec: JSON.parse(Buffer.from(data).toString()) };
}

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
      name: "of another's live call, by a submitter",
      code: "E_ROLE",
      from: () => sid,
      terms: () => ({ live: true, rev: 0 }),
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

// ---- records ----------------------------------------------------------------------------------

interface Held extends Open {
  tracker: Awaited<ReturnType<OpenPeer["peer"]["submitters"]["submit"]>>;
  /** Revision and body of the contract that wes holds. */
  contractRev: number;
  contract: { award: { terms: string; sig: string } };
}

/** A task of sue's that wes is working on, until `hold` is opened. */
async function held(): Promise<Held> {
  const tracker = await sue.peer.submitters.submit("hold", {}, { retry: { backoffMs: 1 } });
  const subject = `$KV.mesh_tasks.sue.${tracker.task}.contract.1.ina.main.wes.main`;
  await until(async () => (await stored(subject)).rev > 0, "a contract");
  await until(() => begun.has(tracker.task), "wes at work");
  const { data, rev } = await stored(subject);
  return {
    ...(await opened(tracker.task)),
    tracker,
    contractRev: rev,
    contract: JSON.parse(Buffer.from(data).toString()),
  };
}

/** The task ends as it should, and the records say the same as the handle. */
async function endsRight(h: Held): Promise<void> {
  holds.get(h.task)?.open();
  expect(await h.tracker.result(AbortSignal.timeout(15_000))).toEqual({ by: "wes" });
  const view = foldTask(await ina.peer.deps.records.read("sue", h.task));
  expect(view.state).toBe("completed");
  expect(view.contract?.contractor).toBe("wes.main");
  expect(view.outcome?.output).toEqual({ by: "wes" });
}

function keyOf(h: Held, kind: RecordKind, over: Partial<RecordKey> = {}): RecordKey {
  return {
    owner: "sue",
    task: h.task,
    kind,
    n: "1",
    toPrincipal: "ina",
    toAgent: "main",
    fromPrincipal: "con",
    fromAgent: "main",
    ...over,
  };
}

const SUE = { toPrincipal: "sue", toAgent: "main" };

function bodyOf(h: Held, kind: RecordKind, over: object = {}): Uint8Array {
  const common = { v: 1, kind, task: h.task, prev: "" };
  const bodies: Partial<Record<RecordKind, object>> = {
    contract: {
      epoch: 1,
      attempt: 1,
      capability: "hold",
      contractor: "con.main",
      initiator: "ina.main",
      leaseMs: 15_000,
      at: Date.now(),
      award: h.contract.award,
    },
    failure: {
      epoch: 1,
      attempt: 1,
      endedAt: Date.now(),
      failure: { code: "E_TERMINAL", message: "given up", retry: false },
    },
    cancel: { reason: "because", at: Date.now() },
    outcome: {
      epoch: 1,
      state: "completed",
      output: { by: "con" },
      attempts: 1,
      endedAt: Date.now(),
      award: h.contract.award,
      retainMs: 0,
    },
  };
  return json({ ...common, ...bodies[kind], ...over });
}

/** Stored, or the test is about nothing. */
async function put(who: Stranger, record: RecordParts): Promise<number> {
  const { seq } = await who.store(record);
  expect(seq).toBeGreaterThan(0);
  return seq as number;
}

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

describe("a running contract", () => {
  test.each(["cancel", "fenced"])("is not ended by a stranger's %s notice", async (kind) => {
    const h = await held();
    const count = () => counted(wes, "refused.cancel.E_ROLE");
    const before = count();
    const notice = msgpack({ v: 1, kind, task: h.task, epoch: 1, reason: "stop" });
    con.nc.publish("mesh.msg.wes.main.con.main", notice);
    await until(() => count() === before + 1, "refused");
    // Whoever asks whether it runs is told of its life from then on, and still has no say.
    const probe = msgpack({ v: 1, kind: "live", task: h.task, epoch: 1, from: "con.main" });
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
  await until(() => counted(ina, "initiator.sameid") > 0, "the second one put off");
  holds.get("job-1")?.open();
  expect(await first.result(AbortSignal.timeout(10_000))).toEqual({ by: "wes" });
  expect(await second.result(AbortSignal.timeout(10_000))).toEqual({ of: "sam" });
});

// ---- cards ------------------------------------------------------------------------------------

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

// ---- paths ------------------------------------------------------------------------------------

describe("a delivery that the server was led to make", () => {
  /** Stores bytes as an artefact and has the server send them to any subject. */
  async function redirect(to: string, payload: Uint8Array, id: string): Promise<void> {
    await con.request(`$O.mesh_artifacts.C.${id}`, payload);
    const get = "$JS.API.DIRECT.GET.OBJ_mesh_artifacts.$O.mesh_artifacts.C";
    con.nc.publish(`${get}.${id}`, "", { reply: to });
  }

  const cases: [string, string, () => OpenPeer, (h: Held) => Uint8Array][] = [
    [
      "msg",
      "mesh.msg.ina.main.wes.main",
      () => ina,
      (h) => msgpack({ v: 1, kind: "done", task: h.task, epoch: 1, rev: 99, state: "completed" }),
    ],
    [
      "award",
      "mesh.award.wes.main.mal.main",
      () => wes,
      (h) =>
        awardOf(
          termsOf(h.spec, h.specBytes, {
            initiator: "mal.main",
            contractor: "wes.main",
            rev: h.rev,
          }),
          h.specBytes,
          mal.key,
        ),
    ],
    [
      "cfp",
      "mesh.cfp.echo.all.ina.main",
      () => wes,
      () => msgpack({ v: 1, kind: "cfp", cfp: "c1", task: "t", priority: 5, windowMs: 20 }),
    ],
    ["beat", "mesh.beat.ina.main.wes.main", () => ina, (h) => beat(h)],
    [
      "offer",
      "mesh.offer.wes.main.ina.main",
      () => wes,
      () =>
        msgpack({
          v: 1,
          kind: "offer",
          capability: "echo",
          urgency: 1,
          call: { v: 1, kind: "cfp", cfp: "c1", task: "t", priority: 5, windowMs: 20 },
        }),
    ],
    [
      "live",
      "mesh.live.wes.main",
      () => wes,
      (h) => msgpack({ v: 1, kind: "live", task: h.task, epoch: 1, from: "mal.main" }),
    ],
    ["door", "mesh.submit.echo", () => ina, () => json({ n: 1 })],
    ["door", "mesh.call.echo", () => ina, () => json({ n: 1 })],
  ];

  function beat(h: Held): Uint8Array {
    return msgpack({ v: 1, kind: "beat", tasks: [[h.task, 1]], lagMs: 0 });
  }

  test.each(cases)("is refused as %s on %s", async (what, to, at, payload) => {
    const h = await held();
    const counter = `refused.${what}.E_FORGED_PATH`;
    const before = counted(at(), counter);
    const open = ina.peer.initiators.open;
    await redirect(to, payload(h), `r${h.task}`);
    await until(() => counted(at(), counter) === before + 1, "counted");
    expect(ina.peer.initiators.open).toBe(open);
    await endsRight(h);
  });

  test("is no bid", async () => {
    const tap = olga.nc.subscribe("mesh.cfp.vacant.*.ina.main", { max: 1 });
    await olga.nc.flush();
    // Nobody serves it, so that the call stays open for a while.
    const waiting = await sue.peer.submitters.submit("vacant", {}, { timeoutMs: 5_000 });
    let cfp = "";
    for await (const m of tap) cfp = (m.reply ?? "").split(".")[4] ?? "";
    const before = counted(ina, "refused.bid.E_FORGED_PATH") + counted(ina, "bid.late");
    const bid = {
      startMs: 0,
      durationMs: 0,
      cost: 0,
      confidence: 1,
      load: 0,
      slots: 1,
      validMs: 9,
    };
    await redirect(
      `mesh.bid.ina.main.${cfp}.wes.main`,
      msgpack({ v: 1, kind: "bid", ...bid }),
      "bid",
    );
    await until(
      () => counted(ina, "refused.bid.E_FORGED_PATH") + counted(ina, "bid.late") > before,
      "counted",
    );
    await waiting.cancel();
  });

  test("is no notice of a record", async () => {
    const h = await held();
    const before = counted(ina, "refused.record.E_FORGED_PATH");
    for (const kind of ["outcome", "cancel", "contract"] as const) {
      const to = `mesh.rec.sue.ina.main.${kind}.wes.main.${h.task}`;
      await redirect(to, bodyOf(h, kind), `n${kind}${h.task}`);
    }
    await until(() => counted(ina, "refused.record.E_FORGED_PATH") === before + 3, "counted");
    await endsRight(h);
  });

  test("is no notice of a card, nor of a leave", async () => {
    const before = counted(ina, "refused.card.E_FORGED_PATH");
    await redirect("mesh.card.wes.main", json({ v: 1 }), "card");
    // Nothing is stored under this id: the server's empty answer looks like a leave.
    const get = "$JS.API.DIRECT.GET.OBJ_mesh_artifacts.$O.mesh_artifacts.C.nothing";
    con.nc.publish(get, "", { reply: "mesh.card.wes.main" });
    await until(() => counted(ina, "refused.card.E_FORGED_PATH") === before + 2, "counted");
    expect(ina.peer.registry.card("wes.main")?.slots).toBe(50);
  });

  test("an acknowledgement of the store is no message", async () => {
    const h = await held();
    const subjects: [string, OpenPeer][] = [
      ["msg", ina],
      ["award", wes],
      ["offer", wes],
      ["beat", ina],
      ["live", wes],
    ];
    for (const [verb, peer] of subjects) {
      const to = peer === wes ? "wes.main" : "ina.main";
      const subject = verb === "live" ? `mesh.live.${to}` : `mesh.${verb}.${to}.ina.main`;
      const before = counted(peer, `refused.${verb}.E_KIND`);
      con.publish(`$O.mesh_artifacts.C.ack${verb}`, "x", {}, subject);
      await until(() => counted(peer, `refused.${verb}.E_KIND`) === before + 1, `${verb} counted`);
    }
    await endsRight(h);
  });
});

describe("literal wildcards in published subjects", () => {
  test("in records and cards, do nobody any harm", async () => {
    const h = await held();
    const body = bodyOf(h, "outcome", { award: undefined });
    for (const key of [
      keyOf(h, "outcome", { owner: "*" }),
      keyOf(h, "outcome", { owner: ">" }),
      keyOf(h, "outcome", { task: "*" }),
      keyOf(h, "outcome", { task: ">" }),
      keyOf(h, "cancel", { owner: "*", task: "*" }),
      keyOf(h, "spec", { owner: "*", task: "*", n: "0-1" }),
    ]) {
      con.publish(recordSubject(key), body);
    }
    const seats = ina.peer.registry.size;
    for (const agent of ["*", ">", "a>", "*b"]) {
      const { body: card, seal } = con.card(agent);
      con.publish(`mesh.reg.con.${agent}`, card, { "Mesh-Sig": seal });
      con.publish(`mesh.key.con.${agent}`, card, { "Mesh-Sig": seal });
    }
    await con.nc.flush();
    await endsRight(h);
    expect(ina.peer.registry.size).toBe(seats);
    const ivy = await wire.peer("ivy", "initiator");
    expect(ivy.peer.registry.card("wes.main")).toBeDefined();
    await ivy.close(0);
  });

  test("in messages between peers, are no addresses", async () => {
    const before = wes.peer.counters.snapshot();
    for (const subject of [
      "mesh.award.wes.*.mal.main",
      "mesh.award.wes.main.mal.*",
      "mesh.award.wes.>.mal.main",
      "mesh.offer.wes.*.mal.main",
      "mesh.msg.wes.main.mal.*",
      "mesh.cfp.echo.all.mal.*",
    ]) {
      mal.nc.publish(subject, "{}");
    }
    await until(
      () => counted(wes, "refused.") >= sum(before) + 6,
      () => JSON.stringify(wes.peer.counters.snapshot()),
    );
  });

  function sum(all: Record<string, number>): number {
    return Object.entries(all).reduce((n, [k, v]) => (k.startsWith("refused.") ? n + v : n), 0);
  }
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
