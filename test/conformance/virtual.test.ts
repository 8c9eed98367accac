// The conformance cases on the simulated broker.
import { describe, test } from "vitest";
import { CASES } from "./cases.ts";
import { VirtualStage } from "./virtual-stage.ts";

for (const [about, cases] of Object.entries(CASES)) {
  describe(about, () => {
    test.each(cases)("$name", ({ play }) => play(new VirtualStage()));
  });
}
