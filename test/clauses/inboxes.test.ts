// Clause P1.7: where answers go, and that a message grants nothing by what it names (ADR 0015).
import { describe, expect, test } from "vitest";
import { useClauses } from "../support/clauses.ts";
import { publishVerdict } from "../support/permissions.ts";
import { Tap } from "../support/tap.ts";
import { headersOf, service, until } from "../wire/fixture.ts";

const wire = useClauses();

describe("P1.7: a message that somebody sends himself", () => {
  // With `allow_responses` the server would let him publish wherever it says that its answer goes.
  test.each(["observer", "submitter", "contractor", "initiator", "agent"] as const)(
    "grants nothing to the role %s",
    async (role) => {
      const name = `p17${role}`;
      const { nc } = await wire.stranger(name, role);
      // Nobody asks an observer who he is: a friend tells him something.
      const friend = (await wire.stranger(`${name}-friend`, "agent")).nc;
      const path = `mesh.msg.${name}.x.${name}-friend.main`;
      for (const subject of [
        "$JS.API.STREAM.PURGE.KV_mesh_tasks",
        "$JS.API.STREAM.DELETE.KV_mesh_tasks",
        "$KV.mesh_tasks.sue.t.outcome.1.sue.main.other.main",
        "mesh.card.other.main",
        "mesh.sys.disconnect",
      ]) {
        const sub = nc.subscribe(`mesh.msg.${name}.>`, { max: 1 });
        await nc.flush();
        friend.publish(path, "", { reply: subject });
        for await (const m of sub) expect(m.reply).toBe(subject);
        expect([subject, await publishVerdict(nc, subject)]).toEqual([subject, "refused"]);
      }
    },
  );
});

test("P1.7: each question waits at a place of its own that nobody can tell", async () => {
  const asker = await wire.peer("p17ask", "agent");
  const eve = await wire.stranger("p17eve", "contractor");
  const asked = new Tap(eve, "mesh.who.p17eve.*");
  await asked.ready();
  for (let n = 0; n < 20; n++) {
    const answer = asker.transport.request("mesh.who.p17eve.x", new Uint8Array(), {
      timeoutMs: 5_000,
    });
    await until(() => asked.seen.length > n, "the question");
    eve.nc.publish(asked.seen[n]?.reply ?? "", "here");
    expect(Buffer.from((await answer).data).toString()).toBe("here");
  }
  const tokens = asked.seen.map(({ reply }) => reply.split("."));
  for (const [inbox, owner, place, token] of tokens) {
    expect([inbox, owner, place]).toEqual(["_INBOX", "p17ask", tokens[0]?.[2]]);
    expect(token).toMatch(/^[A-Za-z0-9_-]{22}$/);
  }
  expect(new Set(tokens.map((parts) => parts[3]?.slice(0, 8))).size).toBe(20);
  // And no other inbox of the same connection lies where this one does.
  expect(asker.transport.inbox("p17ask")).not.toContain(tokens[0]?.[2]);
});

test("P1.7: another stream's word about a write says nothing of it", async () => {
  const worker = await wire.peer("p17w", "agent", ["p17do"]);
  worker.peer.host({
    name: "w",
    slots: 5,
    services: [service("p17do", async () => ({ output: 1 }))],
  });
  // Whoever knew where it waits could have the server speak there; an admin hears it.
  const root = await wire.stranger("p17root", "admin");
  const eve = await wire.stranger("p17mal", "contractor");
  const { body, seal } = eve.card("z");
  root.nc.subscribe("$KV.mesh_tasks.p17w.>", {
    callback: (_, m) => {
      const reply = m.reply ?? "";
      eve.nc.publish("mesh.reg.p17mal.z", body, {
        headers: headersOf({ "Mesh-Sig": seal }),
        reply,
      });
    },
  });
  await root.nc.flush();
  for (let n = 0; n < 10; n++) {
    const handle = await worker.peer.submitters.submit("p17do", n, { retry: { attempts: 1 } });
    expect(await handle.outcome()).toMatchObject({ state: "completed", attempts: 1 });
  }
}, 20_000);
