// Who plays in the tests of hostile input: real peers (ina initiates and opens the doors, wes
// contracts, sue submits) and strangers with credentials of their own (mal sends, olga asks).
import { beforeAll, expect, vi } from "vitest";
import type { OpenPeer } from "../../mesh/index.ts";
import { HOSTILE_BYTES } from "../support/hostile-bytes.ts";
import { counted, type Stranger, service, until, useWire } from "./fixture.ts";

vi.setConfig({ testTimeout: 30_000 });
export const wire = useWire();
export const SAMPLES = HOSTILE_BYTES.map((h) => h.bytes);

export let ina: OpenPeer;
export let wes: OpenPeer;
export let sue: OpenPeer;
export let mal: Stranger;
export let olga: Stranger;
/** The call that waits for somebody with the capability `rare`, as heard last. */
export let call = "";

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
export async function meanwhile<T>(during: () => Promise<T>): Promise<T> {
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
