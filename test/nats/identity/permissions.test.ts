// What the server lets each role do: asked on the wire, with the plain client library.
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expandPermissions, ROLES } from "../../../contracts/roles.ts";
import {
  AGENTS_STREAM,
  ARTEFACTS_BUCKET,
  REGISTRY_STREAM,
  type RecordKind,
  recordSubject,
  streamSubjects,
  supervisionConsumer,
  TASKS_STREAM,
  URGENCY,
} from "../../../contracts/subjects.ts";
import { startMesh, type TestMesh } from "../../support/nats-server.ts";
import { publishVerdict, store, subscribeVerdict } from "../../support/permissions.ts";

let mesh: TestMesh;
let admin: NatsConnection;
let contractor: NatsConnection;
let observer: NatsConnection;
let submitter: NatsConnection;

const ARTEFACTS_STREAM = `OBJ_${ARTEFACTS_BUCKET}`;
const closed = {
  allow_direct: true,
  allow_rollup_hdrs: false,
  deny_purge: true,
  discard: "new" as const,
};

async function makeStreams(nc: NatsConnection): Promise<void> {
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({
    ...closed,
    name: TASKS_STREAM,
    subjects: [streamSubjects.tasks],
    max_msgs_per_subject: 1,
    republish: streamSubjects.recordRepublish,
  });
  await jsm.streams.add({
    ...closed,
    name: REGISTRY_STREAM,
    subjects: [streamSubjects.registrations],
    max_msgs_per_subject: 1,
  });
  await jsm.streams.add({
    name: AGENTS_STREAM,
    allow_direct: true,
    max_msgs_per_subject: 1,
    sources: [{ name: REGISTRY_STREAM, subject_transforms: [streamSubjects.cardsIngest] }],
  });
  await jsm.streams.add({
    ...closed,
    name: ARTEFACTS_STREAM,
    subjects: [`$O.${ARTEFACTS_BUCKET}.C.>`, `$O.${ARTEFACTS_BUCKET}.M.>`],
  });
  for (const urgency of URGENCY) {
    await jsm.consumers.add(TASKS_STREAM, {
      durable_name: supervisionConsumer(urgency),
      ack_policy: "explicit",
      filter_subject: `$KV.mesh_tasks.*.*.spec.0-${urgency}.>`,
    });
  }
}

beforeAll(async () => {
  mesh = await startMesh();
  admin = await mesh.join("root", "admin");
  await makeStreams(admin);
  contractor = await mesh.join("casey", "contractor", ["ocr"]);
  observer = await mesh.join("olga", "observer");
  submitter = await mesh.join("sam", "submitter");
});
afterAll(() => mesh?.stop());

function key(kind: RecordKind, owner: string, from: string, task = "t1"): string {
  return recordSubject({
    owner,
    task,
    kind,
    n: "1",
    toPrincipal: "ina",
    toAgent: "i",
    fromPrincipal: from,
    fromAgent: "c",
  });
}

/** Every call of the JetStream API that touches a stream of the mesh. */
function apiCalls(stream: string, consumer: string): string[] {
  return [
    "INFO",
    "STREAM.NAMES",
    "STREAM.LIST",
    "META.LEADER.STEPDOWN",
    "ACCOUNT.PURGE.x",
    ...[
      "CREATE",
      "UPDATE",
      "INFO",
      "DELETE",
      "PURGE",
      "SNAPSHOT",
      "RESTORE",
      "MSG.GET",
      "MSG.DELETE",
      "PEER.REMOVE",
      "LEADER.STEPDOWN",
    ].map((verb) => `STREAM.${verb}.${stream}`),
    `CONSUMER.CREATE.${stream}`,
    `CONSUMER.CREATE.${stream}.mine`,
    `CONSUMER.CREATE.${stream}.mine.$KV.mesh_tasks.>`,
    `CONSUMER.NAMES.${stream}`,
    `CONSUMER.LIST.${stream}`,
    ...[
      "CREATE",
      "INFO",
      "DELETE",
      "MSG.NEXT",
      "PAUSE",
      "RESET",
      "UNPIN",
      "DURABLE.CREATE",
      "LEADER.STEPDOWN",
    ].map((verb) => `CONSUMER.${verb}.${stream}.${consumer}`),
    `DIRECT.GET.${stream}`,
    `DIRECT.GET.${stream}.$KV.mesh_tasks.sam.t1.spec`,
  ].map((call) => `$JS.API.${call}`);
}

describe("a contractor may", () => {
  it("write a record of its own, and the server delivers it", async () => {
    const subject = key("contract", "casey", "casey");
    const heard = admin.subscribe("mesh.rec.>", { max: 1 });
    await admin.flush();
    expect(await store(contractor, subject, "{}")).toMatchObject({ seq: expect.any(Number) });
    for await (const message of heard) {
      expect(message.subject).toBe("mesh.rec.casey.ina.i.contract.casey.c.t1");
      expect(message.headers?.get("Nats-Subject")).toBe(subject);
    }
  });

  it("register its own card", async () => {
    expect(await store(contractor, "mesh.reg.casey.c", "{}")).toHaveProperty("seq");
  });

  it.each([
    "mesh.bid.ina.i.cfp1.casey.c",
    "mesh.beat.ina.i.casey.c",
    "mesh.msg.ina.i.casey.c",
    "mesh.idle.ocr.casey.c",
    "mesh.look.casey.t1",
  ])("publish on %s", async (subject) => {
    expect(await publishVerdict(contractor, subject)).toBe("permitted");
  });

  it.each([
    "mesh.cfp.ocr.>",
    "mesh.cfp.ocr.s8.*.*",
    "mesh.award.casey.>",
    "mesh.offer.casey.>",
    "mesh.rec.*.casey.>",
    "mesh.rec.casey.>",
    "mesh.msg.casey.>",
    "mesh.live.casey.*",
    "_INBOX.casey.>",
    "$SRV.INFO.>",
  ])("subscribe to %s", async (subject) => {
    expect(await subscribeVerdict(contractor, subject)).toBe("permitted");
  });

  it("read an artefact by its id, and no other stream that way", async () => {
    const chunk = `$O.${ARTEFACTS_BUCKET}.C.r4nd0m`;
    await store(contractor, chunk, "bytes");
    const read = `$JS.API.DIRECT.GET.${ARTEFACTS_STREAM}`;
    expect((await contractor.request(`${read}.${chunk}`, "")).string()).toBe("bytes");
    for (const subject of [
      read,
      `${read}.$O.${ARTEFACTS_BUCKET}.M.x`,
      `${read}.$O.${ARTEFACTS_BUCKET}.C.x.y`,
    ]) {
      expect([subject, await publishVerdict(contractor, subject)]).toEqual([subject, "refused"]);
    }
  });
});

describe("a contractor may not", () => {
  const forbidden: [string, string][] = [
    ["write another's record", key("contract", "casey", "other")],
    ["write with nobody's name", key("outcome", "casey", "_")],
    ["bid as another", "mesh.bid.ina.i.cfp1.other.c"],
    ["register another's card", "mesh.reg.other.c"],
    ["write a card past the registry", "$KV.mesh_agents.casey.c"],
    ["award", "mesh.award.casey.c.casey.c"],
    ["call for bids", "mesh.cfp.ocr.all.casey.c"],
    ["announce a capability that it was not given", "mesh.idle.other.casey.c"],
    ["beat as another", "mesh.beat.ina.i.other.c"],
    ["speak as another", "mesh.msg.ina.i.other.c"],
    ["look into another's task", "mesh.look.other.t1"],
    ["forge a stored record's notice", "mesh.rec.casey.ina.i.outcome.casey.c.t1"],
    ["forge a card's notice", "mesh.card.casey.c"],
    ["forge a disconnection", "mesh.sys.disconnect"],
    ["answer into all inboxes of another", "_INBOX.other"],
    ["say that nobody heard a call", "mesh.bid.ina.i.cfp1"],
    ["submit by the door", "mesh.submit.ocr"],
    ["acknowledge a supervisor's message", `$JS.ACK.${TASKS_STREAM}.initiators-0.1.1.1.1.0`],
    ["acknowledge it in the new form", `$JS.ACK.d.h.${TASKS_STREAM}.initiators-0.1.1.1.1.0`],
    ["write to the audit", "mesh.audit.1.spec"],
    ["ask the server about itself", "$SYS.REQ.SERVER.PING"],
    ["push an account", "$SYS.REQ.CLAIMS.UPDATE"],
  ];
  it.each(forbidden)("%s", async (_, subject) => {
    expect(await publishVerdict(contractor, subject)).toBe("refused");
  });

  it.each([
    "mesh.cfp.other.>",
    "mesh.cfp.>",
    "mesh.cfp.*.s8.*.*",
    "mesh.award.other.>",
    "mesh.award.>",
    "mesh.bid.>",
    "mesh.rec.>",
    "mesh.rec.*.other.>",
    "mesh.rec.other.>",
    "mesh.msg.other.>",
    "mesh.submit.*",
    "mesh.sys.>",
    "mesh.>",
    ">",
    "*.>",
    "_INBOX.>",
    "_INBOX.other.>",
    "_INBOX.*.>",
    "$KV.>",
    "$SYS.>",
    "$JS.>",
    "$O.>",
  ])("subscribe to %s", async (subject) => {
    expect(await subscribeVerdict(contractor, subject)).toBe("refused");
  });

  it("call JetStream's API, on any stream", async () => {
    for (const stream of [TASKS_STREAM, AGENTS_STREAM, REGISTRY_STREAM, ARTEFACTS_STREAM]) {
      for (const subject of apiCalls(stream, "initiators-0")) {
        expect([subject, await publishVerdict(contractor, subject)]).toEqual([subject, "refused"]);
      }
    }
  });

  it("wipe by rollup what it may write", async () => {
    for (const subject of [
      key("result", "casey", "casey"),
      "mesh.reg.casey.c",
      `$O.${ARTEFACTS_BUCKET}.C.x`,
    ]) {
      for (const extent of ["all", "sub"]) {
        expect(await store(contractor, subject, "{}", { "Nats-Rollup": extent })).toMatchObject({
          error: { err_code: 10111 },
        });
      }
    }
  });

  it("hear anything of any capability when it was given none", async () => {
    const none = await mesh.join("nemo", "contractor");
    for (const subject of ["mesh.cfp.ocr.>", "mesh.cfp.*.>", "mesh.cfp.>", "mesh.cfp.nemo.>"]) {
      expect(await subscribeVerdict(none, subject)).toBe("refused");
    }
    expect(await publishVerdict(none, "mesh.idle.ocr.nemo.c")).toBe("refused");
    expect(await subscribeVerdict(none, "mesh.award.nemo.>")).toBe("permitted");
  });
});

it("capabilities are told apart by case", async () => {
  const upper = await mesh.join("upper", "contractor", ["OCR"]);
  expect(await subscribeVerdict(upper, "mesh.cfp.OCR.>")).toBe("permitted");
  expect(await subscribeVerdict(upper, "mesh.cfp.ocr.>")).toBe("refused");
});

describe("an observer", () => {
  it("reads messages, records, cards and artefacts", async () => {
    await store(contractor, key("outcome", "casey", "casey", "seen"), '{"done":1}');
    for (const subject of ["mesh.>", "$KV.mesh_agents.>"]) {
      expect(await subscribeVerdict(observer, subject)).toBe("permitted");
    }
    // Where others wait for the server's word is not for him to know.
    for (const subject of ["_INBOX.>", "_INBOX.casey.>", "$KV.mesh_tasks.>"]) {
      expect(await subscribeVerdict(observer, subject)).toBe("refused");
    }
    const jsm = await jetstreamManager(observer, { checkAPI: false });
    const found = await jsm.direct.getMessage(TASKS_STREAM, {
      last_by_subj: key("outcome", "casey", "casey", "seen"),
    });
    expect(found?.string()).toBe('{"done":1}');
    expect((await jsm.streams.info(TASKS_STREAM)).state.messages).toBeGreaterThan(0);
  });

  it("watches with a consumer of its own", async () => {
    await store(contractor, key("outcome", "casey", "casey", "watched"), '{"done":2}');
    const jsm = await jetstreamManager(observer, { checkAPI: false });
    const consumer = await jsm.jetstream().consumers.get(TASKS_STREAM, {
      filter_subjects: "$KV.mesh_tasks.casey.watched.>",
      deliver_policy: "all",
    });
    expect((await consumer.next())?.string()).toBe('{"done":2}');
    expect(await consumer.delete()).toBe(true);
  });

  it("cannot touch the consumers that supervise the mesh", async () => {
    for (const name of [...URGENCY.map(supervisionConsumer), "janitor"]) {
      const path = `${TASKS_STREAM}.${name}`;
      for (const subject of [
        `$JS.API.CONSUMER.CREATE.${path}`,
        `$JS.API.CONSUMER.CREATE.${path}.$KV.mesh_tasks.x`,
        `$JS.API.CONSUMER.DELETE.${path}`,
        `$JS.API.CONSUMER.MSG.NEXT.${path}`,
        `$JS.API.CONSUMER.DURABLE.CREATE.${path}`,
        `$JS.API.CONSUMER.CREATE.${TASKS_STREAM}`,
        `$JS.ACK.${path}.1.1.1.1.0`,
      ]) {
        expect([subject, await publishVerdict(observer, subject)]).toEqual([subject, "refused"]);
      }
    }
  });

  it("writes nothing", async () => {
    for (const subject of [
      "mesh.reg.olga.x",
      "mesh.key.olga.x",
      "_INBOX.casey.x",
      key("cancel", "olga", "olga"),
      key("outcome", "casey", "olga"),
      "mesh.submit.ocr",
      "mesh.cfp.ocr.all.olga.o",
      "mesh.bid.ina.i.cfp1.olga.o",
      "mesh.award.casey.c.olga.o",
      "mesh.reg.other.o",
      `$JS.API.STREAM.PURGE.${TASKS_STREAM}`,
      `$JS.API.STREAM.DELETE.${TASKS_STREAM}`,
      `$O.${ARTEFACTS_BUCKET}.C.x`,
      "mesh.sys.disconnect",
    ]) {
      expect([subject, await publishVerdict(observer, subject)]).toEqual([subject, "refused"]);
    }
  });
});

describe("a submitter", () => {
  it("writes specs, cancels and answers of its own", async () => {
    for (const kind of ["spec", "cancel", "answer"] as const) {
      expect(await store(submitter, key(kind, "sam", "sam"), "{}")).toHaveProperty("seq");
    }
    for (const subject of [
      "mesh.submit.ocr",
      "mesh.call.ocr",
      "mesh.look.sam.t1",
      "mesh.field.ocr",
    ]) {
      expect(await publishVerdict(submitter, subject)).toBe("permitted");
    }
  });

  it("writes nothing for another owner, of another kind, or as another", async () => {
    for (const subject of [
      key("spec", "other", "sam"),
      key("spec", "sam", "other"),
      key("cancel", "other", "sam"),
      ...(["contract", "checkpoint", "question", "failure", "result", "outcome"] as const).map(
        (kind) => key(kind, "sam", "sam"),
      ),
      "mesh.bid.ina.i.cfp1.sam.s",
      "mesh.look.other.t1",
    ]) {
      expect([subject, await publishVerdict(submitter, subject)]).toEqual([subject, "refused"]);
    }
    for (const subject of apiCalls(TASKS_STREAM, "initiators-0")) {
      expect([subject, await publishVerdict(submitter, subject)]).toEqual([subject, "refused"]);
    }
  });

  it("hears of its own tasks only", async () => {
    expect(await subscribeVerdict(submitter, "mesh.rec.sam.>")).toBe("permitted");
    for (const subject of ["mesh.rec.>", "mesh.rec.other.>", "mesh.cfp.>", "$KV.mesh_tasks.>"]) {
      expect([subject, await subscribeVerdict(submitter, subject)]).toEqual([subject, "refused"]);
    }
  });
});

describe("an initiator", () => {
  it("pulls from the supervision consumers, and cannot change them or the stream", async () => {
    const initiator = await mesh.join("ina", "initiator");
    const spec = recordSubject({
      owner: "sam",
      task: "t9",
      kind: "spec",
      n: "0-1",
      toPrincipal: "_",
      toAgent: "_",
      fromPrincipal: "sam",
      fromAgent: "s",
    });
    await store(submitter, spec, '{"capability":"ocr"}');
    const jsm = await jetstreamManager(initiator, { checkAPI: false });
    const consumer = await jsm.jetstream().consumers.get(TASKS_STREAM, supervisionConsumer(1));
    const message = await consumer.next();
    expect(message?.subject).toBe(spec);
    expect(await message?.ackAck()).toBe(true);
    const allowed = new Set([
      `$JS.API.CONSUMER.INFO.${TASKS_STREAM}.initiators-0`,
      `$JS.API.CONSUMER.MSG.NEXT.${TASKS_STREAM}.initiators-0`,
      `$JS.API.DIRECT.GET.${TASKS_STREAM}`,
      `$JS.API.STREAM.MSG.GET.${TASKS_STREAM}`,
    ]);
    for (const subject of apiCalls(TASKS_STREAM, "initiators-0").filter((s) => !allowed.has(s))) {
      expect([subject, await publishVerdict(initiator, subject)]).toEqual([subject, "refused"]);
    }
  });

  it("writes outcomes and calls, but no contract and no spec", async () => {
    const initiator = await mesh.join("ivy", "initiator");
    expect(await store(initiator, key("outcome", "sam", "ivy"), "{}")).toHaveProperty("seq");
    expect(await publishVerdict(initiator, "mesh.cfp.ocr.all.ivy.i")).toBe("permitted");
    for (const subject of [
      key("contract", "sam", "ivy"),
      key("spec", "sam", "ivy"),
      "mesh.cfp.ocr.all.other.i",
      "mesh.award.casey.c.other.i",
      "mesh.bid.ina.i.cfp1.ivy.i",
    ]) {
      expect([subject, await publishVerdict(initiator, subject)]).toEqual([subject, "refused"]);
    }
  });

  it("hears within moments that a peer's connection is gone", async () => {
    const initiator = await mesh.join("iris", "initiator");
    const peer = await mesh.join("fleeting", "contractor", ["ocr"]);
    const events = initiator.subscribe("mesh.sys.disconnect", { max: 1 });
    await initiator.flush();
    await peer.close();
    for await (const event of events) {
      expect(event.json()).toMatchObject({
        client: { acc: mesh.home.trust.account, name: "fleeting" },
      });
    }
  });
});

it("an agent may be contractor, initiator and submitter at once, as itself", async () => {
  const agent = await mesh.join("ada", "agent", ["ocr"]);
  for (const subject of [
    key("spec", "ada", "ada"),
    key("contract", "sam", "ada"),
    "mesh.cfp.ocr.all.ada.a",
    "mesh.bid.ina.i.cfp1.ada.a",
    "mesh.award.casey.c.ada.a",
  ]) {
    expect([subject, await publishVerdict(agent, subject)]).toEqual([subject, "permitted"]);
  }
  for (const subject of [
    key("spec", "ada", "sam"),
    "mesh.cfp.ocr.all.sam.a",
    `$JS.API.STREAM.PURGE.${TASKS_STREAM}`,
    `$JS.API.CONSUMER.DELETE.${TASKS_STREAM}.initiators-0`,
  ]) {
    expect([subject, await publishVerdict(agent, subject)]).toEqual([subject, "refused"]);
  }
});

it("no template leaves a mark in what it expands to", () => {
  for (const role of ROLES) {
    const { publish, subscribe, denyPublish } = expandPermissions(role, "ann", []);
    for (const subject of [...publish, ...subscribe, ...(denyPublish ?? [])]) {
      expect(subject).not.toMatch(/[{} ]/);
    }
  }
});
