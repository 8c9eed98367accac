// The card that is kept to prove records with (P4.3), where it got lost, or is not there yet: what
// its agent wrote is not nobody's.
import { expect, test, vi } from "vitest";
import {
  KEYS_STREAM,
  keySubject,
  recordSubject,
  SIGNATURE_HEADER,
} from "../../../contracts/index.ts";
import type { Peer } from "../../../mesh/runtime/peer.ts";
import { statusMessage } from "../../../sim/virtual/broker/message.ts";
import type { VirtualHost } from "../../../sim/virtual/hosts.ts";
import { VirtualTransport } from "../../../sim/virtual/transport.ts";
import { Village } from "../../support/village.ts";

/** Until all cards of those who left are gone, ms. */
const FORGOTTEN_MS = 180_000;
const DONE = ["spec", "contract", "outcome"];

/** A submitter that submits and is gone, while nobody supervises. */
async function submitAndLeave(v: Village): ReturnType<Peer["submitters"]["submit"]> {
  const sue = v.host("sue");
  v.host("ina").crash();
  const task = await v.settle((sue.peer as Peer).submitters.submit("work", { n: 1 }, {}));
  sue.crash();
  await v.world.run({ untilMs: v.world.now + FORGOTTEN_MS });
  return task;
}

test("P4.3: a key that was lost is stored with a renewal, before its agent leaves", async () => {
  const { publish } = VirtualTransport.prototype;
  const lossy = vi.spyOn(VirtualTransport.prototype, "publish");
  lossy.mockImplementation(function (this: VirtualTransport, subject, ...more) {
    if (subject !== keySubject("sue", "main")) publish.call(this, subject, ...more);
  });
  const v = await new Village().open();
  lossy.mockRestore();
  await v.world.run({ untilMs: v.world.now + 60_000 });
  const task = await submitAndLeave(v);
  await v.settle(v.host("ina").start());
  await v.world.run({ untilMs: v.world.now + 60_000 });
  expect(v.kinds(task)).toEqual(DONE);
});

/** Starts again where the copy of the keys that is asked lags: for so long it knows of none. */
async function startBehind(v: Village, host: VirtualHost, lagMs: number): Promise<void> {
  const started = host.start();
  const transport = host.transport as VirtualTransport;
  const request = transport.request.bind(transport);
  const until = v.world.now + lagMs;
  transport.request = async (subject, ...more) => {
    const isKey = subject.startsWith(`$JS.API.DIRECT.GET.${KEYS_STREAM}.`);
    return isKey && v.world.now < until ? statusMessage(subject, 404) : request(subject, ...more);
  };
  await v.settle(started);
}

test("a spec whose author a copy that lags does not know is not thrown away", async () => {
  const v = await new Village().open();
  const task = await submitAndLeave(v);
  await startBehind(v, v.host("ina"), 20_000);
  await v.world.run({ untilMs: v.world.now + 60_000 });
  expect(v.kinds(task)).toEqual(DONE);
});

test("specs of agents that do not exist are handed out a few times, and then no more", async () => {
  const v = await new Village().open();
  const ina = v.host("ina").peer as Peer;
  const { transport } = (v.host("sue").peer as Peer).deps;
  const refused = () => ina.counters.get("refused.record.spec.E_IDENTITY");
  for (let i = 0; i < 20; i++) {
    const about = { v: 1, kind: "spec", task: `t${i}`, owner: "sue", capability: "work" };
    const body = { ...about, deadline: v.world.now + 1e9, at: v.world.now };
    const at = { owner: "sue", task: `t${i}`, kind: "spec", n: "0-1" } as const;
    const to = { toPrincipal: "_", toAgent: "_", fromPrincipal: "sue", fromAgent: `x${i}` };
    transport.publish(recordSubject({ ...at, ...to }), Buffer.from(JSON.stringify(body)), {
      headers: { [SIGNATURE_HEADER]: `1.${"A".repeat(86)}` },
    });
  }
  await v.until(() => refused() >= 20);
  await v.until(() => ina.counters.get("specs.nobodys") === 20, 2 * 3_600_000);
  expect(refused()).toBe(20 * 13);
  await v.world.run({ untilMs: v.world.now + 3_600_000 });
  expect(refused()).toBe(20 * 13);
});
