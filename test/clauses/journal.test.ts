// Clauses 10.10 and 10.11: journals of durable handlers, and sub-tasks whose parent moved on.
import { expect, test } from "vitest";
import { type JournalEntry, ParleyError } from "../../contracts/index.ts";
import { foldTask } from "../../mesh/core/task-view.ts";
import type { OpenPeer, Run } from "../../mesh/index.ts";
import { useClauses } from "../support/clauses.ts";
import { gate, service, until } from "../wire/fixture.ts";

const wire = useClauses();

const entry = (key: string, value: unknown): JournalEntry => ({ key, op: "step", d: key, value });

function host(peer: OpenPeer, capability: string, run: (run: Run) => Promise<unknown>): void {
  const work = async (r: Run) => ({ output: await run(r) });
  peer.peer.host({ name: "w", slots: 1, services: [service(capability, work)] });
}

test("P10.10: a journal is continued by the next contractor, and by nobody else", async () => {
  const ini = await wire.peer("p1010i", "initiator", [], { silenceMs: 600 });
  const first = await wire.peer("p1010a", "agent", ["journal"], { use: { initiator: false } });
  const hold = gate();
  let late: Promise<unknown> | undefined;
  host(first, "journal", async (run) => {
    await Promise.all([1, 2, 3].map((n) => run.journal?.append(entry(`k${n}`, n))));
    await hold.promise;
    late = run.journal?.append(entry("late", 4));
    await late?.catch(() => undefined);
  });
  await wire.known("journal", 1);
  const sue = await wire.peer("p1010s", "submitter");
  const handle = await sue.peer.submitters.submit("journal", {}, { retry: { attempts: 3 } });
  const read = () => ini.peer.deps.records.read("p1010s", handle.task);
  await until(
    async () => (await read()).filter((r) => r.kind === "checkpoint").length === 2,
    "the journal, in two records: what comes while one is on its way goes into the next",
  );
  // It falls silent and knows nothing of it: beats, answers and reports no longer leave it.
  const { transport } = first;
  const publish = transport.publish.bind(transport);
  transport.publish = (subject, data, options) => {
    if (subject.startsWith("$KV.")) publish(subject, data, options);
  };
  const second = await wire.peer("p1010b", "agent", ["journal"], { use: { initiator: false } });
  const seen: JournalEntry[] = [];
  host(second, "journal", async (run) => {
    seen.push(...((await run.journal?.read())?.entries ?? []));
    await run.journal?.append(entry("k4", 4));
    return "done";
  });
  expect(await handle.result()).toBe("done");
  expect(seen.map((e) => e.value)).toEqual([1, 2, 3]);
  hold.open();
  await until(() => late !== undefined, "the zombie");
  await expect(late).rejects.toMatchObject({ code: "E_FENCED" });
  const records = await read();
  expect(foldTask(records)).toMatchObject({ state: "completed", epoch: 2, faults: [] });
  expect(records.filter((r) => r.kind === "checkpoint").map((r) => r.from)).toEqual([
    "p1010a.w",
    "p1010a.w",
    "p1010b.w",
  ]);
});

test("P10.10: who may not read a journal says so, and does not go on without it", async () => {
  const ini = await wire.peer("p1010xi", "initiator", [], { silenceMs: 600 });
  const first = await wire.peer("p1010xa", "contractor", ["journalx"]);
  const hold = gate();
  host(first, "journalx", async (run) => {
    await run.journal?.append(entry("k1", 1));
    await hold.promise;
  });
  await wire.known("journalx", 1);
  const sue = await wire.peer("p1010xs", "submitter");
  const handle = await sue.peer.submitters.submit("journalx", {}, { retry: { attempts: 2 } });
  const read = () => ini.peer.deps.records.read("p1010xs", handle.task);
  await until(async () => (await read()).length === 3, "the journal");
  await first.transport.connection.close();
  hold.open();
  const second = await wire.peer("p1010xb", "contractor", ["journalx"]);
  host(second, "journalx", (run) => run.journal?.read() ?? Promise.resolve());
  const { state, failure } = await handle.outcome();
  expect(state).toBe("failed");
  expect(JSON.stringify(failure)).toMatch(/may not read.*--role agent/);
});

test("P10.10: a checkpoint of somebody else counts for nothing", async () => {
  const peer = await wire.peer("p1010c", "agent", ["mine"]);
  const hold = gate();
  let attempts = 0;
  host(peer, "mine", async (run) => {
    attempts++;
    await run.journal?.append(entry("a", attempts));
    if (attempts === 1) await hold.promise;
    return (await run.journal?.read())?.entries.map((e) => e.value);
  });
  await wire.known("mine", 1);
  const handle = await peer.peer.submitters.submit("mine", {}, {});
  const read = () => peer.peer.deps.records.read("p1010c", handle.task);
  await until(async () => (await read()).at(-1)?.kind === "checkpoint", "the checkpoint");
  const thief = await wire.peer("p1010d", "agent", []);
  const last = (await read()).at(-1);
  const body = { v: 1, kind: "checkpoint", task: handle.task, epoch: 1, at: Date.now(), prev: "" };
  const written = Promise.withResolvers<boolean>();
  thief.peer.deps.records.write(
    {
      owner: "p1010c",
      task: handle.task,
      kind: "checkpoint",
      n: "1-9",
      toPrincipal: "p1010d",
      toAgent: "main",
      fromPrincipal: "p1010d",
      fromAgent: "main",
    },
    { ...body, entries: [entry("a", "forged")] },
    last?.rev ?? 0,
    thief.peer.options.signer,
    (result) => written.resolve(result.ok),
  );
  expect(await written.promise).toBe(true);
  hold.open();
  // The revision moved, so this epoch cannot commit; the next one reads what its own kind wrote.
  expect(await handle.result()).toEqual([1, 2]);
  expect(attempts).toBe(2);
}, 40_000);

test("P10.11: a sub-task stays lawful when its parent goes to another contractor", async () => {
  const peer = await wire.peer("p1011", "agent", ["parent", "child"]);
  const children: string[] = [];
  const release = gate();
  peer.peer.host({
    name: "main",
    slots: 4,
    services: [
      service("child", async () => {
        await release.promise;
        return { output: "grown" };
      }),
      service("parent", async (run) => {
        const { spec, epoch } = run;
        const parent = {
          task: spec.task,
          epoch,
          contractor: "p1011.main",
          deadline: spec.deadline,
        };
        const child = await peer.peer.submitters.submit(
          "child",
          {},
          {
            task: `${spec.task}-c`,
            owner: spec.owner,
            parent,
            deadline: spec.deadline,
          },
        );
        children.push(child.task);
        if (epoch === 1) throw new ParleyError("E_HANDLER", "somebody else goes on");
        release.open();
        return { output: await child.result() };
      }),
    ],
  });
  await wire.known("child", 1);
  const sue = await wire.peer("p1011s", "submitter");
  const handle = await sue.peer.submitters.submit("parent", {}, { retry: { attempts: 2 } });
  expect(await handle.result()).toBe("grown");
  expect(new Set(children).size).toBe(1);
});
