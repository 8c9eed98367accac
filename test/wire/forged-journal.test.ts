// Somebody who may work at all, and was never awarded the task, writes into its journal.
import { expect, test } from "vitest";
import type { JournalEntry, RecordKey } from "../../contracts/index.ts";
import type { Run } from "../../mesh/index.ts";
import { useClauses } from "../support/clauses.ts";
import { gate, service, until } from "./fixture.ts";

const wire = useClauses();
const entry = (key: string, value: unknown): JournalEntry => ({ key, op: "step", d: key, value });

test("P10.10: a checkpoint under a contract that nobody awarded counts for nothing", async () => {
  const peer = await wire.peer("fja", "agent", ["mine"]);
  const hold = gate();
  let attempts = 0;
  const seen: unknown[] = [];
  const run = async (r: Run) => {
    attempts++;
    const values = async () => ((await r.journal?.read())?.entries ?? []).map((e) => e.value);
    seen.push(...(await values()));
    await r.journal?.append(entry("a", attempts));
    if (attempts === 1) await hold.promise;
    return { output: await values() };
  };
  peer.peer.host({ name: "w", slots: 1, services: [service("mine", run)] });
  await wire.known("mine", 1);
  const handle = await peer.peer.submitters.submit("mine", {}, {});
  const read = () => peer.peer.deps.records.read("fja", handle.task);
  await until(async () => (await read()).at(-1)?.kind === "checkpoint", "the checkpoint");

  // No right to the capability, and no award.
  const thief = await wire.peer("fjb", "contractor", []);
  const { records } = thief.peer.deps;
  const write = (kind: RecordKey["kind"], n: string, body: object, rev: number) =>
    new Promise<number>((resolve, reject) => {
      const [toPrincipal, toAgent] = ["fjb", "main"];
      const from = { fromPrincipal: "fjb", fromAgent: "main" };
      const key = { owner: "fja", task: handle.task, kind, n, toPrincipal, toAgent, ...from };
      records.write(key, body as never, rev, thief.peer.options.signer, (r) =>
        r.ok ? resolve(r.rev) : reject(new Error(JSON.stringify(r))),
      );
    });
  const last = (await read()).at(-1);
  const about = { v: 1, task: handle.task, epoch: 2, at: Date.now() };
  const contract = {
    ...about,
    kind: "contract",
    attempt: 2,
    capability: "mine",
    contractor: "fjb.main",
    initiator: "fja.main",
    leaseMs: 15_000,
    award: { terms: "AAAA", sig: "AAAA" },
    prev: last?.digest,
  };
  const rev = await write("contract", "2", contract, last?.rev ?? 0);
  const prev = (await read()).at(-1)?.digest;
  const entries = [entry("a", "forged"), entry("b", "forged too")];
  await write("checkpoint", "2-1", { ...about, kind: "checkpoint", prev, entries }, rev);
  hold.open();
  expect(await handle.result()).toEqual([1, 2]);
  expect(seen).toEqual([1]);
}, 40_000);
