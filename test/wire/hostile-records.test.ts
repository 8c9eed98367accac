// Records and cards that nobody should store: each is counted by who reads it and changes nothing.
import { describe, expect, test } from "vitest";
import { RECORD_KINDS, type RecordKind } from "../../contracts/subjects.ts";
import { counted, json, specOf, until } from "./fixture.ts";
import { ina, mal, meanwhile, SAMPLES, sue, wire } from "./hostile-cast.ts";
import { wrongOnes } from "./wrong-messages.ts";

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
