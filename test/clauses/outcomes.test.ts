// Clauses 10 and 11: outcomes, attempts, deadlines, cancel.
import { describe, expect, test } from "vitest";
import {
  type FailureRecord,
  type Outcome,
  OutcomeSchema,
  ParleyError,
  type RecordKey,
} from "../../contracts/index.ts";
import { foldTask } from "../../mesh/core/task-view.ts";
import type { OpenPeer, Run } from "../../mesh/index.ts";
import { useClauses } from "../support/clauses.ts";
import { type Heard, Tap, termsIn } from "../support/tap.ts";
import { gate, json, msgpack, service, until } from "../wire/fixture.ts";

const wire = useClauses();

/** One agent that works as `run` says, and a tap on the records and messages of its tasks. */
async function workshop(prefix: string, run: (r: Run) => Promise<unknown>, slots = 4) {
  const tap = new Tap(await wire.stranger(`${prefix}tap`, "observer"), "mesh.rec.>", "mesh.msg.>");
  await tap.ready();
  const capability = `do-${prefix}`;
  const a = await wire.peer(`${prefix}a`, "agent", [capability]);
  a.peer.host({
    name: "w",
    slots,
    services: [service(capability, async (r) => ({ output: await run(r) }))],
  });
  await wire.known(capability, 1);
  return { tap, a, capability };
}

function kinds(tap: Tap, task: string): string[] {
  return tap
    .of("rec")
    .filter((m) => m.subject.endsWith(task))
    .map((m) => m.subject.split(".")[5] as string);
}

const bodyOf = <T>(m: Heard): T => JSON.parse(Buffer.from(m.data).toString()) as T;

async function viewOf(a: OpenPeer, owner: string, task: string) {
  return foldTask(await a.peer.deps.records.read(owner, task));
}

describe("outcomes", () => {
  test("P10.1, P10.2: one outcome, under the contract's revision, award inside", async () => {
    const { tap, a, capability } = await workshop("p101", async () => "done");
    const handle = await a.peer.submitters.submit(capability, {}, {});
    await handle.outcome();
    const record = await tap.until((m) => m.subject.includes(".outcome."));
    const contract = tap.of("rec").find((m) => m.subject.includes(".contract."));
    expect(record.header("Nats-Expected-Last-Subject-Sequence")).toBe(
      contract?.header("Nats-Sequence"),
    );
    const outcome = OutcomeSchema.parse(bodyOf(record));
    expect(outcome).toMatchObject({ state: "completed", epoch: 1, output: "done" });
    const terms = termsIn(Buffer.from(outcome.award?.terms ?? "", "base64url"));
    expect(terms).toMatchObject({ task: handle.task, contractor: "p101a.w", epoch: 1 });
    const admin = await wire.stranger("p101x", "agent", [capability]);
    await admin.announce("main");
    admin.answerWho("main");
    const second = await admin.store({
      key: { ...keyOf(record), n: "2", fromPrincipal: "p101x", fromAgent: "main" },
      body: json({ ...outcome, state: "failed", award: undefined }),
      fence: Number(record.header("Nats-Sequence")),
    });
    expect(second.seq).toBeGreaterThan(0);
    const view = await viewOf(a, "p101a", handle.task);
    expect(view.state).toBe("completed");
    expect(view.faults.join()).toContain("S2");
  });

  test("P10.3: failed attempts are records, pauses double, the last one ends it", async () => {
    const { tap, a, capability } = await workshop("p103", async ({ attempt }) => {
      throw new Error(`attempt ${attempt} failed`);
    });
    const handle = await a.peer.submitters.submit(
      capability,
      {},
      {
        retry: { attempts: 3, backoffMs: 40 },
      },
    );
    const outcome = await handle.outcome();
    expect(outcome).toMatchObject({
      state: "failed",
      attempts: 3,
      failure: { code: "E_HANDLER", retry: false },
    });
    expect(outcome.failure?.message).toContain("attempt 3 of 3");
    await tap.until((m) => m.subject.includes(".outcome."));
    expect(kinds(tap, handle.task)).toEqual([
      "spec",
      "contract",
      "failure",
      "contract",
      "failure",
      "contract",
      "failure",
      "outcome",
    ]);
    const failures = tap.of("rec").filter((m) => m.subject.includes(".failure."));
    const bodies = failures.map((m) => bodyOf<FailureRecord>(m));
    expect(bodies.map((f) => [f.epoch, f.attempt, f.failure.message])).toEqual(
      [1, 2, 3].map((n) => [n, n, `Error: attempt ${n} failed`]),
    );
    const starts = bodies.map((f) => f.startedAt ?? 0);
    const [first = 0, second = 0] = [1, 2].map(
      (i) => (starts[i] as number) - (bodies[i - 1]?.endedAt ?? 0),
    );
    expect(first).toBeGreaterThanOrEqual(29);
    expect(second).toBeGreaterThanOrEqual(59);
  });

  test("P10.13: what agents that stop hand back goes on at once, and is no attempt", async () => {
    const capability = "do-p1013";
    const user = await wire.peer("p1013u", "agent", [capability]);
    const tap = new Tap(await wire.stranger("p1013tap", "observer"), "mesh.rec.>");
    await tap.ready();
    const worker = async (name: string, work: (run: Run) => Promise<unknown>) => {
      const open = await wire.peer(name, "agent", [capability]);
      const output = async (run: Run) => ({ output: await work(run) });
      open.peer.host({ name: "w", slots: 1, services: [service(capability, output)] });
      return open;
    };
    const retry = { attempts: 1 };
    const handle = await user.peer.submitters.submit(capability, {}, { retry });
    for (const name of ["p1013a", "p1013b", "p1013c"]) {
      const begun = gate();
      const leaver = await worker(name, ({ signal }) => {
        begun.open();
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(new Error("cut off")), { once: true });
        });
      });
      await begun.promise;
      await leaver.close(0);
    }
    await worker("p1013d", async ({ attempt, epoch }) => ({ attempt, epoch }));
    const outcome = await handle.outcome();
    expect(outcome).toMatchObject({ attempts: 1, output: { attempt: 1, epoch: 4 } });
    const failures = tap.of("rec").filter((m) => m.subject.includes(".failure."));
    const bodies = failures.map((m) => bodyOf<FailureRecord>(m));
    expect(bodies.map((f) => [f.epoch, f.attempt, f.leaving])).toEqual(
      [1, 2, 3].map((epoch) => [epoch, 1, true]),
    );
  });

  test("P10.13: so does what a handler that heeds nothing goes on with", async () => {
    const capability = "do-p1013x";
    const user = await wire.peer("p1013xu", "agent", [capability]);
    const worker = async (name: string, work: (run: Run) => Promise<unknown>) => {
      const open = await wire.peer(name, "agent", [capability]);
      const output = async (run: Run) => ({ output: await work(run) });
      open.peer.host({ name: "w", slots: 1, services: [service(capability, output)] });
      return open;
    };
    const submit = () =>
      user.peer.submitters.submit(capability, {}, { retry: { attempts: 1 }, timeoutMs: 20_000 });
    const begun = gate();
    const deaf = await worker("p1013xa", () => {
      begun.open();
      return new Promise(() => undefined);
    });
    const handle = await submit();
    await begun.promise;
    await deaf.close(0);
    await worker("p1013xb", async ({ attempt }) => attempt);
    expect(await handle.outcome()).toMatchObject({ attempts: 1, epoch: 2, output: 1 });
  });

  test("P10.13: a live call goes on at once as well", async () => {
    const capability = "do-p1013l";
    const user = await wire.peer("p1013lu", "agent", [capability]);
    const begun = gate();
    const worker = async (name: string, work: (run: Run) => Promise<unknown>) => {
      const open = await wire.peer(name, "agent", [capability]);
      const output = async (run: Run) => ({ output: await work(run) });
      open.peer.host({ name: "w", slots: 1, services: [service(capability, output)] });
      return open;
    };
    const leaver = await worker("p1013la", () => {
      begun.open();
      return new Promise(() => undefined);
    });
    const options = { retry: { attempts: 1 }, timeoutMs: 20_000 };
    const call = await user.peer.submitters.call(capability, {}, options);
    await begun.promise;
    await leaver.close(0);
    await worker("p1013lb", async ({ attempt, epoch }) => ({ attempt, epoch }));
    const outcome = await call.outcome();
    expect(outcome).toMatchObject({ state: "completed", output: { attempt: 1, epoch: 2 } });
  });

  test("P10.4: a failure that no retry will help ends the task at once", async () => {
    const { a, capability } = await workshop("p104", async () => {
      throw new ParleyError("E_INPUT", "no such thing");
    });
    const handle = await a.peer.submitters.submit(capability, {}, {});
    expect(await handle.outcome()).toMatchObject({
      state: "failed",
      attempts: 1,
      failure: { code: "E_INPUT", message: "no such thing" },
    });
  });

  test("P10.5: the deadline ends a task as expired, and aborts its handler", async () => {
    const aborted = Promise.withResolvers<string>();
    const { a, capability } = await workshop("p105", async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      aborted.resolve(String(signal.reason?.code));
      throw signal.reason;
    });
    const handle = await a.peer.submitters.submit(capability, {}, { timeoutMs: 300 });
    expect(await handle.outcome()).toMatchObject({
      state: "expired",
      failure: { code: "E_DEADLINE" },
    });
    expect(await aborted.promise).toBe("E_CANCELED");
    expect((await viewOf(a, "p105a", handle.task)).faults).toEqual([]);
  });

  test("P10.6: the contractor tells its initiator, who may do without it", async () => {
    const { tap, a, capability } = await workshop("p106", async () => 1);
    const handle = await a.peer.submitters.submit(capability, {}, {});
    await handle.outcome();
    const done = await tap.until((m) => m.subject.startsWith("mesh.msg.p106a.main."), "done");
    expect(done.decoded()).toMatchObject({
      kind: "done",
      task: handle.task,
      epoch: 1,
      state: "completed",
      rev: Number(tap.of("rec").at(-1)?.header("Nats-Sequence")),
    });
  });

  test("P10.6: an initiator that is not told finds out from the records", async () => {
    const mute = await wire.peer("p106m", "agent", [], { silenceMs: 200 });
    const { who, tap: awards } = await participant("p106b", "sum106");
    const next = await mute.peer.submitters.submit("sum106", {}, {});
    const award = (await awards.until(() => true, "the award")).decoded<{
      terms: Uint8Array;
      sig: Uint8Array;
    }>();
    const embedded = {
      terms: Buffer.from(award.terms).toString("base64url"),
      sig: Buffer.from(award.sig).toString("base64url"),
    };
    const terms = termsIn(award.terms);
    const key: RecordKey = {
      owner: "p106m",
      task: next.task,
      kind: "contract",
      n: "1",
      toPrincipal: "p106m",
      toAgent: "main",
      fromPrincipal: "p106b",
      fromAgent: "w",
    };
    const claim = await who.store({
      key,
      fence: terms.rev,
      body: json({
        v: 1,
        kind: "contract",
        task: next.task,
        epoch: 1,
        attempt: 1,
        capability: "sum106",
        contractor: "p106b.w",
        initiator: "p106m.main",
        leaseMs: 1,
        award: embedded,
        prev: terms.prev,
        at: Date.now(),
      }),
    });
    await until(() => mute.peer.counters.get("initiator.contracts") === 1, "the contract");
    await who.store({
      key: { ...key, kind: "outcome", toAgent: "elsewhere" },
      fence: claim.seq ?? 0,
      body: json({
        v: 1,
        kind: "outcome",
        task: next.task,
        epoch: 1,
        state: "completed",
        attempts: 1,
        endedAt: Date.now(),
        prev: "",
        award: embedded,
      }),
    });
    await until(() => mute.peer.initiators.open === 0, "the initiator to find out");
  }, 20_000);
});

/** A participant of our own that bids on every call it hears. */
async function participant(name: string, capability: string) {
  const who = await wire.stranger(name, "contractor", [capability]);
  await who.announce("w", { capabilities: [{ name: capability, version: "1.0.0" }] });
  who.answerWho("w");
  who.nc.subscribe(`mesh.cfp.${capability}.all.*.*`, {
    callback: (_, m) =>
      who.publish(
        `${m.reply}.${name}.w`,
        msgpack({
          v: 1,
          kind: "bid",
          startMs: 0,
          durationMs: 1,
          cost: 0,
          confidence: 1,
          load: 0,
          slots: 1,
          validMs: 1_000,
        }),
      ),
  });
  const tap = new Tap(who, `mesh.award.${name}.>`);
  await tap.ready();
  return { who, tap };
}

function keyOf(m: Heard): RecordKey {
  const t = (m.header("Nats-Subject") ?? "").split(".");
  return {
    owner: t[2] as string,
    task: t[3] as string,
    kind: t[4] as RecordKey["kind"],
    n: t[5] as string,
    toPrincipal: t[6] as string,
    toAgent: t[7] as string,
    fromPrincipal: t[8] as string,
    fromAgent: t[9] as string,
  };
}

describe("cancel", () => {
  test("P11.1, P11.3: a cancel record fences the contractor, who is told to stop", async () => {
    const aborted = Promise.withResolvers<string>();
    const { tap, a, capability } = await workshop("p111", async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      aborted.resolve(String(signal.reason?.message));
      return "too late";
    });
    const handle = await a.peer.submitters.submit(capability, {}, {});
    await until(() => a.peer.contractors.running === 1, "the contract");
    await handle.cancel("not needed any more");
    expect(await handle.outcome()).toMatchObject({
      state: "canceled",
      failure: { code: "E_CANCELED", message: "not needed any more" },
    });
    expect(await aborted.promise).toBe("not needed any more");
    await until(() => a.peer.contractors.running === 0, "the handler to end");
    const outcome = await tap.until((m) => m.subject.includes(".outcome."));
    expect(kinds(tap, handle.task)).toEqual(["spec", "contract", "cancel", "outcome"]);
    expect(bodyOf<Outcome>(outcome).output).toBeUndefined();
  });

  test("P11.1: a task that waits can be canceled too", async () => {
    const sue = await wire.peer("p111s", "agent");
    const handle = await sue.peer.submitters.submit("nobody-does-this", {}, {});
    await until(() => sue.peer.counters.get("waits") > 0, "the task to wait");
    await handle.cancel();
    expect((await handle.outcome()).state).toBe("canceled");
  });

  test("P11.2, P11.3: a stranger's record or notice stops nothing", async () => {
    const hold = gate();
    let aborted = false;
    const { a, capability } = await workshop("p112", async ({ signal, epoch }) => {
      signal.addEventListener("abort", () => {
        aborted = true;
      });
      if (epoch === 1) await hold.promise;
      return epoch;
    });
    const handle = await a.peer.submitters.submit(capability, {}, { retry: { backoffMs: 1 } });
    await until(() => a.peer.contractors.running === 1, "the contract");
    const eve = await wire.stranger("p112e", "contractor", [capability]);
    await eve.announce("main");
    eve.answerWho("main");
    eve.publish(
      "mesh.msg.p112a.w.p112e.main",
      msgpack({
        v: 1,
        kind: "cancel",
        owner: handle.owner,
        task: handle.task,
        epoch: 1,
        reason: "because",
      }),
    );
    await until(() => a.peer.counters.get("refused.cancel.E_ROLE") === 1, "the notice's refusal");
    expect(aborted).toBe(false);
    const { tasks } = await wire.store();
    await eve.store({
      key: {
        owner: "p112a",
        task: handle.task,
        kind: "cancel",
        n: "0-0",
        toPrincipal: "p112a",
        toAgent: "main",
        fromPrincipal: "p112e",
        fromAgent: "main",
      },
      body: json({
        v: 1,
        kind: "cancel",
        task: handle.task,
        reason: "because",
        at: Date.now(),
        prev: "",
      }),
      fence: tasks.lastSeq,
    });
    await until(() => wire.counted("refused.unlawful.cancel") === 1, "the record's refusal");
    hold.open();
    // It did move the revision, so the attempt was lost; the task was not.
    expect(await handle.result()).toBe(2);
  }, 20_000);
});
