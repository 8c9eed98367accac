// Clauses 13, 14 and 15: limits, bad input, retention.
import { describe, expect, test } from "vitest";
import {
  INLINE_BYTES_MAX,
  type Outcome,
  RECORD_BYTES_MAX,
  type RecordKey,
  type Spec,
} from "../../contracts/index.ts";
import { NatsArtefacts } from "../../mesh/nats/artefacts.ts";
import { Janitor } from "../../mesh/nats/janitor.ts";
import { systemClock } from "../../mesh/nats/system.ts";
import { CONTROL_LIMITS, decode, RECORD_LIMITS } from "../../mesh/runtime/codec/codec.ts";
import { useClauses } from "../support/clauses.ts";
import { Tap } from "../support/tap.ts";
import { headersOf, json, msgpack, service, silent, specOf, until } from "../wire/fixture.ts";

const wire = useClauses();

async function echoing(prefix: string, slots = 4) {
  const capability = `do-${prefix}`;
  const a = await wire.peer(`${prefix}a`, "agent", [capability]);
  a.peer.host({
    name: "w",
    slots,
    services: [service(capability, async (r) => ({ output: r.input }))],
  });
  await wire.known(capability, 1);
  return { a, capability };
}

function specKey(owner: string, task: string, author = owner): RecordKey {
  return {
    owner,
    task,
    kind: "spec",
    n: "0-1",
    toPrincipal: "_",
    toAgent: "_",
    fromPrincipal: author,
    fromAgent: "main",
  };
}

describe("limits", () => {
  test("P13.1: a message or record over its limit is refused", async () => {
    const { a, capability } = await echoing("p131");
    const eve = await wire.stranger("p131e", "agent", [capability]);
    const cases: [code: string, body: Uint8Array][] = [
      ["E_TOO_LARGE", msgpack({ pad: "x".repeat(CONTROL_LIMITS.bytesMax) })],
      ["E_NOT_UNDERSTOOD", Buffer.from(`${'{"a":'.repeat(33)}1${"}".repeat(33)}`)],
      [
        "E_NOT_UNDERSTOOD",
        json(
          Object.fromEntries(
            Array.from({ length: CONTROL_LIMITS.keysMax + 1 }, (_, i) => [`k${i}`, 1]),
          ),
        ),
      ],
    ];
    for (const [code, body] of cases) {
      const counter = `refused.cfp.${code}`;
      const before = a.peer.counters.get(counter);
      eve.publish(`mesh.cfp.${capability}.all.p131e.main`, body);
      await until(() => a.peer.counters.get(counter) > before, code);
    }
    const key = { ...specKey("p131a", "big"), fromAgent: "main" };
    const result = await new Promise((done) =>
      a.peer.deps.records.write(key, { pad: "x".repeat(RECORD_BYTES_MAX) }, 0, undefined, done),
    );
    expect(result).toMatchObject({ ok: false, fault: "refused" });
    expect(await wire.recordsOf("p131a", "big")).toEqual([]);
  });

  test("P13.2: what is large travels sealed, by reference, and is checked", async () => {
    const tap = new Tap(await wire.stranger("p132tap", "observer"), "mesh.rec.>");
    await tap.ready();
    const { a, capability } = await echoing("p132");
    const secret = "in plain sight ".repeat(INLINE_BYTES_MAX / 8);
    const days = 24 * 3_600_000;
    const handle = await a.peer.submitters.submit(capability, { secret }, { timeoutMs: 20 * days });
    expect(await handle.result()).toEqual({ secret });
    await tap.until((m) => m.subject.includes(".outcome."));
    const bodies = ["spec", "outcome"].map((kind) => {
      const m = tap.seen.find((heard) => heard.subject.includes(`.${kind}.`));
      return JSON.parse(Buffer.from(m?.data ?? []).toString()) as Pick<Spec, "inputRef"> &
        Pick<Outcome, "outputRef">;
    });
    const refs = [bodies[0]?.inputRef, bodies[1]?.outputRef];
    for (const ref of refs) {
      expect(ref).toMatchObject({ $ref: expect.stringMatching(/^mesh_artifacts\//) });
      if (ref === undefined) continue;
      const stored = await tap.stranger.request(
        `$JS.API.DIRECT.GET.OBJ_mesh_artifacts.$O.mesh_artifacts.C.${ref.$ref.slice(15)}-0`,
        "",
      );
      expect(stored.data.length).toBeGreaterThan(INLINE_BYTES_MAX);
      // As long as its task may last, and a week.
      const keptMs = Number.parseInt(stored.headers?.get("Nats-TTL") ?? "", 10) * 1_000;
      expect(Math.round(keptMs / days)).toBe(27);
      expect(Buffer.from(stored.data).includes("in plain sight")).toBe(false);
      const { artefacts } = handlesOf(a);
      await expect(artefacts.get({ ...ref, bytes: ref.bytes - 1 })).rejects.toThrow(/digest/);
      await expect(artefacts.get({ ...ref, sha256: "A".repeat(43) })).rejects.toThrow(/digest/);
      await expect(artefacts.get({ ...ref, key: "A".repeat(43) })).rejects.toThrow(/key/);
    }
  });

  test("P13.3: a deadline more than 30 days away is rejected", async () => {
    const { a } = await echoing("p133");
    const sue = await wire.stranger("p133s", "submitter");
    await sue.announce("main");
    const spec = specOf("p133s", "do-p133", { deadline: Date.now() + 31 * 24 * 3_600_000 });
    await sue.store({ key: specKey("p133s", spec.task), body: json(spec), fence: 0 });
    await until(() => a.peer.counters.get("refused.record.spec.E_SCHEMA") === 1, "the refusal");
    const last = async () => (await a.peer.submitters.look("p133s", spec.task)).at(-1);
    await until(async () => (await last())?.kind === "outcome", "its end");
    expect((await last())?.body).toMatchObject({
      state: "rejected",
      failure: { code: "E_SCHEMA", message: expect.stringMatching(/is the submitter's clock/) },
    });

    // Whoever uses a peer hears of it before anything is stored; and of a version that is none.
    const submit = (options: object) => a.peer.submitters.submit("do-p133", {}, options);
    await expect(submit({ deadline: spec.deadline })).rejects.toThrow(/more than 30 days away/);
    await expect(submit({ version: "new" })).rejects.toThrow(/"new" is no version/);
    const otherwise = [{ capability: "do-p133", version: "1.x" }];
    await expect(submit({ otherwise })).rejects.toThrow(/"1.x" is no version/);
  });

  test("P13.4: a task for another owner needs a parent's open contract", async () => {
    const { a } = await echoing("p134");
    const eve = await wire.stranger("p134e", "contractor", ["do-p134"]);
    await eve.announce("main");
    eve.answerWho("main");
    const refused = () => a.peer.counters.get("refused.record.spec.E_AUTHORITY");
    const parents: (Spec["parent"] | undefined)[] = [
      undefined,
      { task: "none", epoch: 1, contractor: "p134e.main" },
      { task: "none", epoch: 1, contractor: "p134a.w" },
    ];
    for (const parent of parents) {
      const before = refused();
      const spec = specOf("p134a", "do-p134", parent === undefined ? {} : { parent });
      await eve.store({ key: specKey("p134a", spec.task, "p134e"), body: json(spec), fence: 0 });
      await until(() => refused() > before, "the refusal");
    }
    expect(a.peer.counters.get("calls.all")).toBe(0);
  });
});

/** The artefact store of a peer, with its rights. */
function handlesOf(a: Awaited<ReturnType<typeof wire.peer>>) {
  return { artefacts: new NatsArtefacts(a.transport, a.peer.deps.random) };
}

describe("bad input", () => {
  test("P14.1: it is counted under its reason and disturbs nobody", async () => {
    const { a, capability } = await echoing("p141");
    const eve = await wire.stranger("p141e", "agent", [capability]);
    const rubbish = [
      new Uint8Array(0),
      Buffer.from("hello"),
      Buffer.from([0xc1]),
      Buffer.from([0xdf, 255, 255]),
      json({ __proto__: null, v: 1 }),
      json([]),
      msgpack({ v: 1, kind: "bid" }),
    ];
    const subjects: [what: string, subject: string][] = [
      ["cfp", `mesh.cfp.${capability}.all.p141e.main`],
      ["award", "mesh.award.p141a.w.p141e.main"],
      ["offer", "mesh.offer.p141a.w.p141e.main"],
      ["beat", "mesh.beat.p141a.main.p141e.main"],
      ["msg", "mesh.msg.p141a.main.p141e.main"],
      ["live", "mesh.live.p141a.w"],
    ];
    for (const [what, subject] of subjects) {
      for (const body of rubbish) eve.publish(subject, body);
      await until(
        () => counted(what) === rubbish.length,
        () => `${what}: ${counted(what)}`,
      );
    }
    const handle = await a.peer.submitters.submit(capability, "still here", {});
    expect(await handle.result()).toBe("still here");

    function counted(what: string): number {
      return wire.counted(`refused.${what}.`);
    }
  });

  test("P14.2: version, kind and form are told apart", async () => {
    const { a, capability } = await echoing("p142");
    const eve = await wire.stranger("p142e", "agent", [capability]);
    const sound = { v: 1, kind: "cfp", cfp: "c", task: "t", priority: 5, windowMs: 1 };
    const cases: [code: string, value: object][] = [
      ["E_VERSION", { ...sound, v: 2 }],
      ["E_KIND", { ...sound, kind: "nonsense" }],
      ["E_SCHEMA", { ...sound, priority: 99 }],
    ];
    for (const [code, value] of cases) {
      eve.publish(`mesh.cfp.${capability}.all.p142e.main`, msgpack(value));
      await until(() => a.peer.counters.get(`refused.cfp.${code}`) === 1, code);
    }
  });

  test("P14.3: a core message with the headers of a stored one is refused", async () => {
    const { a } = await echoing("p143");
    const eve = await wire.stranger("p143e", "agent", ["do-p143"]);
    for (const name of ["Nats-Stream", "Nats-Subject", "Nats-Sequence"]) {
      const before = a.peer.counters.get("refused.msg.E_FORGED_PATH");
      eve.publish("mesh.msg.p143a.main.p143e.main", msgpack({ v: 1, kind: "done" }), {
        [name]: "1",
      });
      await until(() => a.peer.counters.get("refused.msg.E_FORGED_PATH") > before, name);
    }
  });

  test("P14.4: a notice of a record must agree with the key it was stored under", async () => {
    const { a } = await echoing("p144");
    const root = await wire.stranger("p144root", "admin");
    const key = "$KV.mesh_tasks.p144a.t.outcome.1.p144a.main.p144e.w";
    const heads: Record<string, string>[] = [
      {},
      { "Nats-Subject": key.replace(".t.", ".u."), "Nats-Sequence": "9" },
      { "Nats-Subject": key, "Nats-Sequence": "soon" },
    ];
    for (const head of heads) {
      const before = a.peer.counters.get("refused.record.E_FORGED_PATH");
      root.nc.publish("mesh.rec.p144a.p144a.main.outcome.p144e.w.t", json({}), {
        headers: headersOf(head),
      });
      await until(() => a.peer.counters.get("refused.record.E_FORGED_PATH") > before, "a refusal");
    }
    await root.nc.close();
  });

  test("P14.5: dangerous keys, duplicates and unsafe numbers are refused anywhere", () => {
    const texts = [
      '{"__proto__":{}}',
      '{"a":{"constructor":1}}',
      '{"a":[{"prototype":1}]}',
      '{"a":1,"a":2}',
      '{"a":9007199254740993}',
      '{"\\u005f_proto__":1}',
    ];
    for (const text of texts) {
      expect(decode(Buffer.from(text), RECORD_LIMITS).ok, text).toBe(false);
    }
    for (const name of ["__proto__", "constructor", "prototype"]) {
      const packed = msgpack({ a: { [`x${name.slice(1)}`]: 1 } });
      const place = Buffer.from(packed).indexOf(`x${name.slice(1)}`);
      packed[place] = name.charCodeAt(0);
      expect(decode(packed, RECORD_LIMITS).ok, name).toBe(false);
    }
    expect(decode(msgpack({ a: 2n ** 60n }), RECORD_LIMITS).ok).toBe(false);
  });
});

describe("retention", () => {
  test("P15.1: a finished task goes when its time has come, an unfinished one never", async () => {
    const { a, capability } = await echoing("p151");
    const root = await wire.peer("p151root", "admin", [], {
      use: { contractor: false, initiator: false, submitter: false, intake: false },
    });
    const janitor = new Janitor(root.transport, systemClock, silent, "p151root", (owner, task) =>
      root.peer.isFinished(owner, task),
    );
    const submit = (task: string, name: string, retainMs: number) =>
      a.peer.submitters.submit(name, 1, { task, retainMs });
    await (await submit("gone", capability, 0)).outcome();
    await (await submit("kept", capability, 3_600_000)).outcome();
    await submit("open", "nobody-does-this", 0);
    // Somebody without a contract says that it is over: that proves nothing.
    const eve = await wire.stranger("p151e", "contractor", [capability]);
    await eve.announce("w");
    const { tasks } = await wire.store();
    const bogus = await eve.store({
      key: {
        ...specKey("p151a", "open"),
        kind: "outcome",
        n: "1",
        fromPrincipal: "p151e",
        fromAgent: "w",
      },
      body: json({
        v: 1,
        kind: "outcome",
        task: "open",
        epoch: 1,
        state: "completed",
        attempts: 1,
        endedAt: 1,
        retainMs: 0,
        prev: "",
      }),
      fence: tasks.lastSeq,
    });
    expect(bogus.seq).toBeGreaterThan(0);
    janitor.start();
    await until(() => janitor.purged >= 1 && janitor.refused >= 1, "a purge and a refusal");
    await until(async () => (await wire.recordsOf("p151a", "gone")).length === 0, "it to be gone");
    janitor.stop();
    expect(await wire.recordsOf("p151a", "kept")).toHaveLength(3);
    expect((await wire.recordsOf("p151a", "open")).length).toBeGreaterThanOrEqual(1);
  }, 15_000);

  test("P15.2: the server copies every record to the audit stream", async () => {
    const { a, capability } = await echoing("p152");
    const handle = await a.peer.submitters.submit(capability, 1, {});
    await handle.outcome();
    const reader = await wire.stranger("p152r", "observer");
    for (const kind of ["spec", "contract", "outcome"]) {
      await until(async () => {
        const answers = [];
        for (let partition = 0; partition < 16; partition++) {
          const m = await reader.request(
            `$JS.API.DIRECT.GET.mesh_audit.mesh.audit.${partition}.${kind}`,
            "",
          );
          if (m.data.length > 0) answers.push(Buffer.from(m.data).toString());
        }
        return answers.some((text) => text.includes(handle.task));
      }, `the ${kind} in the audit stream`);
    }
  });
});
