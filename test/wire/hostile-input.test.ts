// Bytes that nobody should send, on every subject that takes input, by a client whose credentials
// permit it. Each gets a typed refusal or a counted drop; nothing stops, nothing is stored.
import { monitorEventLoopDelay } from "node:perf_hooks";
import fc from "fast-check";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { RECORD_KINDS, type RecordKind } from "../../contracts/subjects.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import { HOSTILE_BYTES } from "../support/hostile-bytes.ts";
import {
  counted,
  json,
  msgpack,
  type Stranger,
  service,
  specOf,
  until,
  useWire,
} from "./fixture.ts";
import { type Wrong, wrongOnes } from "./wrong-messages.ts";

vi.setConfig({ testTimeout: 30_000 });
const wire = useWire();
/** How much longer than a plain send the event loop may be held, ms: 50 and the machine's noise. */
const HELD_MS = 250;
const SAMPLES = HOSTILE_BYTES.map((h) => h.bytes);
const LARGE = HOSTILE_BYTES.filter((h) => h.fault === "too_large").length;

let ina: OpenPeer;
let wes: OpenPeer;
let sue: OpenPeer;
let mal: Stranger;
let olga: Stranger;
/** The call that waits for somebody with the capability `rare`, as heard last. */
let call = "";

beforeAll(async () => {
  ina = await wire.peer("ina", "agent", [], { use: { contractor: false } });
  wes = await wire.peer("wes", "contractor", ["echo"]);
  sue = await wire.peer("sue", "submitter");
  wes.peer.host({
    name: "main",
    slots: 50,
    services: [service("echo", async (run) => ({ output: run.input }))],
  });
  mal = await wire.stranger("mal", "agent", ["echo", "rare"]);
  olga = await wire.stranger("olga", "observer");
  await until(() => ina.peer.registry.card("wes.main")?.slots === 50, "wes in the registry");
  mal.nc.subscribe("mesh.cfp.rare.>", {
    callback: (_, m) => {
      call = (m.reply ?? "").split(".")[4] ?? "";
    },
  });
  await mal.nc.flush();
  // Waits until the end of the file: calls and idle agents of `rare` are heard meanwhile.
  await sue.peer.submitters.submit("rare", {}, { timeoutMs: 600_000 });
  await until(() => call !== "", "the call for somebody rare");
  await until(() => counted(ina, "waits") > 0, "the task to wait");
  await ina.transport.flush();
}, 30_000);

/** Tasks of somebody else, submitted before and expected after what `during` does. */
async function meanwhile<T>(during: () => Promise<T>): Promise<T> {
  const tasks = await Promise.all(
    Array.from({ length: 5 }, (_, n) => sue.peer.submitters.submit("echo", { n }, {})),
  );
  const found = await during();
  const results = await Promise.all(tasks.map((t) => t.result(AbortSignal.timeout(15_000))));
  expect(results).toEqual([0, 1, 2, 3, 4].map((n) => ({ n })));
  for (const { transport, peer } of [ina, wes, sue]) {
    expect(transport.state()).toBe("up");
    expect(peer.counters.get("reconnects")).toBe(0);
  }
  return found;
}

/** The longest that the event loop was held, ms. */
async function held(run: () => Promise<void>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: 5 });
  histogram.enable();
  await run();
  histogram.disable();
  return histogram.max / 1e6;
}

interface Target {
  name: string;
  subject: () => string;
  at: () => OpenPeer;
  counter: string;
  /** What this subject takes for good. */
  valid: Record<string, unknown>;
}

const CALL = {
  v: 1,
  kind: "cfp",
  cfp: "c1",
  task: "t1",
  priority: 5,
  windowMs: 20,
  version: "1.0.0",
  requires: { gpu: true },
  hints: { size: 3 },
  deadline: 2e12,
  costMax: 5,
  exclude: ["wes.main"],
  crowd: 3,
};

const TARGETS: readonly Target[] = [
  ...["all", "s8", "s2"].map((rung) => ({
    name: `mesh.cfp, ${rung}`,
    subject: () => `mesh.cfp.echo.${rung}.mal.main`,
    at: () => wes,
    counter: "refused.cfp.",
    valid: CALL,
  })),
  {
    name: "mesh.bid",
    subject: () => `mesh.bid.ina.main.${call}.mal.main`,
    at: () => ina,
    counter: "refused.bid.",
    valid: {
      v: 1,
      kind: "bid",
      startMs: 0,
      durationMs: 1,
      cost: 1,
      confidence: 1,
      load: 0,
      slots: 1,
      validMs: 1,
    },
  },
  {
    name: "mesh.award",
    subject: () => "mesh.award.wes.main.mal.main",
    at: () => wes,
    counter: "refused.award.",
    valid: {
      v: 1,
      kind: "award",
      terms: new Uint8Array([0x80]),
      sig: new Uint8Array(64),
      spec: new Uint8Array([0x80]),
    },
  },
  {
    name: "mesh.idle",
    subject: () => "mesh.idle.rare.mal.main",
    at: () => ina,
    counter: "refused.idle.",
    valid: { v: 1, kind: "idle", slots: 1 },
  },
  {
    name: "mesh.offer",
    subject: () => "mesh.offer.wes.main.mal.main",
    at: () => wes,
    counter: "refused.offer.",
    valid: { v: 1, kind: "offer", capability: "echo", urgency: 1, call: CALL },
  },
  ...(["ina", "sue"] as const).map((to) => ({
    name: `mesh.beat to ${to}`,
    subject: () => `mesh.beat.${to}.main.mal.main`,
    at: () => (to === "ina" ? ina : sue),
    counter: "refused.beat.",
    valid: { v: 1, kind: "beat", tasks: [["t1", 1]], lagMs: 0 },
  })),
  {
    name: "mesh.live",
    subject: () => "mesh.live.wes.main",
    at: () => wes,
    counter: "refused.live.",
    valid: { v: 1, kind: "live", task: "t1", epoch: 1, from: "mal.main" },
  },
  ...(["ina", "wes", "sue"] as const).map((to) => ({
    name: `mesh.msg to ${to}`,
    subject: () => `mesh.msg.${to}.main.mal.main`,
    at: () => ({ ina, wes, sue })[to],
    counter: "refused.msg.",
    valid: { v: 1, kind: "progress", task: "t1", epoch: 1, n: 0, done: 0.5, note: "n" },
  })),
];

/** Sends all and waits until each is counted; says by which names. */
async function blast(target: Target, messages: readonly Uint8Array[]) {
  const peer = target.at();
  const before = peer.peer.counters.snapshot();
  const late = () => counted(peer, "bid.late") - (before["bid.late"] ?? 0);
  const sum = (all: Record<string, number>) =>
    Object.entries(all).reduce((n, [k, v]) => (k.startsWith(target.counter) ? n + v : n), 0);
  const done = () => sum(peer.peer.counters.snapshot()) - sum(before) + late();
  for (const bytes of messages) mal.nc.publish(target.subject(), bytes);
  await mal.nc.flush();
  await until(
    () => done() >= messages.length,
    () => `${target.name}: ${done()} of ${messages.length} counted`,
  );
  expect(done()).toBe(messages.length);
  const after = peer.peer.counters.snapshot();
  const by: Record<string, number> = {};
  for (const [name, n] of Object.entries(after)) {
    const more = n - (before[name] ?? 0);
    if (name.startsWith(target.counter) && more > 0) by[name.slice(target.counter.length)] = more;
  }
  return { by, late: late() };
}

describe("on a core subject", () => {
  test.each(TARGETS)("$name drops and counts every hostile document", async (target) => {
    const plain = await held(async () => {
      for (const bytes of SAMPLES) mal.nc.publish("mesh.msg.nobody.main.mal.main", bytes);
      await mal.nc.flush();
    });
    await meanwhile(async () => {
      let found: Awaited<ReturnType<typeof blast>> | undefined;
      const hostile = await held(async () => {
        // A new call may come up in the middle: then what was meant for the old one is late.
        do found = await blast(target, SAMPLES);
        while (found.late > 0);
      });
      expect(hostile).toBeLessThan(plain + HELD_MS);
      const by = found?.by ?? {};
      if (target.counter === "refused.award." || target.counter === "refused.msg.") {
        // Larger documents are let in here, and then fit nothing.
        expect(by.E_NOT_UNDERSTOOD).toBeGreaterThan(100);
      } else {
        expect(by).toEqual({ E_NOT_UNDERSTOOD: SAMPLES.length - LARGE, E_TOO_LARGE: LARGE });
      }
    });
  });

  test.each(TARGETS)(
    "$name tells version, kind and misfit apart, in both formats",
    async (target) => {
      const wrong = wrongOnes(target.valid).filter((w) => target.name !== "mesh.award" || w.opaque);
      for (const encode of target.name === "mesh.award" ? [msgpack] : [json, msgpack]) {
        for (const code of ["E_VERSION", "E_KIND", "E_SCHEMA"] as const) {
          const mine = wrong.filter((w) => w.code === code);
          expect(mine.length).toBeGreaterThan(0);
          let found: Awaited<ReturnType<typeof blast>>;
          do
            found = await blast(
              target,
              mine.map((w: Wrong) => encode(w.value)),
            );
          while (found.late > 0);
          expect([code, found.by]).toEqual([code, { [code]: mine.length }]);
        }
      }
    },
  );

  test("random bytes do no more than that", async () => {
    await meanwhile(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 }),
          fc.constantFrom(...TARGETS),
          async (messages, target) => {
            await blast(target, messages);
          },
        ),
        { numRuns: 60 },
      ),
    );
  });

  test("leaves the store as it was, to the last byte", async () => {
    await ina.transport.flush();
    const before = await wire.store();
    for (const target of TARGETS) await blast(target, SAMPLES);
    for (const bytes of [Buffer.from("{"), Buffer.from([0x80]), Buffer.from('{"__proto__":1}')]) {
      for (const door of ["submit", "call"]) await mal.request(`mesh.${door}.echo`, bytes);
    }
    expect(await wire.store()).toEqual(before);
  });

  test("an award for an agent that is not here is counted", async () => {
    const before = counted(wes, "refused.award.E_NOT_FOUND");
    mal.nc.publish("mesh.award.wes.ghost.mal.main", "{}");
    await until(() => counted(wes, "refused.award.E_NOT_FOUND") > before, "the award counted");
  });
});

describe("at the door", () => {
  /** Input may be any JSON, up to the size of a record: these are odd, and fine. */
  const FINE = new Set([
    "over the byte limit",
    "too many keys",
    "too many keys in parts",
    "too many empty objects",
    "a JSON string",
    "a JSON array",
    "a JSON number",
    "no bytes",
  ]);

  interface Answer {
    task?: string;
    state?: string;
    output?: unknown;
    error?: { code: string; message: string };
  }

  async function ask(subject: string, body: Uint8Array | string, head = {}): Promise<Answer> {
    return (await mal.request(subject, body, head)).json();
  }

  test.each(["submit", "call"] as const)(
    "mesh.%s refuses with a code and a reason",
    async (door) => {
      await meanwhile(async () => {
        for (const { name, bytes, fault } of HOSTILE_BYTES) {
          const answer = await ask(`mesh.${door}.echo`, bytes);
          if (FINE.has(name)) {
            expect([name, answer.state]).toEqual([
              name,
              door === "call" ? "completed" : "submitted",
            ]);
            continue;
          }
          const code = fault === "too_large" ? "E_TOO_LARGE" : "E_NOT_UNDERSTOOD";
          // A msgpack map over the control limit is no JSON in the first place.
          const codes = [code, "E_NOT_UNDERSTOOD"];
          expect([name, codes.includes(answer.error?.code ?? "")]).toEqual([name, true]);
          expect(answer.error?.message).toMatch(/JSON/);
        }
      });
    },
  );

  test("random bytes are refused, or they were JSON", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const answer = await ask("mesh.submit.echo", bytes);
        if (answer.error === undefined) JSON.parse(Buffer.from(bytes).toString("utf8"));
        else expect(answer.error.code).toMatch(/^E_(NOT_UNDERSTOOD|TOO_LARGE)$/);
      }),
      { numRuns: 100 },
    );
  });

  test.each([
    ["Mesh-Priority", "eleven"],
    ["Mesh-Priority", "10"],
    ["Mesh-Priority", "-1"],
    ["Mesh-Priority", "5.5"],
    ["Mesh-Timeout-Ms", "0"],
    ["Mesh-Timeout-Ms", "1e99"],
    ["Mesh-Timeout-Ms", "NaN"],
    ["Mesh-Budget", "-0.01"],
    ["Mesh-Policy", "no such policy!"],
    ["Mesh-Policy", "x".repeat(65)],
    ["Mesh-Task", "a.b"],
    ["Mesh-Task", "*"],
    ["Mesh-Task", ">"],
    ["Mesh-Task", "x".repeat(65)],
  ])("%s: %s is refused, since no initiator could read such a task", async (name, value) => {
    for (const door of ["submit", "call"]) {
      const answer = await ask(`mesh.${door}.echo`, "{}", { [name]: value });
      expect(answer.error).toMatchObject({ code: "E_SCHEMA" });
    }
  });

  test("a reason that is cut in the middle of a character is sent all the same", async () => {
    for (const door of ["submit", "call"]) {
      const head = { "Mesh-Task": `x${"\u{1f600}".repeat(3_000)}` };
      const answer = await ask(`mesh.${door}.echo`, "{}", head);
      expect(answer.error?.code).toBe("E_SCHEMA");
    }
  });

  test("an unknown policy is rejected by name", async () => {
    const answer = await ask("mesh.call.echo", "{}", { "Mesh-Policy": "nosuch" });
    expect(answer).toMatchObject({ state: "rejected", failure: { code: "E_POLICY" } });
  });

  test.each(["*", ">", "a!b", "x".repeat(65), "\u{1f600}"])(
    "no capability is called %s",
    async (name) => {
      const answer = await ask(`mesh.submit.${name}`, "{}");
      expect(answer.error?.code).toBe("E_SCHEMA");
    },
  );

  test.each([30, 31, 32, 33])("input of depth %i is refused or comes back", async (depth) => {
    const body = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    const answer = await ask("mesh.call.echo", body, { "Mesh-Timeout-Ms": "5000" });
    if (answer.error !== undefined)
      expect(answer.error.code).toMatch(/^E_(SCHEMA|NOT_UNDERSTOOD)$/);
    else expect(answer).toMatchObject({ state: "completed", output: JSON.parse(body) });
  });

  test("as many keys as the door lets in come back, or are refused", async () => {
    const many = (n: number) =>
      JSON.stringify(Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, 0])));
    for (const keys of [9_900, 10_000, 10_001]) {
      const answer = await ask("mesh.call.echo", many(keys), { "Mesh-Timeout-Ms": "5000" });
      if (answer.error === undefined) expect([keys, answer.state]).toEqual([keys, "completed"]);
      else expect(answer.error.code).toMatch(/^E_(SCHEMA|NOT_UNDERSTOOD|TOO_LARGE)$/);
    }
  });

  test("without a reply subject it is a counted drop", async () => {
    const before = counted(ina, "refused.door.");
    mal.nc.publish("mesh.submit.echo", "{");
    mal.nc.publish("mesh.call.echo", "{");
    await until(() => counted(ina, "refused.door.") === before + 2, "both counted");
  });

  test("answers only to inboxes: the door speaks for nobody on other subjects", async () => {
    const key = await olga.nc.request("$JS.API.DIRECT.GET.mesh_keys.mesh.key.ina.main", "");
    const before = counted(ina, "refused.door.");
    for (const reply of [
      "mesh.key.ina.main",
      "mesh.reg.ina.main",
      "mesh.award.wes.main.ina.main",
    ]) {
      mal.publish("mesh.call.echo", "{}", {}, reply);
      mal.publish("mesh.submit.echo", "{", {}, reply);
    }
    await until(() => counted(ina, "refused.door.E_FORGED_PATH") >= 6, "six refused");
    expect(counted(ina, "refused.door.")).toBe(before + 6);
    const now = await olga.nc.request("$JS.API.DIRECT.GET.mesh_keys.mesh.key.ina.main", "");
    expect(now.data).toEqual(key.data);
  });
});

describe("asked who it is and whether it is there", () => {
  test("a peer answers with its card, whatever the question holds", async () => {
    const card = (await mal.request("mesh.who.wes.main", "")).data;
    for (const bytes of SAMPLES) {
      expect((await mal.request("mesh.who.wes.main", bytes)).data).toEqual(card);
    }
  });

  test("a look gets records, whatever it holds", async () => {
    for (const bytes of SAMPLES) {
      const answer = await mal.request("mesh.look.mal.t1", bytes);
      expect(Buffer.from(answer.data).includes("records")).toBe(true);
    }
    const before = counted(ina, "refused.look.");
    mal.publish("mesh.look.mal.*", "", {}, `_INBOX.mal.x`);
    await until(() => counted(ina, "refused.look.") === before + 1, "the look counted");
  });

  test("as a micro service it answers, whatever the question holds", async () => {
    for (const verb of ["PING", "INFO", "STATS"]) {
      for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.main`, `$SRV.${verb}.main.wes-main`]) {
        const answers = await Promise.all(SAMPLES.map((bytes) => olga.request(subject, bytes)));
        for (const a of answers) expect(a.json()).toMatchObject({ id: "wes-main", name: "main" });
      }
    }
  });

  test("none of them answers anywhere but in an inbox", async () => {
    const notices = olga.nc.subscribe("mesh.reg.>");
    const before = { wes: counted(wes, "refused."), ina: counted(ina, "refused.") };
    mal.publish("mesh.who.wes.main", "", {}, "mesh.reg.wes.main");
    mal.publish(
      "mesh.live.wes.main",
      msgpack({ v: 1, kind: "live", task: "t", epoch: 1, from: "mal.main" }),
      {},
      "mesh.reg.wes.main",
    );
    mal.publish("mesh.look.mal.t1", "", {}, "mesh.reg.ina.main");
    olga.publish("$SRV.PING", "", {}, "mesh.reg.wes.main");
    await until(() => counted(wes, "refused.") >= before.wes + 3, "three refused by wes");
    await until(() => counted(ina, "refused.") >= before.ina + 1, "one refused by ina");
    expect(notices.getPending()).toBe(0);
    notices.unsubscribe();
  });
});

describe("in the store", () => {
  const WITH_SCHEMA: readonly RecordKind[] = ["spec", "contract", "failure", "cancel", "outcome"];

  test.each(RECORD_KINDS)("a hostile %s is stored, and counts for nothing", async (kind) => {
    await meanwhile(async () => {
      const counter = `refused.record.${kind}.`;
      const before = counted(ina, counter);
      for (const [i, bytes] of SAMPLES.entries()) {
        const place = kind === "spec" ? `0-1._.x${i}` : `${i}.ina.main`;
        mal.nc.publish(`$KV.mesh_tasks.sue.hostile.${kind}.${place}.mal.main`, bytes);
      }
      await until(
        () => counted(ina, counter) >= before + SAMPLES.length,
        () => `${counted(ina, counter) - before} of ${SAMPLES.length} counted`,
      );
      expect(counted(ina, counter)).toBe(before + SAMPLES.length);
    });
  });

  test("a hostile outcome for a submitter is counted by the submitter", async () => {
    const before = counted(sue, "refused.record.outcome.");
    for (const [i, bytes] of SAMPLES.entries()) {
      mal.nc.publish(`$KV.mesh_tasks.sue.hostile.outcome.s${i}.sue.main.mal.main`, bytes);
    }
    await until(
      () => counted(sue, "refused.record.outcome.") >= before + SAMPLES.length,
      "every outcome counted",
    );
  });

  const bodies: Partial<Record<RecordKind, Record<string, unknown>>> = {
    spec: { ...specOf("sue", "echo", { task: "wrong" }) },
    contract: {
      v: 1,
      kind: "contract",
      task: "wrong",
      epoch: 1,
      attempt: 1,
      capability: "echo",
      contractor: "mal.main",
      initiator: "ina.main",
      leaseMs: 1,
      award: { terms: "", sig: "" },
      prev: "",
      at: 1,
    },
    failure: {
      v: 1,
      kind: "failure",
      task: "wrong",
      epoch: 1,
      attempt: 1,
      failure: { code: "E_HANDLER", message: "m", retry: true },
      endedAt: 1,
      prev: "",
    },
    cancel: { v: 1, kind: "cancel", task: "wrong", reason: "r", at: 1, prev: "" },
    outcome: {
      v: 1,
      kind: "outcome",
      task: "wrong",
      epoch: 1,
      state: "completed",
      attempts: 1,
      endedAt: 1,
      prev: "",
    },
  };

  test.each(WITH_SCHEMA)(
    "a signed %s that fits no schema is told apart by its fault",
    async (kind) => {
      mal.answerWho("main");
      await mal.nc.flush();
      const valid = bodies[kind] as Record<string, unknown>;
      const wrong = wrongOnes(valid, ["input"]).filter(
        (w) => !("task" in w.value) || w.value.task === "wrong",
      );
      wrong.push({ code: "E_SENDER", value: { ...valid, task: "another" }, opaque: true });
      for (const code of ["E_VERSION", "E_KIND", "E_SCHEMA", "E_SENDER"] as const) {
        const counter = `refused.record.${kind}.${code}`;
        const before = counted(ina, counter);
        const mine = wrong.filter((w) => w.code === code);
        for (const [i, w] of mine.entries()) {
          const [subject, body, head] = mal.record({
            key: {
              owner: "sue",
              task: "wrong",
              kind,
              n: kind === "spec" ? "0-1" : `${code}-${i}`,
              toPrincipal: kind === "spec" ? "_" : "ina",
              toAgent: kind === "spec" ? `${code}-${i}` : "main",
              fromPrincipal: "mal",
              fromAgent: "main",
            },
            body: json(w.value),
            fence: 0,
            fenceHeader: null,
          });
          mal.publish(subject, body, head);
        }
        await until(
          () => counted(ina, counter) === before + mine.length,
          () => `${code}: ${counted(ina, counter) - before} of ${mine.length}`,
        );
      }
    },
  );

  test("hostile cards seat nobody", async () => {
    const seats = ina.peer.registry.size;
    const before = counted(ina, "refused.card");
    const cards = SAMPLES.filter((bytes) => bytes.length > 0);
    for (const [i, bytes] of cards.entries()) mal.nc.publish(`mesh.reg.mal.h${i}`, bytes);
    await until(
      () => counted(ina, "refused.card") >= before + cards.length,
      () => `${counted(ina, "refused.card") - before} of ${cards.length} cards counted`,
    );
    expect(ina.peer.registry.size).toBe(seats);
    // A newcomer reads them from the bucket, and is none the worse for it.
    const ivo = await wire.peer("ivo", "initiator");
    expect(counted(ivo, "refused.card")).toBeGreaterThanOrEqual(cards.length);
    expect(ivo.peer.registry.card("wes.main")).toBeDefined();
    await ivo.close(0);
  });

  test("hostile keys prove nobody", async () => {
    const before = counted(ina, "refused.record.cancel.E_IDENTITY");
    for (const [i, bytes] of SAMPLES.entries()) {
      mal.nc.publish(`mesh.key.mal.k${i}`, bytes);
      const [subject, body, head] = mal.record({
        key: {
          owner: "sue",
          task: "keys",
          kind: "cancel",
          n: `${i}`,
          toPrincipal: "ina",
          toAgent: "main",
          fromPrincipal: "mal",
          fromAgent: `k${i}`,
        },
        body: json({ v: 1, kind: "cancel", task: "keys", reason: "", at: 1, prev: "" }),
        fence: 0,
        fenceHeader: null,
      });
      mal.publish(subject, body, head);
    }
    await until(
      () => counted(ina, "refused.record.cancel.E_IDENTITY") === before + SAMPLES.length,
      "every record refused for want of an identity",
    );
  });
});

test("in the end the waiting task is still open, and the mesh still works", async () => {
  expect(ina.peer.initiators.open).toBe(1);
  await meanwhile(async () => undefined);
});
