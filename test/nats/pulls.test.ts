// Specs are asked for anew after a reconnect, and never by two requests for the same room: the
// server keeps what was asked for while its inbox is listened to again in time.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { NatsTransport } from "../../mesh/nats/transport.ts";
import { RealStage } from "../conformance/real-stage.ts";
import { pass, rev, write } from "../conformance/stage.ts";

let stage: RealStage;

beforeAll(async () => {
  stage = await RealStage.start();
}, 30_000);
afterAll(() => stage.stop());

test("six quick reconnects leave room for one spec where there is room for one", async () => {
  const sue = await stage.join("pulls-sue", "submitter");
  const a = await stage.join("pulls-a", "initiator");
  const handed: unknown[] = [];
  const room = () => Math.max(0, 1 - handed.length);
  await a.supervision.start((spec) => void handed.push(spec), room);
  await stage.flush(a);
  const { connection } = a.link as NatsTransport;
  for (let times = 0; times < 6; times++) {
    const back = new Promise<void>((resolve) =>
      a.link.onState((state) => void (state === "up" && resolve())),
    );
    await connection.reconnect();
    await back;
    await stage.flush(a);
  }
  for (let n = 0; n < 12; n++) await rev(stage, sue, write("pulls-sue"));
  await stage.until(() => handed.length > 0, "a spec");
  await pass(stage, a, 300);
  expect(handed).toHaveLength(1);
  await a.supervision.stop();
}, 30_000);
