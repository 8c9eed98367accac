// Clauses 12: live calls and the door.
import { describe, expect, test } from "vitest";
import { useClauses } from "../support/clauses.ts";
import { Tap, termsIn } from "../support/tap.ts";
import { gate, headersOf, json, msgpack, service, until } from "../wire/fixture.ts";

const wire = useClauses();

describe("live calls", () => {
  test("P12.1: nothing of a live call is stored", async () => {
    const tap = new Tap(await wire.stranger("p121tap", "observer"), "mesh.award.>", "mesh.rec.>");
    await tap.ready();
    const a = await wire.peer("p121a", "agent", ["sum121"]);
    a.peer.host({
      name: "w",
      slots: 1,
      services: [service("sum121", async (r) => ({ output: r.input }))],
    });
    await wire.known("sum121", 1);
    const before = await wire.store();
    const call = await a.peer.submitters.call("sum121", { x: 1 }, {});
    expect(await call.result()).toEqual({ x: 1 });
    const after = await wire.store();
    expect(after.tasks).toEqual(before.tasks);
    expect(tap.of("rec")).toEqual([]);
    const award = tap.of("award")[0]?.decoded<{ terms: Uint8Array }>();
    expect(termsIn(award?.terms ?? new Uint8Array(0))).toMatchObject({ live: true, rev: 0 });
  });

  test("P12.2: the outcome counts only from the agent that was awarded", async () => {
    const hold = gate();
    const a = await wire.peer("p122a", "agent", ["sum122"]);
    a.peer.host({
      name: "w",
      slots: 1,
      services: [
        service("sum122", async () => {
          await hold.promise;
          return { output: "mine" };
        }),
      ],
    });
    await wire.known("sum122", 1);
    const call = await a.peer.submitters.call("sum122", {}, {});
    await until(() => a.peer.contractors.running === 1, "the work to begin");
    const eve = await wire.stranger("p122e", "contractor", ["sum122"]);
    const forged = {
      v: 1,
      kind: "outcome",
      task: call.task,
      epoch: 1,
      state: "completed",
      output: "forged",
      attempts: 1,
      endedAt: Date.now(),
      prev: "",
    };
    eve.publish(
      "mesh.msg.p122a.main.p122e.w",
      msgpack({
        v: 1,
        kind: "live",
        owner: call.owner,
        task: call.task,
        epoch: 1,
        outcome: json(forged),
      }),
    );
    // A message after it from the same client: when that is counted, the first was looked at.
    eve.publish("mesh.msg.p122a.main.p122e.w", msgpack({ v: 1, kind: "nonsense" }));
    await until(() => a.peer.counters.get("refused.msg.E_KIND") === 1, "both to be looked at");
    expect(call.state).toBe("submitted");
    hold.open();
    expect(await call.result()).toBe("mine");
  });

  test("P12.3: progress comes in the order of its numbers", async () => {
    const tap = new Tap(await wire.stranger("p123tap", "observer"), "mesh.msg.>");
    await tap.ready();
    const a = await wire.peer("p123a", "agent", ["sum123"]);
    a.peer.host({
      name: "w",
      slots: 1,
      services: [
        service("sum123", async (r) => {
          for (let i = 0; i < 5; i++) r.progress({ done: i / 5, partial: { i } });
          return { output: 1 };
        }),
      ],
    });
    await wire.known("sum123", 1);
    const call = await a.peer.submitters.call("sum123", {}, {});
    const seen: unknown[] = [];
    for await (const event of call.events()) {
      if (event.type === "progress") seen.push(event.partial);
    }
    expect(seen).toEqual([0, 1, 2, 3, 4].map((i) => ({ i })));
    await tap.until((m) => tap.seen.indexOf(m) === 5, "five pieces and the outcome");
    const sent = tap.seen
      .map((m) => m.decoded<{ kind: string; n: number }>())
      .filter((m) => m.kind === "progress");
    expect(sent.map((m) => m.n)).toEqual([0, 1, 2, 3, 4]);
    expect(tap.seen[0]?.subject).toBe("mesh.msg.p123a.main.p123a.w");
  });
});

test("P12.3: of a live call only what its contractor reports is shown", async () => {
  const a = await wire.peer("p123x", "agent", ["sum123x"]);
  const mal = await wire.stranger("p123mal", "contractor", ["sum123x"]);
  const begun = gate();
  const hold = gate();
  a.peer.host({
    name: "w",
    slots: 1,
    services: [
      service("sum123x", async (r) => {
        r.progress({ partial: "true" });
        begun.open();
        await hold.promise;
        return { output: 1 };
      }),
    ],
  });
  await wire.known("sum123x", 1);
  const call = await a.peer.submitters.call("sum123x", {}, {});
  await begun.promise;
  const about = { v: 1, kind: "progress", owner: call.owner, task: call.task, epoch: 1, n: 0 };
  mal.publish("mesh.msg.p123x.main.p123mal.w", msgpack({ ...about, partial: "forged" }));
  const large = { ...about, partial: "x".repeat(100_000) };
  mal.publish("mesh.msg.p123x.main.p123mal.w", msgpack(large));
  await until(() => a.peer.counters.get("refused.msg.E_TOO_LARGE") === 1, "both to be looked at");
  hold.open();
  const seen: unknown[] = [];
  for await (const event of call.events()) {
    if (event.type === "progress") seen.push(event.partial);
  }
  expect(seen).toEqual(["true"]);
});

describe("the door", () => {
  async function behindTheDoor(prefix: string) {
    const a = await wire.peer(`${prefix}a`, "agent", [`do-${prefix}`]);
    a.peer.host({
      name: "w",
      slots: 4,
      services: [
        service(`do-${prefix}`, async (r) => {
          r.progress({ note: "halfway" });
          return { output: { got: r.input, priority: r.spec.priority } };
        }),
      ],
    });
    await wire.known(`do-${prefix}`, 1);
    return { a, client: await wire.stranger(`${prefix}c`, "submitter") };
  }

  test("P12.4: submit answers with the task, call with progress, outcome and an end", async () => {
    const { a, client } = await behindTheDoor("p124");
    const submitted = await client.request("mesh.submit.do-p124", '{"x":1}', {
      "Mesh-Task": "mine",
      "Mesh-Priority": "8",
    });
    expect(submitted.json()).toEqual({ task: "mine", state: "submitted" });
    expect(submitted.headers?.get("Content-Type")).toBe("application/json");
    expect((await wire.recordsOf("p124a", "mine"))[0]).toContain(".mine.");
    // Nobody waits here for its end.
    const before = a.peer.submitters.open;
    const drawn = await client.request("mesh.submit.do-p124", "{}");
    expect(drawn.json()).toMatchObject({ state: "submitted" });
    expect(a.peer.submitters.open).toBeLessThanOrEqual(before);
    const answers: unknown[] = [];
    const inbox = new Tap(client, "_INBOX.p124c.door");
    await inbox.ready();
    client.nc.publish("mesh.call.do-p124", '{"x":2}', {
      reply: "_INBOX.p124c.door",
      headers: headersOf({ "Mesh-Priority": "3" }),
    });
    await inbox.until((m) => m.data.length === 0, "the end");
    for (const m of inbox.seen.slice(0, -1)) {
      answers.push(JSON.parse(Buffer.from(m.data).toString()));
    }
    expect(answers).toMatchObject([
      { type: "progress", note: "halfway" },
      { state: "completed", output: { got: { x: 2 }, priority: 3 } },
    ]);
  });

  test("P12.4: whoever names another's task is not told of it", async () => {
    const { client: first } = await behindTheDoor("p124o");
    const other = await wire.stranger("p124oo", "submitter");
    const named = { "Mesh-Task": "report-7" };
    const large = (char: string) => JSON.stringify({ secret: char.repeat(300_000) });
    const submit = (who: typeof first, input: string) =>
      who.request("mesh.submit.do-p124o", input, named);
    expect((await submit(first, large("a"))).json()).toMatchObject({ state: "submitted" });
    for (const input of [large("b"), large("a"), "{}"]) {
      const refused = (await submit(other, input)).json();
      expect(refused).toMatchObject({ error: { code: "E_TAKEN" } });
    }
    expect((await submit(first, large("a"))).json()).toMatchObject({ state: "submitted" });
  });

  test("P12.5: what it cannot take is answered with an error of the table", async () => {
    const { client } = await behindTheDoor("p125");
    const cases: [code: string, body: string, head: Record<string, string>][] = [
      ["E_NOT_UNDERSTOOD", "{", {}],
      ["E_NOT_UNDERSTOOD", '{"__proto__":1}', {}],
      ["E_SCHEMA", "{}", { "Mesh-Priority": "10" }],
      ["E_SCHEMA", "{}", { "Mesh-Timeout-Ms": "soon" }],
      ["E_SCHEMA", "{}", { "Mesh-Task": "a.b" }],
    ];
    for (const [code, body, head] of cases) {
      for (const door of ["submit", "call"]) {
        const answer = await client.request(`mesh.${door}.do-p125`, body, head);
        expect(answer.json()).toMatchObject({ error: { code, message: expect.any(String) } });
      }
    }
  });
});
