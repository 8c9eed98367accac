// The same conformance cases on a real server: what the simulated broker is held to.
import { afterAll, afterEach, beforeAll, describe, test } from "vitest";
import { CASES } from "./cases.ts";
import { RealStage } from "./real-stage.ts";

let stage: RealStage;

beforeAll(async () => {
  stage = await RealStage.start();
}, 30_000);
afterEach(() => stage.reset());
afterAll(() => stage.stop());

for (const [about, cases] of Object.entries(CASES)) {
  describe(about, () => {
    test.each(cases)("$name", ({ play }) => play(stage), 15_000);
  });
}
